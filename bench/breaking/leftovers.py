"""Processes that should have ended: orphans of what was killed, and what outlives the stack."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.breaking import parts
from devstack import jsonfile, launch

LOOK_EVERY_SECONDS = 1.0
GRACE_SECONDS = 5.0


class Watch:
    """Everybody who was ever seen below the supervisor."""

    def __init__(self, data: Path) -> None:
        """Watch the stack in `data`."""
        self._data = data
        self._seen: dict[tuple[int, float], psutil.Process] = {}

    def look(self) -> None:
        """Note who is there now."""
        with contextlib.suppress(psutil.NoSuchProcess, TypeError):
            for process in psutil.Process(launch.supervisor_pid(self._data)).children(recursive=True):
                self._seen.setdefault((process.pid, process.create_time()), process)

    def orphans(self) -> list[str]:
        """Return who is the supervisor's child without being a part of the stack: left by something that was killed."""
        return _until_none(self._orphans)

    def survivors(self) -> list[str]:
        """Return who still runs of all that were seen, and who carries a mark of the stack. Ask when it has ended."""
        return _until_none(self._survivors)

    def _orphans(self) -> list[psutil.Process]:
        supervisor = launch.supervisor_pid(self._data)
        known = set(jsonfile.read(self._data / "stack.json").get("pids", {}).values())
        children = psutil.Process(supervisor).children() if supervisor else []
        return [process for process in children if process.pid not in known and parts.lives(process)]

    def _survivors(self) -> list[psutil.Process]:
        marked = [process for process in psutil.process_iter() if parts.belongs(process, self._data)]
        return [process for process in {*self._seen.values(), *marked} if parts.lives(process)]


@contextmanager
def watching(data: Path) -> Iterator[Watch]:
    """Look again and again for the length of a block."""
    watch, stop = Watch(data), threading.Event()

    def go_on() -> None:
        while not stop.wait(LOOK_EVERY_SECONDS):
            watch.look()

    thread = threading.Thread(target=go_on, name="watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()


def _until_none(look: Callable[[], list[psutil.Process]]) -> list[str]:
    """Look until nobody is found, for a few seconds: whoever is just ending is no orphan."""
    limit = time.monotonic() + GRACE_SECONDS
    while (found := look()) and time.monotonic() < limit:
        time.sleep(0.2)
    return [_told(process) for process in found]


def _told(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())[:100] or process.name()}"
    return str(process.pid)
