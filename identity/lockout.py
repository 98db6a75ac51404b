"""Counts what is tried in vain, in the database, and says when it may be tried again.

An attempt is charged before it is made and given back when it was right: a burst of parallel
attempts is stopped as surely as a slow row of them. Delays double. A wrong password only ever
delays, and never somebody at an address from which they signed in before: no stranger can lock a
person out for good (ASVS 6.1.1, 6.3.1).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from math import ceil
from typing import Final
from unicodedata import normalize

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest

from audit import context
from identity.models import Attempts, User

FORGOTTEN_AFTER: Final = timedelta(hours=24)
KNOWN_FOR: Final = timedelta(days=30)


@dataclass(frozen=True)
class Rule:
    """How many attempts are free, and how the wait grows after them."""

    free: int
    first: timedelta
    longest: timedelta
    forgotten_after: timedelta = FORGOTTEN_AFTER
    window: bool = False  # forgotten so long after the first of them, not after the last: a rate

    def wait(self, failures: int) -> timedelta:
        """How long to wait after so many failures."""
        over = failures - self.free
        return min(self.first * 2 ** min(over, 20), self.longest) if over >= 0 else timedelta()


ACCOUNT_AND_ADDRESS: Final = Rule(5, timedelta(seconds=30), timedelta(minutes=15))
ACCOUNT: Final = Rule(20, timedelta(seconds=60), timedelta(hours=1))
ADDRESS_MINUTE: Final = Rule(20, timedelta(minutes=1), timedelta(minutes=1), timedelta(minutes=1), window=True)
ADDRESS_HOUR: Final = Rule(200, timedelta(minutes=15), timedelta(hours=1), timedelta(hours=1), window=True)
SECOND_FACTOR: Final = Rule(5, timedelta(seconds=60), timedelta(hours=1))
SECOND_FACTOR_DISABLED_AT: Final = 100  # SP 800-63B-4 3.2.2: no more than 100 in a row
RESET: Final = Rule(5, timedelta(hours=1), timedelta(hours=1), timedelta(hours=1), window=True)
NOTED: Final = Rule(1, timedelta(minutes=1), timedelta(minutes=1), timedelta(minutes=1), window=True)


class TooManyAttempts(Exception):
    """Too many attempts. Wait as long as this answer says, then try again."""

    def __init__(self, wait: timedelta) -> None:
        """Keep how long there is to wait."""
        super().__init__()
        self.wait = max(1, ceil(wait.total_seconds()))  # in whole seconds, as Retry-After has it


@dataclass(frozen=True)
class Charge:
    """One counter that an attempt is charged to."""

    key: str
    rule: Rule


def sign_in(username: str, user: User | None) -> Sequence[Charge]:
    """What a sign-in under this name, from the address of the present request, is charged to.

    A person is counted by account, whatever way the name is written; a name that nobody has is
    counted in the same way under its hash.
    """
    who, where = _account(username, user), _network()
    return (
        Charge(f"password:{who}:{where}", ACCOUNT_AND_ADDRESS),
        Charge(f"password:{who}", ACCOUNT),
        *address(),
    )


def address() -> Sequence[Charge]:
    """What anything tried without signing in is charged to besides."""
    where = _network()
    return Charge(f"minute:{where}", ADDRESS_MINUTE), Charge(f"hour:{where}", ADDRESS_HOUR)


def second_factor(user: User) -> Sequence[Charge]:
    """What a code of this person is charged to, wherever it is tried."""
    return (Charge(f"code:{user.pk}", SECOND_FACTOR),)


def reset(email: str) -> Sequence[Charge]:
    """What a request to reset the password of this address is charged to."""
    return (Charge(f"reset:{_digest(email)}", RESET),)


def charge(charges: Sequence[Charge], *, now: datetime) -> bool:
    """Count one attempt, and tell whether it was the last before a wait.

    Raises TooManyAttempts, and counts nothing, where it comes too early. Commits by itself, because
    whoever calls may be refused and roll back.
    """
    with transaction.atomic(durable=True):
        rows = _locked([each.key for each in charges], now)
        early = _until(charges, rows, now)
        if early is None:
            waits = [_count(rows[each.key], each.rule, now) for each in charges]
            return any(waits)
    raise TooManyAttempts(early - now)


def refund(charges: Sequence[Charge], *, now: datetime) -> None:
    """Take the attempt of this moment back: it was right, as far as it went.

    A wait that it caused goes with it; one that others have caused meanwhile stays.
    """
    for each in charges:
        row = Attempts.objects.filter(key=each.key)
        row.filter(Q(last_at=now) | Q(failures__lte=each.rule.free)).update(not_before=None)
        row.update(failures=Greatest(F("failures") - 1, 0))


def forgive(charges: Sequence[Charge], *, now: datetime) -> None:
    """The attempt succeeded: its first counter starts anew and remembers that."""
    Attempts.objects.filter(key=charges[0].key).update(failures=0, not_before=None, succeeded_at=now)


def failures(charges: Sequence[Charge]) -> int:
    """How often the first counter has been charged in a row."""
    return Attempts.objects.filter(key=charges[0].key).values_list("failures", flat=True).first() or 0


def noted_lately(what: str, user: User, *, now: datetime) -> bool:
    """Whether this was noted of the person within the last minute; if not, it is now, in the caller's transaction.

    For what is to be recorded but may be repeated as often as somebody likes.
    """
    key = f"noted:{what}:{user.pk}"
    rows = _locked([key], now)
    if _until([Charge(key, NOTED)], rows, now) is not None:
        return True
    _count(rows[key], NOTED, now)
    return False


def unlock(user: User) -> None:
    """Forget every failure of this person."""
    who = f"user-{user.pk}"
    Attempts.objects.filter(
        Q(key=f"password:{who}") | Q(key__startswith=f"password:{who}:") | Q(key=f"code:{user.pk}")
    ).update(failures=0, not_before=None)


def _locked(keys: Sequence[str], now: datetime) -> dict[str, Attempts]:
    """The counters, made where missing, locked in one order so that two attempts cannot block each other."""
    Attempts.objects.bulk_create([Attempts(key=key, last_at=now) for key in sorted(keys)], ignore_conflicts=True)
    rows = Attempts.objects.select_for_update().filter(key__in=keys).order_by("key")
    return {row.key: row for row in rows}


def _until(charges: Sequence[Charge], rows: dict[str, Attempts], now: datetime) -> datetime | None:
    """From when this may be tried; None: now. An address that is known for the account passes by its counter."""
    known = any(row.succeeded_at and now - row.succeeded_at < KNOWN_FOR for row in rows.values())
    waits = [
        row.not_before
        for each in charges
        if (row := rows[each.key]).not_before and not (known and each.rule is ACCOUNT)
    ]
    return max((until for until in waits if until > now), default=None)


def _count(row: Attempts, rule: Rule, now: datetime) -> bool:
    """Charge one counter; whether there is a wait from now on."""
    anew = now - row.last_at >= rule.forgotten_after
    row.failures = 1 if anew else row.failures + 1
    if anew or not rule.window:
        row.last_at = now
    wait = rule.wait(row.failures)
    row.not_before = now + wait if wait else None
    row.save(update_fields=["failures", "last_at", "not_before"])
    return bool(wait)


def _account(username: str, user: User | None) -> str:
    return f"user-{user.pk}" if user else f"name-{_digest(username)}"


def _digest(text: str) -> str:
    """Of the name as people see it: case and width of letters make no second counter."""
    seen = normalize("NFKC", text).casefold()
    return hashlib.sha256(seen.encode(errors="replace")).hexdigest()[:32]


def _network() -> str:
    """The caller's address; of IPv6 the /64 that one subscriber has."""
    request = context.current()
    if not request or not request.ip:
        return "local"
    return str(ip_network(f"{request.ip}/64", strict=False)) if ":" in request.ip else request.ip
