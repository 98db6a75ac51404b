"""Start a stack, watch it, and end it: what `up`, `run` and the demo share.

The supervisor is a process of its own, so this process may do whatever it likes meanwhile, and may even be killed: the
supervisor holds the other end of a pipe, notices, and stops everything in order.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

from devstack import jsonfile, places, processes

Progress = Callable[[str, str, str], None]
"""Told of each step: a part's name; starting, ready, failed, restarting, stopping, stopped or note; a line."""

_STOP_SECONDS = 20.0


class StackFailed(Exception):
    """The stack could not start, or its supervisor has ended. The message is for a person; nothing is left running."""


class AlreadyRunning(StackFailed):
    """Another supervisor has this folder."""


class Running:
    """A supervisor that we started, and the stack it runs."""

    def __init__(self, supervisor: "subprocess.Popen[bytes]", data: Path, progress: Progress) -> None:
        """Watch `supervisor`, which runs the stack in `data` and was started with pipes for input and output."""
        if supervisor.stdin is None or supervisor.stdout is None:
            raise ValueError("a supervisor without pipes cannot be watched")
        self._supervisor, self._data, self._progress = supervisor, data, progress
        self._lifeline, self._news = supervisor.stdin, supervisor.stdout
        self._rest = b""
        self.details: dict[str, Any] = {}
        self.env: dict[str, str] = {}

    @property
    def path(self) -> Path:
        """The stack's stack.json."""
        return self._data / "stack.json"

    def poll(self, seconds: float = 0) -> bool:
        """Pass news on to `progress`, waiting up to `seconds` for some. Returns whether the stack has become ready.

        Raises StackFailed once the supervisor has ended.
        """
        for event in self._events(seconds):
            self._progress(event["name"], event["state"], event["detail"])
            if event["state"] in {"failed", "busy"}:
                self._supervisor.wait()
                raise (StackFailed if event["state"] == "failed" else AlreadyRunning)(event["detail"])
            if event["name"] == "stack" and event["state"] == "ready":
                self.details, self.env = jsonfile.read(self.path), jsonfile.read(self._data / "environment.json")
        return bool(self.details)

    def let_go(self) -> None:
        """Let the supervisor go on when we end."""
        self._lifeline.write(b"d")
        self._lifeline.close()

    def stop(self) -> None:
        """End the stack and wait for that. A Ctrl-C meanwhile ends it at once."""
        with _handling(lambda *_: self._supervisor.send_signal(signal.SIGTERM)):
            self._supervisor.send_signal(signal.SIGTERM)
            limit = time.monotonic() + _STOP_SECONDS
            while self._supervisor.poll() is None and time.monotonic() < limit:
                with contextlib.suppress(StackFailed):
                    for event in self._events(0.1):
                        self._progress(event["name"], event["state"], event["detail"])
            if self._supervisor.poll() is None:
                self._supervisor.kill()
                self._supervisor.wait()
        if self._supervisor.returncode < 0:  # it was killed, and could not do this itself
            _clean(self._data)
        self._lifeline.close()
        self._news.close()

    def _events(self, seconds: float) -> Iterator[dict[str, str]]:
        """Return the news that have come. Raises StackFailed at the end of the supervisor's output."""
        descriptor = self._news.fileno()
        if not select.select([descriptor], [], [], seconds)[0]:
            return
        more = os.read(descriptor, 65536)
        if not more:
            self._supervisor.wait()
            log = processes.last_lines(self._data / "logs" / "supervisor.log")
            raise StackFailed(f"the supervisor has ended\n{log}")
        *lines, self._rest = (self._rest + more).split(b"\n")
        yield from map(json.loads, lines)


def _silent(name: str, state: str, detail: str) -> None:
    """Tell nobody."""


@contextmanager
def running(
    data: Path,
    *,
    fresh: bool = False,
    settings: Mapping[str, str] | None = None,
    progress: Progress = _silent,
    processes: bool = True,
    procfile: Path = places.ROOT / "Procfile",
    via: Mapping[str, int] | None = None,
) -> Iterator[Running]:
    """Run a stack in `data` for the length of a `with`, which is entered when all is ready and left when all has ended.

    `fresh` forgets the data first; `settings` override our processes' environment; without `processes` the servers
    run alone; `via` are ports by which our processes reach a server that somebody stands before. SIGTERM and Ctrl-C
    end it in order. Raises StackFailed if it cannot start (AlreadyRunning if another does). For the main thread only.
    """
    with interruptible():
        stack = begin(
            data, fresh=fresh, settings=settings or {}, progress=progress,
            procfile=procfile if processes else None, via=via or {},
        )  # fmt: skip
        try:
            while not stack.poll(1):
                pass
            yield stack
        finally:
            stack.stop()


def begin(
    data: Path,
    *,
    fresh: bool,
    settings: Mapping[str, str],
    progress: Progress,
    procfile: Path | None,
    via: Mapping[str, int] = MappingProxyType({}),
) -> Running:
    """Start a supervisor for `data` and return at once. `procfile` None: the servers alone."""
    if fresh:
        end(data)
        places.forget(data)
    argv = [sys.executable, "-m", "devstack", "supervise", "--data", str(data.absolute())]
    argv += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    argv += [word for name, port in via.items() for word in ("--via", f"{name}={port}")]
    argv += [] if procfile is None else ["--procfile", str(procfile.absolute())]
    places.private(data)
    log = places.private(data / "logs") / "supervisor.log"
    # A signal between the start and our knowing of it would leave the supervisor to the lifeline alone.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with log.open("ab") as errors:
            supervisor = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
                cwd=places.ROOT, env={**os.environ, "PYTHONPATH": str(places.ROOT)},
            )  # fmt: skip
        return Running(supervisor, data.absolute(), progress)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def supervisor_pid(data: Path) -> int | None:
    """Return the pid of the supervisor that runs in `data`, or None."""
    noted = jsonfile.read(data / "supervisor.json")
    pid = noted.get("pid")
    return pid if isinstance(pid, int) and noted.get("birth") == processes.birth(pid) else None


def end(data: Path) -> bool:
    """End whatever stack runs in `data`, and what one that was killed left behind. Returns whether there was any."""
    pid = supervisor_pid(data)
    if pid is not None:
        _end_supervisor(pid)
    return _clean(data) or pid is not None


def _clean(data: Path) -> bool:
    """End and remove what a killed supervisor has left, unless another has taken over. Returns whether anything ran."""
    if not data.exists():
        return False
    with places.owned(data, patience=0) as ours:
        if not ours:
            return False
        left = processes.end_leftovers(data / "processes.json")
        for name in ("stack.json", "supervisor.json"):
            (data / name).unlink(missing_ok=True)
        places.remove_sockets_dir(data)
        return bool(left)


def _end_supervisor(pid: int) -> None:
    """Ask it to end and wait until the process is gone, because it holds the folder's lock to its last moment."""
    born = processes.birth(pid)
    limit = time.monotonic() + _STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while processes.birth(pid) == born:
            time.sleep(0.05)
            if time.monotonic() > limit:
                os.kill(pid, signal.SIGKILL)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM raise, whatever the shell that started us has set (one with `&` ignores SIGINT)."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a stack is run from the main thread")
    with _handling(_interrupt):
        yield


def _interrupt(number: int, _: FrameType | None) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Answer SIGINT and SIGTERM by `handler` for the length of a `with`."""
    earlier = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, was in earlier.items():
            signal.signal(number, was)
