"""What an operator with the storage's own keys can do to both buckets, past everything of ours."""

from datetime import datetime
from typing import Any
from unittest import mock

import boto3
from botocore.config import Config
from django.conf import settings

from identity.models import User
from pipeline import lifecycle, listing, storage
from pipeline.models import DocumentVersion
from tests import factories


def operator() -> Any:
    """A client with the administrator's credential."""
    told = factories.stack()
    return boto3.client(
        "s3",
        endpoint_url=told["s3_endpoint"],
        region_name="us-east-1",
        aws_access_key_id=told["s3"]["admin"]["access_key_id"],
        aws_secret_access_key=told["s3"]["admin"]["secret_access_key"],
        config=Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"}),
    )


def put(bucket: str, key: str, body: bytes = b"strange", **more: Any) -> str:
    """Put an object; return its VersionId."""
    return str(operator().put_object(Bucket=bucket, Key=key, Body=body, **more)["VersionId"])


def delete(bucket: str, key: str, version_id: str = "") -> None:
    """Delete an S3 version for ever; without a VersionId only hide the object behind a delete marker."""
    operator().delete_object(Bucket=bucket, Key=key, **({"VersionId": version_id} if version_id else {}))


def lost(version: DocumentVersion) -> None:
    """Delete the version's own object from the vault."""
    delete(settings.VAULT_BUCKET, version.vault_key, version.vault_version_id)


def planted(owner: User, body: bytes = factories.PDF, **changes: Any) -> DocumentVersion:
    """An available version whose object has other bytes of the same length.

    As if they had been changed below S3: `finalize`, which would have seen it, is told that they are the right ones.
    """
    version = factories.clean(owner, body, **changes)
    metadata = {"sha256": version.sha256, "source-version": version.s3_version_id}
    put(settings.VAULT_BUCKET, version.vault_key, bytes(len(body)), Metadata=metadata)
    with mock.patch.object(storage, "_sha256", return_value=version.sha256):
        assert lifecycle.finalize(version.pk)
    return DocumentVersion.objects.select_related("document").get(pk=version.pk)


def entries(bucket: str, key: str) -> list[tuple[str, bool]]:
    """What lies under a key: VersionIds, and whether they are delete markers."""
    return [(one.version_id, one.is_marker) for one in listing.of_key(bucket, key)]


def emptied(bucket: str, prefix: str) -> None:
    """Delete all that other tests left under a prefix, so that a walk is short and what it finds is ours."""
    client = operator()
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for one in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            client.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


def told_at(version: DocumentVersion) -> datetime | None:
    """When the version was checked last."""
    return DocumentVersion.objects.values_list("checked_at", flat=True).get(pk=version.pk)
