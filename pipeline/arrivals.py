"""The queue in which S3 tells of what has arrived: all that we say to SQS. What the messages say is in `notices`.

SQS gives each message out at least once, in no order, and again unless it is deleted; whoever reads one may do its
work twice. What SQS or the network fail at comes out as `FAULTS` and is the caller's to retry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

FAULTS: tuple[type[Exception], ...] = (BotoCoreError, ClientError)

BATCH: Final = 10  # SQS's most
POLL_SECONDS: Final = 20  # SQS's most; every question is paid for, answered or not
HOLD_SECONDS: Final = 120  # for how long nobody else is given what we were: ten looks into a slow bucket


@dataclass(frozen=True)
class Message:
    """One message, as it was given out this time; `times` counts, nearly, how often it was."""

    receipt: str
    body: str
    times: int


@cache
def _client(endpoint: str, key: str, secret: str) -> "SQSClient":
    config = Config(
        connect_timeout=5,
        read_timeout=POLL_SECONDS + 10,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.client(
        "sqs",
        endpoint_url=endpoint or None,
        region_name=settings.S3_REGION,  # S3 tells queues of its own region alone
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config,
    )


def client() -> "SQSClient":
    """Return the client that speaks with this process's credential, the one for S3."""
    return _client(settings.S3_EVENTS_ENDPOINT_URL, settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY)


def wait(seconds: int = POLL_SECONDS) -> list[Message]:
    """Return up to ten messages, as soon as there is one; none after so many seconds."""
    answer = client().receive_message(
        QueueUrl=settings.S3_EVENTS_QUEUE_URL,
        MaxNumberOfMessages=BATCH,
        WaitTimeSeconds=seconds,
        VisibilityTimeout=HOLD_SECONDS,
        MessageSystemAttributeNames=["ApproximateReceiveCount"],
    )
    return [
        Message(found["ReceiptHandle"], found["Body"], int(found["Attributes"]["ApproximateReceiveCount"]))
        for found in answer.get("Messages", [])
    ]


def done(message: Message) -> None:
    """Take a message off the queue for good."""
    client().delete_message(QueueUrl=settings.S3_EVENTS_QUEUE_URL, ReceiptHandle=message.receipt)


def later(messages: Sequence[Message], *, seconds: int) -> None:
    """Give messages back, to be given out again after so many seconds.

    One that SQS refuses to take back by itself comes again after `HOLD_SECONDS`.
    """
    if messages:
        client().change_message_visibility_batch(
            QueueUrl=settings.S3_EVENTS_QUEUE_URL,
            Entries=[
                {"Id": str(place), "ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
                for place, message in enumerate(messages)
            ],
        )


def set_aside(message: Message, why: str) -> bool:
    """Move a message to `S3_EVENTS_DEAD_QUEUE_URL`, with the reason; False where there is none.

    First there, then gone from here: a crash between the two doubles it, and loses nothing.
    """
    if not settings.S3_EVENTS_DEAD_QUEUE_URL:
        return False
    client().send_message(
        QueueUrl=settings.S3_EVENTS_DEAD_QUEUE_URL,
        MessageBody=message.body,
        MessageAttributes={
            "why": {"DataType": "String", "StringValue": why},
            "times": {"DataType": "Number", "StringValue": str(message.times)},
        },
    )
    done(message)
    return True
