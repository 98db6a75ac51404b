"""The lifecycle against a simple model, on real PostgreSQL: random acts, faults, deaths and doings in between.

Hypothesis makes up histories of several documents of two owners who have one place each, or two: uploads, replays,
steps, sweeps, requeues, time that passes, outages, lost messages. Any act may be broken off between any two statements,
and somebody else may act in the middle of it, in another session. After each the database must be what the model says
(`both`, `simple`); at the end, when nothing fails any more, every version must come to an end or stand with a reason.
S3, scanner and broker are doubles in memory (`world`), for speed: the journeys use the real ones.

The short run is the same every time. The long one (`--all`) is another each time, and says how to repeat it.
"""

import json
from collections import Counter, defaultdict
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
from tests.pipeline.simple import LASTS, UNDER_WAY, WORK, Life, View
from tests.pipeline.world import DAMAGED, EVIL, GOOD, instead, kind
from workers import tasks

pytestmark = pytest.mark.django_db(transaction=True)

MOST = 8
SOON, LONG, VERY_LONG = 35, 41 * 60, 86_400
NEXT = {before: work for work, before in WORK.items()}
VERSIONS, KEEPS = "pipeline_documentversion", "pipeline_version_keeps"
TABLES = f"pipeline_scan, pipeline_alarm, {VERSIONS}, pipeline_document"
MOMENTS = ("due_at", "expires_at", "created_at", "status_at", "received_at", "entered_at", "late_at", "waited_at")

ACT = st.sampled_from(["send", "receive", *WORK, "expire", "tidy", "give_up", "requeue", "lose"])
ANY = st.integers(0, MOST + 2)
FIRST = st.sampled_from([0, 0, 0, 1])
UPLOADS = st.tuples(FIRST, FIRST, st.sampled_from([GOOD, GOOD, GOOD, GOOD, DAMAGED, EVIL]))


def what(times: int, name: str, *taken: st.SearchStrategy[Any]) -> list[st.SearchStrategy[Any]]:
    """One of the methods of `Lives`, what it takes, and how often it is chosen."""
    return [st.tuples(st.just(name), *taken) for _ in range(times)]  # each a new one: the same twice is one choice


WHAT = st.one_of(
    *what(6, "go_on", ANY, st.integers(1, 4), MISHAPS),
    *what(4, "upload", UPLOADS, st.integers(0, 2)),
    *what(2, "act", ANY, ACT, MISHAPS),
    *what(4, "meet", ANY, st.sampled_from(["next", "next", "receive", "expire"]), st.none() | ANY, ACT),
    *what(2, "die", ANY, st.sampled_from([1, 3, 4, 6, 7])),
    *what(2, "requeue", ANY),
    *what(2, "fill", FIRST, MISHAPS),
    *what(1, "sweep", MISHAPS),
    *what(2, "deliver", ANY, MISHAPS),
    *what(1, "lose", st.sampled_from(["storage", "scanner", "messages"])),
    *what(1, "lose"),
    *what(2, "wait", st.sampled_from([SOON, SOON, LONG, VERY_LONG])),
)


