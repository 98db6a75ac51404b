"""The tasks: an id in, one call of the domain, a nudge for what comes next.

Any of them may run twice, late or never. Named faults are retried a few times, with growing, jittered waits; what
lasts longer is the reconciler's, since a message that waits is held by a worker. `**_` lets an old worker take the
message of a newer release.
"""

import time
from collections.abc import Callable
from uuid import UUID

import structlog
from django.utils import timezone

from audit import bucket, checkpoint, note, sequencer
from identity import mail as mails
from pipeline import lifecycle
from pipeline.faults import FAULTS
from pipeline.models import IN_TURN, DocumentVersion, Status
from workers import broker, nudges
from workers.celery import APART, app
from workers.nudges import OUTSTANDING, wake_sequencer

log = structlog.get_logger(__name__)

SEQUENCE_SECONDS, SEQUENCE_PAUSE = 0.8, 0.02
Step = Callable[[UUID], DocumentVersion | None]
STEPS: dict[Status, Step] = {
    Status.RECEIVED: lifecycle.validate,
    Status.VALIDATED: lifecycle.scan,
    Status.CLEAN: lifecycle.finalize,
}
# At most 2 + 4 + 8 seconds, on average half of that. By then the breaker has opened, if it is not this version alone.
retried = app.task(autoretry_for=FAULTS, retry_backoff=2, retry_backoff_max=8, retry_jitter=True, max_retries=3)


@retried
def validate(*, version_id: str, **_: object) -> None:
    """RECEIVED -> VALIDATED or REJECTED."""
    _work(lifecycle.validate, UUID(version_id))


@retried
def scan(*, version_id: str, **_: object) -> None:
    """VALIDATED -> CLEAN, INFECTED or REJECTED."""
    _work(lifecycle.scan, UUID(version_id))


@retried
def finalize(*, version_id: str, **_: object) -> None:
    """CLEAN -> AVAILABLE."""
    _work(lifecycle.finalize, UUID(version_id))


@retried
def after_end(*, version_id: str, **_: object) -> None:
    """Empty quarantine of an ended version."""
    lifecycle.tidy(UUID(version_id))


@retried
def mail(*, mail_id: str, **_: object) -> None:
    """Send one mail; a dead mail server is noted in its row, and the reconciler asks again."""
    mails.send(UUID(mail_id), now=timezone.now())


@app.task(name="audit.sequence")
def sequence(**_: object) -> None:
    """Give waiting audit events their places in the log; linger a little for those that follow.

    Bounded, because beat's sweep comes every second to the same worker and must not pile up behind it.
    """
    broker.unmark(OUTSTANDING)
    until = time.monotonic() + SEQUENCE_SECONDS
    while time.monotonic() < until:
        if not sequencer.sequence():
            time.sleep(SEQUENCE_PAUSE)
    if sequencer.backlog():
        wake_sequencer()


@app.task(name="audit.sweep")
def sweep(**_: object) -> None:
    """Find the events whose wake-up was lost."""
    if sequencer.backlog():
        sequencer.sequence()


@app.task(name="audit.checkpoint")
def publish(**_: object) -> None:
    """Sign and publish the log. What hinders it is tried again at the next beat, never sooner and never signed over."""
    try:
        checkpoint.publish(now=timezone.now())
    except (checkpoint.Refused, note.NoSigningKey) as refusal:
        log.error("checkpoint_refused", kind=type(refusal).__name__, reason=str(refusal))
    except (*bucket.FAULTS, *FAULTS) as fault:
        log.warning("checkpoint_not_published", fault=type(fault).__name__)


def _work(step: Step, version_id: UUID) -> None:
    """Take a step, and the next ones at once where this worker serves their queues (2.6 to 3.8 times faster)."""
    if _sent_apart(version_id):
        return
    version = step(version_id)
    while version is not None and _served_here(version):
        version = STEPS[Status(version.status)](version.pk)
    nudges.nudge(version)


def _sent_apart(version_id: UUID) -> bool:
    """Whether this message is older than what sends its version apart from all others, to where it now goes."""
    if APART in app.amqp.queues.consume_from:
        return False
    version = DocumentVersion.objects.apart().filter(IN_TURN, pk=version_id, status__in=STEPS).first()
    nudges.step(version)
    return version is not None


def _served_here(version: DocumentVersion) -> bool:
    return nudges.in_turn(version) and nudges.queue_for(version) in app.amqp.queues.consume_from
