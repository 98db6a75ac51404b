"""Flower's door for tests: what stands on both sides of it, and a browser's requests as they are written.

The web process and the Flower behind it do no more than tell what reached them.
"""

import base64
import http.client
import http.server
import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from devstack.places import ROOT
from tests.deploy.doors import Answer

SITE = "https://strongroom.example"
PASSWORD = "flower:only-the-door-knows"
LOGIN = base64.b64encode(PASSWORD.encode()).decode()
SAYS = {"admin": 204, "investor": 403, "moved": 302, "broken": 500, "odd": 200, "created": 201}


class Web(http.server.BaseHTTPRequestHandler):
    """Knows sessions by name, and answers as the web process does."""

    asked: list[dict[str, str]] = []

    def do_GET(self) -> None:
        """Answer at the one address that there is."""
        if self.path != "/internal/flower-auth/":
            self.send_response(200)
        else:
            Web.asked.append({name.lower(): value for name, value in self.headers.items()})
            session = re.search(r"sessionid=(\w+)", self.headers.get("Cookie", ""))
            self.send_response(SAYS.get(session[1], 401) if session else 401)
            self.send_header("Location", "/elsewhere/")
            self.send_header("Set-Cookie", "sessionid=of-the-web")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Flower(http.server.BaseHTTPRequestHandler):
    """Asks for the password as Flower does, but not at /metrics; tells what reached it."""

    seen: list[str] = []
    go_on = threading.Event()

    def do_GET(self) -> None:
        """Answer, in two pieces where the first is asked for alone."""
        Flower.seen.append(self.path)
        known = self.headers.get("Authorization") == f"Basic {LOGIN}" or self.path == "/flower/metrics"
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = json.dumps({"path": self.path, "method": self.command, "headers": headers, "body": body}).encode()
        self.send_response(200 if known else 401)
        for name, value in {"Set-Cookie": "_xsrf=1", "WWW-Authenticate": 'Basic realm="flower"'}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if "in-pieces" in self.path:
            self.wfile.write(told[:1])
            self.wfile.flush()
            Flower.go_on.wait(10)
            told = told[1:]
        self.wfile.write(told if self.command != "HEAD" else b"")

    do_POST = do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class AtSocket(socketserver.ThreadingUnixStreamServer):
    """A server on a unix socket."""

    daemon_threads = True


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Kept:
    """A door that stands: its port, and the address that it sends strangers to."""

    def __init__(self, port: int, sign_in: str, log: Path) -> None:
        """Take the door's port."""
        self.port, self.sign_in, self.log = port, sign_in, log

    def ask(
        self, path: str, session: str = "admin", *, method: str = "GET", body: bytes = b"", **headers: str
    ) -> Answer:
        """Send one request exactly as written."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if session:
            sent["Cookie"] = f"theme=dark; sessionid={session}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body or None, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.title(): v for k, v in answer.getheaders()}, answer.read())


def environment(web: int, flower: Path, port: int) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "DOOR_BIND": f"127.0.0.1:{port}",
        "WEB_HOST": "127.0.0.1",
        "PORT": str(web),
        "PUBLIC_URL": f"{SITE}/",
        "FLOWER_SOCKET": str(flower),
        "FLOWER_BASIC_AUTH": PASSWORD,
    }


def opened(port: int) -> bool:
    """Whether the door leads to Flower. That it listens says little: nginx does that while it tries a configuration."""
    try:
        return Kept(port, "", Path()).ask("/flower", "").status == 302
    except (OSError, http.client.HTTPException):
        return False


@contextmanager
def at_the_door(env: dict[str, str], log: Path) -> Iterator[int]:
    """Run `python -m workers.door`; yield its pid when it serves."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            (sys.executable, "-m", "workers.door"), cwd=ROOT, env=env, stdout=output, stderr=output
        ) as process,
    ):
        try:
            limit = time.monotonic() + 20
            while not opened(int(env["DOOR_BIND"].partition(":")[2])):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < limit
                time.sleep(0.05)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0, log.read_text()
