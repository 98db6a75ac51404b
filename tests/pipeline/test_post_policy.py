"""The presigned POST lets through exactly the announced bytes: every field tampered, missing or added.

Each attack is sent to the real SeaweedFS and put to the rules that AWS documents (`aws_rules`). Where the two
differ, `DIFFERS` says how; `docs/s3.md` has the same list.
"""

import base64
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from django.conf import settings
from django.utils import timezone

from identity.models import User
from pipeline import lifecycle, storage
from pipeline.models import DocumentVersion, Status
from tests import factories
from tests.pipeline import aws_rules

BODY = factories.PDF
OTHER = BODY.replace(b"1.4", b"1.7")


@pytest.fixture
def version(alice: User) -> DocumentVersion:
    """An upload whose hash was announced too."""
    return factories.begun(alice, BODY, sha256=factories.sha256(BODY))


def offered(version: DocumentVersion) -> dict[str, Any]:
    """The POST as the API gives it."""
    return storage.presigned_post(version, timezone.now())


def sent(post: dict[str, Any], body: bytes = BODY, changed: Mapping[str, str | None] | None = None) -> tuple[int, bool]:
    """Send it: what SeaweedFS answers, and whether AWS would take it by its documentation.

    `changed` puts other values into fields; None leaves the field out.
    """
    fields = {k: v for k, v in {**post["fields"], **(changed or {})}.items() if v is not None}
    answer = requests.post(post["url"], data=fields, files={"file": ("x.pdf", body)}, allow_redirects=False, timeout=30)
    bucket = post["url"].rstrip("/").rpartition("/")[2]
    aws = aws_rules.takes(fields, body, bucket=bucket, secret=settings.S3_SECRET_ACCESS_KEY, now=datetime.now(UTC))
    return answer.status_code, aws


def test_the_honest_post_is_taken_by_both(version: DocumentVersion) -> None:
    assert sent(offered(version)) == (204, True)


def test_every_field_has_an_exact_condition(version: DocumentVersion) -> None:
    fields = offered(version)["fields"]
    policy = json.loads(base64.b64decode(fields["policy"]))
    exact = {name.lower() for c in policy["conditions"] if isinstance(c, dict) for name in c}
    assert exact >= {name.lower() for name in fields} - {"policy", "x-amz-signature"} | {"bucket"}
    ranges = [c for c in policy["conditions"] if isinstance(c, list)]
    assert ranges == [["content-length-range", len(BODY), len(BODY)]]


FIELDS = (
    *("key", "Content-Type", "success_action_status", "x-amz-server-side-encryption", "x-amz-checksum-sha256"),
    *("x-amz-algorithm", "x-amz-credential", "x-amz-date", "policy", "x-amz-signature"),
)


def test_the_form_has_just_these_fields(version: DocumentVersion) -> None:
    assert set(offered(version)["fields"]) == set(FIELDS)


@pytest.mark.parametrize("field", FIELDS)
def test_a_tampered_field_is_refused(version: DocumentVersion, field: str) -> None:
    post = offered(version)
    other = {
        "key": "incoming/other",
        "Content-Type": "text/html",
        "success_action_status": "201",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-checksum-sha256": base64.b64encode(b"0" * 32).decode(),
        "x-amz-algorithm": "AWS4-HMAC-SHA1",
        "x-amz-date": "20200101T000000Z",
        "policy": base64.b64encode(b'{"expiration":"2099-01-01T00:00:00Z","conditions":[]}').decode(),
        "x-amz-signature": "0" * 64,
        "x-amz-credential": post["fields"]["x-amz-credential"].replace("/", "x/", 1),
    }[field]
    status, aws = sent(post, changed={field: other})
    assert 400 <= status < 500
    assert not aws
    assert storage.oldest(version) is None


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_refused(version: DocumentVersion, field: str) -> None:
    status, aws = sent(offered(version), changed={field: None})
    assert 400 <= status < 500
    assert not aws
    assert storage.oldest(version) is None


# What SeaweedFS takes although AWS documents that it would not: status, and what it stores or does.
DIFFERS = {
    "acl": "public-read",
    "Content-Disposition": 'inline; filename="evil.html"',
    "Content-Encoding": "gzip",
    "Cache-Control": "public",
    "Expires": "Thu, 01 Dec 2094 16:00:00 GMT",
    "tagging": "<Tagging><TagSet/></Tagging>",
    "foo": "bar",
    "success_action_redirect": "http://127.0.0.1:9/evil",
}


