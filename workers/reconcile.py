"""The reconciler: `python -m workers.reconcile`. It makes good what messages and clients lose.

A process of its own, because it must run when the broker does not. Any number of copies may run: one
at a time sweeps, the others stand by (advisory lock). A sweep is bounded, and what it adds to a queue
is gated: a bound minus the queue's length. Without the gate it cannot tell "lost" from "waiting" and
fills the queue with doubles until nothing moves.
"""

import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import django
import structlog
from django.conf import settings
from django.db import close_old_connections, connection
from django.utils import timezone

django.setup()

from identity import housekeeping, mail  # noqa: E402  (models need Django to be set up)
from pipeline import breaker, claims, faults, lifecycle, places, storage  # noqa: E402  (models need Django to be set up)
from pipeline.faults import FAULTS  # noqa: E402
from pipeline.models import DocumentVersion, Status, Versions  # noqa: E402
from workers import broker, starting  # noqa: E402
from workers.celery import APART  # noqa: E402
from workers.nudges import MAIL, TASK_FOR, fill_places, nudge, send  # noqa: E402

log = structlog.get_logger(__name__)

LOCK: Final = 0x5752_0001
PER_SWEEP: Final = 100
NUDGE_AGAIN: Final = timedelta(seconds=30)
FORGET_EVERY_SECONDS: Final = 600
MAIL_AFTER: Final = timedelta(seconds=10)  # the nudge of the request itself comes first
NEEDED: Final = ("storage",)
TIDY_AGAIN: Final = timedelta(minutes=1)
LOOK_AGAIN: Final = (timedelta(seconds=5), timedelta(minutes=5))


