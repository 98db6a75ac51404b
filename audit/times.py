"""Examines the map of times (`Batch`), by which a window of time becomes a span of places (audit.reading).

An event outside the time that its run has would not be found by who asks for that time.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from audit.findings import Findings
from audit.models import Batch

_PAGE: Final = 1000


class Times:
    """The map: runs without a gap between them, each spanning its events, which are told of in their order."""

    def __init__(self, found: Findings, low: int) -> None:
        """Begin with the run in which the event `low` is."""
        self._found = found
        self._runs = _runs(low)
        self._run = next(self._runs, None)

    def check(self, low: int, moments: Sequence[datetime | None]) -> None:
        """Compare when the events from the place `low` on occurred, None where one is missing, with their runs."""
        at, high = low, low + len(moments)
        while at < high:
            while self._run and self._run.high < at:
                self._next()
            if self._run and self._run.low <= at:
                until = min(high, self._run.high + 1)
                self._span(self._run, at, moments[at - low : until - low])
            else:
                until = min(high, self._run.low) if self._run else high
                self._found.events_wrong("the map of times does not know it", at, until)
            at = until

    def finish(self, size: int) -> None:
        """No run may be left but those of events that came meanwhile."""
        if self._run and self._run.high < size:
            self._next()

    def _next(self) -> None:
        last, self._run = self._run, next(self._runs, None)
        if last and self._run and (self._run.low <= last.high or self._run.latest < last.latest):
            self._found.wrong(
                f"the map of times goes back at event {self._run.low}", kind="runs that go back in the map of times"
            )

    def _span(self, run: Batch, low: int, moments: Sequence[datetime | None]) -> None:
        for seq, moment in enumerate(moments, start=low):
            if moment and not run.earliest <= moment <= run.latest:
                self._found.events_wrong("it occurred outside the time that the map has for it", seq)


def _runs(low: int) -> Iterator[Batch]:
    runs = Batch.objects.order_by("low")
    page = list(runs.filter(high__gte=low)[:_PAGE])
    while page:
        yield from page
        page = list(runs.filter(low__gt=page[-1].low)[:_PAGE])
