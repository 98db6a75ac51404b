"""Receives what S3 says has arrived: `python -m workers.s3events` (S3_EVENTS_QUEUE_URL).

For S3s that tell of new objects through SQS (AWS; SeaweedFS does not). It only makes `receive` come sooner where a
client never calls back: the reconciler finds the same bytes without it, so whatever is lost here is merely late. Any
number of copies may run. How SQS is spoken to is `pipeline.arrivals`; what the messages mean, `pipeline.notices`.
"""

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

import django
import structlog
from django.conf import settings
from django.db import close_old_connections, connection

django.setup()

from pipeline import arrivals, lifecycle, notices, storage  # noqa: E402  (models need Django to be set up)
from pipeline.faults import FAULTS  # noqa: E402
from workers import nudges, starting  # noqa: E402

log = structlog.get_logger(__name__)

MOST_TIMES: Final = 5
FIRST_WAIT, LONGEST_WAIT = 5, 900  # seconds until a message that could not be handled is given out again
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until what is away is looked for again


class Stopped(BaseException):
    """A signal came while nothing was in hand. Not an Exception, so that nothing on its way takes it for a fault."""


class Stop:
    """SIGTERM and SIGINT: obeyed at once while we idle, such as in a long poll; else after the batch in hand."""

    def __init__(self) -> None:
        self._asked = self._idle = False

    def listen(self) -> None:
        """Take the two signals from now on."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)

    @contextmanager
    def idling(self) -> Iterator[None]:
        """Let a signal end the block. Raises `Stopped`, also for a signal that came before it."""
        self._idle = True  # first, so that one that comes between this line and the next is not lost
        try:
            if self._asked:
                raise Stopped
            yield
        finally:
            self._idle = False

    def _stop(self, *_: object) -> None:
        self._asked = True
        if self._idle:
            raise Stopped


def main() -> None:
    """Receive until SIGTERM or SIGINT. Exits with 1 where no queue is named."""
    if not settings.S3_EVENTS_QUEUE_URL:
        sys.exit("s3events: S3_EVENTS_QUEUE_URL is empty. Name the queue, or do without: the reconciler needs none.")
    stop = Stop()
    stop.listen()
    log.info("s3events_started", queue=settings.S3_EVENTS_QUEUE_URL)
    with suppress(Stopped):
        _work(stop)
    log.info("s3events_stopped")


def _work(stop: Stop) -> None:
    told, pause = False, 0.0
    while True:
        try:
            with stop.idling():
                if pause:
                    _look()
                messages = arrivals.wait()
            told = told or starting.recorded("s3events")
            _handle_and_log(messages)
            pause = 0.0
        except FAULTS as fault:
            pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)
            log.warning("s3events_waits", fault=type(fault).__name__, seconds=pause)
            connection.close()
            with stop.idling():
                time.sleep(pause)


def _look() -> None:
    """See that database and S3 are there before more messages are taken: each taking counts against a message."""
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    storage.check()


def _handle_and_log(messages: list[arrivals.Message]) -> None:
    close_old_connections()
    counts = handle(messages)
    if counts:
        log.info("s3events_handled", **counts)


def handle(messages: list[arrivals.Message]) -> dict[str, int]:
    """Receive what the messages tell of; return how many of them were `done`, come `later`, were set `aside`.

    A message is deleted when all that it tells of was received, or is nothing for us. Raises a fault of `FAULTS` when
    the message that met it and those after it have been given back.
    """
    counts: Counter[str] = Counter()
    for place, message in enumerate(messages):
        try:
            counts[_handle(message)] += 1
        except FAULTS:
            with suppress(*arrivals.FAULTS):  # then SQS gives them out again by itself, only later
                arrivals.later([message], seconds=_wait(message))
                arrivals.later(messages[place + 1 :], seconds=0)
            raise
    return dict(counts)


def _handle(message: arrivals.Message) -> str:
    # Before it is touched: it may be what killed whoever was given it.
    if message.times > MOST_TIMES and arrivals.set_aside(message, f"Given out more than {MOST_TIMES} times."):
        log.error("s3event_set_aside", times=message.times)
        return "aside"
    try:
        arrived = notices.arrived(message.body)
    except notices.Unintelligible as why:
        return _puzzling(message, str(why))
    there = [_received(id_) for id_ in arrived]
    if not all(there):
        arrivals.later([message], seconds=_wait(message))
        return "later"
    arrivals.done(message)
    return "done"


def _puzzling(message: arrivals.Message, why: str) -> str:
    """Without a queue of ours for them, the queue's own redrive policy takes it when it has come often enough."""
    log.error("s3event_not_understood", why=why, times=message.times)
    if arrivals.set_aside(message, f"Not understood: {why}"):
        return "aside"
    arrivals.later([message], seconds=_wait(message))
    return "later"


def _received(id_: UUID) -> bool:
    """False where the bytes are not to be seen yet. Unknown ids, and what was received already, are as good as done."""
    try:
        nudges.nudge(lifecycle.receive(id_))
    except lifecycle.BytesMissing:
        log.info("s3event_before_its_bytes", version_id=str(id_))
        return False
    return True


def _wait(message: arrivals.Message) -> int:
    return int(min(FIRST_WAIT * 2 ** min(message.times - 1, 20), LONGEST_WAIT))


if __name__ == "__main__":
    main()
