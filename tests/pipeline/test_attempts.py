"""Attempts: a worker's death counts, what has a name is given back. Three deaths set a version apart, six stop it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest
from django.db import InternalError, OperationalError, connection
from django.utils import timezone

from audit.trail import Ref
from identity.models import User
from pipeline import claims, faults, lifecycle, policy, sandbox, scanner, storage
from pipeline.models import APART_AFTER, DocumentVersion, Status
from tests import factories
from tests.people import recorded
from workers import broker, nudges, reconcile, tasks
from workers.celery import APART, app

pytestmark = pytest.mark.django_db(transaction=True)

Step = Callable[[Any], DocumentVersion | None]


class Crash(BaseException):
    """The process is gone. Not an Exception: nothing may catch it."""


def raising(error: BaseException) -> Callable[..., Any]:
    """What does nothing but fail."""

    def fails(*_: Any, **__: Any) -> Any:
        raise error

    return fails


def deaths(version: DocumentVersion, times: int, step: Step = lifecycle.validate) -> None:
    """Let so many workers die over it."""
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(storage, "stream", raising(Crash()))
        for _ in range(times):
            with pytest.raises(Crash):
                step(version.pk)


def read(version: DocumentVersion) -> DocumentVersion:
    """As it stands."""
    return DocumentVersion.objects.select_related("document").get(pk=version.pk)


@pytest.fixture
def other_session() -> Iterator[Any]:
    """Somebody else's connection."""
    other = connection.copy()
    with other.cursor() as cursor:
        yield cursor
    other.close()


# --- given back --------------------------------------------------------------------------------
READ_ONLY = InternalError("cannot execute UPDATE in a read-only transaction")
READ_ONLY.__cause__ = type("ReadOnly", (Exception,), {"pgcode": "25006"})()
NAMED: dict[str, tuple[Any, str, Exception]] = {
    "storage": (storage, "stream", storage.FAULTS[2]("cut off")),
    "storage differs": (storage, "stream", storage.Differs()),
    "storage keeps no versions": (storage, "stream", storage.NotVersioned()),
    "disk": (storage, "spooled", storage.NoRoom()),
    "sandbox": (sandbox, "inspect", sandbox.Unavailable()),
    "policy": (policy, "load", policy.Unsound()),
    "database": (policy, "load", OperationalError("the database system is shutting down")),
    "database is a standby": (policy, "load", READ_ONLY),
}


