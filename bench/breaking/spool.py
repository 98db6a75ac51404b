"""A temporary folder that can be filled.

Each process that spools gets a file system of its own over TMPDIR, of a few MiB, in a user and mount namespace: that
needs no right, and it is a full disk in earnest (ENOSPC). It is filled from outside, through /proc. Where namespaces
are forbidden the folder is moved away instead for as long: another fault of the same file system, and the report says
so.
"""

import contextlib
import errno
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.breaking.plan import SPOOLING

MIB = 1024 * 1024
SIZE = 16 * MIB
_ALONE = ("unshare", "--user", "--map-root-user", "--mount", "--")
_MOUNT = f'mount -t tmpfs -o size={SIZE},mode=700 spool "$TMPDIR"'


def namespaces(folder: Path) -> bool:
    """Whether a process may have a file system of its own here."""
    if shutil.which("unshare") is None:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    argv = [*_ALONE, "sh", "-c", _MOUNT]
    return subprocess.run(argv, env={"TMPDIR": str(folder)}, capture_output=True, check=False).returncode == 0  # noqa: S603


def confined(procfile: str) -> str:
    """Return the text of a Procfile in which those that spool have a small file system over TMPDIR."""
    return "".join(_confined(line) for line in procfile.splitlines(keepends=True))


def _confined(line: str) -> str:
    found = re.match(rf"({'|'.join(SPOOLING)}): (.*)\n?$", line)
    if found is None or "'" in line:
        return line
    return f"{found[1]}: {' '.join(_ALONE)} sh -c '{_MOUNT} && exec {found[2]}'\n"


def fill(folder: Path, pids: Iterable[int]) -> list[Path]:
    """Fill the folder as each of these processes sees it; return what must be removed again."""
    return [path for pid in pids if (path := _filled(Path(f"/proc/{pid}/root{folder}")))]


def _filled(folder: Path) -> Path | None:
    path = folder / "full"
    try:
        with path.open("wb", buffering=0) as file:
            while file.write(bytes(MIB)):
                pass
    except OSError as fault:
        return path if fault.errno == errno.ENOSPC else None  # else: the process has gone meanwhile
    return path


def empty(filled: Iterable[Path]) -> None:
    """Make room again."""
    for path in filled:
        with contextlib.suppress(OSError):
            path.unlink()
