"""Logs for the tests of checkpoints: made cheaply, published to the real bucket, put back as an old backup would be."""

import base64
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from audit import bucket, checkpoint, leaf, note, sequencer, tiles, tree, verify
from audit.models import Batch, Checkpoint, Event, Outbox, Publication, State, Tile
from tests.audit_bypass import _TRIGGERS

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
ORIGIN = "rooms.example/api/audit/log"
KEYS = [base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in range(1, 4)]

_numbers = itertools.count()


def grow(count: int, words: str = "") -> None:
    """Append so many events."""
    made = (next(_numbers) for _ in range(count))
    while piece := list(itertools.islice(made, 5000)):
        Outbox.objects.bulk_create(Outbox(leaf=_leaf(number, words)) for number in piece)
        while sequencer.sequence(5000):
            pass


def _leaf(number: int, words: str) -> str:
    return leaf.canonical(
        {
            "v": 1,
            "id": f"00000000-0000-4000-8000-{number:012d}",
            "nonce": f"{number:032x}",
            "time": leaf.timestamp(START + timedelta(milliseconds=number)),
            "action": "document.read",
            "outcome": "success",
            "actor": {"kind": "user", "uid": str(number % 7)},
            "object": {"kind": "version", "uid": str(number)},
            "details": f"Read it. {words}",
            "facts": {"number": number},
        }
    )


@contextmanager
def bypassed() -> Iterator[None]:
    """As somebody who owns the database: the triggers that keep the log are off."""
    with transaction.atomic(), connection.cursor() as cursor:
        for table in _TRIGGERS:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        for table, triggers in _TRIGGERS.items():
            for trigger in triggers:
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def put_back(size: int) -> None:
    """Make the database what it was when the log had `size` events: an older backup."""
    edge = tree.Frontier()
    rows = Event.objects.filter(seq__lt=size).order_by("seq").values_list("leaf_hash", flat=True)
    edge.extend(bytes(each) for each in rows)
    with bypassed():
        Event.objects.filter(seq__gte=size).delete()
        for level in range(3):
            full = size >> 8 * (level + 1)
            Tile.objects.filter(level=level, number__gte=full).delete()
        Batch.objects.filter(low__gte=size).delete()
        Batch.objects.filter(high__gte=size).update(high=size - 1)
        Checkpoint.objects.filter(size__gt=size).delete()
        Publication.objects.filter(exported__gt=size).update(exported=size)
        State.objects.update(size=size, frontier=bytes(edge), root=edge.root())


def keys() -> list[verify.VerifierKey]:
    """The verification keys of the log as it is called now."""
    row = Publication.objects.first()
    return [verify.VerifierKey.parse(each.vkey) for each in note.signers(row.origin if row else ORIGIN)]


def in_bucket(generation: int = 1) -> verify.Checkpoint:
    """The checkpoint in the bucket, opened."""
    found = bucket.get(bucket.key(generation, "checkpoint"))
    assert found is not None
    return verify.open_checkpoint(found[0].decode(), keys())


def files(generation: int = 1) -> dict[str, bytes]:
    """Every file of the log in the bucket."""
    root = bucket.key(generation, "")
    return {key.removeprefix(root): (bucket.get(key) or (b"", ""))[0] for key in bucket.keys(root)}


def partials(generation: int = 1) -> list[str]:
    """The paths of the partial tiles in the bucket."""
    root = bucket.key(generation, "")
    return sorted(key.removeprefix(root) for key in bucket.keys(root) if ".p/" in key)


def notes(generation: int = 1) -> list[bytes]:
    """Every checkpoint that was ever stored in the bucket, oldest first."""
    versions = bucket.client().list_object_versions(
        Bucket=settings.VAULT_BUCKET, Prefix=bucket.key(generation, "checkpoint")
    )["Versions"]
    read = (
        bucket.client().get_object(Bucket=settings.VAULT_BUCKET, Key=each["Key"], VersionId=each["VersionId"])["Body"]
        for each in reversed(versions)
    )
    return [body.read() for body in read]


def whole(generation: int = 1) -> int:
    """Check that the bucket holds a whole log: checkpoint, hashes and leaves agree, our newest row too; its size."""
    said, lying = in_bucket(generation), files(generation)
    row = checkpoint.latest()
    assert row is not None
    assert (row.note, row.size, bytes(row.root)) == (said.note, said.size, said.root)
    hashes = b"".join(_held(lying, 0, said.size))
    leaves = [each for bundle in _held(lying, "entries", said.size) for each in _unpacked(bundle)]
    assert [verify.leaf_hash(each) for each in leaves] == [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    edge = tree.Frontier()
    edge.extend(verify.leaf_hash(each) for each in leaves)
    assert (edge.size, edge.root()) == (said.size, said.root)
    level, below = 1, hashes
    while said.size >> 8 * level:
        above = b"".join(_held(lying, level, said.size))
        folded = [tree.fold([below[at + n : at + n + 32] for n in range(0, 8192, 32)]) for at in _whole_tiles(below)]
        assert above == b"".join(folded)
        level, below = level + 1, above
    return said.size


def _whole_tiles(hashes: bytes) -> range:
    return range(0, len(hashes) - 8191, 8192)


def _held(lying: dict[str, bytes], level: int | str, size: int) -> list[bytes]:
    """The tiles of a level that a log of that size has, from the bucket."""
    full, rest = divmod(size >> 8 * (level if isinstance(level, int) else 0), 256)
    paths = [tiles.path(level, number) for number in range(full)]
    return [lying[path] for path in (*paths, *([tiles.path(level, full, rest)] if rest else []))]


def _unpacked(bundle: bytes) -> Iterator[bytes]:
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        yield bundle[2 : 2 + length]
        bundle = bundle[2 + length :]


def actions_of(prefix: str) -> list[Event]:
    """The events of that kind, oldest first, the waiting ones too."""
    while sequencer.sequence(5000):
        pass
    return list(Event.objects.filter(Q(action__startswith=prefix)).order_by("seq"))
