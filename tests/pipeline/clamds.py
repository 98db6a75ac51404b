"""A clamd that answers what a test tells it to, over a real socket."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

VERSION = b"ClamAV 1.4.6/27800/Tue Nov 24 08:00:00 2026"


@contextmanager
def answering(reply: bytes, *, version: bytes = VERSION, read: bool = True) -> Iterator[str]:
    """Serve on loopback; give the address. With `read` False it answers INSTREAM without reading it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, reply, version, read), daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
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
