"""What the sandbox's child says to the worker, and how the worker makes sure that it was said whole.

Frames on a pipe: four bytes of length, one of kind, the payload. `J` is JSON: a report, or the head of a
part; `B` is bytes of the part whose head came last; `E` is the end. Nothing that comes from there is
trusted: sizes are capped, JSON is checked field by field, and a stream that ends without `E` was cut.
Never pickle: it would run whatever a hostile file has made of the child.
"""

import json
import os
import struct
import time
from collections.abc import Iterator
from select import select
from typing import Final

HEAD: Final = struct.Struct("!IB")
JSON, BYTES, END = b"J"[0], b"B"[0], b"E"[0]
LARGEST_JSON: Final = 256 * 1024  # in all
LARGEST_FRAME: Final = 256 * 1024


class Cut(Exception):
    """The child ended, or spoke out of turn, before it had said everything."""


class Late(Exception):
    """Nothing has come for too long."""


def send(pipe: int, kind: int, payload: bytes = b"") -> None:
    """Write one frame, in the child."""
    left = memoryview(HEAD.pack(len(payload), kind) + payload)
    while left:
        left = left[os.write(pipe, left) :]


def frames(pipe: int, *, patience: float) -> Iterator[tuple[int, bytes]]:
    """Yield the frames up to `E`, in the worker.

    `patience`: seconds without a byte after which Late is raised. Raises Cut.
    """
    spoken = 0
    while True:
        length, kind = HEAD.unpack(_exactly(pipe, HEAD.size, patience))
        spoken += length if kind == JSON else 0
        if length > LARGEST_FRAME or spoken > LARGEST_JSON:
            raise Cut
        payload = _exactly(pipe, length, patience)
        if kind == END:
            return
        yield kind, payload


def said(payload: bytes) -> dict[str, object]:
    """Return the object that a JSON frame holds. Raises Cut for anything else."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        raise Cut from None
    if not isinstance(value, dict):
        raise Cut
    return value


def _exactly(pipe: int, count: int, patience: float) -> bytes:
    got = b""
    until = time.monotonic() + patience
    while len(got) < count:
        if not select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
            raise Late
        piece = os.read(pipe, count - len(got))
        if not piece:
            raise Cut
        got += piece
    return got
