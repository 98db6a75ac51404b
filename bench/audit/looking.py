"""How quick the log is read, and how much room it takes, at the size it has now."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.db import connection

from audit import reading
from audit.models import State
from bench.audit import rows
from bench.audit.figures import Figure, percentile

PAGE, DAY = 51, timedelta(days=1)
Asked = Callable[[random.Random, int], dict[str, Any]]


def _window(dice: random.Random, size: int) -> dict[str, Any]:
    since = rows.when(dice.randrange(size), size)
    return {"since": since, "until": since + DAY}


def _of(name: str, value: str) -> Asked:
    return lambda dice, size: {name: value}


def _and(*asked: Asked) -> Asked:
    return lambda dice, size: {name: value for each in asked for name, value in each(dice, size).items()}


NEVER = "the busiest person, what only others do"
"""No index serves both, so all 50,000 (of five million) of the one are looked through: told, without a limit."""

HOT = _of("actor", f"user:{rows.HOT}")
LISTS: dict[str, Asked] = {
    "everything, newest": lambda dice, size: {},
    "everything, from anywhere": lambda dice, size: {"before": dice.randrange(size)},
    "the busiest person": HOT,
    "some person": lambda dice, size: {"actor": f"user:{dice.randrange(2, rows.PEOPLE)}"},
    "nobody": _of("actor", "user:0"),
    "half of all acts": _of("action", "document.read"),
    "one act in a hundred": _of("action", "version.infected"),
    "one act in a thousand": _of("action", "mfa.reset"),
    "all acts on versions": _of("action", "version."),
    "an act that never was": _of("action", "log.restarted"),
    "the busiest person, one act in a thousand": _and(HOT, _of("action", "mfa.reset")),
    NEVER: _and(HOT, _of("action", rows.FOUND)),
    "some person, half of all acts": lambda dice, size: {
        "actor": f"user:{dice.randrange(2, rows.PEOPLE)}",
        "action": "document.read",
    },
    "a document": lambda dice, size: {"objects": [f"document:{rows.document(dice.randrange(rows.DOCUMENTS))}"]},
    "24 hours": _window,
    "24 hours, the busiest person": _and(_window, HOT),
    "24 hours, one act in a hundred": _and(_window, _of("action", "version.infected")),
    "24 hours, some person": lambda dice, size: {
        **_window(dice, size),
        "actor": f"user:{dice.randrange(2, rows.PEOPLE)}",
    },
}


def lists(runs: int) -> Iterator[Figure]:
    """Pages of 50, as the API asks for them (audit.reading)."""
    size, dice = State.objects.get().size, random.Random(1)  # noqa: S311 - nobody is to guess nothing
    took: dict[str, list[float]] = {name: [] for name in LISTS}
    for _ in range(runs):
        for name, asked in LISTS.items():
            took[name].append(_page(**asked(dice, size)))
    for name, times in took.items():
        most = None if name == NEVER else 10
        yield Figure(name=f"list: {name}, p50", value=percentile(times, 50), unit="ms")
        yield Figure(name=f"list: {name}, p95", value=percentile(times, 95), unit="ms", most=most)


def _page(**asked: Any) -> float:
    begun = time.perf_counter()
    reading.newest(limit=PAGE, **asked)
    return 1000 * (time.perf_counter() - begun)


def room() -> Iterator[Figure]:
    """Bytes that the log takes for each event, indexes and all, once autovacuum has been there.

    Without the outbox, which does not grow with the log.
    """
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'audit%'"
        )
        sizes = dict(cursor.fetchall())
    yield Figure(name="the outbox, empty", value=sizes.pop("audit_outbox") / 1e6, unit="MB")
    size = State.objects.get().size
    for table in ("audit_event", "audit_private", "audit_tile", "audit_batch"):
        yield Figure(name=f"bytes per event in {table}", value=sizes[table] / size, unit="bytes")
    yield Figure(name="bytes per event in all tables", value=sum(sizes.values()) / size, unit="bytes", most=1200)
