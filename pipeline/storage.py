"""All that we say to S3: the upload's policy, the pinned bytes, the vault.

Two buckets, both versioned. Browsers POST into quarantine under keys that are ids; workers read one
pinned version of it (VersionId and ETag, never "latest") and copy that into the vault. What S3 or the
network fail at comes out as `FAULTS` and is the caller's to retry; nothing here decides.
"""

import base64
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import quote

import boto3
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError
from django.conf import settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from pipeline.models import DocumentVersion

CHUNK = 1024 * 1024
POLICY_BYTES_PER_SECOND = 128 * 1024
POLICY_LONGEST = timedelta(hours=3)
_MISSING = {"NoSuchKey", "NoSuchVersion"}  # said by S3; a bare 404 is also what a proxy before it says
_UNMET: Final = {"PreconditionFailed", "412"}
# 4xx that pass by themselves: S3 asks to be asked again.
_PASSING: Final = {"RequestTimeout", "ConditionalRequestConflict", "OperationAborted", "TooManyRequests", "408", "429"}


class NotVersioned(Exception):
    """The bucket is not versioned, so nothing in it can be pinned."""


class Differs(Exception):
    """What S3 returned is not the object that was pinned."""


class Gone(Exception):
    """The pinned bytes are no longer where they were."""


class NoRoom(Exception):
    """The disk of this machine takes no file, or gives none back."""


# botocore leaves some of what breaks in the middle of an answer as urllib3 raised it, and answers that are not S3's
# as its parser did.
FAULTS: tuple[type[Exception], ...] = (
    BotoCoreError,
    ClientError,
    ResponseParserError,
    urllib3.exceptions.HTTPError,
    NotVersioned,
    Differs,
    NoRoom,
)
MISTAKES: Final = (ParamValidationError,)  # of ours, though their class is among `FAULTS`


@dataclass(frozen=True)
class Pin:
    """One S3 version of one key: what is hashed, scanned, copied and served."""

    version_id: str
    etag: str
    size: int