@pytest.mark.parametrize("named", NAMED)
def test_what_has_a_name_is_given_back(alice: User, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    version = factories.received(alice)
    deaths(version, 2)
    where, name, error = NAMED[named]
    with monkeypatch.context() as broken:
        broken.setattr(where, name, raising(error))
        for _ in range(3):
            with pytest.raises(type(error)):
                lifecycle.validate(version.pk)
    version = read(version)
    fault = faults.of(error)
    assert fault
    assert (version.status, version.attempts, version.stuck_reason) == (Status.RECEIVED, 2, "")
    assert version.waits_for == ("" if fault is faults.DATABASE else fault.words)
    assert lifecycle.validate(version.pk)


@pytest.mark.parametrize("error", [scanner.Unavailable(), scanner.Stale()])
def test_a_scanner_that_is_away_costs_none(alice: User, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    version = factories.validated(alice)
    monkeypatch.setattr(scanner, "scan", raising(error))
    with pytest.raises(type(error)):
        lifecycle.scan(version.pk)
    assert read(version).attempts == 0


def test_what_nobody_foresaw_is_a_death(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    version = factories.received(alice)
    monkeypatch.setattr(sandbox, "inspect", raising(InternalError("a mistake of ours")))
    with pytest.raises(InternalError):
        lifecycle.validate(version.pk)
    assert read(version).attempts == 1


def test_out_of_turn_costs_none(alice: User) -> None:
    factories.received(alice)
    second = factories.clean(alice, factories.PDF + b"%2\n")
    assert lifecycle.finalize(second.pk) is None
    assert (read(second).attempts, read(second).waits_for) == (0, lifecycle.IN_LINE)


def test_each_status_begins_anew(alice: User) -> None:
    version = factories.received(alice)
    deaths(version, 2)
    lifecycle.validate(version.pk)
    assert read(version).attempts == 0


# --- while the database is away ----------------------------------------------------------------
@pytest.fixture
def outage(other_session: Any) -> Callable[[], AbstractContextManager[None]]:
    """Give a block in which the database ends our session over a version's bytes, and these fail too."""

    def ends(*_: Any) -> None:
        other_session.execute("select pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
        raise storage.Differs

    @contextmanager
    def block() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(storage, "stream", ends)
            with pytest.raises(faults.AWAY):
                yield

    return block


def test_an_attempt_is_given_back_when_the_database_is_there_again(alice: User, outage: Any) -> None:
    version, other = factories.received(alice), factories.received(alice, name="Other")
    with outage():
        lifecycle.validate(version.pk)
    assert read(version).attempts == 1  # it could not be said
    lifecycle.validate(other.pk)  # whatever this process does next
    assert read(version).attempts == 0


def test_no_version_dies_of_restarts_of_the_database(alice: User, outage: Any) -> None:
    version = factories.received(alice)
    for _ in range(lifecycle.MOST_DEATHS + 2):
        with outage():
            lifecycle.validate(version.pk)
    assert (read(version).attempts, read(version).stuck_reason) == (1, "")
    assert lifecycle.validate(version.pk)


def test_a_process_that_dies_before_it_could_say_so_has_died(alice: User, outage: Any) -> None:
    version = factories.received(alice)
    for _ in range(2):
        with outage():
            lifecycle.validate(version.pk)
        lifecycle._owed.clear()  # nothing is left of it
    assert read(version).attempts == 2


def test_what_is_given_back_twice_is_given_back_once(alice: User) -> None:
    version = factories.received(alice)
    deaths(version, 2)
    version = read(version)
    lifecycle._attempt(version)
    for _ in range(2):  # the answer to the first was lost with the connection
        lifecycle._give_back(version)
    assert read(version).attempts == 2


def test_what_is_owed_to_a_version_that_went_on_is_owed_no_more(alice: User, outage: Any) -> None:
    version = factories.received(alice)
    with outage():
        lifecycle.validate(version.pk)
    owed = lifecycle._owed.pop()
    assert lifecycle.validate(version.pk)  # by another process
    deaths(version, 1, lifecycle.scan)
    lifecycle._owed.append(owed)
    lifecycle._pay_back()
    assert read(version).attempts == 1


# --- apart, then stuck -------------------------------------------------------------------------
def test_after_three_deaths_a_version_goes_to_the_queue_apart(alice: User) -> None:
    version = factories.received(alice)
    deaths(version, APART_AFTER - 1)
    assert nudges.queue_for(read(version)) == "validate"
    deaths(version, 1)
    assert nudges.queue_for(read(version)) == APART


def test_a_worker_of_the_others_sends_it_there(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    version = factories.received(alice)
    deaths(version, APART_AFTER)
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(nudges, "send", lambda task, *, queue, **told: sent.append((queue, told["version_id"])))
    monkeypatch.setattr(app.amqp.queues, "_consume_from", {"validate": app.amqp.queues["validate"]})
    tasks.validate(version_id=str(version.pk))
    assert sent == [(APART, str(version.pk))]
    assert read(version).attempts == APART_AFTER


def test_of_these_one_is_worked_on_at_a_time(alice: User, other_session: Any) -> None:
    version, other = factories.received(alice), factories.received(alice, name="Other")
    deaths(version, APART_AFTER)
    other_session.execute("select pg_advisory_lock(%s)", [claims.APART])
    assert lifecycle.validate(version.pk) is None
    assert read(version).attempts == APART_AFTER
    assert lifecycle.validate(other.pk)  # nothing to the others
    other_session.execute("select pg_advisory_unlock(%s)", [claims.APART])
    assert lifecycle.validate(version.pk)


def test_after_three_more_it_stands_with_a_reason_until_it_is_requeued(alice: User) -> None:
    version = factories.received(alice)
    deaths(version, APART_AFTER + 3)
    assert read(version).stuck_reason == ""
    assert lifecycle.validate(version.pk) is None
    assert "cut off" in read(version).stuck_reason
    assert len(recorded("version.stuck")) == 1

    lifecycle.requeue(version.pk, by=Ref("user", "ada"))
    assert (read(version).attempts, read(version).stuck_reason) == (0, "")
    nudges.fill_places(alice.pk)
    assert lifecycle.validate(version.pk)


# --- a poison document beside good ones -----------------------------------------------------------
def overdue() -> None:
    """Everything may be looked at again."""
    DocumentVersion.objects.filter(stuck_reason="").update(due_at=timezone.now())


def work(sent: list[tuple[str, str]]) -> None:
    """Do what was sent, as workers do: one that dies is followed by the next."""
    while sent:
        task, version_id = sent.pop(0)
        with suppress(Crash, *faults.FAULTS):
            getattr(tasks, task.rpartition(".")[2])(version_id=version_id)


@pytest.mark.parametrize(
    ("error", "standing"),
    [(Crash(), "cut off"), (storage.Differs(), ""), (storage.FAULTS[2]("cut off"), "")],
    ids=["always dies", "always differs", "always fails"],
)
def test_a_poison_document_blocks_no_other(
    alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, standing: str
) -> None:
    settings.QUEUE_GATE, settings.OWNER_PLACES = 2, 3
    poison = factories.received(alice, name="Poison")  # it came first, and stands first wherever there is a line
    good = [factories.received(alice, name=f"n{number}") for number in range(5)]
    real = storage.stream

    def stream(version: DocumentVersion) -> Iterator[bytes]:
        if version.pk == poison.pk:
            raise error
        return real(version)

    sent: list[tuple[str, str]] = []
    for module in (nudges, reconcile):
        monkeypatch.setattr(module, "send", lambda task, *, queue="", **told: sent.append((task, told["version_id"])))
    monkeypatch.setattr(broker, "length", lambda queue: len(sent))
    monkeypatch.setattr(storage, "stream", stream)
    for _ in range(12):
        overdue()
        reconcile.sweep()
        work(sent)
    assert {read(version).status for version in good} == {Status.AVAILABLE}
    poison = read(poison)
    assert poison.status == Status.RECEIVED
    assert (standing in poison.stuck_reason) if standing else (poison.stuck_reason == "")
    assert poison.attempts == (lifecycle.MOST_DEATHS if standing else 0)
    assert poison.stuck_reason or poison.waits_for
