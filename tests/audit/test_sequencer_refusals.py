"""What the sequencer meets that nobody wrote through `trail.record`, and where it dies."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2.extensions
import pytest
from django.db import connection, transaction

from audit import actions, examine, sequencer, trail
from audit.models import Batch, Event, Outbox, Private, State, Tile, Unreadable
from audit.trail import Ref
from tests.audit.bucketed import bypassed
from tests.audit.test_sequencer_tree import waiting

TABLES = (Outbox, Event, Private, State, Tile, Batch, Unreadable)
ALICE = Ref("user", "12")


def record(uid: str) -> None:
    """One event with a personal part, in a transaction of its own."""
    with transaction.atomic():
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=Ref("document", uid), private={"ip": "::1"})


@pytest.mark.django_db
def test_what_is_no_leaf_is_put_aside_and_told_of_and_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    record("before")
    bad = Outbox.objects.create(leaf="nonsense", private=b"\0secret", key_id=7)
    record("after")
    with caplog.at_level(logging.ERROR):
        assert sequencer.sequence() == 3
    assert "no leaf in the audit outbox" in caplog.text
    assert [event.object for event in Event.objects.order_by("seq")] == ["document:before", "document:after"]
    kept = Unreadable.objects.get()
    assert (kept.pk, kept.leaf, bytes(kept.private or b""), kept.key_id) == (bad.pk, "nonsense", b"\0secret", 7)
    assert "JSONDecodeError" in kept.reason
    assert sequencer.sequence() == 1
    told = Event.objects.newest()[0]
    assert (told.action, told.object, told.outcome) == ("log.leaf_refused", f"outbox:{bad.pk}", "failure")
    assert told.leaf_values()["facts"]["bytes"] == len("nonsense")
    assert sequencer.sequence() == 0


@pytest.mark.django_db
def test_an_outbox_of_nothing_but_what_is_no_leaf_is_emptied() -> None:
    Outbox.objects.bulk_create(Outbox(leaf=f"nonsense \\ {number}\t\n") for number in range(5))
    taken = [sequencer.sequence(2) for _ in range(6)]
    assert (taken, sequencer.backlog()) == ([2, 2, 2, 2, 2, 0], 0)
    assert [row.leaf for row in Unreadable.objects.order_by("id")] == [f"nonsense \\ {n}\t\n" for n in range(5)]
    assert [event.action for event in Event.objects.all()] == ["log.leaf_refused"] * 5


DAMAGE: list[dict[str, Any]] = [
    {"size": 299},
    {"size": 301},
    {"size": 0, "frontier": b"", "root": b"\0" * 32},
    {"frontier": b""},
    {"frontier": b"\0" * 128},
    {"root": b"\0" * 32},
]


@pytest.mark.django_db
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_state_that_does_not_fit_the_log_stops_it(damage: dict[str, Any]) -> None:
    waiting(300)
    sequencer.sequence()
    State.objects.update(**damage)
    record("next")
    with pytest.raises(sequencer.StateMissing):
        sequencer.sequence()
    assert (sequencer.backlog(), Event.objects.count()) == (1, 300)


@pytest.mark.django_db
def test_a_log_that_lost_its_last_events_is_not_continued() -> None:
    waiting(300)
    sequencer.sequence()
    with bypassed():
        Event.objects.filter(seq__gte=290).delete()
    record("next")
    with pytest.raises(sequencer.StateMissing):
        sequencer.sequence()
    assert sequencer.backlog() == 1


class Died(Exception):
    """The process ended here."""


@contextmanager
def dying(*, after: int) -> Iterator[Callable[[], int]]:
    """Let the process die after so many statements were said to PostgreSQL; yields how many were said."""
    said = 0

    def count() -> None:
        nonlocal said
        said += 1
        if said > after:
            raise Died

    class Mortal(psycopg2.extensions.cursor):
        def execute(self, *args: Any, **kwargs: Any) -> None:
            super().execute(*args, **kwargs)
            count()

        def copy_expert(self, *args: Any, **kwargs: Any) -> None:
            super().copy_expert(*args, **kwargs)
            count()

    connection.ensure_connection()
    connection.connection.cursor_factory, before = Mortal, connection.connection.cursor_factory
    try:
        yield lambda: said
    finally:
        connection.connection.cursor_factory = before


def everything() -> dict[str, list[Any]]:
    """Every row of the log's tables."""
    return {
        model.__name__: [
            [bytes(value) if isinstance(value, memoryview) else value for value in row]
            for row in model.objects.order_by("pk").values_list()
        ]
        for model in TABLES
    }


@pytest.mark.django_db(transaction=True)
def test_dying_after_any_statement_changes_nothing_and_the_next_run_does_the_same() -> None:
    waiting(250)
    sequencer.sequence()
    waiting(1000)
    record("private")
    Outbox.objects.create(leaf="nonsense")
    record("another")
    before, statements = everything(), 0
    while True:
        with dying(after=statements) as said:
            try:
                sequencer.sequence(5000)
                break
            except Died:
                assert said() == statements + 1
        assert everything() == before
        statements += 1
    assert statements >= 10
    assert (Event.objects.count(), Private.objects.count(), Unreadable.objects.count()) == (1252, 2, 1)
    assert (Tile.objects.count(), Batch.objects.count(), sequencer.backlog()) == (4, 2, 1)
    found = examine.examine(published=False)
    assert not found.problems
