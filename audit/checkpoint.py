"""Signed statements of the log's size and root, published one after the other, each continuing the one before.

Every signature begins by reading what was published (audit.standing). The new checkpoint replaces exactly the one that
was read (If-Match), so that two publishers cannot sign two histories. A refusal stays until its reason is gone, or
until `restart` begins a log with a new name.

The order is: tiles, signature, bucket, row, tidying. A crash between any two is repaired by the next publication.
"""

import base64
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from audit import actions, bucket, leaf, mirror, note, standing, tiles, trail, tree, verify
from audit.models import Checkpoint, Publication
from audit.standing import Behind as Behind
from audit.standing import Foreign as Foreign
from audit.standing import Forked as Forked
from audit.standing import Log
from audit.standing import Lost as Lost
from audit.standing import Refused as Refused
from audit.trail import Ref

HEARTBEAT: Final = timedelta(hours=1)
SLICE: Final = 128 * tiles.WIDTH  # events whose tiles one publication puts: some 260 objects, two to four seconds
PUBLISHER: Final = Ref("system", "checkpoint")


class NotCovered(Exception):
    """No checkpoint covers this event yet. Ask again in some seconds."""

    wait = 10.0  # seconds; as often a checkpoint is published


class NothingWrong(Exception):
    """The log can go on as it is, so it is not begun anew."""


def publish(*, now: datetime, heartbeat: timedelta = HEARTBEAT) -> Checkpoint | None:
    """Sign and publish the log as it is now, if it has grown or `heartbeat` has passed since the last time.

    Returns what was published; None if there is nothing to do, or if another publisher was faster. A log that has grown
    by more than SLICE is published a slice at a time.

    Raises Refused where the log does not continue what was published, and note.NoSigningKey where this process has no
    key; both are kept in `Publication.refusal` until a publication succeeds. Faults of S3 and the database are let
    through: the next call goes on.
    """
    if not _due(now, heartbeat):
        return None
    try:
        return _publish(standing.look(), now)
    except (Refused, note.NoSigningKey) as refusal:
        _keep(str(refusal) or str(refusal.__doc__))
        raise


def latest() -> Checkpoint | None:
    """Return the newest published checkpoint of the log as it is called now."""
    row = Publication.objects.first()
    return standing.newest_of(row.origin) if row else None


def covering(seq: int) -> Checkpoint:
    """Return a published checkpoint that covers the event at that place. Raises NotCovered."""
    newest = latest()
    if newest is None or newest.size <= seq:
        raise NotCovered
    return newest


def prove(seq: int) -> str:
    """Return the proof that the event at that place is in the log: a c2sp.org/tlog-proof@v1. Raises NotCovered."""
    under = covering(seq)
    path = tree.inclusion(seq, under.size, tiles.reader())
    lines = ["c2sp.org/tlog-proof@v1", f"index {seq}", *(base64.b64encode(each).decode() for each in path)]
    return "\n".join(lines) + "\n\n" + under.note


def restart(*, reason: str, actor: Ref, now: datetime, force: bool = False) -> str:
    """Begin a log with a new name over the events that are here; return the name.

    It takes the next number under which nothing lies in the bucket. `log.restarted` tells what the old log said last;
    `reason`, an operator's own words, goes into its private part. The next publication signs under the new name.

    Raises NothingWrong unless publication is refused or `force` is set, and note.NoSigningKey.
    """
    log = standing.look()
    cause = _cause(log)
    if not cause and not force:
        raise NothingWrong
    generation = log.generation + 1
    while standing.taken(generation):
        generation += 1
    origin = standing.origin(generation)
    with transaction.atomic():
        if _locked(log).generation != log.generation:
            raise NothingWrong  # somebody else has just done it
        Publication.objects.update(origin=origin, generation=generation, exported=0, refusal="")
        trail.record(
            actions.LOG_RESTARTED,
            actor=actor,
            object=Ref("log", origin),
            details=f"Began the log {origin}: {log.origin} does not go on.",
            facts={**_last_words(log), "cause": cause or "forced", "keys": _vkeys(origin)},
            private={"reason": reason},
            now=now,
        )
    return origin


def _due(now: datetime, heartbeat: timedelta) -> bool:
    """Whether there is anything to do. Asks the database alone, because beat comes every ten seconds."""
    row = standing.publication()
    newest = standing.newest_of(row.origin)
    return bool(row.refusal) or newest is None or newest.size != standing.size() or now - newest.at >= heartbeat


