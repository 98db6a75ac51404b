"""Looks at hostile files in a process of their own; the worker itself never loads a parser.

`inspect` says what a file is and what speaks against it, `parts` gives what is packed inside. Behind
both is a zygote (`zygote.py`) that each worker process starts once and that forks a child for each
file: no environment, no descriptors but the file and a pipe, limits of time and memory, and what walls
the machine has (`containment.py`). A child that dies of a file is a finding; a sandbox that cannot be
had is a fault, `Unavailable`, and the file is looked at again later.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from pipeline.inspection.report import Report
from pipeline.sandbox import wire
from pipeline.sandbox.containment import Containment as Containment
from pipeline.sandbox.zygote import NOT_READY

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 10.0
BYTES_PER_SECOND: Final = 20 * 1024 * 1024  # a large file gets more time
PARTS_SECONDS: Final = 1200.0  # the child waits for whoever takes the parts; its CPU is bounded all the same
START_SECONDS: Final = 60.0
PARTS_BYTES: Final = 4 * 1000 * 1024 * 1024


class Unavailable(Exception):
    """The sandbox cannot be started or was cut off; it says nothing about the file."""


class Unreadable(Exception):
    """What is packed inside the file cannot be read to its end."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: for whoever measures."""

    pid: int
    cpu_seconds: float
    rss_kib: int
    seconds: float


@dataclass(frozen=True)
class Part:
    """Something packed inside a file: what kind it is, and its bytes, to be read before the next part."""

    kind: str
    chunks: Iterator[bytes]


def inspect(file: IO[bytes], *, filename: str, content_type: str, size: int) -> Report:
    """Say what the file of `size` bytes is, and what was found. Raises Unavailable."""
    asked = {"ask": "report", "filename": filename, "content_type": content_type, **_time(size)}
    with _sandbox() as zygote:
        try:
            heads = [payload for kind, payload in zygote.said(file, asked) if kind == wire.JSON]
            return Report.of(wire.said(heads[0]) if len(heads) == 1 else {})
        except (wire.Cut, wire.Late, ValueError) as broken:
            return _death(zygote.ended(), broken)


def parts(file: IO[bytes], *, size: int) -> Iterator[Part]:
    """Yield what is packed inside the file, each part to be read to its end before the next.

    Raises Unavailable, and Unreadable where the child died of the file.
    """
    asked = {"ask": "parts", **_time(size), "wall": PARTS_SECONDS}
    with _sandbox() as zygote:
        yield from _Parts(zygote, zygote.said(file, asked))


def warm() -> None:
    """Start this process's zygote now, rather than with the first file. Raises Unavailable."""
    with _sandbox():
        pass


def close() -> None:
    """End this process's zygote; the next file starts a new one."""
    global _zygote
    with _lock:
        if _zygote is not None and _zygote.owner == os.getpid():
            _zygote.end()
        _zygote = None


def last() -> Ended:
    """Say how the child that looked last ended. Raises Unavailable."""
    with _sandbox() as zygote:
        said = zygote.ended()
    return Ended(said["pid"], said["cpu"], said["rss_kib"], said["seconds"])


def walls() -> Containment:
    """Say which walls this machine gives. Raises Unavailable."""
    with _sandbox() as zygote:
        return zygote.walls


def _time(size: int) -> dict[str, float]:
    seconds = SECONDS + size / BYTES_PER_SECOND
    return {"wall": seconds, "cpu": seconds}


class _Parts:
    """Reads parts off the frames, one after the other; what somebody has left of one is passed over."""

    def __init__(self, zygote: "_Zygote", frames: Iterator[tuple[int, bytes]]) -> None:
        self._zygote, self._frames = zygote, frames
        self._next: tuple[int, bytes] | None = None
        self._left = PARTS_BYTES

    def __iter__(self) -> Iterator[Part]:
        self._advance()
        while self._next:
            kind, head = self._next
            if kind != wire.JSON:
                raise Unreadable
            self._advance()
            rest = self._chunks()
            yield Part(_kind(head), rest)
            for _ in rest:
                pass

    def _chunks(self) -> Iterator[bytes]:
        while self._next and self._next[0] == wire.BYTES:
            piece = self._next[1]
            self._left -= len(piece)
            if self._left < 0:
                raise Unreadable
            yield piece
            self._advance()

    def _advance(self) -> None:
        try:
            self._next = next(self._frames, None)
        except (wire.Cut, wire.Late) as broken:
            _death(self._zygote.ended(), broken)
            raise Unreadable from broken


