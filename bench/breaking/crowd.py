"""Many clients at once: owners who are signed in, and uploads at a steady rate."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from secrets import token_urlsafe

from bench.breaking.carrying import Account, carry
from bench.breaking.kinds import intent
from devstack.client import Client
from devstack.launch import Running
from devstack.places import ROOT

AT_ONCE = 32
PATIENCE_SECONDS = 30.0


@dataclass(eq=False)
class Crowd:
    """The owners' sessions, and an account of every upload that was begun."""

    stack: Running
    seed: int
    tokens: list[str]
    window: float
    accounts: list[Account] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    _clients: threading.local = field(default_factory=threading.local)

    def client(self, owner: int) -> Client:
        """Return an owner's client for the calling thread: one each, since `requests` promises nothing of sharing."""
        known: dict[str, Client] = self._clients.__dict__
        token = self.tokens[owner]
        if token not in known:
            origin = self.stack.details["console"].rstrip("/")
            known[token] = Client(self.stack.details["api"], origin=origin, token=token, patience=PATIENCE_SECONDS)
        return known[token]

    def send(self, rate: float, seconds: float, *, at_most: int = sys.maxsize) -> None:
        """Begin `rate` uploads a second for so long and wait for the last. With all hands full fewer are begun."""
        hands = threading.Semaphore(AT_ONCE)
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for number in range(at_most):
                self.stop.wait(max(0.0, began + number / rate - time.monotonic()))
                hands.acquire()
                if self.stop.is_set() or time.monotonic() - began > seconds:
                    return
                account = Account(intent(self.seed, len(self.accounts), len(self.tokens)))
                self.accounts.append(account)
                pool.submit(self._one, account, hands)

    def _one(self, account: Account, hands: threading.Semaphore) -> None:
        try:
            carry(self.client(account.intent.owner), account, window=self.window, stop=self.stop)
        except BaseException as unforeseen:
            account.odd.append(repr(unforeseen))
            raise
        finally:
            hands.release()


def gathered(stack: Running, seed: int, owners: int, window: float) -> Crowd:
    """Make the owners' accounts as an operator does, and sign each in."""
    people = [_person(f"owner{number}") for number in range(owners)]
    command = (sys.executable, "manage.py", "identity", "ensure")
    said = json.dumps(
        [{**person, "role": "investor", "email": f"{person['username']}@example.test"} for person in people]
    )
    subprocess.run(command, cwd=ROOT, env=stack.env, input=said.encode(), capture_output=True, check=True)  # noqa: S603
    origin = stack.details["console"].rstrip("/")
    tokens = [Client(stack.details["api"], origin=origin).sign_in(**person) for person in people]
    return Crowd(stack, seed, tokens, window)


def _person(username: str) -> dict[str, str]:
    return {
        "username": username,
        "password": token_urlsafe(12),
        "totp_secret": base64.b32encode(os.urandom(20)).decode(),
    }
