"""What is told: lines while it runs, the findings in the end, and one line of JSON."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from bench.breaking.carrying import Account
from bench.breaking.checks import SORTS, Finding
from bench.breaking.faults import Breaker

SHOWN = 25


class Teller:
    """Prints a line with the seconds since the beginning before it."""

    def __init__(self) -> None:
        """The beginning is now."""
        self._began = time.monotonic()

    def __call__(self, words: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self._began:7.1f}  {words}", flush=True)


def conclude(told: dict[str, Any], findings: Sequence[Finding]) -> int:
    """Print what was found and the JSON; return the exit code."""
    for finding in findings[:SHOWN]:
        print(finding, file=sys.stderr)
    if len(findings) > SHOWN:
        print(f"... and {len(findings) - SHOWN} more", file=sys.stderr)
    counted = Counter(finding.sort for finding in findings)
    told |= {sort: counted[sort] for sort in SORTS}
    told["ok"] = bool(told.get("ok", True)) and not findings
    print(json.dumps(told), flush=True)
    return 0 if told["ok"] else 1


def of_uploads(accounts: Iterable[Account]) -> dict[str, Any]:
    """Return how many uploads there were, of which kinds, and what their clients met."""
    accounts = list(accounts)
    return {
        "uploads": len(accounts),
        "kinds": dict(sorted(Counter(account.intent.kind.name.lower() for account in accounts).items())),
        "replays": sum(account.replays for account in accounts),
        "answers_lost": sum(account.begun for account in accounts),
        "gave_up": sum(any(odd.startswith("gave up") for odd in account.odd) for account in accounts),
    }


def of_faults(breaker: Breaker) -> dict[str, Any]:
    """Return how many faults were carried out, of which kinds, and how a folder is filled here."""
    return {
        "faults": len(breaker.done),
        "fault_kinds": dict(sorted(Counter(fault.kind for fault in breaker.done).items())),
        "not_done": len(breaker.missed),
        "full_disk": "file system" if breaker.spool_fills else "folder moved away",
    }
