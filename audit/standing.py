"""Whether this log may be signed: it must be whole, and continue what was published.

What was published lies in the bucket, out of the database's reach. A database that is behind it, or differs from it,
is not the log that was signed: a restored backup, an altered row, another database. Nothing here writes.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from audit import bucket, note, tiles, tree, verify
from audit.models import Checkpoint, Publication, State

LOOK: Final = "Rows were deleted or altered: look with `manage.py audit verify`, and find out why."
_RESTART: Final = "`manage.py audit restart` begins a new log, on the record."


class Refused(Exception):
    """Nothing is signed, because this log does not continue the published one."""


class Behind(Refused):
    """The published log is longer than this one."""


class Forked(Refused):
    """This log has another history than the published one, or is not consistent in itself."""


class Foreign(Refused):
    """What lies in the bucket was not signed for this log by any of our keys."""


class Lost(Refused):
    """What was published is no longer in the bucket."""


@dataclass(frozen=True)
class Log:
    """The log as the bucket and the database have it; nothing of it has been checked yet."""

    origin: str
    generation: int
    exported: int  # up to here every full tile is in the bucket
    found: tuple[bytes, str] | None  # the checkpoint in the bucket and its ETag
    newest: Checkpoint | None  # of our own rows
    size: int
    root: bytes
    read: tree.Read

    def root_at(self, size: int) -> bytes:
        """Return the root over the first `size` events. Raises Forked where the tree has a hole."""
        try:
            return tree.root(size, self.read)
        except (tiles.NoSuchTile, IndexError) as hole:
            raise Forked(f"The tree over the first {size} events has a hole. {LOOK}") from hole


def look() -> Log:
    """Return the log as it is now, read in this order: whatever had been published by then was in the log before."""
    row = publication()
    found = bucket.get(bucket.key(row.generation, "checkpoint"))
    newest = newest_of(row.origin)
    state = State.objects.first()
    return Log(
        origin=row.origin,
        generation=row.generation,
        exported=row.exported,
        found=found,
        newest=newest,
        size=state.size if state else 0,
        root=bytes(state.root) if state else tree.EMPTY_ROOT,
        read=tiles.reader(),
    )


def publication() -> Publication:
    """Return the one row; before the first publication, what it is going to be."""
    return Publication.objects.first() or Publication(origin=origin(1))


def newest_of(origin: str) -> Checkpoint | None:
    """Return the newest of our rows under that name."""
    return Checkpoint.objects.filter(origin=origin).order_by("-size", "-id").first()


def size() -> int:
    """Return how many events are in the log."""
    state = State.objects.first()
    return state.size if state else 0


def origin(generation: int) -> str:
    """Return the log's name: its URL without the scheme (C2SP tlog-tiles), after a restart with a number behind it."""
    url = urlsplit(settings.PUBLIC_URL)
    base = settings.AUDIT_ORIGIN or f"{url.netloc}{url.path.rstrip('/')}/api/audit/log"
    return base if generation == 1 else f"{base}/{generation}"


def taken(generation: int) -> bool:
    """Return whether anything lies in the bucket under that number."""
    return next(bucket.keys(bucket.key(generation, "")), None) is not None


def published(log: Log) -> verify.Checkpoint | None:
    """Return the checkpoint in the bucket, opened with our own keys. Raises Foreign, and note.NoSigningKey."""
    keys = [verify.VerifierKey.parse(each.vkey) for each in note.signers(log.origin)]
    if log.found is None:
        return None
    try:
        return verify.open_checkpoint(log.found[0].decode(), keys)
    except (verify.Broken, UnicodeDecodeError) as why:
        name = log.found[0].split(b"\n")[0][:100].decode(errors="replace")
        raise Foreign(
            f"The checkpoint in the bucket begins {name!r} and is not one of {log.origin} by any key of "
            f"AUDIT_SIGNING_KEYS: {why}. While a key is changed, name the old one and the new one. If the old one is "
            f"lost, {_RESTART}"
        ) from why


def checked(log: Log) -> verify.Checkpoint | None:
    """Return what was published, None if nothing was. Raises Refused unless the log is whole and continues it."""
    before = published(log)
    if taken(log.generation + 1):
        raise Behind(
            f"The bucket holds a later log than {log.origin}, of which this database knows nothing: a backup from "
            f"before a restart was put back. {_RESTART}"
        )
    if before:
        _continues(log, before.size, before.root)
    if log.newest:
        if not before:
            raise Lost(
                f"The checkpoint over {log.newest.size} events is no longer in the bucket. Put the bucket back as it "
                f"was; if that cannot be done, {_RESTART}"
            )
        _continues(log, log.newest.size, bytes(log.newest.root))
    if log.root_at(log.size) != log.root:
        raise Forked(f"The tree over {log.size} events has another root than was noted when it grew. {LOOK}")
    return before


def _continues(log: Log, size: int, root: bytes) -> None:
    if size > log.size:
        raise Behind(
            f"{size} events were published, this database has {log.size}: an older backup was put back. Put back a "
            f"newer one if there is one; if those events are lost, {_RESTART}"
        )
    if log.root_at(size) != root:
        raise Forked(
            f"The first {size} events are not the ones that were published: they were altered here, or another "
            f"database wrote to this bucket. {LOOK} Only then begin anew with `manage.py audit restart`."
        )
