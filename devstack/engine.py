"""Find a clamd and signatures for it: `python -m devstack.engine FOLDER CACHE official|test`.

In this order: a clamd that is installed; ClamAV's packages unpacked in CACHE (Debian, Ubuntu); else the scanner built
into our workers. What it found goes to FOLDER/choice.json. A program of its own, so that the supervisor may end it at
any moment.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from devstack import debs, jsonfile, signatures

_ELSEWHERE = ("/usr/sbin/clamd", "/usr/local/sbin/clamd", "/opt/homebrew/sbin/clamd")
"""An ordinary user's PATH often lacks these."""


@dataclass(frozen=True)
class Engine:
    """A ClamAV that runs here: its clamd, its freshclam (None if it has none) and the environment both need."""

    clamd: Path
    freshclam: Path | None
    environment: dict[str, str] = field(default_factory=dict)


def main(folder: Path, cache: Path, wish: str) -> None:
    """Choose, and write the choice to `folder`/choice.json."""
    engine = installed() or unpacked(cache)
    if engine is None:
        why = "no clamd is installed, and ClamAV's packages cannot be had here"
        chosen = {
            "engine": "builtin",
            "signatures": "builtin",
            "why": f"{why}: the BUILT-IN SCANNER stands in, it is no antivirus",
        }
    else:
        found = signatures.find(engine, cache / "signatures", folder / "signatures", official=wish == "official")
        chosen = {"engine": "clamd", "signatures": found.kind, "why": found.why, "database": str(found.folder)}
        chosen |= {"program": str(engine.clamd)}
    environment = engine.environment if engine else {}
    jsonfile.write(folder / "choice.json", {**chosen, "environment": environment})
    print(chosen["why"], flush=True)


def installed() -> Engine | None:
    """Return the machine's own ClamAV, if it has one that runs."""
    for place in (shutil.which("clamd"), *_ELSEWHERE):
        if place and runs(Engine(Path(place), None)):
            freshclam = shutil.which("freshclam", path=f"{os.environ.get('PATH', os.defpath)}:{Path(place).parent}")
            return Engine(Path(place), Path(freshclam) if freshclam else None)
    return None


def unpacked(cache: Path) -> Engine | None:
    """Return the ClamAV unpacked in `cache`, fetching it first where that is possible."""
    try:
        root = debs.packages("clamav-daemon", cache)
    except OSError as reason:  # the clone may be another user's
        print(f"{cache}: {reason}", flush=True)
        return None
    if root is None:
        return None
    libraries = ":".join(str(path) for path in (root / "usr/lib").glob("*-linux-*"))
    freshclam = root / "usr/bin/freshclam"
    engine = Engine(root / "usr/sbin/clamd", freshclam if freshclam.exists() else None, {"LD_LIBRARY_PATH": libraries})
    return engine if runs(engine) else None


def runs(engine: Engine) -> bool:
    """Tell whether the engine's clamd can at least say its version."""
    try:
        seen = subprocess.run(
            # Without a configuration it would not even say its version.
            [engine.clamd, "--config-file=/dev/null", "--version"],
            env={"PATH": os.defpath, **engine.environment}, capture_output=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return seen.returncode == 0 and seen.stdout.startswith(b"ClamAV")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