def _publish(log: Log, now: datetime) -> Checkpoint | None:
    before = standing.checked(log)
    if before and (adopted := _adopted(log, before, now)) and adopted.size == log.size:
        return adopted
    since = before.size if before else 0
    size = min(log.size, max(since, log.exported // tiles.WIDTH * tiles.WIDTH + SLICE))
    if not size:
        return None
    _export(log, size)
    root = log.root_at(size)
    text = note.signed(note.body(log.origin, size, root), note.signers(log.origin))
    if not _put(log, text):
        return None
    row = _remember(log, verify.Checkpoint(log.origin, size, root, text), now)
    mirror.tidy(log.generation, since=since, size=size)
    return row


def _export(log: Log, size: int) -> None:
    try:
        mirror.export(log.generation, since=log.exported, size=size)
    except (mirror.Differs, tiles.NoSuchTile) as why:
        raise Forked(f"{str(why) or 'A tile is missing.'} {standing.LOOK}") from why
    with transaction.atomic():
        _locked(log)
        # By generation: a restart may have come between, and what the new log exported is counted from 0.
        Publication.objects.filter(generation=log.generation, exported__lt=size).update(exported=size)


def _put(log: Log, text: str) -> bool:
    """Publish a note in the place of the one that was read, and of no other; return whether that worked."""
    condition = {"if_match": log.found[1]} if log.found else {"if_none_match": "*"}
    key = bucket.key(log.generation, "checkpoint")
    return bucket.put(key, text.encode(), **condition, lock=True, content_type="text/plain; charset=utf-8")


def _adopted(log: Log, before: verify.Checkpoint, now: datetime) -> Checkpoint | None:
    """Note down a checkpoint that is published and not among our rows: its publisher died before that."""
    if log.newest and (log.newest.note == before.note or log.newest.size > before.size):
        return None
    return _remember(log, before, now)


def _remember(log: Log, made: verify.Checkpoint, now: datetime) -> Checkpoint:
    """Insert the row; record, with it, that other keys signed than the last time."""
    with transaction.atomic():
        _locked(log)
        last = standing.newest_of(log.origin)
        row = Checkpoint.objects.create(origin=log.origin, size=made.size, root=made.root, note=made.note, at=now)
        Publication.objects.filter(generation=log.generation).update(refusal="")
        if last and _ids(last) != _ids(row):
            _record_keys(last, row, now)
    return row


def _locked(log: Log) -> Publication:
    """The one row, locked until the transaction ends."""
    Publication.objects.get_or_create(id=1, defaults={"origin": log.origin, "generation": log.generation})
    return Publication.objects.select_for_update().get()


def _keep(refusal: str) -> None:
    values = {"refusal": refusal}
    new = {"origin": standing.publication().origin, **values}
    Publication.objects.update_or_create(id=1, defaults=values, create_defaults=new)


def _record_keys(last: Checkpoint, row: Checkpoint, now: datetime) -> None:
    come, gone = sorted(_ids(row) - _ids(last)), sorted(_ids(last) - _ids(row))
    words = [f"{', '.join(ids)} {does}" for ids, does in ((come, "begins to sign"), (gone, "signs no more")) if ids]
    trail.record(
        actions.LOG_KEYS_CHANGED,
        actor=PUBLISHER,
        object=Ref("log", row.origin),
        details=f"Keys of the checkpoints: {'; '.join(words)}.",
        facts={"size": row.size, "begins": come, "ends": gone, "keys": _vkeys(row.origin)},
        now=now,
    )


def _vkeys(origin: str) -> list[str]:
    return [each.vkey for each in note.signers(origin)]


def _ids(row: Checkpoint) -> set[str]:
    """The ids, in hex, of the keys that signed it (C2SP signed-note: the first four bytes of each signature)."""
    lines = [line.split(" ") for line in row.note.splitlines() if line.startswith("— ")]
    return {base64.b64decode(line[2])[:4].hex() for line in lines if line[1] == row.origin}


def _cause(log: Log) -> str:
    """Why publication is refused, in one word; empty if it is not."""
    try:
        standing.checked(log)
    except Refused as refusal:
        return type(refusal).__name__.lower()
    return ""


def _last_words(log: Log) -> dict[str, leaf.JSON]:
    """What the log that ends published last, as far as it can be read."""
    words: dict[str, leaf.JSON] = {"old_origin": log.origin, "size": log.size}
    try:
        last = standing.published(log)
    except Foreign:
        last = None
    if last:
        words |= {"published_size": last.size, "published_root": base64.b64encode(last.root).decode()}
    return words
