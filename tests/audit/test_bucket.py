"""What the log says to S3: conditional writes, locks, and the removal of what is superseded."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pytest_django import Settings

from audit import bucket
from tests import factories


@pytest.fixture
def place() -> Iterator[str]:
    """A prefix of the test's own, emptied afterwards."""
    prefix = f"audit-of-the-tests/{uuid.uuid4()}/"
    yield prefix
    bucket.delete_prefix(prefix)


@pytest.fixture
def locked(settings: Settings) -> None:
    """A vault bucket with Object Lock, spoken to as the administrator, who alone makes buckets."""
    admin = factories.stack()["s3"]["admin"]
    settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY = admin["access_key_id"], admin["secret_access_key"]
    settings.VAULT_BUCKET = "locked-audit-of-the-tests"
    settings.VAULT_LOCK_MODE, settings.VAULT_LOCK_DAYS = "GOVERNANCE", 7
    there = {found.get("Name") for found in bucket.client().list_buckets()["Buckets"]}
    if settings.VAULT_BUCKET not in there:
        bucket.client().create_bucket(Bucket=settings.VAULT_BUCKET, ObjectLockEnabledForBucket=True)


def head(settings: Settings, key: str) -> dict[str, Any]:
    """What S3 says of an object."""
    return dict(bucket.client().head_object(Bucket=settings.VAULT_BUCKET, Key=key))


def test_what_is_not_there_is_none(place: str) -> None:
    assert bucket.get(place + "nothing") is None


def test_an_object_is_stored_once_where_its_key_must_be_free(place: str) -> None:
    key = place + "tile"
    assert bucket.put(key, b"first", if_none_match="*", lock=False)
    assert not bucket.put(key, b"second", if_none_match="*", lock=False)
    found = bucket.get(key)
    assert found is not None
    assert found[0] == b"first"


def test_an_object_is_replaced_only_as_it_was_seen(place: str) -> None:
    key = place + "checkpoint"
    bucket.put(key, b"1", if_none_match="*", lock=False)
    seen = bucket.get(key)
    assert seen is not None
    assert bucket.put(key, b"2", if_match=seen[1], lock=False)
    assert not bucket.put(key, b"3", if_match=seen[1], lock=False)
    assert (bucket.get(key) or (b"",))[0] == b"2"


def test_nothing_is_replaced_where_nothing_is(place: str) -> None:
    assert not bucket.put(place + "gone", b"1", if_match='"d41d8cd98f00b204e9800998ecf8427e"', lock=False)


def test_of_eight_who_race_one_writes(place: str) -> None:
    key = place + "checkpoint"
    bucket.put(key, b"old", if_none_match="*", lock=False)
    seen = bucket.get(key)
    assert seen is not None
    won: list[int] = []

    def race(number: int) -> None:
        if bucket.put(key, str(number).encode(), if_match=seen[1], lock=False):
            won.append(number)

    threads = [threading.Thread(target=race, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (bucket.get(key) or (b"",))[0] == str(won[0]).encode()


def test_type_and_encryption_are_as_asked(place: str, settings: Settings) -> None:
    bucket.put(place + "note", b"x", lock=True, content_type="text/plain; charset=utf-8")
    there = head(settings, place + "note")
    assert (there["ContentType"], there["ServerSideEncryption"]) == ("text/plain; charset=utf-8", "AES256")
    assert "ObjectLockMode" not in there


def test_without_a_wish_for_encryption_none_is_sent(place: str, settings: Settings) -> None:
    settings.S3_ENCRYPTION = ""
    bucket.put(place + "note", b"x", lock=False)
    assert "ServerSideEncryption" not in head(settings, place + "note")


def test_a_prefix_is_deleted_with_all_its_versions_and_nothing_beside_it(place: str, settings: Settings) -> None:
    for name in ("000.p/1", "000.p/2", "000.p/2", "000", "001.p/1"):
        bucket.put(place + name, b"x", lock=False)
    bucket.client().delete_object(Bucket=settings.VAULT_BUCKET, Key=place + "000.p/1")
    assert bucket.delete_prefix(place + "000.p/") == 4
    versions: dict[str, Any] = dict(bucket.client().list_object_versions(Bucket=settings.VAULT_BUCKET, Prefix=place))
    assert sorted(found["Key"] for found in versions["Versions"]) == [place + "000", place + "001.p/1"]
    assert "DeleteMarkers" not in versions
    assert list(bucket.keys(place)) == [place + "000", place + "001.p/1"]


def test_every_key_is_listed_past_the_first_page(place: str) -> None:
    names = {place + name for name in ("000", "000.p/17", "000.p/9", "001", "x001/000", "x001/000.p/3")}
    names |= {f"{place}many/{number:04d}" for number in range(1001)}
    with ThreadPoolExecutor(8) as hands:
        list(hands.map(lambda name: bucket.put(name, b"x", lock=False), names))
    assert set(bucket.keys(place)) == names
    assert list(bucket.keys(place + "x001/")) == [place + "x001/000", place + "x001/000.p/3"]


@pytest.mark.usefixtures("locked")
def test_what_is_to_be_locked_is_locked_and_the_rest_is_not(place: str, settings: Settings) -> None:
    bucket.put(place + "kept", b"x", if_none_match="*", lock=True)
    bucket.put(place + "free", b"x", if_none_match="*", lock=False)
    there = head(settings, place + "kept")
    ends = datetime.now(UTC) + timedelta(days=7)
    assert there["ObjectLockMode"] == "GOVERNANCE"
    assert abs((there["ObjectLockRetainUntilDate"] - ends).total_seconds()) < 60
    assert "ObjectLockMode" not in head(settings, place + "free")
    with pytest.raises(ClientError, match="AccessDenied"):
        bucket.client().delete_object(Bucket=settings.VAULT_BUCKET, Key=place + "kept", VersionId=there["VersionId"])


@pytest.mark.usefixtures("locked")
def test_a_locked_object_gets_a_newer_version_and_keeps_the_old_one(place: str, settings: Settings) -> None:
    key = place + "checkpoint"
    for body in (b"1", b"2"):
        seen = bucket.get(key)
        assert bucket.put(key, body, **({"if_match": seen[1]} if seen else {"if_none_match": "*"}), lock=True)
    versions = bucket.client().list_object_versions(Bucket=settings.VAULT_BUCKET, Prefix=key)["Versions"]
    assert len(versions) == 2


@pytest.mark.usefixtures("locked")
def test_what_s3_will_not_delete_stays_and_the_rest_goes(place: str, settings: Settings) -> None:
    bucket.put(place + "000.p/1", b"x", lock=True)
    bucket.put(place + "000.p/2", b"x", lock=False)
    assert bucket.delete_prefix(place + "000.p/") == 1
    assert bucket.get(place + "000.p/1") is not None


def test_a_fault_is_let_through(settings: Settings) -> None:
    settings.VAULT_BUCKET = "no-such-bucket"
    with pytest.raises(bucket.FAULTS):
        bucket.put("audit/1/checkpoint", b"x", if_match="x", lock=False)
    with pytest.raises(bucket.FAULTS):
        bucket.get("audit/1/checkpoint")
