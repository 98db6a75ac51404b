"""The processes of a running stack, and the ways to harm them. Only what the stack's supervisor started is touched."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from devstack import holding, jsonfile, launch

APPEARS_SECONDS = 6.0


class NotThere(Exception):
    """There is nothing to break just now: it is being started again."""


def names(data: Path) -> list[str]:
    """Return the parts that run in a stack."""
    return list(jsonfile.read(data / "stack.json").get("pids", {}))


def find(data: Path, name: str) -> psutil.Process:
    """Return a part's own process. Raises NotThere if it does not run within a few seconds."""
    limit = time.monotonic() + APPEARS_SECONDS
    while time.monotonic() < limit:
        with contextlib.suppress(psutil.NoSuchProcess, KeyError):
            process = psutil.Process(jsonfile.read(data / "stack.json")["pids"][name])
            if process.ppid() == launch.supervisor_pid(data) and process.status() != psutil.STATUS_ZOMBIE:
                return process
        time.sleep(0.1)
    raise NotThere(name)


def child(data: Path, name: str, index: int) -> psutil.Process:
    """Return one of a part's children, grandchildren too. Raises NotThere."""
    try:
        family = sorted(find(data, name).children(recursive=True), key=lambda process: process.pid)
    except psutil.NoSuchProcess as gone:
        raise NotThere(name) from gone
    if not family:
        raise NotThere(f"{name} has no child")
    return family[index % len(family)]


def tree(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and all below it. Raises NotThere."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess as gone:
        raise NotThere(str(process.pid)) from gone


@contextmanager
def down(data: Path, name: str, *, with_children: bool, by: signal.Signals = signal.SIGKILL) -> Iterator[None]:
    """End a part for the block, at once, and have it started again after.

    It is stopped first: the supervisor asks a part politely that is to stay down, and this is to be a crash.
    """
    doomed = tree(find(data, name)) if with_children else [find(data, name)]
    with contextlib.suppress(psutil.NoSuchProcess):
        doomed[0].suspend()
    holding.keep_down(data, name)
    try:
        for process in doomed:
            send(process, by)
        if by is not signal.SIGKILL:
            send(doomed[0], signal.SIGCONT)
        _ended(doomed)
        yield
    finally:
        holding.let_up(data, name)


@contextmanager
def frozen(processes: list[psutil.Process]) -> Iterator[None]:
    """Stop these for the block; in the end let all go on that still live."""
    for process in processes:
        send(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(processes):
            send(process, signal.SIGCONT)


def lives(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and was not fetched yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal, unless the process has gone; psutil looks whether its number has become somebody else's."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _ended(doomed: list[psutil.Process]) -> None:
    """Wait until they have ended; whose parent has not fetched them yet has ended, too."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit and any(lives(process) for process in doomed):
        time.sleep(0.02)


def belongs(process: psutil.Process, data: Path) -> bool:
    """Whether a process is marked as one of the stack in `data`: environment, command line, or where it stands."""
    if process.pid == os.getpid():
        return False
    mark = str(data)
    with contextlib.suppress(psutil.Error):
        if any(mark in word for word in process.cmdline()):
            return True
    with contextlib.suppress(psutil.Error):
        if process.environ().get("STRONGROOM_STACK", "").startswith(mark):
            return True
    with contextlib.suppress(psutil.Error):
        return process.cwd().startswith(mark)
    return False
