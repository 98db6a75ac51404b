"""A worker whose word to the broker is lost goes on taking messages."""

from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, Queue
from redis.exceptions import ConnectionError as Lost

from workers.celery import app

NAME = "acks-of-a-test"


@pytest.fixture
def channel() -> Iterator[Any]:
    """A channel that takes one message at a time, and two messages for it."""
    with Connection(app.conf.broker_url) as connection:
        channel: Any = connection.channel()
        queue = Queue(NAME, routing_key=NAME)(channel)
        queue.declare()
        queue.purge()
        for number in range(2):
            connection.Producer(channel).publish({"number": number}, routing_key=NAME, exchange=queue.exchange)
        channel.basic_qos(prefetch_count=1)
        yield channel
        queue.delete()


@pytest.fixture
def deaf(channel: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, and nothing that it says of a message gets through."""

    def lost(*_: object, **__: object) -> None:
        raise Lost("frozen, and cut")

    monkeypatch.setattr(channel.qos, "_remove_from_indices", lost)
    return channel


@pytest.mark.parametrize("word", ["ack", "reject"])
def test_its_place_is_free_though_the_broker_was_not_told(deaf: Any, word: str) -> None:
    message = deaf.basic_get(NAME)
    deaf.qos.append(message, message.delivery_tag)
    assert not deaf.qos.can_consume()
    with pytest.raises(Lost):
        getattr(deaf.qos, word)(message.delivery_tag)
    assert deaf.qos.can_consume()


def test_a_place_is_free_once_when_all_goes_well(channel: Any) -> None:
    message = channel.basic_get(NAME)
    channel.qos.append(message, message.delivery_tag)
    channel.qos.ack(message.delivery_tag)
    assert channel.qos.can_consume()
    assert channel.qos.can_consume_max_estimate() == 1
