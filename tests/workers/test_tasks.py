"""Tasks: an id in, one domain call, the next nudge. Each may run twice."""

from typing import Any

import pytest

from identity.models import User
from pipeline.models import DocumentVersion, Status
from tests import factories
from workers import broker, nudges, tasks
from workers.celery import app


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is put on queues; nobody works on it."""
    messages: list[tuple[str, str]] = []
    monkeypatch.setattr(nudges, "send", lambda task, **told: messages.append((task, told.get("version_id", ""))))
    return messages


@pytest.mark.parametrize("name", ["validate", "scan", "finalize"])
def test_a_task_run_twice_moves_once_and_sends_one_nudge(
    alice: User,
    sent: list[Any],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    monkeypatch.setattr(tasks, "_served_here", lambda _: False)
    before = {"validate": factories.received, "scan": factories.validated, "finalize": factories.clean}[name]
    version = before(alice)
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            getattr(tasks, name)(version_id=str(version.pk), new_argument_of_a_later_release=1)
    after = {"validate": "workers.tasks.scan", "scan": "workers.tasks.finalize", "finalize": nudges.AFTER_END}[name]
    assert [m for m in sent if m[1]] == [(after, str(version.pk))]


def test_the_end_of_one_version_wakes_the_next_in_line(
    alice: User, sent: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    first = factories.received(alice, b"\x7fELF" + b"\0" * 50)
    second = factories.clean(alice)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.validate(version_id=str(first.pk))
    assert ("workers.tasks.finalize", str(second.pk)) in sent


def test_a_worker_that_serves_the_next_queues_too_goes_on_at_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_served_here", nudges.in_turn)
    version = factories.received(alice)
    tasks.validate(version_id=str(version.pk))
    version.refresh_from_db()
    assert version.status == Status.AVAILABLE


def test_every_task_has_the_queue_of_its_name() -> None:
    assert broker.queue_of("workers.tasks.validate") == "validate"
    assert broker.queue_of("workers.tasks.scan") == "scan"
    assert broker.queue_of("workers.tasks.finalize") == "finalize"
    assert broker.queue_of("audit.sequence") == "audit"
    assert broker.queue_of(nudges.AFTER_END) == "default"


def test_a_message_lands_on_its_own_queue_alone() -> None:
    app.control.purge()
    nudges.send("workers.tasks.scan", version_id="x")
    assert broker.lengths() == {"validate": 0, "scan": 1, "apart": 0, "finalize": 0, "audit": 0, "default": 0}
    app.control.purge()


def asked_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had not asked for the sequencer lately."""
    monkeypatch.setattr(nudges, "_asked_at", float("-inf"))


def test_one_request_to_sequence_is_outstanding_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    app.control.purge()
    broker.unmark(nudges.OUTSTANDING)
    for _ in range(3):
        asked_long_ago(monkeypatch)
        nudges.wake_sequencer()
    assert broker.length("audit") == 1
    app.control.purge()
    broker.unmark(nudges.OUTSTANDING)


def test_a_process_asks_for_the_sequencer_no_oftener_than_that_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    app.control.purge()
    asked_long_ago(monkeypatch)
    for _ in range(3):
        broker.unmark(nudges.OUTSTANDING)
        nudges.wake_sequencer()
    assert broker.length("audit") == 1
    assert nudges.ASKED_SECONDS < tasks.SEQUENCE_SECONDS
    app.control.purge()
    broker.unmark(nudges.OUTSTANDING)


def test_a_request_to_sequence_that_failed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*_: object, **__: object) -> None:
        raise OSError("no broker")

    app.control.purge()
    asked_long_ago(monkeypatch)
    with monkeypatch.context() as broken:
        broken.setattr(nudges, "send", dead)
        broker.unmark(nudges.OUTSTANDING)
        with pytest.raises(OSError, match="no broker"):
            nudges.wake_sequencer()
    broker.unmark(nudges.OUTSTANDING)
    nudges.wake_sequencer()
    assert broker.length("audit") == 1
    app.control.purge()
    broker.unmark(nudges.OUTSTANDING)


def test_a_dead_broker_never_fails_a_request(
    alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def dead(*_: object, **__: object) -> None:
        raise OSError("no broker")

    monkeypatch.setattr(nudges, "send", dead)
    with django_capture_on_commit_callbacks(execute=True):
        version = factories.received(alice)
        nudges.nudge(version)
    assert DocumentVersion.objects.get().status == Status.RECEIVED
