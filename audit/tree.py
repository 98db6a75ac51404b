"""RFC 6962's Merkle tree over the leaves' hashes: its growing edge, its roots and both kinds of proof.

Pure: what is stored is read through `Read`. A perfect subtree is named by its height and its place among those of
that height: (0, seq) is a leaf, (8, n) the 256 leaves that begin at 256 n. It never changes once it is full, so one
reader serves trees of every size.
"""

from collections.abc import Callable, Iterable, Iterator

from audit.verify import EMPTY_ROOT as EMPTY_ROOT
from audit.verify import node_hash as node_hash

Read = Callable[[int, int], bytes]
"""The hash of the perfect subtree of this height and place."""


def fold(hashes: Iterable[bytes]) -> bytes:
    """The root of a perfect tree over these hashes, whose number is a power of two."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


class Frontier:
    """The edge at which a tree grows: its perfect subtrees, largest first. At most 64 of them."""

    def __init__(self, size: int = 0, nodes: bytes = b"") -> None:
        """The edge of a tree of `size` leaves, as `bytes()` gave it."""
        if len(nodes) != 32 * size.bit_count():
            raise ValueError(f"{len(nodes)} bytes are not the edge of {size} leaves")
        self.size = size
        self._nodes = [nodes[at : at + 32] for at in range(0, len(nodes), 32)]

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaves."""
        for node in leaf_hashes:
            size = self.size
            while size & 1:
                node = node_hash(self._nodes.pop(), node)
                size >>= 1
            self._nodes.append(node)
            self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        nodes = list(self._nodes)
        if not nodes:
            return EMPTY_ROOT
        root = nodes.pop()
        while nodes:
            root = node_hash(nodes.pop(), root)
        return root

    def __bytes__(self) -> bytes:
        return b"".join(self._nodes)


def root(size: int, read: Read) -> bytes:
    """The root over the first `size` leaves."""
    return _span(0, size, read) if size else EMPTY_ROOT


def inclusion(seq: int, size: int, read: Read) -> list[bytes]:
    """RFC 6962 §2.1.1: the audit path of leaf `seq` in the tree of `size` leaves, nearest sibling first.

    Raises ValueError where there is no such leaf.
    """
    if not 0 <= seq < size:
        raise ValueError(f"no leaf {seq} among {size}")
    path, low, high = [], 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if seq < middle:
            path.append(_span(middle, high, read))
            high = middle
        else:
            path.append(_span(low, middle, read))
            low = middle
    return path[::-1]


def consistency(old: int, new: int, read: Read) -> list[bytes]:
    """RFC 6962 §2.1.2: the proof that the tree of `old` leaves is the beginning of that of `new`.

    Empty where the sizes are equal. Raises ValueError unless 1 <= old <= new.
    """
    if not 1 <= old <= new:
        raise ValueError(f"{old} leaves are not the beginning of {new}")
    proof, low, high = [], 0, new
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_span(middle, high, read))
            high = middle
        else:
            proof.append(_span(low, middle, read))
            low = middle
    if low:  # the old tree's own last subtree, which the verifier cannot know; if it is the whole it does
        proof.append(_span(low, high, read))
    return proof[::-1]


def cover(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The fewest perfect subtrees that make up the leaves from `low` to before `high`, as (height, place)."""
    while low < high:
        height = (high - low).bit_length() - 1
        if low:
            height = min(height, (low & -low).bit_length() - 1)
        yield height, low >> height
        low += 1 << height


def _span(low: int, high: int, read: Read) -> bytes:
    """The hash over leaves `low` to before `high`: within a tree, one that begins at a multiple of its split."""
    size = high - low
    if size & (size - 1) == 0:
        return read(size.bit_length() - 1, low // size)
    middle = low + _split(size)
    return node_hash(_span(low, middle, read), _span(middle, high, read))


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
