"""`bin/check`: everything that needs no server, each check a line; settings from `.env.example`."""

import os
import subprocess
import time
from collections.abc import Sequence

from dotenv import dotenv_values

from devstack.places import PROGRAMS, ROOT

CHECKS: dict[str, Sequence[str]] = {
    "format": ("ruff", "format", "--check", "."),
    "lint": ("ruff", "check", "."),
    "types": ("mypy",),
    "imports": ("lint-imports",),
    "migrations": ("python", "manage.py", "makemigrations", "--check", "--dry-run"),
    "additive": ("python", "manage.py", "additive"),
    "deployment": ("python", "manage.py", "check", "--deploy", "--fail-level", "WARNING"),
}


def main() -> int:
    """Run all checks, whatever the earlier ones say. Returns 0 if all passed, else 1."""
    failed = [name for name, words in CHECKS.items() if not _passes(name, words)]
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


def _passes(name: str, words: Sequence[str]) -> bool:
    """Run one check and print its line; its own output only if it failed."""
    example = dotenv_values(ROOT / ".env.example", interpolate=False)
    settings = {key: value for key, value in example.items() if value is not None}
    environment = {**os.environ, **settings, "DJANGO_SETTINGS_MODULE": "config.settings"}
    started = time.monotonic()
    command = [str(PROGRAMS / words[0]), *words[1:]]
    seen = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    passed = seen.returncode == 0
    print(f"{name:<12} {'pass' if passed else 'FAIL'}  {time.monotonic() - started:.1f} s", flush=True)
    if not passed:
        print(seen.stdout, flush=True)
    return passed
