"""A tile put together from what lies below ends where that has a hole: nothing moves up into another place."""

import pytest

from audit import tiles
from audit.models import Event, Tile
from tests.audit import bucketed

pytestmark = pytest.mark.django_db


def test_leaves_behind_a_missing_event_are_not_taken_for_their_neighbours() -> None:
    bucketed.grow(20)
    assert len(tiles.hashes(0, 0, 20)) == 20 * 32
    before = tiles.hashes(0, 0, 7)
    with bucketed.bypassed():
        Event.objects.filter(seq=7).delete()
    assert tiles.hashes(0, 0, 7) == before
    with pytest.raises(tiles.NoSuchTile):
        tiles.hashes(0, 0, 8)


def test_roots_behind_a_lost_tile_are_not_taken_for_their_neighbours() -> None:
    with bucketed.bypassed():
        Tile.objects.bulk_create(
            Tile(level=0, number=number, hashes=bytes(8192), root=bytes([number]) * 32) for number in (0, 2)
        )
    assert tiles.hashes(1, 0, 1) == bytes(32)
    with pytest.raises(tiles.NoSuchTile):
        tiles.hashes(1, 0, 2)
