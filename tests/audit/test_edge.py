"""The tree's edge by tiles: the same tree as the sequencer's, and every full tile is shown once."""

import hashlib

import pytest

from audit import tree
from audit.edge import Edge

LEAVES = [hashlib.sha256(str(number).encode()).digest() for number in range(65_536 + 700)]


def full(level: int, number: int, row: list[bytes]) -> bytes:
    """Believe what has grown."""
    return tree.fold(row)


def test_it_has_the_roots_and_the_nodes_of_the_frontier_at_every_size() -> None:
    edge, frontier = Edge(full), tree.Frontier()
    for low in range(1000):
        edge.extend(LEAVES[low : low + 1])
        frontier.extend(LEAVES[low : low + 1])
        assert (edge.size, edge.root(), b"".join(edge.nodes())) == (low + 1, frontier.root(), bytes(frontier))


def test_every_full_tile_is_shown_once_with_its_hashes_and_its_root_goes_on() -> None:
    shown: dict[tuple[int, int], list[bytes]] = {}

    def kept(level: int, number: int, row: list[bytes]) -> bytes:
        assert (level, number) not in shown
        shown[level, number] = list(row)
        return tree.fold(row)

    edge, frontier = Edge(kept), tree.Frontier()
    for low in range(0, len(LEAVES), 256):
        edge.extend(LEAVES[low : low + 256])
    frontier.extend(LEAVES)
    assert (edge.root(), b"".join(edge.nodes())) == (frontier.root(), bytes(frontier))
    assert sorted(shown) == [*((0, number) for number in range(258)), (1, 0)]
    assert shown[0, 257] == LEAVES[257 * 256 : 258 * 256]
    assert shown[1, 0] == [tree.fold(LEAVES[low : low + 256]) for low in range(0, 65_536, 256)]


def test_it_goes_on_with_the_root_that_it_is_told() -> None:
    told = bytes(32)
    edge = Edge(lambda level, number, row: told)
    edge.extend(LEAVES[:256])
    assert edge.nodes() == [told]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 300, 65_535, 65_536, 65_537, 66_000])
def test_it_is_read_from_a_stored_tree_of_any_size(size: int) -> None:
    def read(height: int, place: int) -> bytes:
        return tree.fold(LEAVES[place << height : (place + 1) << height])

    edge, frontier = Edge(full, size, read), tree.Frontier()
    frontier.extend(LEAVES[:size])
    assert (edge.size, edge.root()) == (size, frontier.root())
    edge.extend(LEAVES[size : size + 1])
    frontier.extend(LEAVES[size : size + 1])
    assert edge.root() == frontier.root()
