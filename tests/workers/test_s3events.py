"""S3 tells a queue of what has arrived, and what arrived is received."""

import signal
from collections.abc import Callable

import pytest
from pytest_django import Settings

from identity.models import User
from pipeline import arrivals, storage
from pipeline.models import DocumentVersion, Status
from tests import factories
from tests.workers.arriving import again, greeted, left, posted, put, status, tell, told_of, turn
from workers import broker, s3events

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cloud")]


@pytest.mark.parametrize("send", [posted, put])
@pytest.mark.django_db(transaction=True)
def test_what_arrives_is_received_nudged_and_its_message_gone(
    alice: User, send: Callable[[DocumentVersion], None]
) -> None:
    greeted()
    version = factories.begun(alice)
    send(version)
    assert turn() == {"done": 1}
    assert status(version) == Status.RECEIVED
    assert broker.length("validate") == 1
    assert left() == (0, 0)


def test_the_first_bytes_are_pinned_whichever_event_comes_first(alice: User) -> None:
    greeted()
    version = factories.begun(alice)
    put(version, b"first")
    put(version, b"the second")
    assert turn() == {"done": 2}
    version.refresh_from_db()
    assert version.received_size == len(b"first")


@pytest.mark.django_db(transaction=True)
def test_an_event_that_comes_again_changes_nothing_and_is_deleted(alice: User) -> None:
    greeted()
    version = factories.begun(alice)
    put(version)
    tell(told_of(version.incoming_key))
    tell(told_of(version.incoming_key))
    assert turn() == {"done": 3}
    assert (status(version), broker.length("validate"), left()) == (Status.RECEIVED, 1, (0, 0))


def test_keys_and_versions_that_nobody_knows_are_deleted_quietly(dead: str) -> None:
    greeted()
    tell(told_of("incoming/readme.txt"))
    tell(told_of("incoming/0b5e8b5c-9d5c-4b8e-9f4e-1f2d3c4b5a69"))
    assert turn() == {"done": 2}
    assert left() == (0, 0)


def test_an_event_that_comes_before_its_bytes_is_left_for_later(alice: User) -> None:
    greeted()
    version = factories.begun(alice)
    tell(told_of(version.incoming_key))
    assert turn() == {"later": 1}
    assert (status(version), left()) == (Status.PENDING, (0, 1))


def test_a_fault_of_s3_gives_back_the_message_and_those_after_it(alice: User, settings: Settings) -> None:
    greeted()
    versions = [factories.begun(alice, name=name) for name in ("one", "two", "three")]
    for version in versions:
        put(version)
    there, settings.S3_ENDPOINT_URL = settings.S3_ENDPOINT_URL, "http://127.0.0.1:9"
    with pytest.raises(storage.FAULTS):
        turn()
    settings.S3_ENDPOINT_URL = there
    assert left() == (2, 1)  # the one that met it comes again in seconds, the others at once
    assert turn() == {"done": 2}
    assert [status(version) for version in versions].count(Status.RECEIVED) == 2


def test_what_cannot_be_understood_is_set_aside_with_the_reason(dead: str) -> None:
    greeted()
    tell("hello")
    assert turn() == {"aside": 1}
    assert left() == (0, 0)
    found = arrivals.client().receive_message(QueueUrl=dead, MessageAttributeNames=["All"])["Messages"]
    assert [message["Body"] for message in found] == ["hello"]
    assert found[0]["MessageAttributes"]["why"]["StringValue"].startswith("Not understood")


def test_without_a_queue_for_them_they_are_left_to_the_queue_s_own_policy() -> None:
    greeted()
    tell("hello")
    assert turn() == {"later": 1}
    assert left() == (0, 1)


def test_poison_holds_up_nothing_that_comes_with_it(alice: User) -> None:
    greeted()
    version = factories.begun(alice)
    tell("hello")
    put(version)
    assert turn() == {"later": 1, "done": 1}
    assert status(version) == Status.RECEIVED


def test_a_message_given_out_too_often_is_set_aside_untouched(alice: User, dead: str) -> None:
    greeted()
    version = factories.begun(alice)
    put(version)
    (message,) = again(s3events.MOST_TIMES)
    assert message.times == s3events.MOST_TIMES + 1
    assert s3events.handle([message]) == {"aside": 1}
    assert (status(version), left()) == (Status.PENDING, (0, 0))  # the reconciler looks for these bytes


def test_without_a_queue_for_it_it_is_tried_as_often_as_it_comes(alice: User) -> None:
    greeted()
    version = factories.begun(alice)
    put(version)
    assert s3events.handle(again(s3events.MOST_TIMES + 1)) == {"done": 1}
    assert status(version) == Status.RECEIVED


def test_each_time_it_waits_longer_up_to_a_bound() -> None:
    waits = [s3events._wait(arrivals.Message("", "", times)) for times in (1, 2, 3, 8, 9, 1000)]
    assert waits == [5, 10, 20, 640, 900, 900]


def waits_for_a_signal(stop: s3events.Stop) -> None:
    """In the middle of a wait it comes."""
    with stop.idling():
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on waiting")


def test_a_signal_is_obeyed_at_once_while_idle_and_else_when_the_batch_is_done() -> None:
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = s3events.Stop()
        stop.listen()
        signal.raise_signal(signal.SIGTERM)  # something is in hand: nothing is broken off
        with pytest.raises(s3events.Stopped), stop.idling():
            pytest.fail("it would have waited for a message first")
        stop = s3events.Stop()
        stop.listen()
        with pytest.raises(s3events.Stopped):
            waits_for_a_signal(stop)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