@dataclass(frozen=True)
class Spooled:
    """A pinned version on local disk: the open file, its size in bytes and its SHA-256 in hex."""

    file: IO[bytes]
    size: int
    sha256: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes from the beginning, in chunks of 1 MiB. Raises `NoRoom` where the disk fails."""
        self.file.seek(0)
        yield from iter(self._read, b"")

    def _read(self) -> bytes:
        with _disk():
            return self.file.read(CHUNK)


@contextmanager
def _disk() -> Iterator[None]:
    """Only ever around the file itself: some errors of botocore are OSErrors too."""
    try:
        yield
    except OSError as error:
        raise NoRoom(str(error)) from error


@cache
def _client(endpoint: str, key: str, secret: str) -> "S3Client":
    # `when_required`: the SDK's own checksums are not understood by every S3.
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint else "virtual"},
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 3},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=32,
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


def _signer() -> "S3Client":
    # Browsers may know S3 under another address than we do; the host is part of what is signed.
    return _client(settings.S3_PUBLIC_ENDPOINT_URL, settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY)


def policy_ends(size: int, now: datetime) -> datetime:
    """Return when a POST of `size` bytes, offered at `now`, must have ended.

    S3 looks at the policy's end when the body ends, so a large file on a slow line needs longer.
    """
    allowed = timedelta(seconds=settings.UPLOAD_WINDOW_SECONDS + size / POLICY_BYTES_PER_SECOND)
    return now + min(allowed, POLICY_LONGEST)


def presigned_post(version: "DocumentVersion", now: datetime) -> dict[str, Any]:
    """Return `url` and `fields` of a POST that stores exactly the announced bytes, and nothing else.

    Every field has a condition of its own (AWS: "POST Policy", conditions): the exact key, the exact
    size, type, encryption and, where the caller gave it, the SHA-256, which S3 then verifies.
    """
    fields = {
        "Content-Type": version.content_type,
        "success_action_status": "204",
        **({"x-amz-server-side-encryption": settings.S3_ENCRYPTION} if settings.S3_ENCRYPTION else {}),
        **_checksum_field(version.declared_sha256),
    }
    conditions: list[Any] = [{name: value} for name, value in fields.items()]
    conditions.append(["content-length-range", version.size, version.size])
    post = _signer().generate_presigned_post(
        settings.QUARANTINE_BUCKET,
        version.incoming_key,
        Fields=fields,
        Conditions=conditions,
        ExpiresIn=max(1, int((version.expires_at - now).total_seconds())),
    )
    return {"url": post["url"], "fields": post["fields"]}


def _checksum_field(sha256: str) -> dict[str, str]:
    if not sha256:
        return {}
    return {"x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode()}


def oldest(version: "DocumentVersion") -> Pin | None:
    """Return the first bytes that ever came under the version's key, or None if none did.

    A policy can be replayed until it ends; each replay is a newer S3 version, and none of them counts.
    Needs the List permission, not Read. Raises `NotVersioned` where the bucket keeps no versions.
    """
    found = None
    for item in _versions(version.incoming_key):  # newest first, so the last is the oldest
        found = item
    if found is None:
        return None
    if found["VersionId"] == "null":
        raise NotVersioned
    return Pin(found["VersionId"], found["ETag"], found["Size"])


def _versions(key: str) -> Iterator[Any]:
    pages = client().get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=settings.QUARANTINE_BUCKET, Prefix=key):
        if page.get("Name") != settings.QUARANTINE_BUCKET:  # cut off, or not S3: it does not say that nothing is there
            raise Differs
        yield from (item for item in page.get("Versions", []) if item["Key"] == key)


def stream(version: "DocumentVersion") -> Iterator[bytes]:
    """Yield the pinned bytes in chunks of 1 MiB.

    Raises `Gone` where they are no more, `Differs` where S3 has other bytes or fewer than it said.
    """
    try:
        answer = client().get_object(
            Bucket=settings.QUARANTINE_BUCKET,
            Key=version.incoming_key,
            VersionId=version.s3_version_id,
            IfMatch=version.etag,
        )
    except ClientError as error:
        if _code(error) in _MISSING:
            raise Gone from error
        raise
    if answer.get("ContentLength") != version.received_size:
        raise Differs
    yield from answer["Body"].iter_chunks(CHUNK)


@contextmanager
def spooled(version: "DocumentVersion") -> Iterator[Spooled]:
    """Hold the pinned bytes in a nameless temporary file, hashed on the way.

    The file has no name, so a killed worker leaves nothing behind. Raises `NoRoom` where the disk takes no more.
    """
    with _nameless() as file:
        digest, size = hashlib.sha256(), 0
        for chunk in stream(version):
            _write(file, chunk)
            digest.update(chunk)
            size += len(chunk)
        if size != version.received_size:
            raise Differs
        file.seek(0)
        yield Spooled(file, size, digest.hexdigest())


def _nameless() -> IO[bytes]:
    with _disk():
        return tempfile.TemporaryFile(buffering=0)  # with a buffer, closing it fails once more on a full disk


def _write(file: IO[bytes], chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:  # a disk that is nearly full takes a part
        with _disk():
            left = left[file.write(left) :]


def admit(version: "DocumentVersion") -> str:
    """Copy the pinned bytes into the vault; return the vault object's VersionId.

    Safe to repeat: the key is the version's id and is written once (`If-None-Match: *`). If it is there
    already, an earlier attempt made it; that object is read, hashed and taken, or `Differs` is raised. A repeat
    must give the encryption header again, else the copy comes out unencrypted.
    """
    try:
        return _locked_copy(version) if settings.VAULT_LOCK_MODE else _copy(version)
    except ClientError as error:
        if _code(error) in _MISSING:
            raise Gone from error
        if _code(error) not in _UNMET:
            raise
    return _admitted(version)


def _copy(version: "DocumentVersion") -> str:
    answer = client().copy_object(
        Bucket=settings.VAULT_BUCKET,
        Key=version.vault_key,
        **_pinned(version),
        IfNoneMatch="*",
        MetadataDirective="REPLACE",
        **_stored_as(version),
    )
    if not answer.get("VersionId"):
        raise NotVersioned
    return answer["VersionId"]


def _locked_copy(version: "DocumentVersion") -> str:
    """The same under Object Lock: by multipart copy, because SeaweedFS drops a plain copy's lock headers."""
    target: Any = {"Bucket": settings.VAULT_BUCKET, "Key": version.vault_key}
    until = datetime.now(UTC) + timedelta(days=settings.VAULT_LOCK_DAYS)
    lock: Any = {"ObjectLockMode": settings.VAULT_LOCK_MODE, "ObjectLockRetainUntilDate": until}
    upload: Any = {
        **target,
        "UploadId": client().create_multipart_upload(**target, **lock, **_stored_as(version))["UploadId"],
    }
    try:
        # One part takes up to 5 GiB, more than any document here.
        part = client().upload_part_copy(**upload, PartNumber=1, **_pinned(version))
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]}
        answer = client().complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")
    except ClientError:
        client().abort_multipart_upload(**upload)
        raise
    if not answer.get("VersionId"):
        raise NotVersioned
    return answer["VersionId"]


def _pinned(version: "DocumentVersion") -> Any:
    source = {
        "Bucket": settings.QUARANTINE_BUCKET,
        "Key": version.incoming_key,
        "VersionId": version.s3_version_id,
    }
    return {"CopySource": source, "CopySourceIfMatch": version.etag}


def _stored_as(version: "DocumentVersion") -> Any:
    return {"ContentType": version.media_type, "Metadata": _vault_metadata(version), **_encryption()}


