"""All that we say to clamd, and which of several we say it to.

An address that does not answer is left out for a while, in this process, and the others are asked; when
none is left, those that were left out are asked all the same, so that one clamd that comes back is found
at once. Nothing is locked while anything is sent. What the answers mean is the scanner's to say.
"""

import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import urlsplit

from django.conf import settings

CONNECT_SECONDS: Final = 5.0
REPLY_SECONDS: Final = 330.0  # more than clamd's own MaxScanTime of 300
LEFT_OUT_SECONDS: Final = 30.0
LONGEST_LEFT_OUT_SECONDS: Final = 300.0
_LONGEST_REPLY: Final = 64 * 1024
_END: Final = struct.pack("!L", 0)


class Unavailable(Exception):
    """The scanner cannot be asked now, or its answer was not one; it says nothing about the file."""


@dataclass(frozen=True)
class _Absence:
    until: float
    seconds: float


class Roll:
    """Remembers which addresses did not answer. Times are seconds of one clock; safe from any thread."""

    def __init__(self) -> None:
        """Nobody is left out."""
        self._lock = threading.Lock()
        self._absent: dict[str, _Absence] = {}

    def failed(self, address: str, *, now: float) -> None:
        """Leave it out: 30 s, then twice as long each time that it fails again, up to 5 minutes."""
        with self._lock:
            before = self._absent.get(address)
            if before is None:
                self._absent[address] = _Absence(now + LEFT_OUT_SECONDS, LEFT_OUT_SECONDS)
            elif before.until <= now:  # one outage, met by many scans, is not many
                seconds = min(before.seconds * 2, LONGEST_LEFT_OUT_SECONDS)
                self._absent[address] = _Absence(now + seconds, seconds)

    def answered(self, address: str) -> None:
        """Have it back, whatever was before."""
        with self._lock:
            self._absent.pop(address, None)

    def call(self, addresses: Sequence[str], *, first: int, now: float) -> tuple[list[str], list[str]]:
        """Return those to ask, in turn from number `first` on, and those that are left out now."""
        start = first % len(addresses) if addresses else 0
        turned = [*addresses[start:], *addresses[:start]]
        with self._lock:
            absent = {address for address, absence in self._absent.items() if absence.until > now}
        return [a for a in turned if a not in absent], [a for a in turned if a in absent]


roll = Roll()


def addresses() -> list[str]:
    """Return the addresses of CLAMD_ADDRESSES; where that is empty, the one of CLAMD_ADDRESS."""
    return [*dict.fromkeys(settings.CLAMD_ADDRESSES or [settings.CLAMD_ADDRESS])]


def is_address(text: str) -> bool:
    """Whether it is unix:///path or tcp://host:port."""
    try:
        where = urlsplit(text)
        port = where.port
    except ValueError:
        return False
    if where.scheme == "unix":
        return not where.netloc and len(where.path) > 1
    rest = where.path or where.query or where.fragment or where.username
    return where.scheme == "tcp" and bool(where.hostname) and bool(port) and not rest


class Line:
    """A connection to one clamd, good for one command. What breaks on it leaves the address out.

    Used in a `with`. Our own client, because the `clamd` package connects without a time limit, sends
    with short writes unchecked, takes a cut reply for a whole one and returns None for none.
    """

    def __init__(self, address: str) -> None:
        """Connect. Raises Unavailable."""
        self.address = address
        try:
            self._socket = _connected(address)
        except OSError as error:
            self._broken(error)

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def version(self) -> str:
        """Return the answer to VERSION. Raises Unavailable."""
        self._say(b"zVERSION\0")
        return self._reply()

    def instream(self, chunks: Iterable[bytes]) -> str:
        """Send all of it and return the answer. Raises Unavailable; lets through what `chunks` raises.

        clamd answers and closes as soon as a limit is passed, so after a failed send its reply is still
        read; but an OK to less than everything is none.
        """
        self._socket.settimeout(REPLY_SECONDS)
        self._say(b"zINSTREAM\0")
        whole = self._stream(chunks)
        reply = self._reply()
        if reply == "stream: OK" and not whole:
            raise Unavailable("clamd said OK before it had everything")
        return reply

    def _stream(self, chunks: Iterable[bytes]) -> bool:
        for chunk in chunks:  # outside of every `try`: what breaks there is not clamd's
            # One without bytes would be the end of the stream, and nobody would look at what follows.
            if chunk and not self._sent(struct.pack("!L", len(chunk)), chunk):
                return False
        return self._sent(_END)

    def _sent(self, *pieces: bytes) -> bool:
        """Send; False if clamd has closed, since its reply says why."""
        try:
            for piece in pieces:
                self._socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except OSError as error:
            self._broken(error)
        return True

    def _say(self, command: bytes) -> None:
        with self._unbroken():
            self._socket.sendall(command)

    def _reply(self) -> str:
        """Read up to the terminator; a reply without one was cut, and means nothing."""
        reply = b""
        while not reply.endswith(b"\0"):
            with self._unbroken():
                part = self._socket.recv(4096)
            reply += part
            if not part or len(reply) > _LONGEST_REPLY:
                self._cut(reply)
        roll.answered(self.address)
        return reply[:-1].decode("utf-8", "replace").strip()

    def _cut(self, reply: bytes) -> NoReturn:
        if reply.startswith(b"COMMAND READ TIMED OUT"):  # we were slow, as S3 can be; clamd is well
            raise Unavailable("clamd: nothing was sent to it for too long")
        self._broken(f"the line was closed after {reply[:200]!r}")

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._broken(error)

    def _broken(self, why: object) -> NoReturn:
        roll.failed(self.address, now=time.monotonic())
        raise Unavailable(f"clamd at {self.address}: {why}")


def _connected(address: str) -> socket.socket:
    where = urlsplit(address)
    if where.scheme == "tcp":
        return socket.create_connection((where.hostname or "", where.port or 3310), CONNECT_SECONDS)
    line = socket.socket(socket.AF_UNIX)
    try:
        line.settimeout(CONNECT_SECONDS)
        line.connect(where.path)
    except OSError:
        line.close()
        raise
    return line
