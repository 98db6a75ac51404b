"""Our own processes: the lines of the Procfile, the chores before them, and how to see that each of them serves."""

import json
import re
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from devstack.environment import OPERATOR, Site, accounts, settings
from devstack.parts import Command, Part
from devstack.places import PROGRAMS, ROOT, private
from devstack.ports import answers

_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(\S.*)$")
_WORKER = re.compile(r"\bcelery\b.*\bworker\b.*\s-n\s+([^@\s]+)@")
_SERVERS = ("postgres", "valkey", "buckets", "clamd")
_STEADY_SECONDS = 2.5
_PINGER = "pinger"


def read(path: Path) -> dict[str, str]:
    """Return the lines of a Procfile: name and shell command. Whatever has not that form (comments) is passed over."""
    found = (_LINE.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {line[1]: line[2] for line in found if line}


def parts(site: Site, procfile: Path) -> list[Part]:
    """Return our own parts: database, its rights and static files brought up to date, accounts, each line's process."""
    lines = read(procfile)
    nodes = [line[1] for line in map(_WORKER.search, lines.values()) if line]
    chores = [
        Part("migrate", lambda: _manage(site, "migrate", "--no-input"), needs=("postgres", "clamav"), seconds=120),
        Part("grant", lambda: _manage(site, "grant"), needs=("migrate",), seconds=60),
        Part("static", lambda: _manage(site, "collectstatic", "--no-input"), needs=("clamav",), seconds=120),
        Part("accounts", lambda: _ensure(site), needs=("migrate",), seconds=60),
    ]
    if nodes:
        chores.append(Part(_PINGER, lambda: _pinger(site, nodes), needs=("grant", *_SERVERS), seconds=120))
    return [*chores, *(_own(site, name, line) for name, line in lines.items())]


def _own(site: Site, name: str, line: str) -> Part:
    # gunicorn that has loaded an old list of static files answers 500 to every page.
    needs = (*_SERVERS, "grant", "static") if name == "web" else (*_SERVERS, "grant")

    def start() -> Command:
        private(site.data / "state")
        private(site.data / "tmp")
        return Command(("sh", "-c", f"exec {line}"), settings(site, name))

    return Part(name, start, _readiness(site, name, line), needs=needs, seconds=120)


def _readiness(site: Site, name: str, line: str) -> Callable[[], bool]:
    worker = _WORKER.search(line)
    if worker:
        return lambda: worker[1] in _answering(site)
    known = {
        "web": lambda: _answers(site.ports["web"], "/readyz", HTTPStatus.OK),
        # That it listens says little: nginx does that while it tries a configuration.
        "door": lambda: _answers(site.ports["door"], "/flower", HTTPStatus.FOUND),
        "metrics": lambda: answers(site.ports["metrics"]),
        "flower": lambda: _listens(site.sockets / "flower.sock"),
    }
    return known.get(name) or _lasts()


def _answers(port: int, path: str, status: HTTPStatus) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == status
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _lasts() -> Callable[[], bool]:
    """Return a probe for a process that listens nowhere: ready is what has not ended after a few seconds."""
    first: list[float] = []

    def probe() -> bool:
        first.append(time.monotonic())
        return first[-1] - first[0] > _STEADY_SECONDS

    return probe


def _answering(site: Site) -> list[str]:
    """Return the workers that have answered the pinger; it prints one a line."""
    try:
        return (site.data / "logs" / f"{_PINGER}.log").read_text().splitlines()
    except FileNotFoundError:
        return []


def _pinger(site: Site, nodes: list[str]) -> Command:
    return Command((str(PROGRAMS / "python"), "-m", "devstack.pinger", *nodes), settings(site, _PINGER))


def _manage(site: Site, *arguments: str, stdin: bytes = b"") -> Command:
    private(site.data / "tmp")
    return Command(
        (str(PROGRAMS / "python"), str(ROOT / "manage.py"), *arguments), settings(site, OPERATOR), stdin=stdin
    )


def _ensure(site: Site) -> Command:
    return _manage(site, "identity", "ensure", stdin=json.dumps(accounts(site)).encode())