def _admitted(version: "DocumentVersion") -> str:
    try:
        there = client().head_object(Bucket=settings.VAULT_BUCKET, Key=version.vault_key)
    except ClientError as error:
        if status(error) == 404:  # then it was the source that had changed
            raise Differs from error
        raise
    if (
        there.get("ContentLength") != version.size
        or there.get("Metadata") != _vault_metadata(version)
        or not there.get("VersionId")
        or there.get("ObjectLockMode", "") != settings.VAULT_LOCK_MODE
    ):
        raise Differs
    # Whoever can write to the vault can write all of that; the bytes are what was scanned, or they are not served.
    if _sha256(version.vault_key, there["VersionId"]) != version.sha256:
        raise Differs
    return there["VersionId"]


def _sha256(key: str, version_id: str) -> str:
    digest = hashlib.sha256()
    answer = client().get_object(Bucket=settings.VAULT_BUCKET, Key=key, VersionId=version_id)
    with closing(answer["Body"]) as body:
        for chunk in body.iter_chunks(CHUNK // 4):
            digest.update(chunk)
    return digest.hexdigest()


def _vault_metadata(version: "DocumentVersion") -> dict[str, str]:
    return {"sha256": version.sha256, "source-version": version.s3_version_id}


def _encryption() -> dict[str, Any]:
    return {"ServerSideEncryption": settings.S3_ENCRYPTION} if settings.S3_ENCRYPTION else {}


def quarantined(version: "DocumentVersion") -> list[str]:
    """Return the S3 versions that quarantine holds of the version, by their ids, newest first."""
    return [item["VersionId"] for item in _versions(version.incoming_key)]


def purge(version: "DocumentVersion", these: list[str] | None = None) -> int:
    """Delete these S3 versions of the version's quarantine key, or all there are; return how many."""
    doomed = quarantined(version) if these is None else these
    purge_key(version.incoming_key, doomed)
    return len(doomed)


def purge_key(key: str, version_ids: list[str]) -> None:
    """Delete these S3 versions of a key of quarantine, whoever's it is."""
    for version_id in version_ids:
        client().delete_object(Bucket=settings.QUARANTINE_BUCKET, Key=key, VersionId=version_id)


@contextmanager
def vaulted(version: "DocumentVersion") -> Iterator[tuple[int | None, Iterator[bytes]]]:
    """Open the version's object in the vault: its size as S3 says it, and its bytes in chunks of 256 KiB.

    Raises `Gone` where S3 has no such version of it.
    """
    try:
        answer = client().get_object(**_in_vault(version))
    except ClientError as error:
        if _code(error) in _MISSING:
            raise Gone from error
        raise
    with closing(answer["Body"]) as body:
        yield answer.get("ContentLength"), body.iter_chunks(CHUNK // 4)


def in_vault(version: "DocumentVersion") -> bool:
    """Whether S3 says that it has the version's object, without giving any of it."""
    try:
        client().head_object(**_in_vault(version))
    except ClientError as error:
        if status(error) == 404:
            return False
        raise
    return True


def _in_vault(version: "DocumentVersion") -> Any:
    return {"Bucket": settings.VAULT_BUCKET, "Key": version.vault_key, "VersionId": version.vault_version_id}


def download_url(version: "DocumentVersion") -> str:
    """Return a GET of the vault object that is good for `DOWNLOAD_SECONDS`, always an attachment.

    Name and type are ours, not what the uploader's form said (OWASP ASVS 5.4.1, 5.4.2).
    """
    return _signer().generate_presigned_url(
        "get_object",
        Params={
            "Bucket": settings.VAULT_BUCKET,
            "Key": version.vault_key,
            "VersionId": version.vault_version_id,
            "ResponseContentDisposition": attachment(version.filename),
            "ResponseContentType": version.media_type,
        },
        ExpiresIn=settings.DOWNLOAD_SECONDS,
    )


def attachment(filename: str) -> str:
    """Return a Content-Disposition for any name (RFC 6266, with the RFC 8187 form for all of it)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def check() -> None:
    """Raise a fault unless both buckets answer and are versioned.

    The web process may list quarantine but not ask for its settings; an object without a version tells.
    """
    page = client().list_object_versions(Bucket=settings.QUARANTINE_BUCKET, MaxKeys=1)
    if any(item["VersionId"] == "null" for item in page.get("Versions", [])):
        raise NotVersioned("The quarantine bucket is not versioned.")
    if client().get_bucket_versioning(Bucket=settings.VAULT_BUCKET).get("Status") != "Enabled":
        raise NotVersioned("The vault bucket is not versioned.")


def refused(error: Exception) -> bool:
    """Whether S3 itself says no to us, which no waiting mends: its buckets, or our rights, are not in order."""
    return isinstance(error, ClientError) and 400 <= status(error) < 500 and _code(error) not in _PASSING


def changed(error: Exception) -> bool:
    """Whether S3 says that what is there is not what was pinned."""
    return isinstance(error, ClientError) and _code(error) in _UNMET


def status(error: ClientError) -> int:
    """Return the HTTP status of what S3 answered, 0 if it has none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
