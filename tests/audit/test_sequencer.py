"""The sequencer: every committed event gets one place, dense and in order, whoever races."""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import close_old_connections, connection, connections, transaction

from audit import actions, leaf, sequencer, trail
from audit.models import Event, Outbox, State
from audit.trail import Ref

SYSTEM = Ref("system", "test")


def record(uid: str) -> None:
    """One event, in a transaction of its own."""
    with transaction.atomic():
        trail.record(actions.DOCUMENT_READ, actor=SYSTEM, object=Ref("document", uid))


def places() -> list[int]:
    """Every place in the log."""
    return list(Event.objects.order_by("seq").values_list("seq", flat=True))


def objects() -> list[str]:
    """What each event was done to, in the order of the log."""
    return [uid.partition(":")[2] for uid in Event.objects.order_by("seq").values_list("object", flat=True)]


@pytest.mark.django_db
def test_events_get_their_places_in_the_order_of_arrival() -> None:
    for uid in "abc":
        record(uid)
    assert sequencer.backlog() == 3
    assert sequencer.sequence() == 3
    assert (places(), objects(), sequencer.backlog()) == ([0, 1, 2], ["a", "b", "c"], 0)
    assert sequencer.sequence() == 0


@pytest.mark.django_db
def test_a_batch_has_a_limit_and_the_next_goes_on_where_it_ended() -> None:
    for uid in "abcde":
        record(uid)
    assert [sequencer.sequence(2) for _ in range(4)] == [2, 2, 1, 0]
    assert (places(), objects()) == ([0, 1, 2, 3, 4], list("abcde"))
    assert State.objects.get().size == 5


@pytest.mark.django_db
def test_an_event_repeats_its_leaf_and_carries_its_hash() -> None:
    with transaction.atomic():
        trail.record(
            actions.VERSION_INFECTED,
            actor=SYSTEM,
            object=Ref("version", "v"),
            subject=Ref("user", "12"),
            outcome="failure",
            details="Found: Eicar.",
            now=datetime(2026, 11, 24, 1, 2, 3, 4, tzinfo=UTC),
        )
    exact = Outbox.objects.get().leaf
    sequencer.sequence()
    event = Event.objects.get()
    assert event.leaf == exact
    assert bytes(event.leaf_hash) == leaf.leaf_hash(exact)
    assert event.occurred_at == datetime(2026, 11, 24, 1, 2, 3, 4, tzinfo=UTC)
    assert (event.actor, event.actor_kind, event.actor_uid) == ("system:test", "system", "test")
    assert (event.action, event.object, event.subject) == (
        "version.infected",
        "version:v",
        "user:12",
    )
    assert (event.outcome, event.details) == ("failure", "Found: Eicar.")


@pytest.mark.django_db
def test_the_log_is_read_newest_first_by_actor_and_by_kind_of_action() -> None:
    for action, uid in [("document.read", "1"), ("version.expired", "2"), ("version.stuck", "1")]:
        trail.record(action, actor=Ref("user", uid), object=Ref("document", "d"))
    sequencer.sequence()
    assert [e.seq for e in Event.objects.newest()] == [2, 1, 0]
    assert [e.seq for e in Event.objects.newest(before=2)[:1]] == [1]
    assert [e.seq for e in Event.objects.by("user:1").newest()] == [2, 0]
    assert [e.seq for e in Event.objects.doing("version.").newest()] == [2, 1]
    assert not Event.objects.doing("nothing").newest()
    assert Event.objects.on("document:d").count() == 3


@pytest.mark.django_db
def test_the_time_of_sequencing_never_goes_back() -> None:
    late = datetime(2026, 11, 24, 12, tzinfo=UTC)
    record("a")
    sequencer.sequence(now=late)
    record("b")
    sequencer.sequence(now=late - timedelta(hours=1))
    record("c")
    sequencer.sequence(now=late + timedelta(hours=1))
    times = [e.sequenced_at for e in Event.objects.order_by("seq")]
    assert times == [late, late, late + timedelta(hours=1)]


