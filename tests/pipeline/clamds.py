"""A clamd that answers what a test tells it to, over a real socket, and remembers what it was asked.

It serves its callers one beside the other, as clamd does.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

VERSION = b"ClamAV 1.4.6/27800/Tue Nov 24 08:00:00 2026"
OK = b"stream: OK\0"


def dated(days: float) -> bytes:
    """A VERSION answer whose signatures are so many days old."""
    moment = datetime.now(UTC) - timedelta(days=days)
    return f"ClamAV 1.4.6/27800/{moment:%a %b %d %H:%M:%S %Y}".encode()


@dataclass
class Daemon:
    """What it answers, which may be changed while it serves, and what came: commands, whole streams.

    `reply` is an answer to INSTREAM, or makes one of the stream. `breaks_after`: how many bytes of a
    stream it takes before it breaks the line.
    """

    address: str
    reply: bytes | Callable[[bytes], bytes] = OK
    version: bytes = VERSION
    breaks_after: int | None = None
    commands: list[str] = field(default_factory=list)
    streams: list[bytes] = field(default_factory=list)

    def answer(self, stream: bytes) -> bytes:
        """What it says to this stream."""
        return self.reply(stream) if callable(self.reply) else self.reply


@contextmanager
def serving(reply: bytes | Callable[[bytes], bytes] = OK, *, version: bytes = VERSION) -> Iterator[Daemon]:
    """Serve on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        daemon = Daemon(f"tcp://127.0.0.1:{server.getsockname()[1]}", reply, version)
        with _threads(server, lambda line: _converse(daemon, line)):
            yield daemon


@contextmanager
def answering(reply: bytes, *, version: bytes = VERSION) -> Iterator[str]:
    """Serve on loopback; give the address."""
    with serving(reply, version=version) as daemon:
        yield daemon.address


@contextmanager
def refusing_to_read(reply: bytes, path: Path) -> Iterator[str]:
    """Serve on a unix socket: answers INSTREAM at once and shuts its ear, as clamd does past its limit."""

    def converse(line: socket.socket) -> None:
        command, end = _command(line)
        if command == "VERSION":
            line.sendall(VERSION + end)
            return
        line.sendall(reply)
        line.shutdown(socket.SHUT_RD)  # the sender meets EPIPE, and finds the reply behind it
        time.sleep(0.2)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with _threads(server, converse):
            yield f"unix://{path}"


@contextmanager
def silent() -> Iterator[str]:
    """Listen on loopback, and never say a word, as a clamd that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def _threads(server: socket.socket, converse: Callable[[socket.socket], None]) -> Iterator[None]:
    def accept() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            callers.append(threading.Thread(target=serve, args=(line,), daemon=True))
            callers[-1].start()

    def serve(line: socket.socket) -> None:
        with line:
            converse(line)

    callers = [threading.Thread(target=accept, daemon=True)]
    callers[0].start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        for thread in callers:
            thread.join(5)


def _converse(daemon: Daemon, line: socket.socket) -> None:
    command, end = _command(line)
    daemon.commands.append(command)
    if command == "VERSION":
        line.sendall(daemon.version + end)
        return
    stream = _stream(line, daemon.breaks_after)
    if stream is None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
        return
    daemon.streams.append(stream)
    line.sendall(daemon.answer(stream))


def _stream(line: socket.socket, breaks_after: int | None) -> bytes | None:
    """The whole stream; None where it is to break, or the sender has gone."""
    stream = b""
    with line.makefile("rb") as file:
        while len(head := file.read(4)) == 4:
            if not (size := struct.unpack("!L", head)[0]):
                return stream
            stream += file.read(size)
            if breaks_after is not None and len(stream) >= breaks_after:
                return None
    return None


def _command(line: socket.socket) -> tuple[str, bytes]:
    command = line.recv(1)
    while command[-1:] not in (b"\0", b"\n"):
        command += line.recv(1)
    return command.strip(b"\0\nnz").decode(), command[-1:]
