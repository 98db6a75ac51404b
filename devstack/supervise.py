"""The supervisor's process: `python -m devstack supervise ...`. It is started by `devstack.launch`, not by people.

It tells of its progress in lines of JSON on its output. Its input is a lifeline: when the other end closes without a
word, whoever started it is gone and everything is stopped; the byte "d" before that lets it go on alone.
"""

import argparse
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devstack import clamav, holding, jsonfile, keys, places, postgres, procfile, seaweed, valkey
from devstack.environment import OPERATOR, Site, describe, settings
from devstack.parts import Part
from devstack.ports import Ports, PortTaken
from devstack.processes import adopt_orphans, birth, end_leftovers, end_orphans
from devstack.supervisor import PartFailed, Supervisor

_PAUSE = 0.03
_LIFELINE = 0


class _Taken(Exception):
    """Another supervisor has this folder."""


class _Signals:
    """Counts the signals that ask us to end: one is a wish, two are an order."""

    def __init__(self) -> None:
        self.seen = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._count)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # `launch` starts us with them blocked

    def _count(self, *_: object) -> None:
        self.seen += 1

    def urgent(self) -> bool:
        return self.seen > 1


def main(options: argparse.Namespace) -> int:
    """Run a stack until told to end. Returns 0 if it was complete or told to end, 1 if it could not start."""
    signals = _Signals()
    os.umask(0o077)
    adopt_orphans()
    os.set_blocking(1, False)  # whoever started us may stop listening; that must not stop us
    data: Path = options.data
    try:
        with _owned(data):
            return _supervise(options, signals)
    except _Taken as taken:
        say("stack", "busy", str(taken))
    except (PartFailed, PortTaken) as reason:
        say(getattr(reason, "name", "stack"), "failed", str(reason))
    return 1


def say(name: str, state: str, detail: str) -> None:
    """Tell whoever started us, as long as there is somebody; a copy goes to the log."""
    line = json.dumps({"name": name, "state": state, "detail": detail})
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)
    try:
        os.write(1, line.encode() + b"\n")
    except BlockingIOError:
        return
    except OSError:  # a pipe that nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _supervise(options: argparse.Namespace, signals: _Signals) -> int:
    data: Path = options.data
    with _site(data, dict(options.set), dict(options.via)) as site:
        parts = _parts(site, options)
        supervisor = Supervisor(parts, data=data, cwd=places.ROOT, say=say)
        try:
            _watch(supervisor, signals, site, processes=options.procfile is not None)
        finally:
            (data / "stack.json").unlink(missing_ok=True)
            supervisor.stop(signals.urgent)
            end_orphans()  # here, because only this process has no children but the stack's
    return 0


def _parts(site: Site, options: argparse.Namespace) -> list[Part]:
    servers = [
        *postgres.parts(site.data, site.ports["postgres"], site.secrets),
        *valkey.parts(site.data, site.ports["valkey"], site.secrets),
        *seaweed.parts(site.data, site.ports, site.sockets, site.secrets),
        *clamav.parts(site.data, site.sockets, official=options.procfile is not None),
    ]
    return servers if options.procfile is None else [*servers, *procfile.parts(site, options.procfile)]


def _watch(supervisor: Supervisor, signals: _Signals, site: Site, *, processes: bool) -> None:
    told = False
    lifeline = True
    while not signals.seen:
        changed = supervisor.step()
        if supervisor.complete and (changed or not told):
            jsonfile.write(site.data / "environment.json", settings(site, OPERATOR))
            jsonfile.write(site.data / "stack.json", describe(site, supervisor.pids(), processes=processes))
        if supervisor.complete and not told:
            told = True
            say("stack", "ready", "")
        if lifeline and select.select([_LIFELINE], [], [], _PAUSE)[0]:
            lifeline = False
            if os.read(_LIFELINE, 1) != b"d":
                return
        elif not lifeline:
            time.sleep(_PAUSE)


@contextmanager
def _owned(data: Path) -> Iterator[None]:
    """Have `data` to ourselves, cleaned of what a supervisor that was killed left behind. Raises _Taken."""
    places.private(data)
    with places.owned(data) as ours:
        if not ours:
            raise _Taken(f"a stack is already running in {data}")
        jsonfile.write(data / "supervisor.json", {"pid": os.getpid(), "birth": birth(os.getpid())})
        (data / "stack.json").unlink(missing_ok=True)
        holding.forget(data)
        for name in end_leftovers(data / "processes.json"):
            say(name, "note", "left over from a supervisor that was killed; ended now")
        try:
            yield
        finally:
            (data / "supervisor.json").unlink(missing_ok=True)


@contextmanager
def _site(data: Path, overrides: Mapping[str, str], via: Mapping[str, int]) -> Iterator[Site]:
    _new_logs(places.private(data / "logs"))
    places.private(data / "mails")
    ports = Ports(data / "ports.json", os.environ)
    sockets = places.make_sockets_dir(data)
    try:
        yield Site(data, sockets, ports, keys.load(data), overrides, via)
    finally:
        places.remove_sockets_dir(data)
        ports.close()


def _new_logs(folder: Path) -> None:
    """Set the logs of the last run aside. Our own, which is open, stays."""
    for log in folder.glob("*.log"):
        if log.name != "supervisor.log":
            log.replace(log.with_suffix(".log.1"))