def main() -> None:
    """Sweep every RECONCILE_SECONDS until SIGTERM or SIGINT; the sweep under way is finished."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    log.info("reconcile_started", seconds=settings.RECONCILE_SECONDS)
    forgotten_at, told = float("-inf"), False
    while not stop.is_set():
        told = told or starting.recorded("reconcile")
        _sweep_and_log()
        if time.monotonic() - forgotten_at > FORGET_EVERY_SECONDS:
            forgotten_at = time.monotonic()
            _forget_and_log()
        stop.wait(settings.RECONCILE_SECONDS)
    log.info("reconcile_stopped")


def _sweep_and_log() -> None:
    close_old_connections()
    try:
        counts = sweep()
    except FAULTS as fault:
        log.warning("sweep_failed", fault=type(fault).__name__)
        connection.close()
        return
    if any(counts.values()):
        log.info("swept", **counts)


def _forget_and_log() -> None:
    try:
        forgotten = housekeeping.forget(timezone.now())
    except FAULTS as fault:
        log.warning("not_forgotten", fault=type(fault).__name__)
        connection.close()
        return
    if forgotten:
        log.info("forgotten", rows=forgotten)


def sweep() -> dict[str, int]:
    """Look once at what stands still; return how many were given up, entered, nudged and so on.

    Nothing where another copy is sweeping. Raises a fault of `FAULTS` where the database is away: the next goes on.
    """
    with claims.locked(LOCK) as ours:
        if not ours:
            return {}
        return {"given_up": _give_up(), **_nudge_due(), **_look_for_bytes(), "tidied": _tidy()}


def _give_up() -> int:
    now = timezone.now()
    late = lifecycle.forsaken(now).values_list("pk", flat=True)[:PER_SWEEP]
    return sum(lifecycle.give_up(pk, now=now) is not None for pk in list(late))


def _nudge_due() -> dict[str, int]:
    """A broker that is away is no reason to leave the rest undone."""
    counts = {"entered": 0, "nudged": 0, "mailed": 0}
    counts["entered"] = sum(fill_places(owner_id) for owner_id in places.queues())
    try:
        for status, task in TASK_FOR.items():
            counts["nudged"] += _nudge(status, broker.queue_of(task), DocumentVersion.objects.together())
            counts["nudged"] += _nudge(status, APART, DocumentVersion.objects.apart())
        counts["mailed"] = _mail()
    except broker.FAULTS as away:
        log.warning("broker_away", fault=type(away).__name__)
        _say_that_the_queue_is_away()
    return counts


def _say_that_the_queue_is_away() -> None:
    now, shut = timezone.now(), breaker.Shut(faults.BROKER, settings.RECONCILE_SECONDS)
    for status in TASK_FOR:
        lifecycle.put_off(list(DocumentVersion.objects.due(status, now)[:PER_SWEEP]), shut)


def _mail() -> int:
    """Mails whose nudge was lost, or whose server was away when they were tried."""
    room = max(0, settings.QUEUE_GATE - broker.length(broker.queue_of(MAIL)))
    due = list(mail.due(timezone.now() - MAIL_AFTER).values_list("pk", flat=True)[:room])
    for pk in due:
        send(MAIL, mail_id=str(pk))
    return len(due)


def _nudge(status: Status, queue: str, versions: Versions) -> int:
    """Nudge what is due, but nobody who stands in line: who ends before them nudges them.

    To finalize them earlier comes to nothing.
    """
    now = timezone.now()
    room = max(0, settings.QUEUE_GATE - broker.length(queue))
    due = list(versions.due(status, now).values_list("pk", flat=True)[: room and room + PER_SWEEP])
    sent = list(versions.filter(pk__in=due).not_in_line().order_by("due_at").values_list("pk", flat=True)[:room])
    for pk in sent:
        send(TASK_FOR[status], queue=queue, version_id=str(pk))
    seen = due if len(sent) < room else sent
    for some in lifecycle.bits(seen):
        DocumentVersion.objects.filter(pk__in=some, status=status).update(due_at=now + NUDGE_AGAIN)
    return len(sent)


def _look_for_bytes() -> dict[str, int]:
    """Receive what came without a call back; expire what never came."""
    counts = {"received": 0, "expired": 0}

    def look(version: DocumentVersion) -> None:
        _look_later(version)  # first, so that one that cannot be looked at does not stand before the others
        if moved := _received_or_expired(version):
            counts[moved.status] += 1
            nudge(moved)

    _each(DocumentVersion.objects.due(Status.PENDING, timezone.now()), look)
    return counts


def _each(found: Versions, act: Callable[[DocumentVersion], object]) -> int:
    """Do it to each of the first `PER_SWEEP`; leave what the storage fails at, and the rest while it is away."""
    done, versions = 0, list(found.select_related("document")[:PER_SWEEP])
    for place, version in enumerate(versions):
        if shut := breaker.process.shut(NEEDED, now=time.monotonic()):
            lifecycle.put_off(versions[place:], shut)
            break
        done += _done(act, version)
    return done


def _done(act: Callable[[DocumentVersion], object], version: DocumentVersion) -> bool:
    try:
        act(version)
    except storage.FAULTS as error:
        log.warning("storage_fault", version_id=str(version.pk), fault=type(error).__name__)
        if not (fault := faults.of(error)):
            raise
        lifecycle.wait_for(version, fault)
        return False
    breaker.process.answered(NEEDED)
    return True


def _received_or_expired(version: DocumentVersion) -> DocumentVersion | None:
    try:
        return lifecycle.receive(version.pk)
    except lifecycle.BytesMissing:
        return lifecycle.expire(version.pk)


def _look_later(version: DocumentVersion) -> None:
    """Look again after half the upload's age, between 5 seconds and 5 minutes, and at its end."""
    now = timezone.now()
    soonest, latest = LOOK_AGAIN
    wait = min(max((now - version.created_at) / 2, soonest), latest)
    ends = version.expires_at + timedelta(seconds=settings.EXPIRE_GRACE_SECONDS)
    due_at = min(now + wait, ends) if ends > now else now + soonest
    DocumentVersion.objects.filter(pk=version.pk, status=Status.PENDING).update(due_at=due_at)


def _tidy() -> int:
    now = timezone.now()

    def tidy(version: DocumentVersion) -> None:
        DocumentVersion.objects.filter(pk=version.pk).update(due_at=now + TIDY_AGAIN)  # as above
        lifecycle.tidy(version.pk)

    return _each(DocumentVersion.objects.untidied(now, now - timedelta(seconds=settings.EXPIRE_GRACE_SECONDS)), tidy)


if __name__ == "__main__":
    main()
