"""The scrub: `python -m workers.scrub`. It compares both buckets with the rows, and reads the vault again.

A process of its own, because it reads slowly and for ever, and needs no broker. Any number of copies may run: one at a
time works, the others stand by (advisory lock). Nothing that it does needs to be finished: each change is one
transaction, and whoever comes next goes on at the same place, so a stop leaves even a large object where it is.
"""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import django
import structlog
from django.conf import settings
from django.db import close_old_connections, connection
from django.utils import timezone

django.setup()

from pipeline import claims, faults, gone, scrub, storage, strays  # noqa: E402  (models need Django to be set up)
from pipeline.models import DocumentVersion  # noqa: E402
from workers import starting  # noqa: E402

log = structlog.get_logger(__name__)

LOCK: Final = 0x5752_0003
IDLE_SECONDS: Final = 5.0
BUSY_SECONDS: Final = 1.0
READ_SECONDS: Final = 5.0  # then the walks have their turn, as soon as the object is read
TELL_EVERY_SECONDS: Final = 60.0
ASKED_FOR_RATE: Final = 4 * 1024 * 1024  # with the scrub off, of what an admin has requeued


@dataclass
class Tally:
    """What has come of it since it was last told."""

    objects: int = 0
    bytes: int = 0
    alarms: int = 0
    unread: int = 0
    listed: int = 0
    purged_or_due: int = 0
    gone: int = 0


@dataclass
class Scrub:
    """One process's work: what it counts, what it was not given, and when it is to stop."""

    stop: threading.Event
    tally: Tally = field(default_factory=Tally)
    unread: scrub.Unread = field(default_factory=scrub.Unread)
    told_at: float = field(default_factory=time.monotonic)
    free_at: float = 0.0

    def turn(self) -> bool:
        """Do a bounded part of everything; return whether there is more to do at once.

        Nothing where another copy is at work. What S3 or the database fail at is left for the next turn.
        """
        with claims.locked(LOCK) as ours:
            if not ours:
                return False
            parts = (self._walk_quarantine, self._walk_vault, self._look_for_bytes, self._look_at_strays, self._read)
            more = [self._tried(part) for part in parts]
            return any(more)

    def _tried(self, part: Callable[[], bool]) -> bool:
        try:
            return not self.stop.is_set() and part()
        except storage.FAULTS as error:
            if faults.of(error) is None:
                raise
            log.warning("scrub_failed", part=part.__name__.strip("_"), fault=type(error).__name__)
            return False

    def _walk_quarantine(self) -> bool:
        return self._walked("quarantine")

    def _walk_vault(self) -> bool:
        return self._walked("vault")

    def _walked(self, name: str) -> bool:
        looked = strays.step(name, now=timezone.now())
        if looked is None:
            return False
        self.tally.listed += looked.entries
        if name == "vault":
            self.tally.alarms += looked.acts
        else:
            self.tally.purged_or_due += looked.acts
        return not looked.ended

    def _look_for_bytes(self) -> bool:
        self.tally.gone += gone.look(now=timezone.now())
        return False

    def _look_at_strays(self) -> bool:
        strays.look_again(now=timezone.now())
        return False

    def _read(self) -> bool:
        """Read objects for some seconds; one that was begun is read to its end."""
        now, ends = timezone.now(), time.monotonic() + READ_SECONDS
        versions = scrub.due(now=now, leave_out=self.unread.left_out(now))
        for version in versions:
            if self.stop.is_set() or time.monotonic() > ends:
                break
            self._count(self._checked(version), str(version.pk))
        return bool(versions)

    def _checked(self, version: DocumentVersion) -> scrub.Outcome:
        if version.size >= settings.LARGE_FILE_BYTES:
            log.info("large_object", version_id=str(version.pk), size=version.size)  # this one takes its time
        try:
            return scrub.check(version, pace=self.pace, unread=self.unread)
        except faults.FAULTS:
            self.unread.put_off(version.pk, timezone.now())  # should it be this one alone, the next is not held up
            raise

    def pace(self, size: int) -> bool:
        """Wait as long as so many bytes may take (SCRUB_BYTES_PER_SECOND); False: stop."""
        self.tally.bytes += size
        self.tell()
        now = time.monotonic()
        self.free_at = max(self.free_at, now) + size / (settings.SCRUB_BYTES_PER_SECOND or ASKED_FOR_RATE)
        return not self.stop.wait(self.free_at - now)

    def _count(self, outcome: scrub.Outcome, version_id: str) -> None:
        if outcome in {scrub.Outcome.EQUAL, scrub.Outcome.ALTERED, scrub.Outcome.MISSING}:
            self.tally.objects += 1
        if outcome in {scrub.Outcome.ALTERED, scrub.Outcome.MISSING}:
            self.tally.alarms += 1
            log.error("vault_alarm", kind=outcome, version_id=version_id)
        elif outcome == scrub.Outcome.UNREAD:
            self.tally.unread += 1
            log.warning("object_not_given", version_id=version_id)

    def tell(self) -> None:
        """Say now and then how far it has come, with the age of what was not read for longest."""
        if time.monotonic() - self.told_at < TELL_EVERY_SECONDS:
            return
        if any(vars(self.tally).values()):
            log.info("scrubbed", **vars(self.tally), oldest_seconds=round(scrub.since(now=timezone.now())))
        self.tally, self.told_at = Tally(), time.monotonic()


def main() -> None:
    """Work until SIGTERM or SIGINT, which break off what is being read."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    log.info("scrub_started", bytes_per_second=settings.SCRUB_BYTES_PER_SECOND, every_days=settings.SCRUB_EVERY_DAYS)
    work, told = Scrub(stop), False
    while not stop.is_set():
        told = told or starting.recorded("scrub")
        stop.wait(BUSY_SECONDS if _turned(work) else IDLE_SECONDS)
    log.info("scrub_stopped")


def _turned(work: Scrub) -> bool:
    close_old_connections()
    try:
        more = work.turn()
        work.tell()
    except faults.FAULTS as error:
        log.warning("scrub_failed", fault=type(error).__name__)
        connection.close()
        if faults.of(error) is None:
            raise
        return False
    return more


if __name__ == "__main__":
    main()
