"""What an operator can do who owns the database, has the signing key and may write to the bucket.

Each act alters rows; `made_anew` then makes everything fit again that an honest log would have: hashes, tiles, the map
of times, the state, checkpoints, the bucket.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db.models import F
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from audit import bucket, checkpoint, growth, leaf, standing, tree
from audit.leaf import leaf_hash
from audit.models import Batch, Checkpoint, Event, Outbox, Private, PrivateKey, Publication, State, Tile
from tests.audit import bucketed
from tests.audit.bucketed import START, bypassed

FAR = 1_000_000_000
SIGNING = {"AUDIT_WAKE": "", "AUDIT_ORIGIN": bucketed.ORIGIN, "AUDIT_SIGNING_KEYS": bucketed.KEYS[:1]}


@contextmanager
def log(blocker: DjangoDbBlocker, *sizes: int, first: Callable[[], object] = lambda: None) -> Iterator[None]:
    """A log for all tests of a module, published at these sizes; what each test does to its rows is rolled back.

    `first` may append events of its own.
    """
    with blocker.unblock(), override_settings(**SIGNING):
        bucket.delete_prefix("audit/")
        first()
        for size in sizes:
            bucketed.grow(size - standing.size())
            checkpoint.publish(now=START)
    yield
    with blocker.unblock(), bypassed():
        for model in (Event, Outbox, Private, PrivateKey, State, Tile, Batch, Checkpoint, Publication):
            model.objects.all().delete()
    bucket.delete_prefix("audit/")


@contextmanager
def bucket_kept() -> Iterator[None]:
    """Put the bucket back as it was."""
    before = {generation: bucketed.files(generation) for generation in (1, 2)}
    yield
    bucket.delete_prefix("audit/")
    for generation, files in before.items():
        for key, body in files.items():
            bucket.put(bucket.key(generation, key), body, lock=False)


def edit(seq: int) -> None:
    """An event gets other words, and the hash that fits them."""
    _write(Event.objects.get(seq=seq), details="Nothing of note.")


def remove(seq: int) -> None:
    """An event goes, and those behind it move up."""
    with bypassed():
        Event.objects.filter(seq=seq).delete()
    _move(seq + 1, -1)


def insert(seq: int) -> None:
    """An event comes in between, and those behind it move down."""
    event = Event.objects.get(seq=seq)
    _move(seq, 1)
    with bypassed():
        event.save(force_insert=True)
    _write(event, nonce="0" * 32)


def swap(one: int, other: int) -> None:
    """Two events change places."""
    with bypassed():
        Event.objects.filter(seq=one).update(seq=FAR)
        Event.objects.filter(seq=other).update(seq=one)
        Event.objects.filter(seq=FAR).update(seq=other)


def cut(size: int) -> None:
    """The log loses its end."""
    with bypassed():
        Event.objects.filter(seq__gte=size).delete()


def columns(seq: int, **values: object) -> None:
    """An event is hidden from who searches, or shown to who should not find it; its text stays."""
    with bypassed():
        Event.objects.filter(seq=seq).update(**values)


def made_anew(*, signed: bool = True) -> None:
    """Make everything fit what the events are now; with `signed` also sign and publish it in the place of the old."""
    events = list(Event.objects.order_by("seq"))
    hashes = [leaf_hash(event.leaf) for event in events]
    edge = tree.Frontier()
    edge.extend(hashes)
    with bypassed():
        for model in (Tile, Batch):
            model.objects.all().delete()
        growth.tile(0, hashes)
        growth.span(0, [event.occurred_at for event in events])
        State.objects.update(size=edge.size, frontier=bytes(edge), root=edge.root())
    if signed:
        resigned()


def resigned() -> None:
    """What was ever signed goes, and the log as it is now is signed and published under its name."""
    with bypassed():
        Checkpoint.objects.all().delete()
        Publication.objects.all().delete()
    bucket.delete_prefix("audit/")
    checkpoint.publish(now=START)


def _write(event: Event, **values: leaf.JSON) -> None:
    event.leaf = leaf.canonical({**event.leaf_values(), **values})
    event.leaf_hash = leaf_hash(event.leaf)
    with bypassed():
        event.save(force_update=True)


def _move(low: int, by: int) -> None:
    with bypassed():
        Event.objects.filter(seq__gte=low).update(seq=F("seq") + FAR)
        Event.objects.filter(seq__gte=FAR).update(seq=F("seq") - FAR + by)
