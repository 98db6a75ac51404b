"""The log in C2SP's tlog-tiles form: hashes by 256, leaves by 256, and the paths under which clients ask for them.

Tile (level, n) holds the hashes of the perfect subtrees of height 8·level at the places 256 n to 256 n + 255. Full
ones are stored by the sequencer; one that is still growing is put together from the rows below it.
"""

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache

from audit import tree
from audit.models import Event, Tile

WIDTH = 256
LEVEL_HEIGHT = 8
_CACHED = 2048  # of 8 KiB each


class NoSuchTile(Exception):
    """The log is not that long, or the tile's path is malformed."""


def reader() -> tree.Read:
    """Return a reader of the stored tree, which remembers what it has read. For one job; do not keep it."""
    row = lru_cache(_CACHED)(_row)

    def read(height: int, place: int) -> bytes:
        level, rest = divmod(height, LEVEL_HEIGHT)
        tile, at = divmod(place << rest, WIDTH)
        return tree.fold(_cut(row(level, tile), at, 1 << rest))

    return read


def hashes(level: int, number: int, width: int = WIDTH) -> bytes:
    """Return the first `width` hashes of a tile, 32 bytes each. Raises NoSuchTile."""
    row = _row(level, number)
    if not 1 <= width <= WIDTH or len(row) < 32 * width:
        raise NoSuchTile
    return row[: 32 * width]


def entries(number: int, width: int = WIDTH) -> bytes:
    """Return `width` leaves from 256 `number` on, each after its length in two bytes. Raises NoSuchTile."""
    first = number * WIDTH
    leaves = Event.objects.filter(seq__gte=first, seq__lt=first + width).order_by("seq").values_list("leaf", flat=True)
    bundle = [text.encode() for text in leaves]
    if not 1 <= width <= WIDTH or len(bundle) != width:
        raise NoSuchTile
    return b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in bundle)


def path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Return a tile's path: `tile/0/x001/x234/067`, with `.p/17` behind it where it is partial.

    `level` "entries" means the leaves themselves.
    """
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def at(size: int) -> list[tuple[int, int, int]]:
    """Return the last tile of each level in a log of `size` leaves that is not full: level, number and width."""
    found, level = [], 0
    while size:
        number, width = divmod(size, WIDTH)
        if width:
            found.append((level, number, width))
        size, level = number, level + 1
    return found


def _cut(row: bytes, first: int, count: int) -> list[bytes]:
    if len(row) < 32 * (first + count):
        raise NoSuchTile
    return [row[32 * n : 32 * n + 32] for n in range(first, first + count)]


def _row(level: int, number: int) -> bytes:
    """All the hashes that this tile has so far."""
    stored = Tile.objects.filter(level=level, number=number).values_list("hashes", flat=True).first()
    return bytes(stored) if stored is not None else b"".join(_GROWING[bool(level)](level, number))


def _leaves(level: int, number: int) -> list[bytes]:
    first = number * WIDTH
    rows = Event.objects.filter(seq__gte=first, seq__lt=first + WIDTH).order_by("seq")
    return _unbroken(first, rows.values_list("seq", "leaf_hash"))


def _roots(level: int, number: int) -> list[bytes]:
    first = number * WIDTH
    below = Tile.objects.filter(level=level - 1, number__gte=first, number__lt=first + WIDTH).order_by("number")
    return _unbroken(first, below.values_list("number", "root"))


def _unbroken(first: int, rows: Iterable[tuple[int, bytes | memoryview]]) -> list[bytes]:
    """The hashes up to the first that is missing: those behind a hole would be taken for their neighbours."""
    return [bytes(each) for place, (at, each) in enumerate(rows, first) if place == at]


_GROWING: tuple[Callable[[int, int], list[bytes]], ...] = (_leaves, _roots)
