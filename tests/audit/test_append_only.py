"""The database refuses to change the log, whoever asks and however."""

import pytest
from django.db import ProgrammingError, connection, transaction
from django.db.utils import IntegrityError

from audit import actions, sequencer, trail
from audit.models import Event, Outbox, State
from audit.trail import Ref

pytestmark = pytest.mark.django_db


@pytest.fixture
def event() -> Event:
    """One event in its place."""
    trail_of_one()
    return Event.objects.get()


CHANGES = [
    "UPDATE audit_event SET actor = 'user:2'",
    "UPDATE audit_event SET leaf = leaf",
    "DELETE FROM audit_event",
    "DELETE FROM audit_event WHERE seq = 0",
    "TRUNCATE audit_event",
    "TRUNCATE audit_event CASCADE",
    "INSERT INTO audit_event SELECT * FROM audit_event ON CONFLICT (seq) DO UPDATE SET actor = ''",
]


@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.usefixtures("event")
def test_no_statement_changes_the_log(statement: str) -> None:
    with (
        pytest.raises(ProgrammingError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert Event.objects.get().actor == "user:1"


def test_no_call_of_the_orm_changes_the_log(event: Event) -> None:
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
        event.delete()
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
        Event.objects.update(actor="user:2")


@pytest.mark.parametrize("statement", ["UPDATE audit_outbox SET leaf = '{}'", "TRUNCATE audit_outbox"])
def test_what_waits_in_the_outbox_is_not_altered_either(statement: str) -> None:
    trail.record(actions.DOCUMENT_READ, actor=Ref("user", "1"), object=Ref("document", "d"))
    with (
        pytest.raises(ProgrammingError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_a_place_is_given_once(event: Event) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.bulk_create([event])


def test_the_outbox_takes_no_leaf_over_the_limit() -> None:
    with pytest.raises(IntegrityError, match="leaf_fits"), transaction.atomic():
        Outbox.objects.create(leaf="x" * 16_385)
    with pytest.raises(IntegrityError, match="leaf_fits"), transaction.atomic():
        Outbox.objects.create(leaf="\u20ac" * 8_000)


def test_there_is_one_state_row(event: Event) -> None:
    with pytest.raises(IntegrityError, match="one_row"), transaction.atomic():
        State.objects.create(id=2, size=event.seq, sequenced_at=event.sequenced_at)


def test_every_trigger_is_enabled_always() -> None:
    """A superuser who sets session_replication_role to replica puts only ordinary triggers to sleep."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname, tgenabled FROM pg_trigger WHERE tgname LIKE 'audit%'")
        enabled = dict(cursor.fetchall())
    assert len(enabled) == 8
    assert set(enabled.values()) == {"A"}


@pytest.mark.django_db(transaction=True)
def test_emptying_the_tables_is_refused_outside_the_tests_own_bypass() -> None:
    """The bypass works inside Django's flush only: the same statement by hand is refused."""
    trail_of_one()
    with pytest.raises(ProgrammingError, match="append-only"), connection.cursor() as cursor:
        cursor.execute("TRUNCATE audit_event, audit_outbox, audit_state")


def trail_of_one() -> None:
    """One event in its place, committed."""
    with transaction.atomic():
        trail.record(actions.DOCUMENT_READ, actor=Ref("user", "1"), object=Ref("document", "d"))
    sequencer.sequence()
