"""Gives committed events their place in the log: 0, 1, 2 ... without a gap.

Ids of the outbox are given out before commit, so a smaller one may become visible later than a
larger one: a reader that remembers "the last id seen" loses events (measured: one in ten). Here an
event is *taken* (deleted) and appended in one transaction, whichever is visible, lowest first;
the place is given at that moment. The Merkle tree, its full tiles and the map from times to places
(audit.growth) grow in the same transaction. A crash before the commit leaves everything as it was.

Any number of sequencers may run: an advisory lock lets one work, the others leave at once.

What stands in the outbox and is no leaf was not written by `trail.record` but by somebody who has
the database. It gets no place, since the columns by which the log is read cannot be filled; nor is
it lost, nor may it hold up the others: it is kept in `Unreadable` as it was found, and an event
(`log.leaf_refused`, with its digest) tells of it for ever.
"""

import hashlib
import io
import logging
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from audit import actions, columns, growth, trail, tree
from audit.leaf import leaf_hash
from audit.models import Event, Outbox, State

_LOCK: Final = 7_303_014_501_774_212_454  # any number that nothing else locks
_SEQUENCER: Final = trail.Ref("system", "sequencer")
_EVENT: Final = "audit_event (seq, occurred_at, sequenced_at, actor, action, object, subject, outcome, leaf, leaf_hash)"
_PRIVATE: Final = "audit_private (seq, key_id, ciphertext)"

_log = logging.getLogger(__name__)


class StateMissing(Exception):
    """The log's state row is gone or does not fit its events: restored or altered by hand. Nothing is appended."""


class _Row(NamedTuple):
    """A row of the outbox; the private part and the time as PostgreSQL writes them."""

    id: int
    leaf: str
    private: str | None
    key_id: int | None
    queued_at: str


def sequence(limit: int = 1000, *, now: datetime | None = None) -> int:
    """Move up to `limit` events from the outbox into the log; returns how many it took.

    Zero when there is nothing to do or when another sequencer is at it. Raises StateMissing, and growth.Gap
    where the log's own rows are missing.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        if not _locked(cursor):
            return 0
        rows = _take(cursor, limit)
        if rows:
            _append(cursor, list(_readable(cursor, rows)), now or timezone.now())
    return len(rows)


def backlog() -> int:
    """How many events wait for their place."""
    return Outbox.objects.count()


def _locked(cursor: CursorWrapper) -> bool:
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
    row = cursor.fetchone()
    return bool(row and row[0])


def _take(cursor: CursorWrapper, limit: int) -> list[_Row]:
    """Delete the lowest `limit` visible rows and return them, lowest first.

    By `ctid`, at half the cost of `id IN`: no row of the outbox is ever updated, so none moves.
    """
    cursor.execute(
        "DELETE FROM audit_outbox WHERE ctid = ANY (ARRAY (SELECT ctid FROM audit_outbox ORDER BY id LIMIT %s)) "
        "RETURNING id, leaf, private::text, key_id, queued_at::text",
        [limit],
    )
    return [*map(_Row._make, sorted(cursor.fetchall()))]


def _readable(cursor: CursorWrapper, rows: Iterable[_Row]) -> Iterator[tuple[_Row, columns.Columns]]:
    """Those that are leaves; the others are put aside."""
    for row in rows:
        try:
            yield row, columns.read(row.leaf)
        except columns.NotALeaf as error:
            _put_aside(cursor, row, str(error))


def _put_aside(cursor: CursorWrapper, row: _Row, reason: str) -> None:
    _log.error("no leaf in the audit outbox", extra={"outbox_id": row.id, "reason": reason})
    cursor.execute(
        "INSERT INTO audit_unreadable (id, leaf, private, key_id, queued_at, reason) VALUES (%s, %s, %s, %s, %s, %s)",
        [*row, reason],
    )
    trail.record(
        actions.LOG_LEAF_REFUSED,
        actor=_SEQUENCER,
        object=trail.Ref("outbox", str(row.id)),
        outcome="failure",
        details="What waited for its place in the log was no leaf; it was put aside.",
        facts={"sha256": hashlib.sha256(row.leaf.encode()).hexdigest(), "bytes": len(row.leaf.encode())},
    )


def _append(cursor: CursorWrapper, rows: list[tuple[_Row, columns.Columns]], now: datetime) -> None:
    if not rows:
        return
    state, frontier = _state(now)
    at = max(now, state.sequenced_at)  # clocks go back, the log does not
    hashes = [leaf_hash(row.leaf) for row, _ in rows]
    _copy(cursor, _EVENT, _event_lines(state.size, at.isoformat(), rows, hashes))
    _copy(cursor, _PRIVATE, _private_lines(state.size, rows))
    growth.tile(state.size, hashes)
    growth.span(state.size, [each.occurred_at for _, each in rows])
    frontier.extend(hashes)
    state.size, state.sequenced_at = frontier.size, at
    state.frontier, state.root = bytes(frontier), frontier.root()
    state.save(update_fields=["size", "frontier", "root", "sequenced_at"])


def _event_lines(first: int, at: str, rows: list[tuple[_Row, columns.Columns]], hashes: list[bytes]) -> Iterator[str]:
    for seq, ((row, (occurred_at, *texts)), hashed) in enumerate(zip(rows, hashes, strict=True), start=first):
        if "\\" in row.leaf:  # JSON that has none has no tab or newline either, in none of its texts
            texts = [_escaped(text) for text in texts]
        said = "\t".join(texts)
        yield f"{seq}\t{occurred_at.isoformat()}\t{at}\t{said}\t{_escaped(row.leaf)}\t\\\\x{hashed.hex()}\n"


def _private_lines(first: int, rows: list[tuple[_Row, columns.Columns]]) -> Iterator[str]:
    for seq, (row, _) in enumerate(rows, start=first):
        if row.private is not None:
            yield f"{seq}\t{row.key_id}\t\\{row.private}\n"  # \x... as PostgreSQL wrote it


def _state(now: datetime) -> tuple[State, tree.Frontier]:
    """The row, locked, and the tree's edge; both must fit the events that are there."""
    state = State.objects.select_for_update().first()
    last = Event.objects.order_by("-seq").values_list("seq", flat=True).first()
    if state is None and last is None:
        state = State.objects.create(sequenced_at=now)
    if state is None or state.size != (0 if last is None else last + 1):
        raise StateMissing
    try:
        frontier = tree.Frontier(state.size, bytes(state.frontier))
    except ValueError as error:
        raise StateMissing from error
    if frontier.root() != bytes(state.root):
        raise StateMissing
    return state, frontier


def _copy(cursor: CursorWrapper, target: str, lines: Iterable[str]) -> None:
    """COPY lines into a table, in its text form: tabs between values, and a backslash before what is special."""
    with connection.wrap_database_errors:
        cursor.copy_expert(f"COPY {target} FROM STDIN", io.StringIO("".join(lines)))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")
