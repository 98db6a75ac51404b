"""An administrator's view of a stack's buckets, for what measures and what checks from outside."""

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def client(stack: dict[str, Any]) -> "S3Client":
    """Return a client with the administrator's credential; `stack` is what stack.json says."""
    identity = stack["s3"]["admin"]
    return boto3.client(
        "s3",
        endpoint_url=stack["s3_endpoint"],
        region_name="us-east-1",
        aws_access_key_id=identity["access_key_id"],
        aws_secret_access_key=identity["secret_access_key"],
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )
