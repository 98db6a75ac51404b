"""What tests of arrivals do to S3 and its queue, and see of them."""

import json
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings

from pipeline import arrivals, storage
from pipeline.models import DocumentVersion
from tests import factories
from workers import s3events


def queue(name: str) -> tuple[str, str]:
    """Make one; its address and its name in policies."""
    sqs = arrivals.client()
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def tell(body: str) -> None:
    """Put a message into the queue."""
    arrivals.client().send_message(QueueUrl=settings.S3_EVENTS_QUEUE_URL, MessageBody=body)


def told_of(key: str) -> str:
    """What S3 says of a new object."""
    told = {"bucket": {"name": settings.QUARANTINE_BUCKET}, "object": {"key": key}}
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": told}]})


def turn() -> dict[str, int]:
    """Take one batch and handle it."""
    return s3events.handle(arrivals.wait(1))


def greeted() -> None:
    """Take what S3 says when it is told of the queue."""
    assert turn() == {"done": 1}


def left() -> tuple[int, int]:
    """How many messages the queue has: to give out, and given out."""
    url = settings.S3_EVENTS_QUEUE_URL
    found = arrivals.client().get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(found["ApproximateNumberOfMessages"]), int(found["ApproximateNumberOfMessagesNotVisible"])


def again(times: int) -> list[arrivals.Message]:
    """What is given out when everything was given out, and back, so often before."""
    for _ in range(times):
        arrivals.later(arrivals.wait(1), seconds=0)
    return arrivals.wait(1)


def status(version: DocumentVersion) -> str:
    """As the database has it."""
    return str(DocumentVersion.objects.get(pk=version.pk).status)


def put(version: DocumentVersion, body: bytes = factories.PDF) -> None:
    """Send the bytes as something that is no browser would."""
    storage.client().put_object(Bucket=settings.QUARANTINE_BUCKET, Key=version.incoming_key, Body=body)


def posted(version: DocumentVersion) -> None:
    """Send them as a browser does."""
    factories.send(version).raise_for_status()


def until(true: Callable[[], Any], seconds: float = 20) -> None:
    """Wait for something to become true."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "it did not come true"
        time.sleep(0.05)
