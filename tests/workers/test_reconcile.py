"""The reconciler makes good what messages and clients lose."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identity.models import User
from pipeline import lifecycle, storage
from pipeline.models import DocumentVersion, Status
from tests import factories
from workers import broker, reconcile
from workers.celery import app

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Queues are empty at the start."""
    app.control.purge()


def overdue(version: DocumentVersion, **changes: Any) -> None:
    """Make it due a minute ago."""
    DocumentVersion.objects.filter(pk=version.pk).update(due_at=timezone.now() - timedelta(minutes=1), **changes)


def test_it_nudges_what_stands_still_and_not_again_at_once(alice: User) -> None:
    overdue(factories.received(alice))
    assert reconcile.sweep()["nudged"] == 1
    assert broker.length("validate") == 1
    assert reconcile.sweep()["nudged"] == 0


def test_it_leaves_alone_what_is_not_due_or_stuck(alice: User) -> None:
    factories.received(alice)
    overdue(factories.received(alice, name="Other"), stuck_reason="for a test")
    assert reconcile.sweep()["nudged"] == 0


def test_it_adds_no_more_than_the_gate_lets_through(alice: User, settings: Any) -> None:
    settings.QUEUE_GATE = 3
    for i in range(5):
        overdue(factories.received(alice, name=f"n{i}"))
    assert reconcile.sweep()["nudged"] == 3
    assert reconcile.sweep()["nudged"] == 0
    app.control.purge()
    assert reconcile.sweep()["nudged"] == 2


def test_it_nudges_nobody_who_stands_in_line_but_the_first(alice: User) -> None:
    first, second = factories.clean(alice), factories.clean(alice)
    for version in (first, second):
        overdue(version)
    assert reconcile.sweep()["nudged"] == 1
    assert reconcile.sweep()["nudged"] == 0
    DocumentVersion.objects.filter(pk=first.pk).update(stuck_reason="for a test")
    overdue(second)
    assert reconcile.sweep()["nudged"] == 1


def test_it_gives_nobody_up_who_stands_in_line(alice: User) -> None:
    first, second = factories.clean(alice), factories.clean(alice)
    overdue(second, late_at=timezone.now() - timedelta(minutes=1))
    assert reconcile.sweep()["given_up"] == 0
    DocumentVersion.objects.filter(pk=first.pk).update(stuck_reason="for a test")
    assert reconcile.sweep()["given_up"] == 1


def test_it_receives_bytes_whose_client_never_called_back(alice: User) -> None:
    version = factories.begun(alice)
    factories.send(version)
    overdue(version)
    assert reconcile.sweep()["received"] == 1
    version.refresh_from_db()
    assert version.status == Status.RECEIVED


def test_it_expires_what_never_came(alice: User) -> None:
    version = factories.begun(alice)
    overdue(version, expires_at=timezone.now() - timedelta(days=1))
    assert reconcile.sweep()["expired"] == 1


def test_it_looks_again_later_and_at_the_end_of_the_policy(alice: User) -> None:
    version = factories.begun(alice)
    overdue(version)
    assert reconcile.sweep()["expired"] == 0
    version.refresh_from_db()
    assert timezone.now() < version.due_at <= version.expires_at + timedelta(minutes=15)


def test_it_empties_quarantine_after_the_policy_has_ended(alice: User) -> None:
    version = factories.clean(alice)
    DocumentVersion.objects.filter(pk=version.pk).update(expires_at=timezone.now() - timedelta(days=1))
    lifecycle.finalize(version.pk)
    assert reconcile.sweep()["tidied"] == 0  # the nudge of its end comes first
    overdue(version)
    assert reconcile.sweep()["tidied"] == 1
    assert storage.oldest(version) is None
    assert reconcile.sweep()["tidied"] == 0


def test_with_a_dead_broker_it_still_receives_and_expires(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(_: str) -> int:
        raise OSError("no broker")

    monkeypatch.setattr(broker, "length", dead)
    overdue(factories.received(alice, name="Other"))
    version = factories.begun(alice)
    overdue(version, expires_at=timezone.now() - timedelta(days=1))
    counts = reconcile.sweep()
    assert (counts["nudged"], counts["expired"]) == (0, 1)
