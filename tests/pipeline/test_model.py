"""The lifecycle against a simple model, on real PostgreSQL: random acts, faults, deaths and doings in between.

Hypothesis makes up histories of several documents of two owners who have one place each, or two: uploads, replays,
steps, sweeps, requeues, time that passes, outages, lost messages. Any act may be broken off between any two statements,
and somebody else may act in the middle of it, in another session. After each the database must be what the model says
(`both`, `simple`); at the end, when nothing fails any more, every version must come to an end or stand with a reason.
S3, scanner and broker are doubles in memory (`world`), for speed: the journeys use the real ones.

The short run is the same every time. The long one (`--all`) is another each time, and says how to repeat it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.conf import settings as ours
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from audit.models import Outbox
from identity.models import User
from pipeline import breaker
from pipeline.models import Document, DocumentVersion
from tests.pipeline.both import Both, told, view
from tests.pipeline.mishaps import DEATH, MISHAPS, Fuse, Mishap
from tests.pipeline.simple import UNDER_WAY, WORK, Life, View
from tests.pipeline.world import DAMAGED, EVIL, GOOD, instead, kind
from workers import tasks

pytestmark = pytest.mark.django_db(transaction=True)

MOST = 8
SOON, LONG, VERY_LONG = 35, 41 * 60, 86_400
NEXT = {before: work for work, before in WORK.items()}
ACTS = ("send", "receive", *WORK, "expire", "tidy", "give_up", "requeue", "lose")
ANY = st.integers(0, MOST - 1)
VERSIONS, KEEPS = "pipeline_documentversion", "pipeline_version_keeps"
TABLES = f"pipeline_scan, pipeline_alarm, {VERSIONS}, pipeline_document"
MOMENTS = ("due_at", "expires_at", "created_at", "status_at", "received_at", "entered_at", "late_at", "waited_at")


class Lives(RuleBasedStateMachine):
    """Acts at random."""

    owners: ClassVar[list[User]]
    fuse: ClassVar[Fuse]

    @initialize(places=st.integers(1, 2))
    def start(self, places: int) -> None:
        """Nothing was there before."""
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {TABLES}")
        Outbox.objects.all().delete()
        self.fuse.down = set()
        ours.OWNER_PLACES = places
        self.both = Both(self.owners, self.fuse, places)
        self.doubles = ExitStack()
        self.doubles.enter_context(instead(self.both.bucket, self.both.queues))
        self.upload(owner=0, name=0, what=GOOD)  # so that there is always something to act on

    def life(self, which: int) -> Life:
        """One of those there are."""
        lives = list(self.both.model.lives.values())
        return lives[which % len(lives)]

    # --- what may happen -------------------------------------------------------------------------
    @rule(owner=st.integers(0, 1), name=st.integers(0, 1), what=st.sampled_from([GOOD, GOOD, GOOD, DAMAGED, EVIL]))
    def begin(self, owner: int, name: int, what: str) -> None:
        """An upload begins."""
        if len(self.both.model.lives) < MOST:
            self.both.begin(owner, name, what)

    @rule(owner=st.integers(0, 1), name=st.integers(0, 1), what=st.sampled_from([GOOD, GOOD, GOOD, DAMAGED, EVIL]))
    def upload(self, owner: int, name: int, what: str) -> None:
        """One begins, and its bytes come."""
        if len(self.both.model.lives) < MOST:
            id_ = self.both.begin(owner, name, what)
            self.both.send(id_)
            self.both.do("receive", id_)

    @rule(which=ANY, steps=st.integers(1, 4), mishap=MISHAPS)
    def go_on(self, which: int, steps: int, mishap: Mishap | None) -> None:
        """The next things that a version needs; the last of them may fail."""
        id_ = self.life(which).id
        for left in reversed(range(steps)):
            status = self.both.model.lives[id_].status
            act = "receive" if status == "pending" else NEXT.get(status, "tidy")
            if act == "receive" and not self.both.bucket.quarantine[id_]:
                self.both.send(id_)
            self.both.do(act, id_, None if left else mishap)

    @rule(which=ANY, act=st.sampled_from(ACTS), mishap=MISHAPS)
    def act(self, which: int, act: str, mishap: Mishap | None) -> None:
        """Anything at all."""
        self.both.do(act, self.life(which).id, mishap)

    @rule(which=ANY, act=st.sampled_from(["next", "next", "expire"]), other=ANY, meanwhile=st.sampled_from(ACTS))
    def meet(self, which: int, act: str, other: int, meanwhile: str) -> None:
        """Somebody acts in the middle of what somebody else does, perhaps on the same version."""
        life = self.life(which)
        act = NEXT.get(life.status, "receive") if act == "next" else act
        self.both.do(act, life.id, meanwhile=(meanwhile, self.life(other).id))

    @rule(which=ANY, times=st.integers(2, 7))
    def die(self, which: int, times: int) -> None:
        """A document costs one worker after the other its life."""
        life = self.life(which)
        for _ in range(times if life.status in NEXT else 0):
            self.both.do(NEXT[life.status], life.id, Mishap(DEATH, 1))

    @rule(which=ANY)
    def stand_and_go_on(self, which: int) -> None:
        """It is requeued if it is to be."""
        stuck = [life for life in self.both.model.lives.values() if life.stuck]
        self.both.do("requeue", (stuck[which % len(stuck)] if stuck else self.life(which)).id)

    @rule(owner=st.integers(0, 1), mishap=MISHAPS)
    def fill(self, owner: int, mishap: Mishap | None) -> None:
        """Free places are given."""
        self.both.fill(owner, mishap)

    @rule(mishap=MISHAPS)
    def sweep(self, mishap: Mishap | None) -> None:
        """The reconciler looks at everything."""
        self.both.sweep(mishap)

    @rule(which=st.integers(0, 20), mishap=MISHAPS)
    def deliver(self, which: int, mishap: Mishap | None) -> None:
        """A worker is given a message, in any order."""
        if self.both.queues.messages:
            self.both.deliver(which, mishap)

    @rule(away=st.sampled_from([{"storage"}, {"scanner"}, {"messages"}, set()]))
    def lose(self, away: set[str]) -> None:
        """This is away from now on and everything else is there; or the broker was emptied."""
        if away == {"messages"}:
            self.both.queues.messages.clear()
        else:
            self.fuse.down = away
            breaker.process.forget()  # so much time has passed that everybody knows

    @rule(seconds=st.sampled_from([SOON, SOON, LONG, VERY_LONG]))
    def wait(self, seconds: int) -> None:
        """Time passes: every moment that is written down lies further back."""
        back = ", ".join(f"{name} = {name} - %(by)s::interval" for name in MOMENTS)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {VERSIONS} DISABLE TRIGGER {KEEPS}")  # what is pinned stays pinned
            cursor.execute(f"UPDATE {VERSIONS} SET {back}", {"by": f"{seconds} seconds"})
            cursor.execute(f"ALTER TABLE {VERSIONS} ENABLE TRIGGER {KEEPS}")
        self.both.model.clock += seconds

    # --- what always holds -----------------------------------------------------------------------
    @invariant()
    def every_change_has_one_event(self) -> None:
        """And nothing else has one, but for the deletions in quarantine."""
        counts: dict[UUID, Counter[str]] = {id_: Counter() for id_ in self.both.model.lives}
        for text in Outbox.objects.values_list("leaf", flat=True):
            leaf = json.loads(text)
            if leaf["action"] != "version.purged":
                counts[UUID(leaf["object"]["uid"])][leaf["action"]] += 1
        assert counts == {life.id: life.events for life in self.both.model.lives.values()}

    @invariant()
    def numbers_and_arrivals_are_dense_and_in_order(self) -> None:
        """Those that never stood still are numbered as they arrived."""
        for document in Document.objects.prefetch_related("versions"):
            versions = list(document.versions.all())
            for said, count in (("number", document.numbers), ("arrival", document.arrivals)):
                given = sorted(getattr(one, said) for one in versions if getattr(one, said))
                assert given == list(range(1, count + 1))
            unaided = [one for one in versions if one.number and not self.both.model.lives[one.pk].aided]
            assert sorted(unaided, key=lambda one: one.number or 0) == sorted(unaided, key=lambda one: one.arrival or 0)

    @invariant()
    def nobody_has_too_many_places(self) -> None:
        """But for those that were requeued when their check had begun: these go on where they stood."""
        for owner in range(2):
            placed = [life for life in self.both.model.lives.values() if life.owner == owner and life.in_place]
            assert len([life for life in placed if not life.aided]) <= self.both.model.places

    @invariant()
    def the_vault_holds_what_came_first_and_quarantine_what_is_still_needed(self) -> None:
        """Nothing but good is available, and nothing is deleted before its end."""
        for id_, life in self.both.model.lives.items():
            if life.status == "available":
                assert self.both.bucket.vault[id_][1:] == self.both.pinned[id_]
                assert kind(self.both.pinned[id_][1]) == GOOD
            if life.status not in {"available", "rejected", "expired"}:
                assert not self.both.bucket.deleted[id_]

    # --- the end ---------------------------------------------------------------------------------
    def teardown(self) -> None:
        """When nothing fails any more every version ends, or stands with a reason."""
        if not hasattr(self, "both"):
            return
        with self.doubles:
            self.lose(set())
            for seconds, unfinished in ((SOON, UNDER_WAY), (VERY_LONG, {"pending", *UNDER_WAY})):
                self.wait(seconds)
                self.settle()
                left = DocumentVersion.objects.filter(status__in=unfinished, stuck_reason="")
                assert not left.exists(), f"silently pending:\n{told(view())}"
            self.every_change_has_one_event()
            self.numbers_and_arrivals_are_dense_and_in_order()

    def settle(self) -> None:
        """Sweep and work until nothing moves any more."""
        before: View = {}
        while before != (before := view()):
            self.both.sweep()
            while self.both.queues.messages:
                self.both.deliver(0)
            self.wait(SOON)


@pytest.fixture
def machine(alice: User, bob: User, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Lives]]:
    """The machine, with its owners and its fuse."""
    settings.OWNER_PLACES, settings.AUDIT_WAKE = 1, ""
    monkeypatch.setattr(tasks, "_served_here", lambda _: False)
    Lives.owners, Lives.fuse = [alice, bob], Fuse()
    yield Lives
    Lives.fuse.close()


def run(machine: type[Lives], **changes: Any) -> None:
    """Run it."""
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    said = settings(deadline=None, suppress_health_check=checks, print_blob=True, database=None, **changes)
    run_state_machine_as_test(machine, settings=said)


@pytest.mark.timeout(600)
def test_versions_live_as_the_model_says(machine: type[Lives]) -> None:
    run(machine, max_examples=12, stateful_step_count=25, derandomize=True)


@pytest.mark.timeout(1500)
@pytest.mark.all_only("takes minutes")
def test_versions_live_as_the_model_says_at_random(machine: type[Lives]) -> None:
    run(machine, max_examples=60, stateful_step_count=40)
