"""One upload as a client lives it that rides over faults: it asks again until it gets through or its time is over.

What the client knows in the end is an `Account`. It may know less than the server: an answer can be lost on its way.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import TypeVar

import requests
from urllib3.exceptions import NewConnectionError

from bench.breaking.kinds import Intent, Kind
from devstack.client import Client, Refused, Ticket

BEGIN_SECONDS = 60.0
COMPLETE_SECONDS = 20.0
SHORTEST_WAIT, LONGEST_WAIT = 0.2, 2.0
T = TypeVar("T")
UNHEARD = (requests.RequestException, KeyError, ValueError)
"""The call may have worked or not: no answer came, or half of one."""


@dataclass(eq=False)
class Account:
    """What the client knows of one upload. `begun` counts the requests that may have made a row that it cannot name."""

    intent: Intent
    id: str = ""
    begun: int = 0
    sent: str = "no"
    sent_from: float = 0.0
    completed_at: float = 0.0
    replays: int = 0
    odd: list[str] = field(default_factory=list)
    over: bool = False


class GaveUp(Exception):
    """It did not get through in its time."""


def carry(client: Client, account: Account, *, window: float, stop: Event) -> None:
    """Take one upload as far as its client takes it. What went otherwise than it should is noted as odd."""
    try:
        _carry(client, account, window, stop)
    except GaveUp as reason:
        account.odd.append(f"gave up: {reason}")
    except Refused as refusal:
        account.odd.append(f"refused: {refusal.status} {refusal.code}: {refusal}")
    finally:
        account.over = True


def _carry(client: Client, account: Account, window: float, stop: Event) -> None:
    intent = account.intent
    ticket = _begin(client, account, stop)
    account.id = ticket.id
    until = time.monotonic() + window
    if intent.kind is Kind.ABANDONED:
        return
    if not _send(client, account, ticket, until, stop):
        return
    if intent.kind is Kind.REPLAYED:
        _replay(client, account, ticket)
    if intent.kind is not Kind.SILENT:
        _complete(client, account, stop)
    if intent.kind is Kind.REPLAYED:
        for wait in (0.0, 1.0, 3.0):  # during the checks, and after
            stop.wait(wait)
            _replay(client, account, ticket)


def _begin(client: Client, account: Account, stop: Event) -> Ticket:
    def ask() -> Ticket:
        account.begun += 1
        try:
            ticket = client.begin(account.intent.announced())
        except requests.ConnectionError as fault:
            account.begun -= _not_connected(fault)
            raise
        account.begun -= 1
        return ticket

    def again(refusal: Refused) -> bool:
        if refusal.status < 500:  # nothing was made
            account.begun -= 1
        if refusal.status == 429:
            stop.wait(min(refusal.wait, 10))
        return refusal.status == 429 or refusal.status >= 500

    return _again(ask, again, time.monotonic() + BEGIN_SECONDS, stop)


def _not_connected(fault: requests.ConnectionError) -> bool:
    """Whether there was not even a connection, so that the request cannot have been heard."""
    cause = fault.args[0] if fault.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _send(client: Client, account: Account, ticket: Ticket, until: float, stop: Event) -> bool:
    """Send the bytes until S3 takes them, refuses them for good, or the policy is over. Returns whether it has."""
    intent = account.intent
    account.sent_from = time.monotonic()

    def post() -> bool:
        before, account.sent = account.sent, "maybe"
        try:
            client.send(ticket, intent.filename, intent.body, intent.content_type)
        except Refused as refusal:
            if refusal.status < 500:
                account.sent = before
            raise
        return True

    def again(refusal: Refused) -> bool:
        return not (intent.kind is Kind.ALTERED and refusal.code == "bad_digest")

    try:
        _again(post, again, until, stop)
    except (Refused, GaveUp):  # what has come all the same, the service finds
        return False
    account.sent = "yes"
    return True


def _complete(client: Client, account: Account, stop: Event) -> None:
    with suppress(GaveUp):  # the reconciler finds what nobody calls back for
        _again(
            lambda: client.complete(account.id),
            lambda refusal: refusal.status == 429 or refusal.status >= 500,
            time.monotonic() + COMPLETE_SECONDS,
            stop,
        )
        account.completed_at = time.monotonic()


def _replay(client: Client, account: Account, ticket: Ticket) -> None:
    """Send other bytes by the same form. Whatever comes of it: nothing must."""
    intent = account.intent
    with suppress(Refused, *UNHEARD):
        client.send(ticket, intent.filename, intent.replayed(), intent.content_type)
        account.replays += 1


def _again(ask: Callable[[], T], again: Callable[[Refused], bool], until: float, stop: Event) -> T:
    """Ask until there is an answer. Raises `Refused` where `again` calls that final, `GaveUp` when time is over."""
    wait, why = SHORTEST_WAIT, ""
    while True:
        try:
            return ask()
        except Refused as refusal:
            if not again(refusal):
                raise
            why = f"{refusal.status} {refusal.code}"
        except UNHEARD as fault:
            why = type(fault).__name__
        if time.monotonic() > until or stop.is_set():
            raise GaveUp(why)
        stop.wait(wait)
        wait = min(wait * 1.5, LONGEST_WAIT)
