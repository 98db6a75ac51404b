"""An S3 that breaks: passes each request on to the real one, and gives of its answer what a test tells it to."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Way = Callable[[socket.socket, bytes], None]


def whole(line: socket.socket, answer: bytes) -> None:
    """Give all of it."""
    line.sendall(answer)


def nothing(line: socket.socket, answer: bytes) -> None:
    """Hang up without a word."""


def reset(line: socket.socket, answer: bytes) -> None:
    """The same, as a process that was killed does."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def in_the_headers(line: socket.socket, answer: bytes) -> None:
    """Hang up in the middle of the headers."""
    line.sendall(answer[:40])


def in_the_body(line: socket.socket, answer: bytes) -> None:
    """Hang up in the middle of the body."""
    line.sendall(_half(answer))


def reset_in_the_body(line: socket.socket, answer: bytes) -> None:
    """The same, as a process that was killed does."""
    line.sendall(_half(answer))
    reset(line, answer)


def stalled_in_the_body(line: socket.socket, answer: bytes) -> None:
    """Say no more in the middle of the body, until the caller has had enough."""
    line.sendall(_half(answer))
    line.recv(1)


def silent(line: socket.socket, answer: bytes) -> None:
    """Say nothing at all, until the caller has had enough."""
    line.recv(1)


def no_length(line: socket.socket, answer: bytes) -> None:
    """Give the body without saying how long it is."""
    head, _, body = answer.partition(b"\r\n\r\n")
    kept = [field for field in head.split(b"\r\n") if not field.lower().startswith(b"content-length:")]
    line.sendall(b"\r\n".join(kept) + b"\r\n\r\n" + body)


def no_http(line: socket.socket, answer: bytes) -> None:
    """Speak another language, as TLS where none was expected."""
    line.sendall(b"\x15\x03\x01\x00\x02\x02\x50" * 20)


def saying(status: str, body: str = "", *, cut: int = 0) -> Way:
    """Give this answer instead; `cut` so many bytes at its end and hang up."""
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
    return lambda line, _: line.sendall(answer[: len(answer) - cut])


def error(status: str, code: str, *, cut: int = 0) -> Way:
    """Give an error in the words of S3."""
    return saying(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>x</Message></Error>", cut=cut)


@dataclass
class Proxy:
    """Where it is, and how it answers, which may be changed while it serves."""

    address: str
    way: Way = whole
    asked: list[str] = field(default_factory=list)


@contextmanager
def before(endpoint: str) -> Iterator[Proxy]:
    """Serve on loopback in front of an S3."""
    there = urlsplit(endpoint)
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = Proxy(f"http://127.0.0.1:{server.getsockname()[1]}")

        def serve(line: socket.socket) -> None:
            with line, suppress(OSError):
                request = _request(line)
                proxy.asked.append(request.partition(b" HTTP/")[0].decode())
                proxy.way(line, _answer((there.hostname or "", there.port or 80), request))

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield proxy
        server.shutdown(socket.SHUT_RDWR)


def _half(answer: bytes) -> bytes:
    head, end, body = answer.partition(b"\r\n\r\n")
    return head + end + body[: len(body) // 2]


def _request(line: socket.socket) -> bytes:
    """One request, with a header that asks for the line to be closed after it."""
    said = b""
    while b"\r\n\r\n" not in said:
        part = line.recv(65536)
        if not part:
            raise ConnectionError
        said += part
    head, _, body = said.partition(b"\r\n\r\n")
    fields = dict(field.lower().split(b": ", 1) for field in head.split(b"\r\n")[1:] if b": " in field)
    while len(body) < int(fields.get(b"content-length", 0)):
        body += line.recv(65536)
    return head + b"\r\nConnection: close\r\n\r\n" + body


def _answer(there: tuple[str, int], request: bytes) -> bytes:
    answer = b""
    with socket.create_connection(there, 10) as s3:
        s3.sendall(request)
        while part := s3.recv(65536):
            answer += part
    return answer
