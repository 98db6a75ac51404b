"""Gives committed events their place in the log: 0, 1, 2 ... without a gap.

Ids of the outbox are given out before commit, so a smaller one may become visible later than a
larger one: a reader that remembers "the last id seen" loses events (measured: one in ten). Here an
event is *taken* (deleted) and appended in one transaction, whichever is visible, lowest first;
the place is given at that moment. A crash before the commit leaves everything as it was.

Any number of sequencers may run: an advisory lock lets one work, the others leave at once.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from audit.leaf import leaf_hash
from audit.models import Event, Outbox, Private, State

_LOCK: Final = 7_303_014_501_774_212_454  # any number that nothing else locks

_Row = tuple[int, str, memoryview | None, int | None]


class StateMissing(Exception):
    """The log has events but no state row: restored or altered by hand. Nothing is appended."""


def sequence(limit: int = 1000, *, now: datetime | None = None) -> int:
    """Move up to `limit` events from the outbox into the log; returns how many.

    Zero when there is nothing to do or when another sequencer is at it.
    """
    with transaction.atomic(durable=True):
        if not _locked():
            return 0
        rows = _take(limit)
        if rows:
            moment = now or timezone.now()
            _append(_state(moment), rows, moment)
    return len(rows)


def backlog() -> int:
    """How many events wait for their place."""
    return Outbox.objects.count()


def _locked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        row = cursor.fetchone()
    return bool(row and row[0])


def _take(limit: int) -> list[_Row]:
    """Delete the lowest `limit` visible rows and return them, lowest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM audit_outbox WHERE id IN "
            "(SELECT id FROM audit_outbox ORDER BY id LIMIT %s) "
            "RETURNING id, leaf, private, key_id",
            [limit],
        )
        rows: Iterable[_Row] = cursor.fetchall()
    return sorted(rows, key=lambda row: row[0])


def _state(now: datetime) -> State:
    if state := State.objects.select_for_update().first():
        return state
    if Event.objects.exists():
        raise StateMissing
    return State.objects.create(sequenced_at=now)


def _append(state: State, rows: list[_Row], now: datetime) -> None:
    at = max(now, state.sequenced_at)  # clocks go back, the log does not
    placed = list(enumerate(rows, start=state.size))
    Event.objects.bulk_create(_event(seq, leaf, at) for seq, (_, leaf, _, _) in placed)
    Private.objects.bulk_create(
        Private(seq=seq, key_id=key_id, ciphertext=private)
        for seq, (_, _, private, key_id) in placed
        if private is not None and key_id is not None
    )
    state.size += len(rows)
    state.sequenced_at = at
    state.save(update_fields=["size", "sequenced_at"])


def _event(seq: int, text: str, at: datetime) -> Event:
    values = json.loads(text)
    return Event(
        seq=seq,
        occurred_at=datetime.fromisoformat(values["time"]),
        sequenced_at=at,
        actor=_name(values["actor"]),
        action=values["action"],
        object=_name(values["object"]),
        subject=_name(values["subject"]) if "subject" in values else "",
        outcome=values["outcome"],
        leaf=text,
        leaf_hash=leaf_hash(text),
    )


def _name(ref: dict[str, Any]) -> str:
    return f"{ref['kind']}:{ref['uid']}"
