"""Storage or broker is away: the sweep asks it no more, says what everything waits for, and no message circles."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identity.models import User
from pipeline import breaker, faults, lifecycle, scanner, storage
from pipeline.models import DocumentVersion, Status
from tests import factories
from workers import broker, reconcile, tasks
from workers.celery import app

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Queues are empty at the start."""
    app.control.purge()


def due() -> None:
    """Everything is due to be looked at."""
    DocumentVersion.objects.update(due_at=timezone.now() - timedelta(minutes=1))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[DocumentVersion]:
    """For whose bytes a storage was asked that is away."""
    seen: list[DocumentVersion] = []

    def away(version: DocumentVersion) -> None:
        seen.append(version)
        raise storage.FAULTS[2]("cut off")

    monkeypatch.setattr(storage, "oldest", away)
    return seen


def test_a_storage_that_is_away_is_asked_a_few_times_and_everybody_told(alice: User, asked: list[Any]) -> None:
    for number in range(8):
        factories.begun(alice, name=f"n{number}")
    due()
    reconcile.sweep()
    assert len(asked) == breaker.IN_A_ROW
    assert set(DocumentVersion.objects.values_list("waits_for", flat=True)) == {faults.STORAGE.words}
    assert not DocumentVersion.objects.filter(waited_at=None).exists()

    due()
    reconcile.sweep()
    assert len(asked) == breaker.IN_A_ROW  # not even once more


def test_what_was_put_off_is_looked_at_when_the_storage_may_be_tried(alice: User, asked: list[Any]) -> None:
    for number in range(8):
        factories.begun(alice, name=f"n{number}")
    due()
    reconcile.sweep()
    soonest = DocumentVersion.objects.order_by("due_at").values_list("due_at", flat=True)[0]
    assert soonest <= timezone.now() + timedelta(seconds=breaker.FIRST)


def test_one_upload_that_always_fails_holds_up_no_other(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    poison = factories.begun(alice, name="Poison")
    real = storage.oldest

    def oldest(version: DocumentVersion) -> storage.Pin | None:
        if version == poison:
            raise storage.Differs
        return real(version)

    monkeypatch.setattr(storage, "oldest", oldest)
    for number in range(5):
        version = factories.begun(alice, name=f"n{number}")
        factories.send(version)
        due()
        assert reconcile.sweep()["received"] == 1
    poison.refresh_from_db()
    assert (poison.status, poison.waits_for) == (Status.PENDING, faults.DIFFERS.words)


def test_a_broker_that_is_away_is_what_versions_wait_for(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(_: str) -> int:
        raise OSError("no broker")

    version = factories.received(alice)
    due()
    with monkeypatch.context() as broken:
        broken.setattr(broker, "length", dead)
        reconcile.sweep()
    version.refresh_from_db()
    assert version.waits_for == faults.BROKER.words
    DocumentVersion.objects.update(late_at=timezone.now())
    assert lifecycle.give_up(version.pk) is None  # nobody's fault but the broker's

    due()
    assert reconcile.sweep()["nudged"] == 1
    lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert version.waits_for == ""


def test_an_available_version_waits_for_nothing_even_if_its_chores_do(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: DocumentVersion) -> None:
        raise storage.Differs

    version = factories.clean(alice)
    DocumentVersion.objects.update(expires_at=timezone.now() - timedelta(days=1))
    lifecycle.finalize(version.pk)
    due()
    monkeypatch.setattr(storage, "quarantined", away)
    reconcile.sweep()
    version.refresh_from_db()
    assert (version.status, version.waits_for) == (Status.AVAILABLE, "")


def test_messages_that_wait_are_few_and_not_held_for_long() -> None:
    """What a task's fault leads to: a worker holds each of these until its time has come."""
    each: list[Any] = [tasks.validate, tasks.scan, tasks.finalize, tasks.after_end]
    for task in each:
        waits = [min(task.retry_backoff * 2**number, task.retry_backoff_max) for number in range(task.max_retries)]
        assert sum(waits) <= 15
        assert task.retry_jitter


def test_a_task_whose_step_is_not_begun_ends_and_is_not_tried_again(alice: User, settings: Any) -> None:
    versions = [factories.validated(alice, name=f"n{number}") for number in range(breaker.IN_A_ROW + 1)]
    settings.CLAMD_ADDRESS = "tcp://127.0.0.1:9"
    for version in versions[:-1]:
        with pytest.raises(scanner.Unavailable):
            tasks.scan(version_id=str(version.pk))
    tasks.scan(version_id=str(versions[-1].pk))
    assert broker.length("scan") == 0
