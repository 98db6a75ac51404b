"""Where things stand: the clone, its programs, and the files under a stack's folder.

A stack's folder (DIR, `.stack` unless said) holds everything that one stack writes. Nothing outside it is written,
save a short private folder for unix sockets, whose paths may not be longer than 107 bytes.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
"""The clone."""

PROGRAMS = Path(sys.executable).parent
"""Where pip puts programs: `.venv/bin`."""

CLAMAV = ROOT / ".stack" / "clamav"
"""ClamAV's unpacked packages and signatures, shared by every stack of this clone."""

OWN = (
    "environment.json", "identities.json", "logs", "mails", "ports.json", "postgres", "postgres.new", "processes.json",
    "s3", "scanner", "secrets.json", "stack.json", "state", "static", "tmp", "valkey",
)  # fmt: skip
"""What a stack writes under DIR, and so what `--fresh` may delete there. The folder itself may be anyone's."""

_SHORT = 60
_SOCKETS = "strongroom-"


def stack_dir() -> Path:
    """Return the folder of the stack that commands mean when none is named: STACK_DIR, else `.stack` in the clone."""
    return Path(os.environ.get("STACK_DIR") or ROOT / ".stack").absolute()


def forget(data: Path) -> None:
    """Delete what a stack has written under `data`, and nothing else that may lie there."""
    for name in OWN:
        path = data / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def private(path: Path) -> Path:
    """Make the folder `path` (and its parents), readable by its owner alone, and return it."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


@contextmanager
def owned(data: Path, *, patience: float = 1.0) -> Iterator[bool]:
    """Have `data` to ourselves for the length of a `with`; yields False if another has it for `patience` seconds.

    The kernel gives the lock back when its owner dies. Without it nobody may touch what runs in `data`.
    """
    limit = time.monotonic() + patience
    with (data / "lock").open("a") as lock:
        while not (ours := _lock(lock)) and time.monotonic() < limit:
            time.sleep(0.05)
        yield ours


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make_sockets_dir(data: Path) -> Path:
    """Make a short private folder for unix sockets; `data/sockets` is a link to it.

    A folder that an earlier supervisor left behind (it was killed) is removed first.
    """
    remove_sockets_dir(data)
    parent = tempfile.gettempdir()
    made = Path(tempfile.mkdtemp(prefix=_SOCKETS, dir=parent if len(parent) < _SHORT else "/tmp"))  # noqa: S108 (mkdtemp is 0700 and ours)
    (data / "sockets").symlink_to(made)
    return made


def remove_sockets_dir(data: Path) -> None:
    """Remove the folder that `data/sockets` points to, if it is one of ours, and the link."""
    link = data / "sockets"
    if not link.is_symlink():
        return
    target = link.readlink()
    if target.name.startswith(_SOCKETS) and target.is_dir() and target.stat().st_uid == os.getuid():
        shutil.rmtree(target, ignore_errors=True)
    link.unlink(missing_ok=True)
