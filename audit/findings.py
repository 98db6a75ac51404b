"""What an examination of the log finds: every kind of thing that is wrong, with the places where, and a count."""

from dataclasses import dataclass, field
from typing import Final

from audit import tree

SHOWN: Final = 20
"""So many places are told of each kind."""


@dataclass
class Findings:
    """What was examined, and what is wrong with it."""

    size: int = 0
    root: bytes = tree.EMPTY_ROOT
    events: int = 0
    _wrong: dict[str, "_Kind"] = field(default_factory=dict)
    _remarks: dict[str, "_Kind"] = field(default_factory=dict)

    def wrong(self, what: str, *, kind: str = "") -> None:
        """Note what is wrong, if it is not about events. Where there may be many of a kind, name that."""
        self._wrong.setdefault(kind or what, _Kind()).tell(what)

    def events_wrong(self, what: str, low: int, high: int = 0) -> None:
        """Note what is wrong with the events from `low` to before `high`, or with one; to be told in their order."""
        self._wrong.setdefault(what, _Kind()).run(low, high or low + 1)

    def remark(self, what: str, *, kind: str = "") -> None:
        """Note what is not wrong but should be known."""
        self._remarks.setdefault(kind or what, _Kind()).tell(what)

    @property
    def count(self) -> int:
        """How many things are wrong."""
        return sum(each.count for each in self._wrong.values())

    @property
    def problems(self) -> list[str]:
        """A line for each place, the first SHOWN of each kind, and a line that counts the others of it."""
        return [line for what, each in self._wrong.items() for line in each.lines(what)]

    @property
    def remarks(self) -> list[str]:
        """What was remarked, as bounded as the problems are."""
        return [line for what, each in self._remarks.items() for line in each.lines(what)]


class _Kind:
    """One kind of thing. Events that follow one another are one run."""

    def __init__(self) -> None:
        self.count = 0
        self._more = 0
        self._told: list[str] = []
        self._runs: list[tuple[int, int]] = []

    def tell(self, what: str) -> None:
        self.count += 1
        if len(self._told) < SHOWN:
            self._told.append(what)
        else:
            self._more += 1

    def run(self, low: int, high: int) -> None:
        self.count += high - low
        if self._runs and self._runs[-1][1] == low and not self._more:
            self._runs[-1] = (self._runs[-1][0], high)
        elif len(self._runs) < SHOWN:
            self._runs.append((low, high))
        else:
            self._more += high - low

    def lines(self, what: str) -> list[str]:
        runs = [f"{span(low, high)}: {what}" for low, high in self._runs]
        return [*self._told, *runs, *([f"and {self._more} more: {what}"] if self._more else [])]


def span(low: int, high: int) -> str:
    """The events from `low` to before `high`, in words."""
    if low == high:
        return "no events"
    return f"event {low}" if high - low == 1 else f"events {low} to {high - 1}"
