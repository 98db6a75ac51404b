"""What S3 says in a message is found in every envelope; what is no such message is said to be none."""

import json
import uuid
from contextlib import suppress
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from pipeline import notices

ID = uuid.UUID("0b5e8b5c-9d5c-4b8e-9f4e-1f2d3c4b5a69")
KEY = f"incoming/{ID}"


def record(key: str = KEY, name: str = "ObjectCreated:Post", bucket: str | None = None) -> dict[str, Any]:
    """One record of S3's own event; the key as S3 writes it, URL-encoded."""
    told = {"bucket": {"name": bucket or settings.QUARANTINE_BUCKET}, "object": {"key": key, "size": 1}}
    return {"eventVersion": "2.6", "eventSource": "aws:s3", "eventName": name, "s3": told}


def event(*records: dict[str, Any]) -> str:
    """S3's own message."""
    return json.dumps({"Records": list(records)})


def bridged(key: str = KEY, kind: str = "Object Created") -> str:
    """EventBridge's."""
    detail = {"version": "0", "bucket": {"name": settings.QUARANTINE_BUCKET}, "object": {"key": key, "version-id": "v"}}
    return json.dumps({"version": "0", "source": "aws.s3", "detail-type": kind, "detail": detail})


def sns(message: str) -> str:
    """SNS's envelope."""
    return json.dumps({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:x:1:t", "Message": message})


TEST = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "quarantine"})


@pytest.mark.parametrize(
    "body",
    [
        event(record()),
        event(record(name="ObjectCreated:Put")),
        event(record(name="ObjectCreated:CompleteMultipartUpload")),
        event(record(name="s3:ObjectCreated:Put")),
        event(record(key=KEY.replace("/", "%2F"))),
        sns(event(record())),
        bridged(),
        sns(bridged()),
    ],
)
def test_a_new_object_of_quarantine_is_found_in_every_form(body: str) -> None:
    assert notices.arrived(body) == [ID]


def test_several_records_are_several_arrivals_and_a_double_is_one() -> None:
    other = uuid.uuid4()
    assert notices.arrived(event(record(), record(f"incoming/{other}"), record())) == [ID, other]


@pytest.mark.parametrize(
    "body",
    [
        TEST,
        sns(TEST),
        event(),
        event(record(name="ObjectRemoved:Delete")),
        event(record(bucket="somebody-elses")),
        bridged(kind="Object Deleted"),
        event(record("incoming/")),
        event(record("incoming/readme.txt")),
        event(record(f"documents/{ID}")),
        event(record(f"incoming/{ID}/more")),
        event(record(f"incoming/{str(ID).upper()}")),
        event(record(f"incoming/{ID.hex}")),
        event(record(f"incoming/%7B{ID}%7D")),
        event(record(f"incoming/{ID}+")),
        bridged(KEY.replace("/", "%2F")),  # EventBridge does not encode, so this is another key
    ],
)
def test_what_is_nothing_for_us_is_no_mistake(body: str) -> None:
    assert notices.arrived(body) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "[]",
        "7",
        "null",
        '"Records"',
        "{}",
        '{"Records": 7}',
        '{"Records": [7]}',
        '{"Records": [{"eventName": "ObjectCreated:Put"}]}',
        event({**record(), "eventName": 7}),
        event(record()).replace(f'"{KEY}"', "7"),
        bridged().replace(f'"{KEY}"', "7"),
        '{"source": "aws.s3"}',
        '{"source": "aws.ec2", "detail-type": "Object Created"}',
        '{"Type": "Notification"}',
        sns("hello"),
        sns(sns(event(record()))),
        '{"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns.example/"}',
        "[" * 200_000,
        "9" * 10_000,
    ],
    ids=lambda body: f"{len(body)} {body[:40]}",
)
def test_what_s3_does_not_send_is_said_to_be_that(body: str) -> None:
    with pytest.raises(notices.Unintelligible):
        notices.arrived(body)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
words = st.sampled_from(["Records", "s3", "object", "key", "bucket", "name", "eventName", "source", "Type", "Message"])
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(words | st.text(max_size=3), inner))


@given(anything)
def test_whatever_comes_is_understood_or_said_not_to_be(said: Any) -> None:
    with suppress(notices.Unintelligible):
        assert notices.arrived(json.dumps(said)) == []
