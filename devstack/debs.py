"""Debian packages without root: fetched by apt into a folder of our own and unpacked there. The system is not changed.

apt is told to keep its lists, its cache and its notion of what is installed in that folder; what the machine already
has is not fetched again, so an unpacked program may lean on the system's libraries.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.places import private

_STATUS = Path("/var/lib/dpkg/status")
_SECONDS = 120


def packages(name: str, cache: Path) -> Path | None:
    """Return the folder in which package `name` and what it needs are unpacked; None where that cannot be done.

    Two that ask at once do it once: the second waits for the first.
    """
    root = cache / "packages"
    if root.exists():
        return root
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and _STATUS.exists()):
        return None
    with _alone(private(cache)):
        if not root.exists() and not _fetch(name, cache, root):
            return None
    return root


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Hold the cache's lock; the kernel gives it back if we are killed."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(name: str, cache: Path, root: Path) -> bool:
    work = cache / "apt"
    shutil.rmtree(work, ignore_errors=True)  # left by one that was interrupted
    for folder in ("state/lists/partial", "cache/archives/partial", "unpacked"):
        (work / folder).mkdir(parents=True)
    shutil.copyfile(_STATUS, work / "status")
    install = ("install", "--download-only", "--no-install-recommends", "--yes", name)
    if not (_apt(work, "update") and _apt(work, *install)):
        return False
    for package in sorted((work / "cache/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, work / "unpacked"], check=True)
    (work / "unpacked").rename(root)
    shutil.rmtree(work)
    return True


def _apt(work: Path, *arguments: str) -> bool:
    options = {
        "Dir::State": work / "state",
        "Dir::State::Lists": work / "state/lists",
        "Dir::State::Status": work / "status",
        "Dir::Cache": work / "cache",
        "Debug::NoLocking": "1",  # the lock is the system's; ours is the folder's
        "APT::Sandbox::User": "",  # root's apt would become `_apt`, who may not write here
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "10",
        "Acquire::https::Timeout": "10",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        return (
            subprocess.run(["apt-get", *words, *arguments], env=environment, timeout=_SECONDS, check=False).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False
