"""What a version's life should be, said once more and as simply as can be: the model that `test_model` compares with.

Written from the design, not from the code: no database, no messages, a clock that is a number. Each act changes the
model in small moves and keeps a copy after each, because somebody who dies on the way leaves one of these behind.
"""

from collections import Counter
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from tests.pipeline.world import DAMAGED, EVIL

GRACE, DAY = 900, 86_400
WINDOW = 300
LASTS = {"pending": 3_600, "received": 21_600, "validated": 21_600, "clean": 21_600}
LATELY = 900
WORK = {"validate": "received", "scan": "validated", "finalize": "clean"}
UNDER_WAY = set(WORK.values())
APART, MOST = 3, 6
View = dict[UUID, tuple[Any, ...]]


@dataclass
class Life:
    """One version."""

    id: UUID
    owner: int
    document: tuple[int, int]
    until: float  # the policy's end
    late_at: float
    status: str = "pending"
    arrival: int | None = None
    number: int | None = None
    placed: bool = False
    stuck: bool = False
    deaths: int = 0
    waited: float = float("-inf")
    turn: int = 0  # in the order in which bytes came, over all documents
    aided: bool = False
    events: Counter[str] = field(default_factory=Counter)

    @property
    def in_line(self) -> bool:
        """Whether later ones of its document wait for it."""
        return self.status in UNDER_WAY and not self.stuck and (self.placed or self.status != "received")

    @property
    def in_place(self) -> bool:
        """Whether it holds one of its owner's places."""
        return self.status in UNDER_WAY and not self.stuck and self.placed

    @property
    def queues(self) -> bool:
        """Whether it waits for a place."""
        return self.status == "received" and not self.stuck and not self.placed

    @property
    def in_turn(self) -> bool:
        """Whether something may be done to it."""
        return self.status in LASTS and not self.stuck and not self.queues


