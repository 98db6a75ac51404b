"""Object Lock: where it is asked for, what enters the vault is locked, and a second try changes nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from identity.models import User
from pipeline import lifecycle, storage
from pipeline.models import DocumentVersion, Status
from tests import factories


@pytest.fixture(autouse=True)
def locked_vault(settings: Any) -> str:
    """A vault bucket with Object Lock, spoken to as the administrator, who alone makes buckets."""
    admin = factories.stack()["s3"]["admin"]
    settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY = admin["access_key_id"], admin["secret_access_key"]
    settings.VAULT_BUCKET = "locked-vault-of-the-tests"
    settings.VAULT_LOCK_MODE, settings.VAULT_LOCK_DAYS = "GOVERNANCE", 7
    there = {bucket.get("Name") for bucket in storage.client().list_buckets()["Buckets"]}
    if settings.VAULT_BUCKET not in there:
        storage.client().create_bucket(Bucket=settings.VAULT_BUCKET, ObjectLockEnabledForBucket=True)
    return str(settings.VAULT_BUCKET)


def stored(bucket: str, version: DocumentVersion) -> dict[str, Any]:
    """What S3 says of the vault object."""
    return dict(storage.client().head_object(Bucket=bucket, Key=version.vault_key))


def test_an_available_version_is_locked_for_the_days_asked_and_cannot_be_deleted(
    alice: User, locked_vault: str
) -> None:
    version = factories.available(alice)
    there = stored(locked_vault, version)
    assert there["ObjectLockMode"] == "GOVERNANCE"
    ends = datetime.now(UTC) + timedelta(days=7)
    assert abs((there["ObjectLockRetainUntilDate"] - ends).total_seconds()) < 60
    with pytest.raises(ClientError, match="AccessDenied"):
        storage.client().delete_object(Bucket=locked_vault, Key=version.vault_key, VersionId=version.vault_version_id)
    assert requests.get(storage.download_url(version), timeout=10).content == factories.PDF


def test_type_encryption_and_metadata_are_those_of_a_plain_copy(alice: User, locked_vault: str) -> None:
    version = factories.available(alice)
    there = stored(locked_vault, version)
    assert (there["ContentType"], there["ServerSideEncryption"]) == ("application/pdf", "AES256")
    assert there["Metadata"] == {"sha256": version.sha256, "source-version": version.s3_version_id}


def test_a_copy_made_before_a_crash_is_taken_and_leaves_no_upload_behind(alice: User, locked_vault: str) -> None:
    version = factories.clean(alice)
    first = storage.admit(version)
    moved = lifecycle.finalize(version.pk)
    assert moved is not None
    assert (moved.status, moved.vault_version_id) == (Status.AVAILABLE, first)
    assert not storage.client().list_multipart_uploads(Bucket=locked_vault).get("Uploads")


def test_the_pinned_bytes_are_copied_whatever_was_sent_since(alice: User) -> None:
    version = factories.clean(alice)
    factories.send(version, factories.PDF.replace(b"1.4", b"1.7"))
    lifecycle.finalize(version.pk)
    version.refresh_from_db()
    assert requests.get(storage.download_url(version), timeout=10).content == factories.PDF


def test_bytes_that_are_gone_are_said_to_be_gone(alice: User) -> None:
    version = factories.clean(alice)
    storage.purge(version)
    with pytest.raises(storage.Gone):
        storage.admit(version)


def test_an_unlocked_object_under_the_key_is_not_taken_where_a_lock_is_asked_for(alice: User, settings: Any) -> None:
    version = factories.clean(alice)
    settings.VAULT_LOCK_MODE = ""
    storage.admit(version)
    settings.VAULT_LOCK_MODE = "GOVERNANCE"
    with pytest.raises(storage.Differs):
        storage.admit(version)
