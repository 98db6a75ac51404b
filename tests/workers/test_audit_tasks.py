"""The audit queue: woken events get their place soon, lost wake-ups are swept, what is in the log is signed."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from audit import bucket, checkpoint, sequencer
from audit.models import Checkpoint, Event, Publication
from identity.models import User
from tests import factories
from tests.audit import bucketed
from workers import broker, metrics, nudges, tasks
from workers.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is outstanding, and this process has not asked lately."""
    monkeypatch.setattr(nudges, "_asked_at", float("-inf"))
    app.control.purge()
    broker.unmark(nudges.OUTSTANDING)


def test_a_commit_wakes_the_sequencer_once_and_it_drains(alice: User) -> None:
    for i in range(3):
        factories.begun(alice, name=f"n{i}")
    assert broker.length("audit") == 1
    tasks.sequence()
    assert sequencer.backlog() == 0
    assert Event.objects.filter(action="version.requested").count() == 3


def test_a_lost_wake_up_is_swept(alice: User) -> None:
    factories.begun(alice)
    app.control.purge()
    tasks.sweep()
    assert sequencer.backlog() == 0


# --- Checkpoints ---


@pytest.fixture
def signing(settings: Settings) -> Iterator[None]:
    """This process has a key, and nothing was published yet."""
    settings.AUDIT_WAKE, settings.AUDIT_ORIGIN, settings.AUDIT_SIGNING_KEYS = "", bucketed.ORIGIN, bucketed.KEYS[:1]
    bucket.delete_prefix("audit/")
    yield
    bucket.delete_prefix("audit/")


def samples() -> dict[str, float]:
    """What the metrics say of the log."""
    return {sample.name: sample.value for family in metrics._audit() for sample in family.samples}


@pytest.mark.usefixtures("signing")
def test_the_task_publishes_once_however_often_it_runs() -> None:
    bucketed.grow(3)
    for _ in range(2):
        tasks.publish()
    assert [each.size for each in Checkpoint.objects.all()] == [3]
    assert bucketed.in_bucket().size == 3


@pytest.mark.usefixtures("signing")
def test_a_refusal_is_logged_and_kept_and_the_worker_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    bucketed.grow(3)
    tasks.publish()
    bucketed.put_back(2)
    bucketed.grow(2, "otherwise")
    tasks.publish()
    assert "checkpoint_refused" in caplog.text
    assert "first 3 events" in caplog.text
    assert [each.size for each in Checkpoint.objects.all()] == []
    assert "first 3 events" in Publication.objects.get().refusal


@pytest.mark.usefixtures("signing")
def test_a_process_without_a_key_says_so(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.AUDIT_SIGNING_KEYS = []
    bucketed.grow(1)
    tasks.publish()
    assert "NoSigningKey" in caplog.text
    assert samples()["strongroom_audit_checkpoint_refused"] == 1


@pytest.mark.usefixtures("signing")
def test_s3_away_is_a_line_in_the_log_and_no_refusal(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    bucketed.grow(1)
    there, settings.VAULT_BUCKET = settings.VAULT_BUCKET, "no-such-bucket"
    tasks.publish()
    settings.VAULT_BUCKET = there
    assert "checkpoint_not_published" in caplog.text
    assert samples()["strongroom_audit_checkpoint_refused"] == 0


def test_beat_asks_for_it_every_ten_seconds_and_what_waits_does_not_pile_up() -> None:
    entry = app.conf["beat_schedule"]["audit.checkpoint"]
    assert (entry["task"], entry["schedule"], entry["options"]["expires"]) == ("audit.checkpoint", 10.0, 10.0)
    assert tasks.publish.name == "audit.checkpoint"
    assert broker.queue_of("audit.checkpoint") == "audit"


@pytest.mark.usefixtures("signing")
def test_the_metrics_tell_how_far_and_how_old_the_newest_checkpoint_is() -> None:
    bucketed.grow(3)
    before = samples()
    assert before["strongroom_audit_size"] == 3
    assert not any(name in before for name in ("strongroom_audit_checkpoint_size", "strongroom_audit_checkpoint_age"))
    checkpoint.publish(now=timezone.now() - timedelta(minutes=1))
    bucketed.grow(2)
    after = samples()
    assert (after["strongroom_audit_size"], after["strongroom_audit_checkpoint_size"]) == (5, 3)
    assert 60 <= after["strongroom_audit_checkpoint_age_seconds"] < 75
    assert after["strongroom_audit_checkpoint_refused"] == 0


@pytest.mark.usefixtures("signing")
def test_readyz_is_degraded_and_says_why_nothing_is_signed() -> None:
    assert APIClient().get("/readyz").json()["checks"]["audit"]["ok"] is True
    bucketed.grow(3)
    tasks.publish()
    bucketed.put_back(1)
    bucketed.grow(1)
    tasks.publish()
    answer = APIClient().get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    said = answer.json()["checks"]["audit"]
    assert said["ok"] is False
    assert "3 events were published, this database has 2" in said["error"]
