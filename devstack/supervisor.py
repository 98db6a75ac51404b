"""Start parts in the order of their needs, keep them running, end them in order.

One thread does everything, in small steps: `step` never waits, so that a signal is obeyed at any moment. What takes
long (fetching ClamAV, migrating) is a program like any other, and ends like one.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack import holding
from devstack.parts import CannotStart, Part
from devstack.processes import Process, end_all, last_lines, note, spawn

Say = Callable[[str, str, str], None]
"""What is told of the stack's progress: a part's name, its state, a readable line (or nothing)."""

PROBE_SECONDS = 0.1
OWN_GRACE, SERVER_GRACE = 7.0, 6.0
_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY_SECONDS = 0.5, 30.0, 60.0


class PartFailed(Exception):
    """A part did not become ready; the message ends with the last lines of its log."""

    def __init__(self, name: str, words: str) -> None:
        """Keep the part's name beside the words."""
        super().__init__(f"{name}: {words}")
        self.name = name


@dataclass
class _Run:
    """One life of a part's program."""

    process: Process
    since: float
    probe_at: float
    told_to_end: float | None = None


@dataclass
class _Restart:
    """When a part that died is started again, and how long it waits the time after."""

    at: float
    pause: float = _FIRST_PAUSE


class Supervisor:
    """The running stack. Its folder takes a log per part, and the pids for whoever has to clean up after us."""

    def __init__(self, parts: Sequence[Part], *, data: Path, cwd: Path, say: Say) -> None:
        """Take the parts and the stack's folder; nothing is started yet."""
        self._parts = {part.name: part for part in parts}
        self._data, self._cwd, self._say = data, cwd, say
        self._logs, self._noted = data / "logs", data / "processes.json"
        self._runs: dict[str, _Run] = {}
        self._restarts: dict[str, _Restart] = {}
        self._touched: set[str] = set()
        self._ready: set[str] = set()
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether every part has become ready (once; it stays true while one is restarted)."""
        self._complete = self._complete or self._ready >= self._parts.keys()
        return self._complete

    def pids(self) -> Mapping[str, int]:
        """Return the pid of each program that is meant to keep running."""
        return {name: run.process.pid for name, run in self._runs.items() if self._parts[name].ready}

    def step(self) -> bool:
        """Do what is due and return whether the set of running programs has changed.

        Raises PartFailed for a part that ends or is too slow before the stack has been complete.
        """
        before = self.pids()
        for name, run in list(self._runs.items()):
            if self._complete and holding.held(self._data, name):
                _tell_to_end(run)
            self._look_at(self._parts[name], run)
        for part in self._parts.values():
            if self._is_due(part):
                self._start(part)
        return self.pids() != before

    def stop(self, hurry: Callable[[], bool]) -> None:
        """End our own processes, then the servers; at once where `hurry()` says so. Nothing is left running."""
        own = [run.process for name, run in self._runs.items() if not self._parts[name].server]
        servers = [
            self._runs[name].process
            for name in reversed(self._parts)
            if name in self._runs and self._parts[name].server
        ]
        self._say("stack", "stopping", "")
        end_all(own, grace=OWN_GRACE, hurry=hurry)
        end_all(servers, grace=SERVER_GRACE, hurry=hurry)
        self._runs.clear()
        self._noted.unlink(missing_ok=True)
        self._say("stack", "stopped", "")

    def _is_due(self, part: Part) -> bool:
        if part.name in self._runs or not self._ready.issuperset(part.needs):
            return False
        if holding.held(self._data, part.name):
            return False
        restart = self._restarts.get(part.name)
        return part.name not in self._touched or (restart is not None and time.monotonic() >= restart.at)

    def _start(self, part: Part) -> None:
        self._touched.add(part.name)
        try:
            command = part.command()
        except CannotStart as reason:
            raise PartFailed(part.name, str(reason)) from reason
        if command is None:
            self._became_ready(part)
            return
        self._say(part.name, "starting", "")
        with tempfile.TemporaryFile() as stdin:
            stdin.write(command.stdin)
            stdin.seek(0)
            if command.user is not None:  # who opens /dev/stdin anew needs the right to
                os.fchown(stdin.fileno(), command.user, -1)
            process = spawn(
                part.name,
                command.argv,
                env=command.env,
                cwd=self._cwd,
                log=self._logs / f"{part.name}.log",
                stop_signal=command.stop_signal,
                stdin=stdin,
                user=command.user,
            )
        now = time.monotonic()
        self._runs[part.name] = _Run(process, now, now + PROBE_SECONDS)
        note(self._noted, [run.process for run in self._runs.values()])

    def _look_at(self, part: Part, run: _Run) -> None:
        code = run.process.exit_code()
        now = time.monotonic()
        if code is not None:
            self._ended(part, run, code)
        elif part.name not in self._ready and part.ready and now >= run.probe_at:
            run.probe_at = now + PROBE_SECONDS
            if part.ready():
                self._became_ready(part)
        if code is None and part.name not in self._ready and now - run.since > part.seconds and not self.complete:
            raise PartFailed(part.name, f"not ready after {part.seconds:.0f} s\n{last_lines(run.process.log)}")

    def _became_ready(self, part: Part) -> None:
        self._ready.add(part.name)
        self._say(part.name, "ready", last_lines(self._logs / f"{part.name}.log", 1) if part.name == "clamav" else "")

    def _ended(self, part: Part, run: _Run, code: int) -> None:
        del self._runs[part.name]
        if part.ready is None and code == 0:
            self._became_ready(part)
        elif not self.complete:
            raise PartFailed(part.name, f"ended with {code}\n{last_lines(run.process.log)}")
        else:
            self._plan_restart(part, run, code)

    def _plan_restart(self, part: Part, run: _Run, code: int) -> None:
        now = time.monotonic()
        self._ready.discard(part.name)
        if holding.held(self._data, part.name):
            self._restarts[part.name] = _Restart(now)
            self._say(part.name, "held", "stands until it is resumed")
            return
        earlier = self._restarts.get(part.name)
        pause = (
            _FIRST_PAUSE
            if earlier is None or now - run.since > _STEADY_SECONDS
            else min(earlier.pause * 2, _LONGEST_PAUSE)
        )
        self._restarts[part.name] = _Restart(now + pause, pause)
        self._say(part.name, "restarting", f"ended with {code}, starts again in {pause:.1f} s")


def _tell_to_end(run: _Run) -> None:
    """Ask once, and end it when it has had its time."""
    now = time.monotonic()
    if run.told_to_end is None:
        run.told_to_end = now
        run.process.stop()
    elif now - run.told_to_end > SERVER_GRACE:
        run.process.kill()
