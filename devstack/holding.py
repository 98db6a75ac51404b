"""Stop one part of a running stack and keep it stopped: to see, and to test, what the rest does without it.

A file of the part's name in the folder's `held/` is the wish; the supervisor follows it.
"""

import shutil
import sys
import time
from pathlib import Path

from devstack import jsonfile
from devstack.places import private

_SECONDS = 30.0


def held(data: Path, name: str) -> bool:
    """Whether the part is to stand still."""
    return (data / "held" / name).exists()


def hold(data: Path, name: str) -> None:
    """Stop a part of the stack in `data`; return when it has stopped. Raises TimeoutError, KeyError (no such part)."""
    if name not in _running(data) and not held(data, name):
        raise KeyError(name)
    keep_down(data, name)
    _until(data, name, runs=False)


def keep_down(data: Path, name: str) -> None:
    """Wish that a part stand still, without waiting: a part that is killed next is not started again."""
    (private(data / "held") / name).touch()


def let_up(data: Path, name: str) -> None:
    """Take the wish back, without waiting."""
    (data / "held" / name).unlink(missing_ok=True)


def resume(data: Path, name: str) -> None:
    """Let it run again; return when it has been started (it may not serve yet). Raises TimeoutError."""
    let_up(data, name)
    _until(data, name, runs=True)


def forget(data: Path) -> None:
    """Forget all wishes."""
    shutil.rmtree(data / "held", ignore_errors=True)


def main(command: str, data: Path, name: str) -> int:
    """`bin/stack hold|resume NAME`; return the exit code."""
    try:
        (hold if command == "hold" else resume)(data, name)
    except KeyError:
        print(f"no part is called {name}; these run: {', '.join(_running(data)) or 'none'}", file=sys.stderr)
        return 1
    except TimeoutError as slow:
        print(slow, file=sys.stderr)
        return 1
    return 0


def _running(data: Path) -> dict[str, int]:
    pids: dict[str, int] = jsonfile.read(data / "stack.json").get("pids", {})
    return pids


def _until(data: Path, name: str, *, runs: bool) -> None:
    limit = time.monotonic() + _SECONDS
    while (name in _running(data)) is not runs:
        if time.monotonic() > limit:
            raise TimeoutError(f"{name} has not {'started' if runs else 'stopped'} after {_SECONDS:.0f} s")
        time.sleep(0.05)
