"""Make the two buckets and wait until they take writes: `python -m devstack.buckets ENDPOINT ORIGIN...`.

A program of its own, so that the supervisor can end it at any moment and does not carry boto3. The credentials come
by the environment. Run again it changes nothing.
"""

import os
import sys
import time
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from devstack.seaweed import QUARANTINE, VAULT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CORSRuleTypeDef

_PROBE = "probe-of-readiness"
_SECONDS = 60.0
_PAUSE = 0.1


def main(endpoint: str, origins: list[str]) -> None:
    """Make both buckets, polling until the server has done as it was told. Raises TimeoutError if it does not."""
    client = _client(endpoint)
    limit = time.monotonic() + _SECONDS
    for bucket in (QUARANTINE, VAULT):
        while not _made(client, bucket, origins):
            if time.monotonic() > limit:
                raise TimeoutError(f"bucket {bucket} is not ready after {_SECONDS} s")
            time.sleep(_PAUSE)


def _client(endpoint: str) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=os.environ["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=os.environ["S3_SECRET_ACCESS_KEY"],
        config=Config(
            connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
        ),
    )


def _made(client: "S3Client", bucket: str, origins: list[str]) -> bool:
    """Bring `bucket` into its final state; False if the server is not that far yet."""
    try:
        if bucket not in {known.get("Name") for known in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [_rule(origins)]})
        return client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled" and _writes(client, bucket)
    except (BotoCoreError, ClientError):
        return False


def _rule(origins: list[str]) -> "CORSRuleTypeDef":
    return {
        "AllowedOrigins": origins,
        "AllowedMethods": ["POST", "GET", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "x-amz-version-id"],
    }


def _writes(client: "S3Client", bucket: str) -> bool:
    """Write, encrypted, and take the object away again: only then are volumes and the key for encryption there."""
    made = client.put_object(Bucket=bucket, Key=_PROBE, Body=b"ready?", ServerSideEncryption="AES256")
    client.delete_object(Bucket=bucket, Key=_PROBE, VersionId=made["VersionId"])
    return True


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