class Simple:
    """All versions, and what is owed: attempts that a process could not yet take back."""

    def __init__(self, places: int) -> None:
        self.places, self.clock, self.turns = places, 0.0, 0
        self.lives: dict[UUID, Life] = {}
        self.owed: list[tuple[UUID, str, int]] = []
        self.at_work: tuple[UUID, str, int] | None = None  # whose attempt was counted last, and what was before
        self.steps: list[tuple[str, Simple]] = []

    def view(self) -> View:
        """What can be compared with the database."""
        return {
            one.id: (one.status, one.arrival, one.number, one.placed, one.stuck, one.deaths)
            for one in self.lives.values()
        }

    def kept(self, after: str) -> None:
        """Keep a copy, under a name."""
        self.steps.append((after, self.copy()))

    def copy(self) -> "Simple":
        """The same, to go on by itself."""
        there = copy(self)
        there.lives = {id_: replace(life, events=Counter(life.events)) for id_, life in self.lives.items()}
        there.owed, there.steps = [*self.owed], []
        return there

    # --- what is asked ---------------------------------------------------------------------------
    def of_document(self, life: Life) -> list[Life]:
        """All versions of the same document."""
        return [one for one in self.lives.values() if one.document == life.document]

    def free(self, owner: int) -> int:
        """How many places the owner has left."""
        return self.places - sum(one.in_place for one in self.lives.values() if one.owner == owner)

    def queue(self, owner: int) -> list[Life]:
        """Those that wait for a place, the longest first."""
        mine = [one for one in self.lives.values() if one.owner == owner and one.queues]
        return sorted(mine, key=lambda one: one.turn)

    def waits(self, life: Life) -> bool:
        """Whether an earlier one of the document is still on its way."""
        return any(one.in_line and (one.arrival or 0) < (life.arrival or 0) for one in self.of_document(life))

    def late(self, life: Life) -> bool:
        """Whether its status has lasted too long."""
        return life.status in LASTS and life.late_at <= self.clock

    def forsaken(self, life: Life) -> bool:
        """Whether that is so though nothing that has a name hinders it."""
        in_line = life.status == "clean" and self.waits(life)
        return life.in_turn and self.late(life) and life.waited <= self.clock - LATELY and not in_line

    # --- what is done ----------------------------------------------------------------------------
    def begin(self, id_: UUID, owner: int, document: tuple[int, int]) -> None:
        """A POST is offered."""
        until = self.clock + WINDOW
        life = Life(id_, owner, document, until, until + GRACE + LASTS["pending"])
        life.events["version.requested"] += 1
        self.lives[id_] = life
        self.kept("begun")

    def receive(self, id_: UUID, bytes_came: bool, begun: bool = False) -> None:
        """The first bytes are pinned; who had `begun` to goes on though it was given up meanwhile."""
        life = self.lives[id_]
        if life.status != "pending" or (life.stuck and not begun) or not bytes_came:
            return
        place = not self.queue(life.owner) and self.free(life.owner) > 0
        life.arrival = 1 + max((one.arrival or 0) for one in self.of_document(life))
        self.turns += 1
        life.turn, life.placed = self.turns, place
        self._move(life, "received")

    def expire(self, id_: UUID, bytes_came: bool, begun: bool = False) -> None:
        """Nothing came in time."""
        life = self.lives[id_]
        if self.clock < life.until + GRACE:
            return
        self.receive(id_, bytes_came, begun)
        if life.status == "pending" and (begun or not life.stuck):
            self._move(life, "expired")

    def count(self, id_: UUID, work: str, *, alone: bool = True) -> bool:
        """Somebody takes a step up: what is owed is paid, the attempt counted. False if there is nothing to do."""
        life = self.lives[id_]
        self.pay()
        if life.status != WORK[work] or not life.in_turn or (life.deaths >= APART and not alone):
            return False
        if life.deaths >= MOST:
            self.stick(id_)
            return False
        self.at_work = id_, life.status, life.deaths
        life.deaths += 1
        self.kept("counted")
        return True

    def work(self, id_: UUID, work: str, kind: str, *, before: tuple[str, int], gone: bool = False) -> None:
        """The step is done, and `before` it the version was in this status with so many deaths."""
        life = self.lives[id_]
        if life.status == before[0] and gone:
            self.stick(id_)
        elif life.status == before[0] and not (work == "finalize" and self.waits(life)):
            self._move(life, self._outcome(work, kind))
        self.give_back(id_, *before)

    def stand(self, id_: UUID, before: tuple[str, int]) -> None:
        """It waits for something that has a name: what is away, or an earlier version. Nothing else has happened."""
        self.lives[id_].waited = self.clock
        self.give_back(id_, *before)

    def _outcome(self, work: str, kind: str) -> str:
        if work == "validate":
            return "rejected" if kind == DAMAGED else "validated"
        if work == "scan":
            return "infected" if kind == EVIL else "clean"
        return "available"

    def give_back(self, id_: UUID, status: str, deaths: int) -> None:
        """Take the attempt back."""
        life = self.lives[id_]
        if (life.status, life.deaths) == (status, deaths + 1):
            life.deaths = deaths
        self.kept("given back")

    def pay(self) -> None:
        """Take back what could not be taken back before."""
        for owed in self.owed:
            self.give_back(*owed)
        self.owed = []
        self.kept("paid")

    def fill(self, owner: int) -> None:
        """Free places are given to those that wait longest."""
        for life in self.queue(owner)[: max(0, self.free(owner))]:
            life.placed, life.late_at = True, self.clock + LASTS["received"]
        self.kept("filled")

    def give_up(self, id_: UUID) -> None:
        """What nothing hinders and yet lasts too long is told of."""
        if self.forsaken(self.lives[id_]):
            self.stick(id_)

    def stick(self, id_: UUID) -> None:
        """It stands, with a reason."""
        life = self.lives[id_]
        if not life.stuck:
            life.stuck = life.aided = True
            life.events["version.stuck"] += 1
        self.kept("stuck")

    def requeue(self, id_: UUID) -> bool:
        """An admin lets it go on. False: there was nothing to."""
        life = self.lives[id_]
        if not life.stuck and not self.late(life):
            return False
        life.stuck, life.deaths, life.aided = False, 0, True
        life.late_at = self.clock + LASTS[life.status]
        life.events["version.requeued"] += 1
        if life.status == "received":
            life.placed = False
        self.kept("requeued")
        return True

    def _move(self, life: Life, to: str) -> None:
        life.status, life.deaths, life.stuck = to, 0, False
        life.events[{"clean": "version.scanned"}.get(to, f"version.{to}")] += 1
        if to in LASTS:
            life.late_at = self.clock + LASTS[to]
        if to == "available":
            life.number = 1 + max((one.number or 0) for one in self.of_document(life))
        self.kept("moved")
