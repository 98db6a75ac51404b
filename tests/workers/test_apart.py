"""Large files, and versions whose workers died over them, are worked on apart from all others."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identity.models import User
from pipeline.models import DocumentVersion, Status
from tests import factories
from workers import broker, nudges, reconcile, tasks
from workers.celery import APART, QUEUES, app

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Queues are empty at the start."""
    app.control.purge()


@pytest.fixture
def an_ordinary_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process serves the queue `validate` alone."""
    monkeypatch.setattr(app.amqp.queues, "_consume_from", {"validate": app.amqp.queues["validate"]})


def waiting() -> dict[str, int]:
    """The queues that are not empty, but for the audit log's."""
    return {name: length for name, length in broker.lengths().items() if length and name != "audit"}


def died(version: DocumentVersion, times: int) -> DocumentVersion:
    """As if so many workers had died over it."""
    DocumentVersion.objects.filter(pk=version.pk).update(attempts=times)
    version.refresh_from_db()
    return version


def test_a_large_file_goes_to_the_queue_of_its_own(
    alice: User, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.LARGE_FILE_BYTES = len(factories.PDF)
    with django_capture_on_commit_callbacks(execute=True):
        nudges.nudge(factories.received(alice))
    assert waiting() == {APART: 1}


@pytest.mark.parametrize(("deaths", "queue"), [(2, "validate"), (3, APART)])
def test_a_version_over_which_three_workers_died_goes_there_too(
    alice: User, deaths: int, queue: str, django_capture_on_commit_callbacks: Any
) -> None:
    version = died(factories.received(alice), deaths)
    with django_capture_on_commit_callbacks(execute=True):
        nudges.nudge(version)
    assert waiting() == {queue: 1}


def test_a_message_from_before_its_last_death_is_passed_on_and_not_worked_on(
    alice: User, an_ordinary_worker: None, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(nudges, "send", lambda task, queue, **_: sent.append((task, queue)))
    version = died(factories.received(alice), 3)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.validate(version_id=str(version.pk))
    version.refresh_from_db()
    assert (version.status, version.attempts) == (Status.RECEIVED, 3)
    assert sent == [("workers.tasks.validate", APART)]


def test_the_reconciler_nudges_each_to_its_queue_and_a_full_one_does_not_hold_up_the_other(
    alice: User, settings: Any
) -> None:
    settings.QUEUE_GATE = 2
    due = {"due_at": timezone.now() - timedelta(minutes=1)}
    deadly = [died(factories.received(alice, name=f"d{i}"), 3) for i in range(4)]
    ordinary = factories.received(alice, name="ordinary")
    DocumentVersion.objects.filter(pk__in=[version.pk for version in [*deadly, ordinary]]).update(**due)
    assert reconcile.sweep()["nudged"] == 3
    assert waiting() == {APART: 2, "validate": 1}


def test_an_ordinary_worker_does_not_go_on_with_what_must_be_worked_on_apart(
    alice: User, an_ordinary_worker: None, settings: Any
) -> None:
    version = factories.received(alice)
    assert tasks._served_here(version)
    settings.LARGE_FILE_BYTES = 1
    assert not tasks._served_here(version)


def test_the_end_of_one_version_gives_its_place_to_the_next_of_the_owner(
    alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    settings.OWNER_PLACES = 1
    first = factories.received(alice, b"\x7fELF" + b"\0" * 50)
    second = factories.received(alice, name="Second")
    assert second.entered_at is None
    monkeypatch.setattr(tasks, "_served_here", lambda _: False)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.validate(version_id=str(first.pk))
    entered = DocumentVersion.objects.get(pk=second.pk)
    assert entered.entered_at is not None
    assert waiting() == {"validate": 1, "default": 1}


def test_a_place_that_nobody_gave_is_given_by_the_reconciler(alice: User, settings: Any) -> None:
    settings.OWNER_PLACES = 1
    first = factories.received(alice)
    factories.received(alice, name="Second")
    DocumentVersion.objects.filter(pk=first.pk).update(stuck_reason="for a test")
    assert reconcile.sweep()["entered"] == 1
    assert reconcile.sweep()["entered"] == 0


def test_it_has_a_queue_that_somebody_serves() -> None:
    assert APART in QUEUES
