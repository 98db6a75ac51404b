"""Make the two buckets, both versioned, and let browsers in: `python deploy/buckets.py`. Run again it changes nothing.

For an S3 service that starts empty; it runs once, before anything of ours, with the administrator's credential, which
no other process has. Reads S3_ENDPOINT_URL, S3_REGION, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_ENCRYPTION,
S3_ALLOWED_ORIGINS, QUARANTINE_BUCKET and VAULT_BUCKET.
"""

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CORSRuleTypeDef

PROBE = "probe-of-readiness"
SECONDS = 60.0
PAUSE = 0.1


def main() -> None:
    """Bring both buckets into their final state. Exits with a line if the service does not let us within a minute."""
    client = _client()
    limit = time.monotonic() + SECONDS
    for name in ("QUARANTINE_BUCKET", "VAULT_BUCKET"):
        bucket = os.environ[name]
        while fault := _fault(client, bucket):
            if time.monotonic() > limit:
                sys.exit(f"bucket {bucket} is not ready after {SECONDS:.0f} s: {fault}")
            time.sleep(PAUSE)
        print(f"bucket {bucket}: versioned, takes encrypted writes")


def _client() -> "S3Client":
    config = Config(
        connect_timeout=2,
        read_timeout=10,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=os.environ.get("S3_ENDPOINT_URL") or None,
        region_name=os.environ.get("S3_REGION") or "us-east-1",
        aws_access_key_id=os.environ["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=os.environ["S3_SECRET_ACCESS_KEY"],
        config=config,
    )


def _fault(client: "S3Client", bucket: str) -> str:
    """Bring `bucket` into its final state; return what is in the way, or ""."""
    try:
        if bucket not in {known.get("Name") for known in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        _let_browsers_in(client, bucket)
        if client.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
            return "versioning is not on"
        _write(client, bucket)
    except (BotoCoreError, ClientError) as fault:
        return str(fault)
    return ""


def _let_browsers_in(client: "S3Client", bucket: str) -> None:
    rule: CORSRuleTypeDef = {
        "AllowedOrigins": [origin.strip() for origin in os.environ["S3_ALLOWED_ORIGINS"].split(",")],
        "AllowedMethods": ["POST", "GET", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "x-amz-version-id"],
    }
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})


def _write(client: "S3Client", bucket: str) -> None:
    """Write, encrypted, and take it away again: only then are volumes and the key for encryption there."""
    encryption = os.environ.get("S3_ENCRYPTION", "AES256")
    extra: dict[str, Any] = {"ServerSideEncryption": encryption} if encryption else {}
    made = client.put_object(Bucket=bucket, Key=PROBE, Body=b"ready?", **extra)
    client.delete_object(Bucket=bucket, Key=PROBE, VersionId=made["VersionId"])


if __name__ == "__main__":
    main()
