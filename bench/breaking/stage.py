"""The stack that is broken: its own folder and ports, everything behind gates, temporary folders that can be filled."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.breaking import proxy, spool
from bench.breaking.faults import Breaker
from bench.breaking.plan import SERVERS
from devstack import jsonfile, launch
from devstack.launch import Running
from devstack.places import ROOT

WINDOW_SECONDS, GRACE_SECONDS = 25, 2
"""Short, so that what nobody sends has expired soon after the last fault."""

GENEROUS = {"OPEN_UPLOADS_PER_OWNER": "100000", "BYTES_PER_DAY_PER_OWNER": str(2**40)}


@dataclass(frozen=True)
class Stage:
    """A running stack and the means to break it."""

    running: Running
    breaker: Breaker
    data: Path


@contextmanager
def set_up(tell: Callable[[str], None], settings: Mapping[str, str] | None = None) -> Iterator[Stage]:
    """Start a stack of one's own for the length of a `with`; the folder goes with it, unless something is raised."""
    folder = Path(tempfile.mkdtemp(prefix="strongroom-chaos-"))
    data, spooled = folder / "stack", folder / "stack" / "spool"
    fills = spool.namespaces(spooled)
    procfile = _procfile(folder, fills=fills)
    with proxy.running() as between:
        gates = {name: _gate(between, folder, name) for name in SERVERS}
        theirs = {
            "UPLOAD_WINDOW_SECONDS": str(WINDOW_SECONDS),
            "EXPIRE_GRACE_SECONDS": str(GRACE_SECONDS),
            "CLAMD_ADDRESS": f"unix://{folder / 'clamd.sock'}",
            "TMPDIR": str(spooled),
            **GENEROUS,
            **(settings or {}),
        }
        via = {name: gate.port for name, gate in gates.items() if gate.port}
        with launch.running(data, settings=theirs, procfile=procfile, via=via, progress=_telling(tell)) as stack:
            yield Stage(stack, Breaker(data, gates, spooled, fills, stack.details["broker_url"], tell), data)


def part_names() -> list[str]:
    """Return the names of our own parts, as the Procfile has them."""
    return [line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines() if line[:1].isalpha()]


def _procfile(folder: Path, *, fills: bool) -> Path:
    path = folder / "Procfile"
    text = (ROOT / "Procfile").read_text()
    path.write_text(spool.confined(text) if fills else text)
    return path


def _gate(between: proxy.Proxy, folder: Path, name: str) -> proxy.Gate:
    data = folder / "stack"
    if name == "clamd":
        return between.gate(lambda: data / "sockets" / "clamd.sock", at=folder / "clamd.sock")
    return between.gate(lambda: int(jsonfile.read(data / "ports.json")[name]))


def _telling(tell: Callable[[str], None]) -> launch.Progress:
    """Tell of the stack what is worth a line: what fails, and how files are scanned."""

    def progress(name: str, state: str, detail: str) -> None:
        with contextlib.suppress(IndexError):
            if state == "failed" or (name, state) in {("clamav", "ready"), ("stack", "ready")}:
                tell(f"{name}: {state} {detail.splitlines()[0] if detail else ''}".rstrip())

    return progress
