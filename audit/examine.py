"""Examines the stored log: is every row what the tree says, and the tree what was signed and published?

One walk over the events in their order, in constant memory. Whatever is wrong is told with its place (audit.findings),
and the walk goes on from what the tree has there: one altered row shows once and hides no other. What cannot be seen
from inside is an operator who has made everything anew and signed it: for that there are checkpoints outside the house
(`audit/verify.py`).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db.models import Subquery

from audit import columns, signed, tiles, tree, verify
from audit.edge import Edge
from audit.findings import Findings
from audit.findings import span as span
from audit.leaf import leaf_hash
from audit.models import Batch, Checkpoint, Event, State, Tile
from audit.signed import Mark
from audit.tiles import WIDTH
from audit.times import Times

_PAGE: Final = 32 * WIDTH
_COLUMNS: Final = columns.Columns._fields
_UNKNOWN: Final = bytes(32)
_LEVELS: Final = range(8)

Row = tuple[int, str, bytes, datetime, datetime, str, str, str, str, str]
"""A row of audit_event: seq, leaf, leaf_hash, sequenced_at, and what it repeats of its leaf."""


def examine(
    *,
    keys: Sequence[verify.VerifierKey] = (),
    old: verify.Checkpoint | None = None,
    start: verify.Checkpoint | None = None,
    published: bool = True,
    progress: Callable[[int], object] = lambda count: None,
) -> Findings:
    """Walk the log and return what is wrong with it.

    `keys` are trusted beside this process's own; `old` is a checkpoint that must still hold; `start` one whose events
    are taken as they are; `published`: look into the bucket too. `progress` is told how many events were read. Raises
    note.NoSigningKey where there is no key at all; faults of S3 and the database are let through.
    """
    found = Findings()
    known = signed.Keys(keys)
    given = [Mark(each.size, each.root, "the checkpoint that you gave") for each in (old, start) if each]
    given += signed.in_bucket(found, known) if published else []  # before the log's end is read: it can only be behind
    end = _end(found)
    for mark in (each for each in given if each.size > end.size):
        found.wrong(f"{mark.of} is of {mark.size} events, the log has {end.size}: cut off, or an old backup")
    low = start.size if start else 0
    if low > end.size:
        return found
    try:
        walk = _Walk(found, low, end, signed.marks(found, known, given, low=low, size=end.size))
        if start:
            _earlier(found, [each for each in given if 0 < each.size < low], start)
    except (tiles.NoSuchTile, IndexError):
        found.wrong(f"the tree over {span(0, low)} has a hole: examine the whole log")
        return found
    for at, rows in _pages(low, end.size):
        if not any(rows):
            found.wrong(f"{span(at, at + len(rows))}: missing, and what follows was not examined")
            return found
        progress(walk.read(at, rows))
    walk.finish(end)
    return found


def _earlier(found: Findings, given: Sequence[Mark], start: verify.Checkpoint) -> None:
    """Check that `start` continues older checkpoints; the events of both are not read."""
    for mark in given:
        proof = tree.consistency(mark.size, start.size, tiles.reader())
        try:
            verify.check_consistency(mark.size, mark.root, start.size, start.root, proof)
        except verify.Broken:
            mark.differs(found, 0)


def _end(found: Findings) -> State:
    """Where the log ends. What stands beyond is told; one statement reads it all, for the log may be growing."""
    last = {
        "event": Subquery(Event.objects.order_by("-seq").values("seq")[:1]),
        "run": Subquery(Batch.objects.order_by("-low").values("high")[:1]),
        "signed": Subquery(Checkpoint.objects.order_by("-size").values("size")[:1]),
        **{f"tile{level}": _last_tile(level) for level in _LEVELS},
    }
    row = State.objects.annotate(**last).first()
    if row is None:
        if newest := Event.objects.order_by("-seq").first():
            found.wrong("the row that says where the log ends (audit_state) is missing")
            return State(size=newest.seq + 1)
        return State()
    size, ends = row.size, vars(row)
    if ends["event"] is not None and ends["event"] >= size:
        found.events_wrong("beyond the log's end", size, ends["event"] + 1)
    if (ends["run"] if ends["run"] is not None else -1) != size - 1:
        found.wrong(f"the map of times does not end with the log, at {size - 1}")
    if ends["signed"] is not None and ends["signed"] > size:
        found.wrong(f"a checkpoint over {ends['signed']} events was signed, the log has {size}: cut off")
    if (ends["event"] if ends["event"] is not None else -1) < size - 1:
        row.size = ends["event"] + 1 if ends["event"] is not None else 0
        found.events_wrong("missing", row.size, size)
    for level in _LEVELS:
        if (number := ends[f"tile{level}"]) is not None and number >= size >> 8 * (level + 1):
            found.wrong(f"tile {level}/{number} is beyond the log's end")
    return row


def _last_tile(level: int) -> Subquery:
    return Subquery(Tile.objects.filter(level=level).order_by("-number").values("number")[:1])


def _pages(low: int, size: int) -> Iterator[tuple[int, list[Row | None]]]:
    """The rows by their places, None where one is missing, whole tiles at a time.

    No server-side cursor: it would hold a snapshot for as long as the walk takes, and keep the outbox from being
    vacuumed.
    """
    rows = Event.objects.order_by("seq").values_list("seq", "leaf", "leaf_hash", "sequenced_at", *_COLUMNS)
    while low < size:
        high = min(size, (low // _PAGE + 1) * _PAGE)
        page: list[Row | None] = list(rows.filter(seq__gte=low, seq__lt=high))
        if [row[0] for row in page if row] != list(range(low, high)):
            held = {row[0]: row for row in page if row}
            page = [held.get(seq) for seq in range(low, high)]
        yield low, page
        low = high


class _Walk:
    """The walk: the tree as it grows over the leaves, beside the one that is stored."""

    def __init__(self, found: Findings, low: int, end: State, marks: Iterator[Mark]) -> None:
        self._found, self._size = found, end.size
        self._stored: dict[int, _Tile] = {}  # the page's
        self._edge = Edge(self._full, low, tiles.reader())
        self._times = Times(found, low)
        self._latest: datetime | None = None
        self._marks, self._good = marks, 0
        self._mark = next(marks, None)
        self._compare()

    def read(self, low: int, rows: Sequence[Row | None]) -> int:
        """Go on over the rows from the place `low` on; return how many there were."""
        first, high = low // WIDTH, low + len(rows)
        self._stored = _tiles(0, first, (high - 1) // WIDTH + 1)
        hashes = [self._row(low + at, row) for at, row in enumerate(rows)]
        self._times.check(low, [row and row[4] for row in rows])
        while low < high:
            until = min(high, (low // WIDTH + 1) * WIDTH)
            self._tile(low, hashes[: until - low])
            hashes, low = hashes[until - low :], until
        count = len(rows) - rows.count(None)
        self._found.events += count
        return count

    def finish(self, end: State) -> None:
        """Compare the tree with what was noted of it when it grew."""
        self._times.finish(end.size)
        self._found.size, self._found.root = end.size, self._edge.root()
        if (b"".join(self._edge.nodes()), self._found.root) != (bytes(end.frontier), bytes(end.root)):
            self._found.wrong(f"the tree over {span(0, end.size)} is not what was noted when it grew (audit_state)")

    def _row(self, seq: int, row: Row | None) -> bytes | None:
        """What one row says by itself. Returns the hash that stands in it."""
        if row is None:
            self._found.events_wrong("missing", seq)
            return None
        text, hashed = row[1], bytes(row[2])
        if leaf_hash(text) != hashed:
            self._found.events_wrong("its text is not the one that its hash was made of", seq)
        if self._latest and row[3] < self._latest:
            self._found.events_wrong("it got its place before the event before it did (sequenced_at)", seq)
        self._latest = row[3]
        if not _repeats(row):
            self._found.events_wrong(_differs(row), seq)
        return hashed

    def _tile(self, low: int, hashes: Sequence[bytes | None]) -> None:
        """Compare hashes with the tile that they are of, and go on with what that has."""
        number, first = divmod(low, WIDTH)
        full = (number + 1) * WIDTH <= self._size  # what stands there of another is of no use
        stored = self._stored.get(number) if full else None
        going_on = [each or _UNKNOWN for each in hashes]
        if stored:
            going_on = stored.cut(first, len(hashes))
            for at, (one, other) in enumerate(zip(hashes, going_on, strict=True)):
                if one and one != other:
                    self._found.events_wrong("not the one that the tree was grown over", low + at)
        while going_on:
            # A tile is cut where a checkpoint ends in it.
            cut = self._mark.size - self._edge.size if self._mark else len(going_on)
            self._edge.extend(going_on[:cut])
            going_on = going_on[cut:]
            self._compare()

    def _full(self, level: int, number: int, row: list[bytes]) -> bytes:
        """Compare a tile that is full now with the stored one; return the root to go on with, which is that below."""
        stored = (self._stored if level == 0 else _tiles(level, number, number + 1)).get(number)
        root = tree.fold(row)
        wide = 1 << 8 * level  # events under each of its hashes
        first = number * WIDTH * wide
        if stored is None:
            self._found.wrong(
                f"{span(first, first + WIDTH * wide)}: tile {level}/{number} is missing", kind="tiles that are missing"
            )
            return root
        held = stored.cut(0, WIDTH)
        for at in (at for at in range(WIDTH) if held[at] != row[at]):
            low = first + at * wide
            self._found.events_wrong(f"not those that tile {level}/{number} was made of", low, low + wide)
        if (root if held == row else tree.fold(held)) != stored.root:
            what = f"{span(first, first + WIDTH * wide)}: the root of tile {level}/{number} is not that of its hashes"
            self._found.wrong(what, kind="roots of tiles")
        return root

    def _compare(self) -> None:
        """Compare the root with what was signed of this size."""
        while self._mark and self._mark.size <= self._edge.size:
            if self._edge.root() == self._mark.root:
                self._good = self._mark.size
            else:
                self._mark.differs(self._found, self._good)
            self._mark = next(self._marks, None)


def _repeats(row: Row) -> bool:
    """Whether the columns say what the leaf says. A third of the time of `columns.read`, which tells what is wrong."""
    try:
        said = json.loads(row[1])
        actor, object, subject = said["actor"], said["object"], said.get("subject")
        return (
            datetime.fromisoformat(said["time"]) == row[4]
            and f"{actor['kind']}:{actor['uid']}" == row[5]
            and said["action"] == row[6]
            and f"{object['kind']}:{object['uid']}" == row[7]
            and (f"{subject['kind']}:{subject['uid']}" if subject else "") == row[8]
            and said["outcome"] == row[9]
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _differs(row: Row) -> str:
    try:
        said = columns.read(row[1])
    except columns.NotALeaf:
        return "its text is no leaf"
    wrong = [name for name, one, other in zip(_COLUMNS, said, row[4:], strict=True) if one != other]
    return f"beside its text stands another {' and '.join(wrong)}"


class _Tile(NamedTuple):
    """A stored tile: its hashes in one piece, and the hash over them."""

    hashes: bytes
    root: bytes

    def cut(self, first: int, count: int) -> list[bytes]:
        return [self.hashes[32 * at : 32 * at + 32] for at in range(first, first + count)]


def _tiles(level: int, low: int, high: int) -> dict[int, _Tile]:
    stored = Tile.objects.filter(level=level, number__gte=low, number__lt=high).values_list("number", "hashes", "root")
    return {number: _Tile(bytes(hashes), bytes(root)) for number, hashes, root in stored}
