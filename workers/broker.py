"""What we ask the broker directly, beside sending messages: how long its queues are, whose turn."""

from functools import cache

from django.conf import settings
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from workers.celery import QUEUES, app

# The row of `pipeline.faults` for these is `faults.BROKER`; kombu raises bare OSErrors too.
FAULTS: tuple[type[Exception], ...] = (OperationalError, RedisError, OSError)


def length(queue: str) -> int:
    """Return how many messages wait in a queue. Raises one of `FAULTS`."""
    return _client().llen(queue)


def lengths() -> dict[str, int]:
    """Return how many messages wait in each queue. Raises one of `FAULTS`."""
    return {queue: length(queue) for queue in QUEUES}


def queue_of(task: str) -> str:
    """Return the name of the queue that a task goes to, unless it is sent elsewhere (`nudges.queue_for`)."""
    return str(app.amqp.router.route({}, task)["queue"].name)


def mark(key: str, seconds: int) -> bool:
    """Set a mark unless it stands already; return whether we set it. Raises one of `FAULTS`."""
    return bool(_client().set(key, 1, nx=True, ex=seconds))


def unmark(key: str) -> None:
    """Take a mark away. Raises one of `FAULTS`."""
    _client().delete(key)


@cache
def _client() -> Redis:
    options = app.conf.broker_transport_options
    patience = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")}
    return Redis.from_url(settings.BROKER_URL, **patience)