class Lives(RuleBasedStateMachine):
    """Acts at random."""

    owners: ClassVar[list[User]]
    fuse: ClassVar[Fuse]

    @initialize(places=st.sampled_from([2, 1, 2]), uploads=st.lists(UPLOADS, min_size=3, max_size=5))
    def start(self, places: int, uploads: list[tuple[int, int, str]]) -> None:
        """Nothing was there before."""
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {TABLES}")
        Outbox.objects.all().delete()
        self.fuse.down = set()
        ours.OWNER_PLACES = places
        self.both = Both(self.owners, self.fuse, places)
        self.doubles = ExitStack()
        self.doubles.enter_context(instead(self.both.bucket, self.both.queues))
        self.read, self.events = 0, defaultdict[UUID, Counter[str]](Counter)
        for upload in uploads:  # so that there is something to act on
            self.upload(upload)

    def life(self, which: int) -> Life:
        """One of those there are, mostly an unfinished one."""
        lives = list(self.both.model.lives.values())
        unfinished = [life for life in lives if life.status in LASTS]
        return unfinished[which % len(unfinished)] if unfinished and which < MOST else lives[which % len(lives)]

    # --- what may happen -------------------------------------------------------------------------
    @rule(what=WHAT)
    def happen(self, what: tuple[Any, ...]) -> None:
        """One of the methods that follow, with what it takes."""
        getattr(self, what[0])(*what[1:])

    def upload(self, upload: tuple[int, int, str], far: int = 2) -> None:
        """One begins; its bytes come; and they are received: so far."""
        if len(self.both.model.lives) < MOST:
            id_ = self.both.begin(*upload)
            if far > 0:
                self.both.send(id_)
            if far > 1:
                self.both.do("receive", id_)

    def go_on(self, which: int, steps: int, mishap: Mishap | None) -> None:
        """The next things that a version needs; the last of them may fail."""
        id_ = self.life(which).id
        for left in reversed(range(steps)):
            status = self.both.model.lives[id_].status
            act = "receive" if status == "pending" else NEXT.get(status, "tidy")
            if act == "receive" and not self.both.bucket.quarantine[id_]:
                self.both.send(id_)
            self.both.do(act, id_, None if left else mishap)

    def act(self, which: int, act: str, mishap: Mishap | None) -> None:
        """Anything at all."""
        self.both.do(act, self.life(which).id, mishap)

    def meet(self, which: int, act: str, other: int | None, meanwhile: str) -> None:
        """Somebody acts in the middle of what somebody else does, often on the same version or document."""
        life = self.life(which)
        act = NEXT.get(life.status, "receive") if act == "next" else act
        beside = [life, *self.both.model.of_document(life)]
        one = life if other is None else self.life(other) if other > MOST else beside[other % len(beside)]
        self.both.do(act, life.id, meanwhile=(meanwhile, one.id))

    def die(self, which: int, times: int) -> None:
        """A document costs one worker after the other its life."""
        life = self.life(which)
        for _ in range(times if life.status in NEXT else 0):
            self.both.do(NEXT[life.status], life.id, Mishap(DEATH, 1))

    def requeue(self, which: int) -> None:
        """An admin lets one go on that stands, if any does."""
        stuck = [life for life in self.both.model.lives.values() if life.stuck]
        self.both.do("requeue", (stuck[which % len(stuck)] if stuck else self.life(which)).id)

    def fill(self, owner: int, mishap: Mishap | None) -> None:
        """Free places are given."""
        self.both.fill(owner, mishap)

    def sweep(self, mishap: Mishap | None) -> None:
        """The reconciler looks at everything."""
        self.both.sweep(mishap)

    def deliver(self, which: int, mishap: Mishap | None) -> None:
        """A worker is given a message, in any order."""
        if self.both.queues.messages:
            self.both.deliver(which, mishap)

    def lose(self, *away: str) -> None:
        """This is away from now on and everything else is there; or the broker was emptied."""
        if away == ("messages",):
            self.both.queues.messages.clear()
        else:
            self.fuse.down = set(away)
            breaker.process.forget()  # so much time has passed that everybody knows

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
        for row in Outbox.objects.filter(pk__gt=self.read).order_by("pk"):
            leaf, self.read = json.loads(row.leaf), row.pk
            if leaf["action"] != "version.purged":
                self.events[UUID(leaf["object"]["uid"])][leaf["action"]] += 1
        assert self.events == {life.id: life.events for life in self.both.model.lives.values()}

    @invariant()
    def numbers_and_arrivals_are_dense_and_in_order(self) -> None:
        """Those that never stood still are numbered as they arrived."""
        documents = defaultdict(list)
        for life in self.both.model.lives.values():  # which is what the database says
            documents[life.document].append(life)
        for lives in documents.values():
            for given in ([life.number for life in lives], [life.arrival for life in lives]):
                numbers = sorted(filter(None, given))
                assert numbers == list(range(1, len(numbers) + 1))
            unaided = [life for life in lives if life.number and not life.aided]
            assert sorted(unaided, key=lambda life: life.number or 0) == sorted(
                unaided, key=lambda life: life.arrival or 0
            )

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
            self.lose()
            for seconds, unfinished in ((SOON, UNDER_WAY), (VERY_LONG, {"pending", *UNDER_WAY})):
                self.settle(seconds, unfinished)
            self.every_change_has_one_event()
            self.numbers_and_arrivals_are_dense_and_in_order()
            for document in Document.objects.prefetch_related("versions"):
                versions = document.versions.all()
                assert document.numbers == len([one for one in versions if one.number])
                assert document.arrivals == len([one for one in versions if one.arrival])

    def settle(self, seconds: int, unfinished: set[str]) -> None:
        """Let time pass, sweep and work; as long as there is anything unfinished something must move."""
        before: View = {}
        while DocumentVersion.objects.filter(status__in=unfinished, stuck_reason="").exists():
            self.wait(seconds)
            self.both.sweep()
            while self.both.queues.messages:
                self.both.deliver(0)
            assert before != (before := view()), f"silently pending:\n{told(before)}"
            seconds = SOON


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
    run(machine, max_examples=40, stateful_step_count=30, derandomize=True)


def test_bytes_that_come_while_an_upload_is_given_up_are_received(machine: type[Lives]) -> None:
    one = machine()
    one.start(places=2, uploads=[])
    one.upload((0, 0, GOOD), 1)
    one.wait(VERY_LONG)
    one.meet(0, "receive", None, "give_up")
    life = one.life(0)
    assert (life.status, life.stuck, life.events["version.stuck"]) == ("received", False, 1)
    one.teardown()


@pytest.mark.timeout(1500)
@pytest.mark.all_only("takes minutes")
def test_versions_live_as_the_model_says_at_random(machine: type[Lives]) -> None:
    run(machine, max_examples=40, stateful_step_count=40)
