"""How quick the sequencer is beside the least that one could do: COPY of rows that are there already.

What it is compared with writes the same rows into tables with the same indexes and constraints, commits as often, and
does nothing else: takes nothing out of an outbox, reads no leaf, hashes nothing, grows no tree.
"""

import io
import random
import statistics
import time
from collections.abc import Iterator

from django.db import connection, transaction

from audit import sequencer
from audit.models import State
from bench.audit import rows
from bench.audit.figures import Figure

LEAST = 0.30
_TABLES = {"audit_event": "bench_event", "audit_private": "bench_private"}


def beside_copy(sizes: tuple[int, ...], rounds: int, *, of: int) -> Iterator[Figure]:
    """Batches of each size, one of theirs after each of ours; the medians' ratio."""
    with connection.cursor() as cursor:
        for ours, theirs in _TABLES.items():
            cursor.execute(f"CREATE TABLE {theirs} (LIKE {ours} INCLUDING ALL)")
    for size in sizes:
        took = [_round(size, of) for _ in range(rounds)]
        sequenced, copied = (size / statistics.median(each) for each in zip(*took, strict=True))
        yield Figure(name=f"sequencer, batches of {size}", value=sequenced, unit="events/s")
        yield Figure(name=f"COPY of the same rows, batches of {size}", value=copied, unit="events/s")
        yield Figure(name=f"sequencer to COPY, batches of {size}", value=sequenced / copied, unit="times", least=LEAST)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {', '.join(_TABLES.values())}")


def _round(size: int, of: int) -> tuple[float, float]:
    """Seconds of the sequencer for one batch, and of COPY for what came of it."""
    state = State.objects.first()
    low = state.size if state else 0
    rows.wait(random.Random(low), low, size, of=of)  # noqa: S311 - nobody is to guess nothing
    begun = time.perf_counter()
    if sequencer.sequence(size) != size:
        raise SystemExit("the outbox had something else in it")
    sequenced = time.perf_counter() - begun
    rendered = {theirs: _rendered(ours, low) for ours, theirs in _TABLES.items()}
    begun = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        for table, text in rendered.items():
            cursor.copy_expert(f"COPY {table} FROM STDIN", text)
    return sequenced, time.perf_counter() - begun


def _rendered(table: str, low: int) -> io.BytesIO:
    text = io.BytesIO()
    with connection.cursor() as cursor:
        rows_of = f"SELECT * FROM {table} WHERE seq >= {low} ORDER BY seq"
        cursor.copy_expert(f"COPY ({rows_of}) TO STDOUT", text)
    text.seek(0)
    return text
