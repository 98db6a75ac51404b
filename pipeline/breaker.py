"""Keeps a process from asking what is known to be away: a breaker for each dependency.

After `IN_A_ROW` faults of one dependency, met by as many different versions with nothing well in between, it opens:
steps that need the dependency are not begun. After a while it lets one through, on trial. What comes of that closes
it, or keeps it open for twice as long, up to `LONGEST` seconds. One version that fails time and again opens nothing:
what is wrong then may well be the version.

It is this process's own memory, no truth: nothing is lost with it, and others find out for themselves. Times are
seconds of one clock, given by the caller; safe from any thread.
"""

import random
import threading
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from typing import Final

from pipeline.faults import Fault

IN_A_ROW: Final = 3
FIRST: Final = 1.0
LONGEST: Final = 15.0


@dataclass(frozen=True)
class Shut:
    """What is away, and in how many seconds it may be tried again."""

    fault: Fault
    seconds: float


@dataclass
class _Open:
    """One dependency that is away: until when nobody is let through, and whether somebody is on trial."""

    fault: Fault
    seconds: float
    until: float
    trial: bool = False


@dataclass
class Breakers:
    """Those of one process."""

    _open: dict[str, _Open] = field(default_factory=dict)
    _met: dict[str, set[Hashable]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def shut(self, needs: Collection[str], *, now: float) -> Shut | None:
        """Say what of `needs` is away; None where the caller may go on, perhaps as the trial."""
        with self._lock:
            away = [self._open[name] for name in needs if name in self._open]
            if held := [each for each in away if each.until > now]:
                longest = max(held, key=lambda each: each.until)
                return Shut(longest.fault, longest.until - now)
            for each in away:  # a trial that is never told of, because its process froze or died, is over by then
                each.trial, each.until = True, now + each.seconds
            return None

    def failed(self, fault: Fault, *, of: Hashable, now: float) -> None:
        """Count a fault that the work on `of` has met."""
        if not fault.general:  # it was not away: it gave an answer
            self.unsaid([fault.dependency], now=now)
            return
        with self._lock:
            if there := self._open.get(fault.dependency):
                if there.trial:  # of those that began before it opened one hears too, and they say nothing new
                    self._opened(fault, min(2 * there.seconds, LONGEST), now)
                return
            met = self._met.setdefault(fault.dependency, set())
            met.add(of)
            if len(met) >= IN_A_ROW:
                self._opened(fault, FIRST, now)

    def _opened(self, fault: Fault, seconds: float, now: float) -> None:
        wait = seconds * random.uniform(0.75, 1)  # noqa: S311 (many processes must not come back at once)
        self._open[fault.dependency] = _Open(fault, seconds, now + wait)

    def answered(self, needs: Collection[str]) -> None:
        """Note that work which needed all of these has come through."""
        with self._lock:
            for name in needs:
                self._met.pop(name, None)
                self._open.pop(name, None)

    def unsaid(self, needs: Collection[str], *, now: float) -> None:
        """Give a trial back that came to nothing: whoever is next may have it."""
        with self._lock:
            for name in needs:
                if (there := self._open.get(name)) and there.trial:
                    there.trial, there.until = False, now

    def forget(self) -> None:
        """Begin anew, as a process that has just been started."""
        with self._lock:
            self._open.clear()
            self._met.clear()


process: Final = Breakers()  # this one's; a forked child goes on with a copy of what its parent knew
