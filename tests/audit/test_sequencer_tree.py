"""What grows with the log: the tree's edge and root, its full tiles, the map from times to places."""

import hashlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Max, Min

from audit import growth, leaf, sequencer, tiles, tree
from audit.models import Batch, Event, Outbox, State, Tile

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def waiting(count: int, *, first: datetime = NOON, apart: timedelta = timedelta(milliseconds=1)) -> None:
    """So many events wait for their place."""
    Outbox.objects.bulk_create(Outbox(leaf=text_of(number, first + number * apart)) for number in range(count))


def text_of(number: int, moment: datetime) -> str:
    """A leaf, and not the same as another's."""
    return leaf.canonical(
        {
            "v": 1,
            "time": leaf.timestamp(moment),
            "action": "document.read",
            "outcome": "success",
            "actor": {"kind": "user", "uid": "12"},
            "object": {"kind": "document", "uid": str(number)},
            "details": "",
        }
    )


def defined(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + defined(leaves[:split]) + defined(leaves[split:])).digest()


def texts() -> list[bytes]:
    """Every leaf, in the order of the log."""
    return [text.encode() for text in Event.objects.order_by("seq").values_list("leaf", flat=True)]


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 700])
def test_the_root_is_that_of_the_definition_however_the_log_grew(count: int) -> None:
    waiting(count)
    sizes = random.Random(count)
    while sequencer.sequence(sizes.choice([1, 3, 60, 256, 300])):
        state = State.objects.get()
        assert bytes(state.root) == defined(texts()[: state.size])
        assert tree.Frontier(state.size, bytes(state.frontier)).root() == bytes(state.root)
    assert state.size == count


def test_every_full_tile_is_stored_and_no_other() -> None:
    waiting(1100)
    sizes = random.Random(7)
    while sequencer.sequence(sizes.choice([100, 255, 256, 257, 600])):
        pass
    leaves = texts()
    stored = {tile.number: tile for tile in Tile.objects.filter(level=0)}
    assert sorted(stored) == [0, 1, 2, 3]
    for number, tile in stored.items():
        own = leaves[number * 256 : number * 256 + 256]
        assert bytes(tile.hashes) == b"".join(hashlib.sha256(b"\0" + each).digest() for each in own)
        assert bytes(tile.root) == defined(own)
    assert not Tile.objects.exclude(level=0).exists()
    assert tree.root(1100, tiles.reader()) == bytes(State.objects.get().root)


def test_a_row_of_full_tiles_makes_a_tile_of_the_level_above() -> None:
    roots = [hashlib.sha256(bytes([number])).digest() for number in range(256)]
    Tile.objects.bulk_create(
        Tile(level=1, number=number, hashes=bytes(8192), root=root) for number, root in enumerate(roots[:200])
    )
    growth.tile(200, roots[200:], level=2)
    above = Tile.objects.get(level=2)
    assert (above.number, bytes(above.hashes), bytes(above.root)) == (0, b"".join(roots), tree.fold(roots))


def test_a_tile_is_not_made_over_a_gap() -> None:
    with pytest.raises(growth.Gap):
        growth.tile(10, [bytes(32)] * 246)
    with pytest.raises(growth.Gap):
        growth.tile(255, [bytes(32)], level=1)


def spans() -> list[tuple[int, int]]:
    """The runs of the map."""
    return list(Batch.objects.order_by("low").values_list("low", "high"))


def assert_the_map_is_true() -> None:
    """Runs without a gap, each as wide as its events, `latest` as late as the latest of all until then."""
    so_far = datetime.min.replace(tzinfo=UTC)
    place = 0
    for run in Batch.objects.order_by("low"):
        own = Event.objects.filter(seq__gte=run.low, seq__lte=run.high)
        times = own.aggregate(least=Min("occurred_at"), most=Max("occurred_at"))
        so_far = max(so_far, times["most"])
        assert (run.low, run.earliest, run.latest) == (place, times["least"], so_far)
        place = run.high + 1
    assert place == Event.objects.count()


def test_runs_of_the_map_have_a_thousand_events() -> None:
    waiting(2500)
    while sequencer.sequence(700):
        assert_the_map_is_true()
    assert spans() == [(0, 999), (1000, 1999), (2000, 2499)]


def test_a_large_batch_is_several_runs() -> None:
    waiting(2500)
    sequencer.sequence(5000)
    assert spans() == [(0, 999), (1000, 1999), (2000, 2499)]
    assert_the_map_is_true()


def test_runs_of_the_map_span_an_hour() -> None:
    waiting(10, apart=timedelta(minutes=25))
    while sequencer.sequence(1):
        assert_the_map_is_true()
    assert spans() == [(0, 2), (3, 5), (6, 8), (9, 9)]


def test_events_that_come_late_do_not_make_the_map_go_back() -> None:
    for hours in (0, 5, 1, 2, 9):
        waiting(3, first=NOON + timedelta(hours=hours))
        sequencer.sequence()
        assert_the_map_is_true()
    latest = list(Batch.objects.order_by("low").values_list("latest", flat=True))
    assert latest == sorted(latest)
