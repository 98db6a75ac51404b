"""What recording costs the one who records, and how long it takes until the event has its place."""

import multiprocessing
import random
import statistics
import time
import uuid
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import connections, transaction

from audit import actions, context, sequencer, trail
from audit.models import Event, State
from bench.audit.figures import Figure, percentile
from identity.models import User
from pipeline.models import Document

RATE, SECONDS = 200, 30
_REQUEST = {"ip": "192.0.2.1", "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}


def overhead(runs: int) -> Iterator[Figure]:
    """A document is inserted and updated in one transaction, by chance with an event or without.

    All that production does: personal values are encrypted, and after the commit the broker is asked to wake.
    """
    owner = User.objects.create(username="bench", role="investor")
    took: dict[bool, list[float]] = {True: [], False: []}
    for run in range(runs):
        audited = random.random() < 0.5  # noqa: S311 - nobody is to guess nothing
        with context.bound(context.Request(request_id=str(uuid.uuid4()), **_REQUEST)):
            begun = time.perf_counter()
            _business(owner, audited=audited)
            if run > runs // 20:  # the first of all only warm up
                took[audited].append(time.perf_counter() - begun)
    with_it, without = (statistics.median(took[audited]) * 1000 for audited in (True, False))
    yield Figure(name="business transaction, p50, without its event", value=without, unit="ms")
    yield Figure(name="business transaction, p50, with its event", value=with_it, unit="ms")
    yield Figure(name="outbox overhead on it", value=with_it / without, unit="times", most=1.4)


def _business(owner: User, *, audited: bool) -> None:
    name = str(uuid.uuid4())
    with transaction.atomic():
        document = Document.objects.create(owner=owner, name=name, doc_type="other")
        Document.objects.filter(pk=document.pk).update(arrivals=1)
        if audited:
            _record(owner.pk, name)


def _record(person: int, name: str) -> None:
    who = trail.Ref("user", str(person))
    trail.record(
        actions.VERSION_REQUESTED,
        actor=who,
        object=trail.Ref("document", name),
        subject=who,
        details="A version was requested.",
        facts={"bytes": 68_123, "content_type": "application/pdf"},
    )


def latency() -> Iterator[Figure]:
    """A writer commits so many events a second, the worker's task gives them their places, in a process of each."""
    connections.close_all()
    settings.AUDIT_WAKE = ""  # the task runs without being asked
    fork = multiprocessing.get_context("fork")
    over, told = fork.Event(), fork.SimpleQueue()
    worker = fork.Process(target=_sequence, args=(over, told))
    worker.start()
    committed = _write()
    over.set()
    placed: list[tuple[int, float]] = told.get()
    worker.join()
    yield from _waited(committed, placed)


def _write() -> dict[str, float]:
    """Record at the rate; when each was committed, by its name."""
    committed, begun = {}, time.monotonic()
    for number in range(RATE * SECONDS):
        time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        with transaction.atomic():
            _record(1, name := str(uuid.uuid4()))
        committed[f"document:{name}"] = time.monotonic()
    return committed


def _sequence(over: Any, told: Any) -> None:
    """Run the task of the audit worker again and again; tell when the log had which size."""
    from workers import tasks

    sizes, sequence = [], sequencer.sequence
    size = State.objects.get().size

    def noted() -> int:
        nonlocal size
        if taken := sequence():
            size += taken
            sizes.append((size, time.monotonic()))
        return taken

    sequencer.sequence = noted  # type: ignore[assignment]
    while not over.is_set() or sequencer.backlog():
        tasks.sequence()
    told.put(sizes)


def _waited(committed: dict[str, float], placed: list[tuple[int, float]]) -> Iterator[Figure]:
    first = placed[0][0] - 1
    names = Event.objects.filter(seq__gte=max(0, first - RATE), object__in=committed).order_by("seq")
    waited, steps = [], iter(placed)
    size, moment = next(steps)
    for seq, name in names.values_list("seq", "object"):
        while seq >= size:
            size, moment = next(steps)
        waited.append(1000 * max(0.0, moment - committed[name]))
    rate = len(waited) / (max(committed.values()) - min(committed.values()))
    yield Figure(name="events committed", value=rate, unit="per s", least=RATE * 0.95)
    for share, most in ((50, None), (95, None), (99, 250)):
        name = f"from commit to its place, p{share}"
        yield Figure(name=name, value=percentile(waited, share), unit="ms", most=most)
