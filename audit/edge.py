"""The growing edge of the tree, by tiles: as many hashes of each level as its tile has that is not full yet.

`tree.Frontier` keeps the same edge in fewer hashes. This one gives each tile that becomes full to whoever examines it,
who may answer with another hash to go on with.
"""

from collections.abc import Callable, Sequence

from audit import tree
from audit.tiles import LEVEL_HEIGHT, WIDTH

Full = Callable[[int, int, list[bytes]], bytes]
"""Is told the level, the number and the hashes of a full tile; returns the hash over them."""


class Edge:
    """A tree that grows from left to right."""

    def __init__(self, full: Full, size: int = 0, read: tree.Read | None = None) -> None:
        """The edge of a tree of `size` leaves, read from a stored one."""
        self.size, self._full = size, full
        self._rows: list[list[bytes]] = []
        while read and size:
            height = LEVEL_HEIGHT * len(self._rows)
            self._rows.append([read(height, place) for place in range(size // WIDTH * WIDTH, size)])
            size //= WIDTH

    def extend(self, leaf_hashes: Sequence[bytes]) -> None:
        """Append leaves, at most as many as the tile at the edge has room for."""
        self.size += len(leaf_hashes)
        self._append(0, leaf_hashes)

    def nodes(self) -> list[bytes]:
        """The perfect subtrees of the tree, largest first, as a `tree.Frontier` has them."""
        return [node for row in reversed(self._rows) for node in _folded(row)]

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return tree.Frontier(self.size, b"".join(self.nodes())).root()

    def _append(self, level: int, hashes: Sequence[bytes]) -> None:
        if level == len(self._rows):
            self._rows.append([])
        row = self._rows[level]
        row.extend(hashes)
        if len(row) == WIDTH:
            number = (self.size >> LEVEL_HEIGHT * (level + 1)) - 1
            self._rows[level] = []
            self._append(level + 1, [self._full(level, number, row)])


def _folded(row: list[bytes]) -> list[bytes]:
    """The largest perfect subtrees over a row's hashes."""
    return [tree.fold(row[low << height : (low + 1) << height]) for height, low in tree.cover(0, len(row))]
