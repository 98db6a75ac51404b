"""`up`, `down` and `status`: a stack in the background."""

import sys
import time
from pathlib import Path

from devstack import jsonfile, launch
from devstack.launch import AlreadyRunning, StackFailed

_WAIT_SECONDS = 300


def up(data: Path, *, fresh: bool, procfile: Path) -> int:
    """Start the stack in `data` and return 0 when all is ready; 1, with nothing left running, if that fails."""
    if not fresh and launch.supervisor_pid(data) is not None:
        return _already_up(data)
    started = time.monotonic()
    try:
        with launch.interruptible():
            _start(data, fresh=fresh, procfile=procfile)
    except AlreadyRunning:  # another `up` was a moment faster
        return _already_up(data)
    except StackFailed as reason:
        print(f"the stack could not start: {reason}", file=sys.stderr)
        return 1
    print(f"ready after {time.monotonic() - started:.1f} s\n{_addresses(data)}")
    return 0


def _start(data: Path, *, fresh: bool, procfile: Path) -> None:
    stack = launch.begin(data, fresh=fresh, settings={}, progress=_tell, procfile=procfile)
    try:
        while not stack.poll(1):
            pass
        stack.let_go()
    except BaseException:
        stack.stop()
        raise


def down(data: Path) -> int:
    """Stop the stack in `data`, if there is one."""
    print("stopped" if launch.end(data) else "no stack is running", f"({data})")
    return 0


def status(data: Path) -> int:
    """Print what runs in `data`; returns 0 if a stack is up, 3 if none is (as service managers do)."""
    stack = jsonfile.read(data / "stack.json")
    pid = launch.supervisor_pid(data)
    if pid is None or not stack:
        print(f"no stack is {'running' if pid is None else 'ready'} ({data})")
        return 3
    print(f"supervisor {pid}")
    for name, running in stack["pids"].items():
        print(f"  {name:<12} {running}")
    print(_addresses(data))
    return 0


def _already_up(data: Path) -> int:
    """Wait for a stack that another command has begun to start."""
    limit = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < limit:
        if jsonfile.read(data / "stack.json"):
            print(f"already up\n{_addresses(data)}")
            return 0
        time.sleep(0.2)
        if launch.supervisor_pid(data) is None:
            break
    print("another command was starting this stack and did not succeed", file=sys.stderr)
    return 1


def _tell(name: str, state: str, detail: str) -> None:
    if state in {"ready", "note", "restarting", "failed"}:
        print(f"{name:<12} {state:<10} {detail if state != 'failed' else ''}".rstrip(), file=sys.stderr)


def _addresses(data: Path) -> str:
    stack = jsonfile.read(data / "stack.json")
    lines = [
        f"  {name:<12} {stack[name]}"
        for name in ("console", "api", "admin", "flower", "s3_endpoint", "metrics", "mails", "engine", "signatures")
    ]
    people = f"{', '.join(stack['accounts'])} (how to sign in: {data / 'stack.json'})"
    return "\n".join([*lines, f"  {'accounts':<12} {people}"])
