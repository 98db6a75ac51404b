"""A message's place in a worker is free when its work is done, also if the broker could not be told.

kombu tells Redis first and keeps its own books after; Celery logs what goes wrong between the two, and goes on. So each
answer that is lost, as on a connection that was frozen and cut, leaves a place taken for ever, and a worker that has
one place (`-c 1`) takes nothing any more. The message itself is still among Redis's unacknowledged and comes again
after the visibility timeout: a nudge too many.
"""

from typing import Any

from kombu.transport import redis, virtual


class Acks(redis.QoS):
    """What kombu does, with the place given back whatever happens."""

    def ack(self, delivery_tag: Any) -> None:
        """Say that a message is done."""
        try:
            super().ack(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)  # twice is the same as once

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Say that a message is not wanted, or is to be given out again."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        finally:
            virtual.QoS.ack(self, delivery_tag)


def install() -> None:
    """Let every connection to Redis in this process keep its books so."""
    redis.Channel.QoS = Acks
