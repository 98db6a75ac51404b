"""Signatures for clamd: fresh official ones where they can be had, else a test set that only knows two harmless files.

A set older than clamd's own limit is not used: every scan would be refused as stale. So a machine without the mirrors
gets the test set, and is told.
"""

import os
import pwd
import socket
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from devstack.places import private

if TYPE_CHECKING:
    from devstack.engine import Engine

SYSTEM = Path("/var/lib/clamav")
MIRROR = "database.clamav.net"
MAX_AGE = timedelta(days=3)
_PROBE_SECONDS = 2.5
_DOWNLOAD_SECONDS = 90
_MEMORY = 3 * 2**30
"""Loading the official set takes 1.4 GiB; beside a whole stack a small machine would kill something."""

# In two pieces: a scanner would take this very file for the test virus.
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}" + "$EICAR-STANDARD-ANTIVIRUS-TEST-FILE" + "!$H+H*"
_TEST_SET = {
    "eicar.ndb": f"Eicar-Test-Signature:0:*:{EICAR.encode().hex()}\n",
    "clamav-test-file.hsb": "71e7b604d18aefd839e51a39c88df8383bb4c071dc31f87f00a2b5df580d4495:544:ClamAV-Test-File\n",
}


@dataclass(frozen=True)
class Signatures:
    """A folder of signatures: `kind` is "official" or "test", `why` a line for a person."""

    kind: str
    folder: Path
    why: str


def find(engine: "Engine", cache: Path, own: Path, *, official: bool) -> Signatures:
    """Return the best signatures: the system's, those of `cache` (brought up to date), or a test set in `own`."""
    if not official:
        return test_set(own, "TEST SIGNATURES (EICAR and ClamAV's test file): that is what was asked for")
    if _memory() < _MEMORY:
        return test_set(own, "TEST SIGNATURES (EICAR and ClamAV's test file): too little memory for the official ones")
    now = datetime.now(UTC)
    for folder in (SYSTEM, cache):
        if fresh(folder, now):
            return Signatures("official", folder, f"official signatures of {folder}")
    if engine.freshclam and reachable(MIRROR) and _download(engine, private(cache)) and fresh(cache, now):
        return Signatures("official", cache, "official signatures, fetched now")
    return test_set(own, "TEST SIGNATURES (EICAR and ClamAV's test file): the official ones cannot be fetched here")


def test_set(folder: Path, why: str) -> Signatures:
    """Write the test set to `folder`."""
    private(folder)
    for name, text in _TEST_SET.items():
        (folder / name).write_text(text)
    return Signatures("test", folder, why)


def fresh(folder: Path, now: datetime) -> bool:
    """Tell whether `folder` holds a main and a daily set, readable, the daily one not older than MAX_AGE."""
    main, daily = _made_at(folder, "main"), _made_at(folder, "daily")
    return main is not None and daily is not None and now - daily < MAX_AGE


def _made_at(folder: Path, name: str) -> datetime | None:
    """Return the date that a set's header states: `ClamAV-VDB:07 Oct 2025 04-41 -0400:...`."""
    for suffix in ("cld", "cvd"):
        try:
            with (folder / f"{name}.{suffix}").open("rb") as file:
                stated = file.read(512).split(b":")[1].decode("ascii")
            return datetime.strptime(stated, "%d %b %Y %H-%M %z")
        except (OSError, IndexError, ValueError):
            continue
    return None


def reachable(host: str) -> bool:
    """Tell, within _PROBE_SECONDS, whether `host` has an address and takes connections for HTTPS."""
    seen: list[bool] = []

    def probe() -> None:
        try:
            socket.create_connection((host, 443), timeout=_PROBE_SECONDS).close()
        except OSError:
            return
        seen.append(True)

    # A thread, because nothing bounds the time that the system's resolver takes.
    thread = Thread(target=probe, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return bool(seen)


def _download(engine: "Engine", cache: Path) -> bool:
    configuration = cache / "freshclam.conf"
    owner = pwd.getpwuid(os.geteuid()).pw_name  # or root's freshclam would want to become `clamav`
    configuration.write_text(
        f"DatabaseDirectory {cache}\nDatabaseMirror {MIRROR}\n"
        f"DNSDatabaseInfo current.cvd.clamav.net\nDatabaseOwner {owner}\n"
        "MaxAttempts 1\nConnectTimeout 5\nTestDatabases no\n"
    )
    argv = [engine.freshclam or "freshclam", f"--config-file={configuration}", "--stdout"]
    environment = {**os.environ, **engine.environment}
    try:
        return subprocess.run(argv, env=environment, timeout=_DOWNLOAD_SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
