"""The audit queue: woken events get their place soon, lost wake-ups are swept."""

import pytest

from audit import sequencer
from audit.models import Event
from identity.models import User
from tests import factories
from workers import broker, nudges, tasks
from workers.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Nothing is outstanding."""
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