@pytest.mark.parametrize("field", DIFFERS)
def test_an_added_field_has_no_effect_on_what_is_served(version: DocumentVersion, field: str) -> None:
    status, aws = sent(offered(version), changed={field: DIFFERS[field]})
    assert not aws
    assert status in {204, 303}, "SeaweedFS has learnt to refuse it: good, take it off the list"

    for step in (lifecycle.receive, lifecycle.validate, lifecycle.scan, lifecycle.finalize):
        step(version.pk)
    version.refresh_from_db()
    assert version.status == Status.AVAILABLE
    got = requests.get(storage.download_url(version), timeout=10)
    assert got.content == BODY
    assert got.headers["Content-Disposition"].startswith("attachment; ")
    assert got.headers["Content-Type"] == "application/pdf"
    for header in ("Content-Encoding", "Cache-Control", "Expires"):
        assert header not in got.headers
    # Not even where the reader leaves our overrides out: the copy took none of it along.
    stored: Mapping[str, object] = storage.client().head_object(Bucket=settings.VAULT_BUCKET, Key=version.vault_key)
    assert "ContentDisposition" not in stored
    assert "ContentEncoding" not in stored
    assert stored["ContentType"] == "application/pdf"
    bare = requests.get(f"{settings.S3_ENDPOINT_URL}/{settings.VAULT_BUCKET}/{version.vault_key}", timeout=10)
    assert bare.status_code == 403


@pytest.mark.parametrize(
    "field",
    ["x-amz-meta-x", "x-amz-storage-class", "x-amz-tagging", "x-amz-object-lock-mode", "x-amz-acl", "x-amz-website"],
)
def test_an_added_x_amz_field_is_refused_by_both(version: DocumentVersion, field: str) -> None:
    status, aws = sent(offered(version), changed={field: "x"})
    assert (status, aws) == (403, False)
    assert storage.oldest(version) is None


@pytest.mark.parametrize("body", [BODY + b"x", BODY[:-1], b"", BODY * 2])
def test_another_size_is_refused(version: DocumentVersion, body: bytes) -> None:
    status, aws = sent(offered(version), body)
    assert (status, aws) == (400, False)
    assert storage.oldest(version) is None


def test_another_body_of_the_same_size_is_refused_where_the_hash_was_announced(version: DocumentVersion) -> None:
    assert sent(offered(version), OTHER) == (400, False)
    assert storage.oldest(version) is None


def test_another_body_of_the_same_size_is_what_it_is_where_no_hash_was_announced(alice: User) -> None:
    version = factories.begun(alice, BODY)
    assert sent(offered(version), OTHER) == (204, True)
    lifecycle.receive(version.pk)
    lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert version.sha256 == factories.sha256(OTHER)


def test_an_expired_policy_is_refused(version: DocumentVersion) -> None:
    version.expires_at = timezone.now()  # signed for one second, the least there is
    post = offered(version)
    time.sleep(2)
    assert sent(post) == (403, False)
    assert storage.oldest(version) is None


def test_the_other_bucket_is_refused(version: DocumentVersion) -> None:
    post = offered(version)
    post["url"] = post["url"].replace(settings.QUARANTINE_BUCKET, settings.VAULT_BUCKET)
    status, aws = sent(post)
    assert (status, aws) == (403, False)


def test_a_form_for_one_version_does_not_fit_another(alice: User, version: DocumentVersion) -> None:
    other = factories.begun(alice, BODY)
    status, aws = sent(offered(version), changed={"key": other.incoming_key})
    assert (status, aws) == (403, False)
    assert storage.oldest(other) is None


def test_a_second_key_field_does_not_win(alice: User, version: DocumentVersion) -> None:
    post = offered(version)
    pairs = [*post["fields"].items(), ("key", "incoming/other")]
    requests.post(post["url"], data=pairs, files={"file": ("x", BODY)}, timeout=30)
    there = storage.client().list_objects_v2(Bucket=settings.QUARANTINE_BUCKET, Prefix="incoming/other")
    assert there["KeyCount"] == 0


@pytest.mark.parametrize(("size", "seconds"), [(1, 300), (128 * 1024 * 100, 400), (1000 * 1024 * 1024, 8300)])
def test_a_policy_lives_five_minutes_and_the_time_a_slow_line_needs(size: int, seconds: int) -> None:
    now = timezone.now()
    assert (storage.policy_ends(size, now) - now).total_seconds() == pytest.approx(seconds, abs=1)


def test_no_policy_lives_longer_than_three_hours(settings: Any) -> None:
    settings.UPLOAD_WINDOW_SECONDS = 100_000
    now = timezone.now()
    assert storage.policy_ends(1, now) - now == timedelta(hours=3)
