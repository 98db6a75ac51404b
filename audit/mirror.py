"""The log's tiles in the bucket: put there before a checkpoint over them is signed, tidied after it.

A full tile or bundle is written once and, where the bucket locks, locked. One that is still growing is stored anew for
every size that is signed, and goes once the full one is there (C2SP tlog-tiles). Leaves and hashes alone: the
encrypted personal parts never come here, because what is locked cannot be erased.
"""

import struct
from collections.abc import Iterator
from typing import Final

from audit import bucket, tiles, verify
from audit.tiles import WIDTH

_LEVELS: Final = ("entries", *range(8))
_GROUP: Final = 1000  # tiles in one folder


class Differs(Exception):
    """What is stored here, or what lies in the bucket, is not what it was when it was published."""


def export(generation: int, *, since: int, size: int) -> None:
    """Put the tiles and bundles that a log of `size` events needs beyond the full ones of a log of `since`.

    May be repeated: what lies there already is compared. Raises Differs, and tiles.NoSuchTile where a row is missing.
    """
    for level in _LEVELS:
        for number in range(_full(level, since), _full(level, size)):
            _put(generation, level, number, WIDTH)
    for level, number, width in tiles.at(size):
        _put(generation, level, number, width)
        if level == 0:
            _put(generation, "entries", number, width)


def tidy(generation: int, *, since: int, size: int) -> int:
    """Delete the partial tiles of those that became full between the two sizes; return how many files went."""
    return sum(
        bucket.delete_prefix(partial)
        for level in _LEVELS
        for folder in _folders(generation, level, _full(level, since), _full(level, size))
        for partial in _superseded(folder, bucket.key(generation, f"tile/{level}/"), _full(level, size))
    )


def _full(level: int | str, size: int) -> int:
    """How many full tiles of that level, or full bundles, a log of that size has."""
    return size >> tiles.LEVEL_HEIGHT * (1 + (level if isinstance(level, int) else 0))


def _put(generation: int, level: int | str, number: int, width: int) -> None:
    key = bucket.key(generation, tiles.path(level, number, width))
    body = tiles.hashes(level, number, width) if isinstance(level, int) else _bundle(number, width)
    if not bucket.put(key, body, if_none_match="*", lock=width == WIDTH):
        there = bucket.get(key)
        if there is None or there[0] != body:
            raise Differs(f"{key} in the bucket is not the tile that is stored here.")


def _bundle(number: int, width: int) -> bytes:
    """The leaves, if they are what the tree was built over: a lock would keep altered ones for years."""
    packed, hashes = tiles.entries(number, width), tiles.hashes(0, number, width)
    for at, leaf in enumerate(_leaves(packed)):
        if verify.leaf_hash(leaf) != hashes[32 * at : 32 * at + 32]:
            raise Differs(f"Event {number * WIDTH + at} is not the one whose hash is in the tree.")
    return packed


def _leaves(packed: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(packed):
        (length,) = struct.unpack_from(">H", packed, at)
        at += 2 + length
        yield packed[at - length : at]


def _folders(generation: int, level: int | str, first: int, full: int) -> Iterator[str]:
    """The folders of a thousand tiles in which the tiles from `first` to before `full` lie; none if there are none."""
    if first < full:
        for group in range(first // _GROUP, (full - 1) // _GROUP + 1):
            yield bucket.key(generation, tiles.path(level, group * _GROUP).removesuffix("000"))


def _superseded(folder: str, root: str, full: int) -> set[str]:
    """The folders of partial tiles in `folder` whose full one is there.

    All of them, not only those of the last size: a size whose checkpoint was never stored leaves some behind as well.
    """
    found = {key.partition(".p/")[0] for key in bucket.keys(folder) if ".p/" in key}
    return {f"{tile}.p/" for tile in found if _number(tile.removeprefix(root)) < full}


def _number(path: str) -> int:
    """A tile's number from its path within its level: `x001/x234/067` is 1234067."""
    return int(path.replace("x", "").replace("/", ""))
