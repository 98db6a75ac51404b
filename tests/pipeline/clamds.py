"""A clamd that answers what a test tells it to, over a real socket."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = b"ClamAV 1.4.6/27800/Tue Nov 24 08:00:00 2026"


@contextmanager
def answering(reply: bytes, *, version: bytes = VERSION) -> Iterator[str]:
    """Serve on loopback; give the address."""
    with socket.create_server(("127.0.0.1", 0)) as server, _serving(server, reply, version, read=True):
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def refusing_to_read(reply: bytes, path: Path) -> Iterator[str]:
    """Serve on a unix socket: answers INSTREAM at once and shuts its ear, as clamd does past its limit."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with _serving(server, reply, VERSION, read=False):
            yield f"unix://{path}"


@contextmanager
def _serving(server: socket.socket, reply: bytes, version: bytes, *, read: bool) -> Iterator[None]:
    thread = threading.Thread(target=_serve, args=(server, reply, version, read), daemon=True)
    thread.start()
    yield
    server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _serve(server: socket.socket, reply: bytes, version: bytes, read: bool) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:
            return
        with line:
            _converse(line, reply, version, read)


def _converse(line: socket.socket, reply: bytes, version: bytes, read: bool) -> None:
    file = line.makefile("rb")
    command = file.read(1)
    while command[-1:] not in (b"\0", b"\n"):
        command += file.read(1)
    if command.strip(b"\0\nnz") == b"VERSION":
        line.sendall(version + command[-1:])
        return
    while read and (size := struct.unpack("!L", file.read(4))[0]):
        file.read(size)
    line.sendall(reply)
    if not read:
        line.shutdown(socket.SHUT_RD)  # the sender meets EPIPE, and finds the reply behind it
        time.sleep(0.2)
