"""The reconciler: `python -m workers.reconcile`. It makes good what messages and clients lose.

A process of its own, because it must run when the broker does not. Any number of copies may run: one
at a time sweeps, the others stand by (advisory lock). A sweep is bounded, and what it adds to a queue
is gated: a bound minus the queue's length. Without the gate it cannot tell "lost" from "waiting" and
fills the queue with doubles until nothing moves.
"""

import signal
import threading
import time
from datetime import timedelta
from typing import Final

import django
import structlog
from django.conf import settings
from django.db import close_old_connections, connection
from django.utils import timezone

django.setup()

from identity import housekeeping, mail  # noqa: E402  (models need Django to be set up)
from pipeline import claims, lifecycle  # noqa: E402  (models need Django to be set up)
from pipeline.faults import FAULTS  # noqa: E402
from pipeline.models import DocumentVersion, Status  # noqa: E402
from workers import broker, starting  # noqa: E402
from workers.nudges import MAIL, TASK_FOR, nudge, send  # noqa: E402

log = structlog.get_logger(__name__)

LOCK: Final = 0x5752_0001
PER_SWEEP: Final = 100
NUDGE_AGAIN: Final = timedelta(seconds=30)
FORGET_EVERY_SECONDS: Final = 600
MAIL_AFTER: Final = timedelta(seconds=10)  # the nudge of the request itself comes first
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
    """Look once at what stands still; return how many were nudged, mailed, received, expired and tidied.

    Zeros where another copy is sweeping. Raises a fault of `FAULTS`: the next sweep goes on.
    """
    with claims.locked(LOCK) as ours:
        if not ours:
            return {}
        return {**_nudge_due(), **_look_for_bytes(), "tidied": _tidy()}


def _nudge_due() -> dict[str, int]:
    """A broker that is away is no reason to leave the rest undone."""
    counts = {"nudged": 0, "mailed": 0}
    try:
        for status, task in TASK_FOR.items():
            counts["nudged"] += _nudge(status, task)
        counts["mailed"] = _mail()
    except broker.FAULTS as away:
        log.warning("broker_away", fault=type(away).__name__)
    return counts


def _mail() -> int:
    """Mails whose nudge was lost, or whose server was away when they were tried."""
    room = max(0, settings.QUEUE_GATE - broker.length(broker.queue_of(MAIL)))
    due = list(mail.due(timezone.now() - MAIL_AFTER).values_list("pk", flat=True)[:room])
    for pk in due:
        send(MAIL, mail_id=str(pk))
    return len(due)


def _nudge(status: Status, task: str) -> int:
    now = timezone.now()
    room = max(0, settings.QUEUE_GATE - broker.length(broker.queue_of(task)))
    due = list(DocumentVersion.objects.due(now).filter(status=status).values_list("pk", flat=True)[:room])
    for pk in due:
        send(task, version_id=str(pk))
    DocumentVersion.objects.filter(pk__in=due, status=status).update(due_at=now + NUDGE_AGAIN)
    return len(due)


def _look_for_bytes() -> dict[str, int]:
    """Receive what came without a call back; expire what never came."""
    now, counts = timezone.now(), {"received": 0, "expired": 0}
    for version in DocumentVersion.objects.due(now).filter(status=Status.PENDING)[:PER_SWEEP]:
        moved = _received_or_expired(version)
        if moved is None:
            _look_later(version)
            continue
        counts[moved.status] += 1
        nudge(moved)
    return counts


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
    ended_before = timezone.now() - timedelta(seconds=settings.EXPIRE_GRACE_SECONDS)
    due = DocumentVersion.objects.untidied(ended_before).values_list("pk", flat=True)[:PER_SWEEP]
    for pk in due:
        lifecycle.tidy(pk)
    return len(due)


if __name__ == "__main__":
    main()
