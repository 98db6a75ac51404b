"""`python -m devstack run -- CMD`: CMD with real servers behind it and the environment of our processes."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from devstack.launch import StackFailed, running


def main(command: Sequence[str], data: Path | None) -> int:
    """Start the servers in `data` (None: a temporary folder), run `command`, stop all; return its exit code."""
    temporary = tempfile.TemporaryDirectory(prefix="strongroom-run-", ignore_cleanup_errors=True)
    with nullcontext(str(data)) if data else temporary as folder:
        try:
            with running(Path(folder), processes=False, progress=_tell) as stack:
                return _foreground(command, stack.env)
        except StackFailed as reason:
            print(f"the servers could not start: {reason}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130


def _tell(name: str, state: str, detail: str) -> None:
    if name == "clamav" and state == "ready":
        print(f"clamav: {detail}", file=sys.stderr)


def _foreground(command: Sequence[str], env: dict[str, str]) -> int:
    """Run `command`. A Ctrl-C in the terminal reaches it as well as us: it gets the time to end by itself."""
    with subprocess.Popen(command, env=env) as child:
        try:
            return child.wait()
        except BaseException:
            child.terminate()
            try:
                child.wait(10)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                child.kill()
            raise
