"""Starting and ending other programs so that none outlives its supervisor.

Each program leads a session of its own, so that a Ctrl-C in the terminal reaches the supervisor alone and a signal to
the group reaches the program's children. On Linux the kernel sends the program its stop signal when the supervisor
dies (PR_SET_PDEATHSIG). That is tied to the *thread* that started it, so everything is started from the main thread.
Elsewhere, and for whatever slips through, the next start ends what a note of pid and birth still recognises.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from devstack import jsonfile

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


@dataclass
class Process:
    """A program that we started. `stop_signal` is how it likes to be told to end."""

    name: str
    popen: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    log: Path
    _ended: bool = False

    @property
    def pid(self) -> int:
        """Its process id, which is also the id of its group and session."""
        return self.popen.pid

    def exit_code(self) -> int | None:
        """Return its exit code, or None while it runs. What it leaves in its group is ended with it."""
        code = self.popen.poll()
        if code is not None and not self._ended:  # once: later on its number may be somebody else's
            self._ended = True
            _signal_group(self.pid, signal.SIGKILL)
        return code

    def stop(self) -> None:
        """Ask it to end."""
        if self.popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.popen.send_signal(self.stop_signal)

    def kill(self) -> None:
        """End it and its children at once."""
        if not self._ended:
            self._ended = True
            _signal_group(self.pid, signal.SIGKILL)
            self.popen.wait()


def spawn(
    name: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    stop_signal: signal.Signals = signal.SIGTERM,
    stdin: IO[bytes] | None = None,
    user: int | None = None,
) -> Process:
    """Start `argv` with its output appended to `log`. `user` is the uid to become (only root may say one)."""
    with log.open("ab") as output:
        popen = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=stdin or subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid(), stop_signal),
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
    return Process(name, popen, stop_signal, log)


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent dies (Linux), so that `reap_orphans` can find them."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans() -> None:
    """Kill and collect every child we have left, adopted ones too. Call it when all known processes have ended."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with contextlib.suppress(OSError):
        for pid in children.read_text().split():
            _signal(int(pid), signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def end_all(processes: Iterable[Process], *, grace: float, hurry: Callable[[], bool]) -> None:
    """Ask all to end, wait up to `grace` seconds (less if `hurry()` turns true), then kill what is left."""
    waiting = list(processes)
    for process in waiting:
        process.stop()
    limit = time.monotonic() + grace
    while waiting and time.monotonic() < limit and not hurry():
        waiting = [process for process in waiting if process.exit_code() is None]
        time.sleep(0.02)
    for process in waiting:
        process.kill()


def birth(pid: int) -> str | None:
    """Return a mark that tells this process from any other that has had its pid; None if it is gone or a zombie."""
    if sys.platform != "linux":
        return _ps(pid, "lstart") or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None if state in "ZX" else f"{boot}/{rest[18]}"


def program(pid: int) -> str:
    """Return the name of the program that runs as `pid`; empty if none does."""
    if sys.platform != "linux":
        return Path(_ps(pid, "comm")).name
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def note(path: Path, running: Iterable[Process]) -> None:
    """Write down who runs, for `end_leftovers`."""
    jsonfile.write(path, {p.name: {"pid": p.pid, "birth": birth(p.pid), "signal": int(p.stop_signal)} for p in running})


def end_leftovers(path: Path, *, grace: float = 5.0) -> list[str]:
    """End what an earlier supervisor noted in `path` and could not stop; return the names.

    A pid whose birth is not the noted one belongs to somebody else and is left alone.
    """
    noted = [(name, entry) for name, entry in jsonfile.read(path).items() if _lives(entry)]
    for _, entry in noted:
        _signal(entry["pid"], signal.Signals(entry["signal"]))
    limit = time.monotonic() + grace
    while time.monotonic() < limit and any(_lives(entry) for _, entry in noted):
        time.sleep(0.05)
    for _, entry in noted:
        if _lives(entry):
            _signal_group(entry["pid"], signal.SIGKILL)
    path.unlink(missing_ok=True)
    return [name for name, _ in noted]


def last_lines(log: Path, count: int = 15) -> str:
    """Return the end of a log, for a person to read."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
    return ""


def _ps(pid: int, field: str) -> str:
    return subprocess.run(
        ["ps", "-o", f"{field}=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()


def _lives(entry: Mapping[str, object]) -> bool:
    pid, born = entry.get("pid"), entry.get("birth")
    return isinstance(pid, int) and born is not None and birth(pid) == born


def _die_with(parent: int, stop_signal: signal.Signals) -> Callable[[], None]:
    def in_child() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
            if os.getppid() != parent:  # the supervisor died before we asked
                os._exit(1)

    return in_child


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