@pytest.mark.django_db
def test_a_lost_state_row_stops_the_log_instead_of_starting_it_again() -> None:
    record("a")
    sequencer.sequence()
    State.objects.all().delete()
    record("b")
    with pytest.raises(sequencer.StateMissing):
        sequencer.sequence()
    assert sequencer.backlog() == 1


@pytest.mark.django_db(transaction=True)
def test_rolled_back_changes_leave_no_gap() -> None:
    for number in range(10):
        with transaction.atomic():
            trail.record(actions.DOCUMENT_READ, actor=SYSTEM, object=Ref("document", str(number)))
            transaction.set_rollback(number % 3 == 0)
    sequencer.sequence()
    assert (places(), objects()) == (list(range(6)), ["1", "2", "4", "5", "7", "8"])


@pytest.mark.django_db(transaction=True)
def test_a_crash_before_the_commit_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    record("a")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(State, "save", die)
        with pytest.raises(KeyboardInterrupt):
            sequencer.sequence()
    assert (places(), sequencer.backlog()) == ([], 1)
    assert sequencer.sequence() == 1
    assert (places(), objects()) == ([0], ["a"])


@pytest.mark.django_db(transaction=True)
def test_a_transaction_open_for_long_loses_nothing() -> None:
    inserted, finish = threading.Event(), threading.Event()

    def slowly() -> None:
        with transaction.atomic():
            trail.record(actions.DOCUMENT_READ, actor=SYSTEM, object=Ref("document", "slow"))
            inserted.set()
            assert finish.wait(10)

    with running(slowly):
        assert inserted.wait(10)
        record("quick")  # a larger id, committed first
        assert sequencer.sequence() == 1
        finish.set()
    assert sequencer.sequence() == 1
    assert (places(), objects()) == ([0, 1], ["quick", "slow"])


@pytest.mark.django_db(transaction=True)
def test_a_second_sequencer_leaves_at_once_while_the_first_works() -> None:
    record("a")
    locked, finish = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [sequencer._LOCK])
            locked.set()
            assert finish.wait(10)

    with running(hold):
        assert locked.wait(10)
        assert sequencer.sequence() == 0
        finish.set()
    assert sequencer.sequence() == 1


@pytest.mark.django_db(transaction=True)
def test_six_writers_and_two_sequencers_lose_and_double_nothing() -> None:
    committed: list[str] = []
    writing = threading.Event()
    writing.set()

    def write(writer: int) -> None:
        dice = random.Random(writer)
        for number in range(25):
            uid = f"{writer}-{number}"
            with transaction.atomic():
                trail.record(actions.DOCUMENT_READ, actor=SYSTEM, object=Ref("document", uid))
                time.sleep(dice.random() / 100)
                rolled_back = dice.random() < 0.15
                transaction.set_rollback(rolled_back)
            if not rolled_back:
                committed.append(uid)

    def sequence() -> None:
        while writing.is_set() or sequencer.backlog():
            sequencer.sequence(7)

    with running(sequence, sequence):
        with running(*[lambda writer=writer: write(writer) for writer in range(6)]):
            pass
        writing.clear()
    assert places() == list(range(len(committed)))
    assert sorted(objects()) == sorted(committed)
    assert State.objects.get().size == len(committed)
    for writer in range(6):
        own = [int(uid.split("-")[1]) for uid in objects() if uid.startswith(f"{writer}-")]
        assert all(earlier < later for earlier, later in pairwise(own))


class running:
    """Runs functions in threads of their own; leaving waits, and fails if one failed."""

    def __init__(self, *work: Callable[[], None]) -> None:
        self.failures: list[BaseException] = []
        self.threads = [threading.Thread(target=self._run, args=[each]) for each in work]

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - handed to the test below
            self.failures.append(failure)
        finally:
            connections.close_all()

    def __enter__(self) -> None:
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        for thread in self.threads:
            thread.join(30)
        close_old_connections()
        assert not self.failures
        assert not any(thread.is_alive() for thread in self.threads)
