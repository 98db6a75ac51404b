"""Whether a container of ours does its work: `python deploy/health.py web|worker NAME|metrics|flower|awake`.

Exits 0 or 1, with a line that says why. It loads neither Django nor our packages: it runs every half minute in
every container. What the whole service says of itself is `/readyz`'s affair.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

SECONDS = 8.0
SEEN = Path("/tmp/awake.json")  # noqa: S108  (a container's /tmp is its own)
SOON = 20.0
"""Two looks nearer than this say nothing about a process that sleeps for some seconds at a time."""


def web() -> str:
    """Return "" if the web process takes uploads, else what it says. Asks as a host that it answers to."""
    host = os.environ["ALLOWED_HOSTS"].split(",")[0].strip().lstrip(".*") or "localhost"
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=SECONDS)
    connection.request("GET", "/readyz", headers={"Host": host})
    answer = connection.getresponse()
    return "" if answer.status == 200 else f"{answer.status} {answer.read(2000).decode()}"


def worker(name: str) -> str:
    """Return "" if the Celery worker `name` of this container answers a ping through the broker."""
    from celery import Celery  # only this check needs them
    from kombu.exceptions import OperationalError

    node = f"{name}@{socket.gethostname()}"
    try:
        answers = Celery(broker=os.environ["BROKER_URL"]).control.ping(destination=[node], timeout=SECONDS / 2)
    except OperationalError as away:
        return f"broker: {away}"
    return "" if answers else f"{node} does not answer"


def metrics() -> str:
    """Return "" if the metrics can be scraped; urlopen raises otherwise."""
    port = os.environ["METRICS_BIND"].rpartition(":")[2]
    urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS).close()
    return ""


def flower() -> str:
    """Return "" if Flower answers on its socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(os.environ["FLOWER_SOCKET"])
        connection.sendall(b"GET /flower/healthcheck HTTP/1.0\r\nHost: localhost\r\n\r\n")
        line = connection.recv(64).split(b"\r\n")[0].decode()
    return "" if " 200 " in line else line


def awake() -> str:
    """Return "" unless the process has slept through since the last look.

    For those that listen nowhere (beat, reconcile, scrub). Each wakes every few seconds, and each wake is one more
    voluntary switch of its main thread; one that hangs makes none.
    """
    switches, now = _switches(_main_process()), time.monotonic()
    before = json.loads(SEEN.read_text()) if SEEN.exists() else None
    if before and now - before["at"] < SOON:
        return ""
    SEEN.write_text(json.dumps({"switches": switches, "at": now}))
    return "asleep since the last look" if before and before["switches"] == switches else ""


def _main_process() -> int:
    """Return the process that the container is for: the child of its init, or process 1 where there is none."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    children = [pid for pid in sorted(found) if _status(pid).get("PPid") == "1"]
    return children[0] if children else 1


def _switches(pid: int) -> int:
    return int(_status(pid)["voluntary_ctxt_switches"])


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # ended meanwhile
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


CHECKS: dict[str, Callable[..., str]] = {check.__name__: check for check in (web, worker, metrics, flower, awake)}


def main(kind: str, *names: str) -> int:
    """Run one check and print what is wrong. Returns the exit code."""
    try:
        wrong = CHECKS[kind](*names)
    except OSError as fault:  # and with it HTTP's and timeouts
        wrong = f"{type(fault).__name__}: {fault}"
    print(wrong or "well")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
