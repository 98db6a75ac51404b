"""Waking workers. A nudge may be lost, doubled or late: the reconciler sends it again.

Nudges go out after the transaction has committed, and a dead broker never fails the caller.
"""

import time
from typing import Final
from uuid import UUID

from django.db import transaction

from pipeline import lifecycle
from pipeline.models import ENDS, DocumentVersion, Status
from workers import broker
from workers.celery import app

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
    """Send the version's next task, or after its end the chores of an end. None: nothing moved."""
    if version is None:
        return
    if task := TASK_FOR.get(Status(version.status)):
        _after_commit(task, version_id=str(version.pk))
    elif version.status in {Status.AVAILABLE, *ENDS}:
        nudge(lifecycle.next_in_line(version))
        _after_commit(AFTER_END, version_id=str(version.pk))


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


def send(task: str, **ids: str) -> None:
    """Put one message on the task's queue. Raises kombu's OperationalError where the broker is away."""
    app.send_task(task, kwargs=ids, retry=False)


def _after_commit(task: str, **ids: str) -> None:
    # A lambda: `partial` has no __qualname__, which Django 5.2 trips over when the call fails.
    transaction.on_commit(lambda: send(task, **ids), robust=True)
