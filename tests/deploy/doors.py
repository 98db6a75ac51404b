"""A real nginx with one of our configurations, on loopback, and a server behind it that tells what reached it."""

import http.client
import http.server
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from devstack.ports import answers
from tests.deploy.files import DEPLOY

Nginx = tuple[str, dict[str, str]]
NO_FLOWER = (Path("/nowhere/flower.sock"), "none")


class Seen(http.server.BaseHTTPRequestHandler):
    """Answers every request with what reached it; `began` is set with the first byte of a body."""

    began = threading.Event()

    def handle_any(self) -> None:
        """Read the body in small pieces and tell about the request."""
        left = int(self.headers.get("Content-Length", "0"))
        while left > 0 and (piece := self.rfile.read1(min(left, 65536))):
            self.began.set()
            left -= len(piece)
        told = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Ports:
    """Where the nginx under test listens."""

    def __init__(self) -> None:
        """Choose free ports."""
        self.web, self.s3, self.check = (free() for _ in range(3))

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, *, port: int = 0, body: bytes = b""
    ) -> "Answer":
        """Send one request to the web's port, or to `port`."""
        with closing(http.client.HTTPConnection("127.0.0.1", port or self.web, timeout=10)) as connection:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())


class Answer:
    """A status, headers and what the server behind saw, or what nginx itself said."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Take the parts apart."""
        self.status, self.headers, self.body = status, headers, body

    @property
    def seen(self) -> dict[str, str]:
        """The headers that reached the server behind."""
        return dict(json.loads(self.body)["headers"])


def free() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def rendered(folder: Path, ports: Ports, behind: int, tls_proxy: str, flower: tuple[Path, str] = NO_FLOWER) -> Path:
    """Fill in the template as the image does, and put everything on loopback and into `folder`.

    `flower` is Flower's socket and what it takes for an Authorization, without the word Basic.
    """
    text = (DEPLOY / "nginx.conf.template").read_text()
    values = {"TLS_PROXY": tls_proxy, "QUARANTINE_BUCKET": "quarantine", "VAULT_BUCKET": "vault"}
    values["FLOWER_LOGIN"] = flower[1]
    text = re.sub(r"\$\{([A-Z_0-9]+)\}", lambda match: values[match[1]], text)
    for old, new in {
        "/tmp/": f"{folder}/",  # noqa: S108
        "listen 8080": f"listen 127.0.0.1:{ports.web}",
        "listen 8081": f"listen 127.0.0.1:{ports.s3}",
        "listen 127.0.0.1:8079": f"listen 127.0.0.1:{ports.check}",
        "web:8000": f"127.0.0.1:{behind}",
        "s3gate:8333": f"127.0.0.1:{behind}",
        "/run/flower/flower.sock": str(flower[0]),
        "/etc/nginx/flower.conf": str(DEPLOY / "flower.conf"),
        "/dev/stdout": str(folder / "access.log"),
        "/dev/stderr": str(folder / "error.log"),
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    return folder / "nginx.conf"


@contextmanager
def running(nginx: Nginx, configuration: Path, ports: Ports) -> Iterator[None]:
    """Run nginx until the end of a `with`."""
    program, env = nginx
    # Root's nginx would become `nobody`, who reaches no socket of a test's.
    also = "daemon off; user root;" if os.geteuid() == 0 else "daemon off;"
    argv = (program, "-p", configuration.parent, "-c", configuration, "-g", also)
    with subprocess.Popen(argv, env=env) as process:
        try:
            limit = time.monotonic() + 20
            while not answers(ports.check):
                assert process.poll() is None
                assert time.monotonic() < limit
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
