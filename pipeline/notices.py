"""What S3 says in a message of its queue: the keys that have arrived, in whatever envelope it came.

Four forms, all of AWS's documentation ("Event message structure", "EventBridge event message structure", "Amazon SNS
message formats"): S3's own event, the same or the next inside a message of SNS, EventBridge's event, and the test that
S3 sends when it is told of the queue. Nothing here believes a message: whoever reads one looks into the bucket.
"""

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote_plus
from uuid import UUID

from django.conf import settings

PREFIX: Final = "incoming/"  # DocumentVersion.incoming_key


class Unintelligible(Exception):
    """The message is none that S3 sends."""


def arrived(body: str) -> list[UUID]:
    """Return the ids of the versions whose bytes a message says have come to quarantine, each once; often one.

    Other buckets, other keys and other events (deleted, restored …) are none of ours, and no mistake. Raises
    `Unintelligible`.
    """
    try:
        found = [_version(key) for bucket, key in _objects(json.loads(body)) if bucket == settings.QUARANTINE_BUCKET]
    except (ValueError, RecursionError) as why:  # the latter from nothing but a hundred thousand brackets
        raise Unintelligible(type(why).__name__) from why
    except (KeyError, TypeError, AttributeError) as why:
        raise Unintelligible("a part of it is missing, or is not what it should be") from why
    return list(dict.fromkeys(id_ for id_ in found if id_ is not None))


def _objects(said: Any, *, wrapped: bool = False) -> Iterator[tuple[str, str]]:
    """Yield bucket and key of each object that was made."""
    if "Records" in said:
        yield from _recorded(said["Records"])
    elif said.get("source") == "aws.s3":
        yield from _bridged(said)
    elif said.get("Type") == "Notification" and not wrapped:
        yield from _objects(json.loads(said["Message"]), wrapped=True)
    elif said.get("Event") != "s3:TestEvent":
        raise Unintelligible("neither S3's, nor SNS's, nor EventBridge's")


def _recorded(records: Any) -> Iterator[tuple[str, str]]:
    for record in records:
        bucket, key = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        # Some others that speak S3 put their prefix before the name.
        if record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
            yield bucket, unquote_plus(key)


def _bridged(event: Any) -> Iterator[tuple[str, str]]:
    """EventBridge's keys are not URL-encoded."""
    if event["detail-type"] == "Object Created":
        yield event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]


def _version(key: str) -> UUID | None:
    """The version that a key is of: only the one spelling that our own keys have."""
    name = key.removeprefix(PREFIX)
    try:
        id_ = UUID(name)
    except ValueError:
        return None
    return id_ if key == f"{PREFIX}{id_}" else None
