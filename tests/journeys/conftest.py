"""The whole stack, with real workers, once for all journeys. Nothing here reaches into the product."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_urlsafe

import pytest

from devstack.client import Client
from devstack.launch import Running, running
from devstack.places import ROOT

LIMITS = {"UPLOAD_WINDOW_SECONDS": "20", "EXPIRE_GRACE_SECONDS": "1"}
Account = dict[str, str]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Everything that `bin/stack up` starts, in a folder of its own."""
    with running(Path(tmp_path_factory.mktemp("stack")), fresh=True, settings=LIMITS) as started:
        yield started


@pytest.fixture(scope="session")
def used(stack: Running) -> set[str]:
    """Every secret that a journey has used so far: passwords, second factors, tokens, sessions."""
    accounts = stack.details["accounts"].values()
    return {account[kind] for account in accounts for kind in ("password", "totp_secret")}


@pytest.fixture(scope="session")
def as_(stack: Running, used: set[str]) -> Callable[[str], Client]:
    """Sign somebody in over HTTP: once, because a code of theirs is good once. Each call is a client of its own."""
    tokens: dict[str, str] = {}
    one_at_a_time = threading.Lock()

    def client(username: str) -> Client:
        api, origin = stack.details["api"], stack.details["console"].rstrip("/")
        with one_at_a_time:
            if username not in tokens:
                tokens[username] = Client(api, origin=origin).sign_in(**stack.details["accounts"][username])
                used.add(tokens[username])
        return Client(api, origin=origin, token=tokens[username])

    return client


@pytest.fixture(scope="session")
def newcomer(stack: Running, used: set[str]) -> Callable[..., Account]:
    """Make an account as an operator does. Of its own, so that no other journey has spent its codes."""

    def make(username: str, role: str, *, enrolled: bool = True) -> Account:
        account = {"username": username, "password": token_urlsafe(12)}
        if enrolled:
            account["totp_secret"] = base64.b32encode(os.urandom(20)).decode()
        used.update({account["password"], account.get("totp_secret", account["password"])})
        ensure(stack, {**account, "role": role, "email": f"{username}@example.test"})
        return account

    return make


def pids(stack: Running) -> dict[str, int]:
    """Who runs now: another journey may have stopped and started something."""
    running_now: dict[str, int] = json.loads(stack.path.read_text())["pids"]
    return running_now


def ensure(stack: Running, entry: dict[str, str]) -> None:
    """`manage.py identity ensure` with one entry."""
    command = (sys.executable, "manage.py", "identity", "ensure")
    said = json.dumps([entry]).encode()
    subprocess.run(command, cwd=ROOT, env=stack.env, input=said, stdout=subprocess.DEVNULL, check=True, timeout=60)
