"""Waking workers. A nudge may be lost, doubled or late: the reconciler sends it again.

Nudges go out after the transaction has committed, and a dead broker never fails the caller.
"""

import time
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from pipeline import lifecycle, places
from pipeline.models import ENDS, DocumentVersion, Status
from workers import broker
from workers.celery import APART, app

TASK_FOR: Final = {
    Status.RECEIVED: "workers.tasks.validate",
    Status.VALIDATED: "workers.tasks.scan",
    Status.CLEAN: "workers.tasks.finalize",
}
AFTER_END: Final = "workers.tasks.after_end"
MAIL: Final = "workers.tasks.mail"
OUTSTANDING: Final = "strongroom:audit.sequence:outstanding"
ASKED_SECONDS: Final = 0.4  # below workers.tasks.SEQUENCE_SECONDS


def nudge(version: DocumentVersion | None) -> None:
    """Send the version's next task, or after its end the chores of an end. None: nothing moved.

    A received version that has no place yet is nudged when it gets one, which is when another of its owner leaves.
    """
    if version is None:
        return
    if in_turn(version):
        step(version)
    elif version.status in {Status.AVAILABLE, *ENDS}:
        step(lifecycle.next_in_line(version))
        _after_commit(AFTER_END, queue="default", version_id=str(version.pk))
        fill_places(version.document.owner_id)


def resume(version: DocumentVersion) -> None:
    """Nudge one that was requeued: one whose check had not begun stands in its owner's queue again.

    What has no task (pending, in the vault) is found by who sweeps these.
    """
    if version.status == Status.RECEIVED:
        fill_places(version.document.owner_id)
    elif in_turn(version):
        step(version)


def in_turn(version: DocumentVersion) -> bool:
    """Whether a version has a next step and may take it now."""
    return version.status in TASK_FOR and not (version.status == Status.RECEIVED and version.entered_at is None)


def fill_places(owner_id: int) -> int:
    """Give an owner's free places to those that wait, and nudge these; return how many."""
    entered = places.fill(owner_id, now=timezone.now())
    for version in entered:
        step(version)
    return len(entered)


def queue_for(version: DocumentVersion) -> str:
    """Return the queue of the version's next step."""
    return APART if version.apart else broker.queue_of(TASK_FOR[Status(version.status)])


def step(version: DocumentVersion | None) -> None:
    """Send the message of a version's next step. None: there is none."""
    if version is not None:
        _after_commit(TASK_FOR[Status(version.status)], queue=queue_for(version), version_id=str(version.pk))


def wake_sequencer() -> None:
    """Ask for the audit outbox to be drained; at most one request is outstanding at a time.

    Called by `audit.trail` (setting AUDIT_WAKE) after the commit of every audited transaction. A process that asked
    a moment ago does not ask the broker again: the task that answers begins later than the request, and lingers.
    """
    global _asked_at
    now = time.monotonic()
    if now - _asked_at < ASKED_SECONDS:
        return
    if broker.mark(OUTSTANDING, seconds=5):
        send("audit.sequence")
    _asked_at = now


_asked_at = float("-inf")


def wake_mail(id: UUID) -> None:
    """Ask for one mail to be sent. Called by `identity.mail` (setting MAIL_WAKE) after the commit."""
    send(MAIL, mail_id=str(id))


def send(task: str, *, queue: str = "", **ids: str) -> None:
    """Put one message on a queue, the task's own unless one is named. Raises one of `broker.FAULTS`."""
    app.send_task(task, kwargs=ids, retry=False, queue=queue or broker.queue_of(task))


def _after_commit(task: str, *, queue: str, **ids: str) -> None:
    # A lambda: `partial` has no __qualname__, which Django 5.2 trips over when the call fails.
    transaction.on_commit(lambda: send(task, queue=queue, **ids), robust=True)
