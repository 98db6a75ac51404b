"""All that the log says to S3: conditional writes and locks under `audit/<generation>/` of the vault bucket.

Nothing here decides. What S3 or the network fail at comes out as `FAULTS`, for the caller to let through; that a
condition did not hold is an answer, not a fault.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FAULTS: tuple[type[Exception], ...] = (BotoCoreError, ClientError)

_MISSING: Final = {"NoSuchKey", "404"}
# 409: AWS, where two conditional writes meet. A missing key under If-Match is a condition that does not hold, too.
_UNMET: Final = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409", *_MISSING}


@cache
def _client(endpoint: str, key: str, secret: str) -> "S3Client":
    # `when_required`: the SDK's own checksums are not understood by every S3.
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint else "virtual"},
        connect_timeout=5,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 3},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=settings.S3_REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config,
    )


def client() -> "S3Client":
    """Return the client that speaks with this process's credential."""
    return _client(settings.S3_ENDPOINT_URL, settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY)


def key(generation: int, path: str) -> str:
    """Return where a file of that generation of the log lies: `path` is "checkpoint", or a tile's (audit.tiles)."""
    return f"audit/{generation}/{path}"


def get(key: str) -> tuple[bytes, str] | None:
    """Return an object's bytes and its ETag, or None if there is none."""
    try:
        answer = client().get_object(Bucket=settings.VAULT_BUCKET, Key=key)
    except ClientError as error:
        if _code(error) in _MISSING:
            return None
        raise
    return answer["Body"].read(), answer["ETag"]


def put(
    key: str,
    body: bytes,
    *,
    if_match: str = "",
    if_none_match: str = "",
    lock: bool,
    content_type: str = "application/octet-stream",
) -> bool:
    """Store an object if the condition holds; return whether it did.

    `if_match`: an ETag that the key must have; `if_none_match="*"`: the key must be free (RFC 9110 §13.1). With `lock`
    the object is locked as VAULT_LOCK_MODE and VAULT_LOCK_DAYS say, where they say so.

    A False after the network failed may be our own write: a retry cannot know that the first try arrived.
    """
    asked: Any = {
        **({"IfMatch": if_match} if if_match else {}),
        **({"IfNoneMatch": if_none_match} if if_none_match else {}),
        **({"ServerSideEncryption": settings.S3_ENCRYPTION} if settings.S3_ENCRYPTION else {}),
        **(_lock() if lock else {}),
    }
    try:
        client().put_object(Bucket=settings.VAULT_BUCKET, Key=key, Body=body, ContentType=content_type, **asked)
    except ClientError as error:
        if _code(error) in _UNMET:
            return False
        raise
    return True


def keys(prefix: str) -> Iterator[str]:
    """Yield the keys under `prefix`.

    Whole keys, and from the first one: SeaweedFS keeps the names of folders that have become empty, and begins the
    listing of a versioned bucket elsewhere than StartAfter told it to.
    """
    pages = client().get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=settings.VAULT_BUCKET, Prefix=prefix):
        yield from (found["Key"] for found in page.get("Contents", []))


def delete_prefix(prefix: str) -> int:
    """Delete every version of every object under `prefix`; return how many. For partial tiles, and nothing else.

    What S3 will not delete, such as an object under the bucket's own default lock, stays.
    """
    count = 0
    pages = client().get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=settings.VAULT_BUCKET, Prefix=prefix):
        for found in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            count += _deleted(found["Key"], found["VersionId"])
    return count


def _deleted(key: str, version_id: str) -> bool:
    try:
        client().delete_object(Bucket=settings.VAULT_BUCKET, Key=key, VersionId=version_id)
    except ClientError as error:
        if _code(error) != "AccessDenied":
            raise
        return False
    return True


def _lock() -> dict[str, Any]:
    if not settings.VAULT_LOCK_MODE:
        return {}
    until = datetime.now(UTC) + timedelta(days=settings.VAULT_LOCK_DAYS)
    return {"ObjectLockMode": settings.VAULT_LOCK_MODE, "ObjectLockRetainUntilDate": until}


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
