"""Which faults happen, when, to whom and for how long. The seed decides; the same seed gives the same plan.

A plan is dealt like cards: every way of breaking something is on a card, and the deck is dealt to its end before it is
shuffled again, so that even a short run breaks many things. A card waits while what it breaks is still broken. Servers
are broken one at a time and get a rest between, or nothing would ever move.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from random import Random
from typing import Any

SPACING = (2.5, 3.7)
FIRST = 3.0
SERVERS = ("postgres", "valkey", "s3", "clamd")
SPOOLING = ("validate", "scan", "apart")
WORKERS = ("validate", "scan", "apart", "finalize", "audit", "default")
OURS = ("web", *WORKERS, "reconcile", "scrub", "beat")
REST = {"servers": 3.5, "broken": 4.0}

SECONDS = {
    "kill": (0.2, 3.0),
    "kill-child": (0.0, 0.0),
    "freeze": (1.0, 8.0),
    "crash": (0.5, 6.0),
    "empty": (0.2, 4.0),
    "flush": (0.0, 0.0),
    "stall": (2.0, 8.0),
    "fill": (2.0, 8.0),
}
"""For how long each kind lasts: down, frozen, stalled, full."""


@dataclass(frozen=True)
class Card:
    """A way of breaking something. `manner` tells ways of the same kind apart."""

    kind: str
    target: str
    manner: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.target}{f' ({self.manner})' if self.manner else ''}"

    @property
    def breaks(self) -> str:
        """What is busy while this lasts: a part of ours, or any of the servers."""
        return "servers" if self.target in SERVERS else self.target


@dataclass(frozen=True)
class Fault:
    """A card with its moment: seconds after the beginning, how long it lasts, which of several it takes."""

    number: int
    at: float
    kind: str
    target: str
    manner: str
    seconds: float
    index: int

    @property
    def ends(self) -> float:
        """When it is over."""
        return self.at + self.seconds

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def __str__(self) -> str:
        card = str(Card(self.kind, self.target, self.manner))
        return f"{card}, {self.seconds:.1f} s" if self.seconds else card


def deck(parts: Sequence[str]) -> list[Card]:
    """Return every card for a stack that has these parts."""
    ours = [name for name in OURS if name in parts]
    workers = [name for name in WORKERS if name in parts]
    return [
        *(Card("kill", name) for name in (*ours, *workers)),  # workers twice
        *(Card("kill-child", name) for name in (*workers, "web")),
        *(Card("freeze", name, "all of it") for name in ours),
        *(Card("freeze", name, "one child") for name in workers),
        *(Card("freeze", name, "all of it") for name in SERVERS),
        *(Card("crash", name, "killed") for name in SERVERS),
        Card("crash", "postgres", "immediate"),
        Card("empty", "valkey"),
        *(Card("flush", "valkey") for _ in range(2)),
        *(Card("stall", name, manner) for name in SERVERS for manner in ("goes on", "reset")),
        *(Card("fill", "spool") for _ in range(3)),
    ]


def plan(seed: int, minutes: float, parts: Sequence[str], only: str = "") -> list[Fault]:
    """Return the faults of a run, in their order; the last has ended when the minutes are over.

    `only` leaves the cards in whose words it stands ("stall postgres"), to look into one thing.
    """
    random = Random(f"plan {seed}")  # noqa: S311 (it is to be guessed)
    free_at, faults, whole = dict[str, float](), list[Fault](), [card for card in deck(parts) if only in str(card)]
    cards = list(whole)
    for number, at in enumerate(_moments(random, minutes * 60)):
        card = _dealt(random, cards, free_at, at)
        if not cards:
            cards = list(whole)
        if card is None:
            continue
        low, high = SECONDS[card.kind]
        seconds = round(min(random.uniform(low, high), minutes * 60 - at), 1)
        free_at[card.breaks] = at + seconds + REST["servers" if card.breaks == "servers" else "broken"]
        index = random.randrange(1000)
        faults.append(Fault(number, at, card.kind, card.target, card.manner, seconds, index))
    return faults


def _moments(random: Random, end: float) -> Iterator[float]:
    at = FIRST
    for _ in count():
        if at > end - 1:
            return
        yield round(at, 1)
        at += random.uniform(*SPACING)


def _dealt(random: Random, cards: list[Card], free_at: dict[str, float], at: float) -> Card | None:
    """Take a card out of the deck whose victim is whole; None where there is no such card left."""
    random.shuffle(cards)
    for card in cards:
        if free_at.get(card.breaks, 0.0) <= at:
            cards.remove(card)
            return card
    return None
