"""`bin/manage`: manage.py with the environment of the running stack (`.stack`, or STACK_DIR)."""

import os
import sys
from collections.abc import Sequence

from devstack import jsonfile, launch, places


def main(words: Sequence[str]) -> int:
    """Become manage.py with `words`. Returns only if no stack is up: 1."""
    data = places.stack_dir()
    env = jsonfile.read(data / "environment.json")
    if not env or launch.supervisor_pid(data) is None:
        print(f"no stack is up in {data}; start one with: bin/stack up", file=sys.stderr)
        return 1
    # What the terminal knows (TERM, EDITOR, the arguments of a test) beats what the supervisor inherited, its
    # settings do not.
    argv = [sys.executable, str(places.ROOT / "manage.py"), *words]
    os.execve(sys.executable, argv, {**os.environ, **env})  # noqa: S606 (no shell is wanted)