def _kind(head: bytes) -> str:
    try:
        return str(wire.said(head).get("kind"))[:32]
    except wire.Cut:
        raise Unreadable from None


def _death(ended: dict[str, Any], broken: Exception) -> Report:
    """What the end of a child says of its file. Raises Unavailable where it says nothing."""
    starved = ended["late"] and ended["cpu"] < SECONDS / 2
    killed = ended["signal"] == signal.SIGKILL and not ended["late"] and ended["cpu"] < SECONDS
    unready = ended["exit"] == NOT_READY
    if starved or killed or unready:  # too busy a machine, somebody else's SIGKILL: no word about the file
        raise Unavailable(f"the examination was cut off ({type(broken).__name__})")
    why = "time" if ended["late"] or ended["signal"] in {signal.SIGXCPU, signal.SIGKILL} else "crash"
    return Report.damaged(f"the examination ended early ({why})")


# --- the zygote of this process ------------------------------------------------------------------
class _Zygote:
    """The worker's end of one zygote."""

    def __init__(self) -> None:
        """Start it and wait until it has loaded and walled itself in. Raises Unavailable."""
        self.owner = os.getpid()
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(START_SECONDS)
        program = [sys.executable, "-I", str(Path(__file__).with_name("zygote.py")), str(ROOT), str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                program, env={}, cwd="/", stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
            )
        self._pipe = -1
        try:
            self.walls = Containment(**self._hear()["ready"])
        except BaseException:
            self.end()
            raise

    def said(self, file: IO[bytes], asked: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
        """Give the file to a new child and yield what it says. Raises wire.Cut, wire.Late, Unavailable."""
        with contextlib.ExitStack() as sent:
            try:
                theirs = _read_only(file)
                sent.callback(os.close, theirs)
                self._pipe, result = os.pipe()
                sent.callback(os.close, result)
                socket.send_fds(self._line, [json.dumps(asked).encode()], [theirs, result])
            except OSError as error:  # it is gone, or no descriptor is left
                raise Unavailable(f"the sandbox cannot be asked: {error}") from error
        yield from wire.frames(self._pipe, patience=float(asked["wall"]) + SECONDS)
        self.ended()

    def ended(self) -> dict[str, Any]:
        """Say how the child has ended, after its last word. Raises Unavailable."""
        if self._pipe >= 0:
            os.close(self._pipe)  # a child that still speaks is killed by SIGPIPE
            self._pipe = -1
            self._last = self._hear()
        return self._last

    def idle(self) -> bool:
        """Whether no child is at work."""
        return self._pipe < 0

    def end(self) -> None:
        """End it, and its child with it."""
        if self._pipe >= 0:
            os.close(self._pipe)
        self._line.close()
        self._process.kill()
        self._process.wait()

    def _hear(self) -> dict[str, Any]:
        try:
            heard: dict[str, Any] = json.loads(self._line.recv(64 * 1024))
        except (OSError, ValueError) as error:
            raise Unavailable(f"the sandbox does not answer: {error}") from error
        return heard


_lock = threading.RLock()  # a reader of parts that gave up may still hold it, in this very thread
_zygote: _Zygote | None = None
atexit.register(close)


@contextlib.contextmanager
def _sandbox() -> Iterator[_Zygote]:
    """This process's zygote, for one file at a time. One in doubt is ended, and the next file gets a new one."""
    global _zygote
    with _lock:
        if _zygote is not None and _zygote.owner == os.getpid() and not _zygote.idle():
            close()
        if _zygote is None or _zygote.owner != os.getpid():  # a zygote belongs to who started it, not to its forks
            try:
                _zygote = _Zygote()
            except OSError as error:
                raise Unavailable(f"the sandbox cannot be started: {error}") from error
        zygote, sound = _zygote, False
        try:
            yield zygote
            sound = zygote.idle()
        finally:
            if not sound:
                zygote.end()
                _zygote = None if _zygote is zygote else _zygote


def _read_only(file: IO[bytes]) -> int:
    """A descriptor of the same file that cannot write and has a position of its own."""
    path = f"/proc/self/fd/{file.fileno()}"
    if os.path.exists(path):  # noqa: PTH110 (a link that need not resolve to a name)
        return os.open(path, os.O_RDONLY)
    copy = os.dup(file.fileno())
    os.lseek(copy, 0, os.SEEK_SET)
    return copy
