"""The log as a file: JSON Lines that prove themselves (docs/audit-formats.md), or a table to be read.

An export covers exactly what the newest published checkpoint covers. Of what was not asked for it holds the hashes of
the fewest perfect subtrees, so that the rest is proven as if everything were there, and nothing of it is shown.
There is no file without its event: it gets its name only when `log.exported` is committed.
"""

import base64
import csv
import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from tempfile import mkstemp
from typing import IO, Final, cast

from django.db import transaction
from django.db.models import QuerySet

from audit import actions, leaf, private, reading, spreadsheet, tiles, trail, tree
from audit.models import Checkpoint, Event
from audit.trail import Ref

FORMATS: Final = ("jsonl", "csv")
_PAGE: Final = 2000


class Hole(Exception):
    """An event is missing from the log. `manage.py audit verify` says what else is wrong."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is asked for; nothing means everything. `document` finds what is done to it, and what names it in a fact."""

    user: int | None = None
    action: str = ""
    object: str = ""
    document: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def words(self) -> dict[str, str]:
        """As the file and the event tell of them."""
        known = {name: value for name, value in vars(self).items() if value not in (None, "")}
        return {
            name: leaf.timestamp(value) if isinstance(value, datetime) else str(value) for name, value in known.items()
        }

    def pages(self, size: int) -> Iterator[list[Event]]:
        """Those among the first `size` events, in their order.

        By their places, a page at a time: a cursor outside a transaction would have PostgreSQL write all of them to
        disk first, and one inside would hold a snapshot as long as the export takes.
        """
        found, place = self._events(size), 0
        while page := list(found.filter(seq__gte=place)[:_PAGE]):
            yield [event for event in page if not self.document or self._concerns(event)]
            place = page[-1].seq + 1

    def _events(self, size: int) -> QuerySet[Event]:
        found = reading.events(
            actor="" if self.user is None else f"user:{self.user}",
            action=self.action,
            objects=[self.object] if self.object else [],
            since=self.since,
            until=self.until,
        ).filter(seq__lt=size)
        # No index has the facts: every leaf is looked through by the database, and what it finds looked at here.
        return (found.filter(leaf__contains=self.document) if self.document else found).order_by("seq")

    def _concerns(self, event: Event) -> bool:
        return event.object == f"document:{self.document}" or self.document in event.leaf_values()["facts"].values()


@dataclass(frozen=True)
class Exported:
    """What an export has become."""

    events: int
    size: int
    sha256: str
    openings: int = 0


def write(
    path: Path,
    under: Checkpoint,
    asked: Filters,
    *,
    form: str = "jsonl",
    packed: bool = False,
    against: int = 0,
    openings: bool = False,
    actor: Ref,
    now: datetime,
    progress: Callable[[int], object] = lambda place: None,
) -> Exported:
    """Write the events that `under` covers and `asked` asks for to `path`, and record it.

    `against` is the size of an older checkpoint with which the file shall be comparable; `progress` is told, now and
    then, up to which place it has come. The file is its owner's alone (0600). Raises Hole, private.Damaged and
    private.WrongKey, and OSError; then nothing has that name.
    """
    export = _Export(under, asked, against=against, openings=openings, progress=progress)
    with _beside(path) as draft:
        with _text(draft, packed=packed) as file:
            if form == "csv":
                export.table(file)
            else:
                file.writelines(export.lines(now))
        with draft.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
            os.fsync(written.fileno())
        made = Exported(export.events, under.size, digest, export.opened)
        _record(made, under, asked, form=form, actor=actor, now=now)
        draft.replace(path)
        _sync(path.parent)
    return made


class _Export:
    """The content of an export, made as it is read; `events` and `opened` count what was shown."""

    def __init__(
        self, under: Checkpoint, asked: Filters, *, against: int, openings: bool, progress: Callable[[int], object]
    ) -> None:
        self._under, self._asked, self._against = under, asked, against
        self._openings, self._progress = openings, progress
        self._read = tiles.reader()
        self.events = self.opened = 0

    def table(self, file: IO[str]) -> None:
        """A table for a spreadsheet, without proofs."""
        table = csv.writer(file)
        table.writerow(spreadsheet.HEADER)
        for page in self._pages():
            table.writerows(map(spreadsheet.row, page))

    def lines(self, now: datetime) -> Iterator[str]:
        """The lines that prove themselves: the tree from left to right."""
        yield _json(
            strongroom_export=1,
            origin=self._under.origin,
            size=self._under.size,
            checkpoint=self._under.note,
            filters=self._asked.words(),
            made_at=leaf.timestamp(now),
        )
        place = 0
        for page in self._pages():
            opened = private.openings(page) if self._openings else {}
            self.opened += len(opened)
            for event in page:
                if place != event.seq:
                    yield from self._between(place, event.seq)
                yield _line(event, opened.get(event.seq))
                place = event.seq + 1
        yield from self._between(place, self._under.size)
        yield _json(end=self._under.size, events=self.events)

    def _pages(self) -> Iterator[list[Event]]:
        for page in self._asked.pages(self._under.size):
            self.events += len(page)
            yield page
            if page:
                self._progress(page[-1].seq + 1)
        self._progress(self._under.size)

    def _between(self, low: int, high: int) -> Iterator[str]:
        """What stands for the events from `low` to before `high`, which were not chosen."""
        if low < high and self._asked == Filters():
            raise Hole(f"event {low} is missing from the log: `manage.py audit verify` says what else is wrong")
        try:
            yield from _withheld(low, high, self._against, self._read)
        except (tiles.NoSuchTile, IndexError) as hole:
            raise Hole(f"the tree has a hole in {low} to {high - 1}: look with `manage.py audit verify`") from hole


def _withheld(low: int, high: int, against: int, read: tree.Read) -> Iterator[str]:
    """The hashes of the fewest perfect subtrees; none of them spans the end of what `against` covers."""
    if low < against < high:
        yield from _withheld(low, against, 0, read)
        low = against
    for height, place in tree.cover(low, high):
        yield _json(skip=[height, place], hash=base64.b64encode(read(height, place)).decode())


def _line(event: Event, opening: bytes | None) -> str:
    shown = f',"opening":"{base64.b64encode(opening).decode()}"' if opening else ""
    return f'{{"seq":{event.seq},"leaf":{_quoted(event.leaf)},"sequenced_at":"{_stamp(event.sequenced_at)}"{shown}}}\n'


def _json(**said: object) -> str:
    return _quoted(said) + "\n"


_quoted: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_stamp: Final = lru_cache(16)(leaf.timestamp)  # a thousand events have the same


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A file for its owner only, beside the one that it is to become; gone if it does not become it."""
    handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _text(draft: Path, *, packed: bool) -> Iterator[IO[str]]:
    with draft.open("wb") as raw:
        binary = gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) if packed else raw
        with io.TextIOWrapper(cast("IO[bytes]", binary), encoding="utf-8", newline="") as file:
            yield file


def _sync(folder: Path) -> None:
    """Make the new name last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _record(made: Exported, under: Checkpoint, asked: Filters, *, form: str, actor: Ref, now: datetime) -> None:
    with transaction.atomic():
        trail.record(
            actions.LOG_EXPORTED,
            actor=actor,
            object=Ref("log", under.origin),
            details=f"Exported {made.events} of the log's first {made.size} events as {form}.",
            facts={
                "filters": asked.words(),
                "format": form,
                "events": made.events,
                "openings": made.openings,
                "size": made.size,
                "sha256": made.sha256,
            },
            now=now,
        )
