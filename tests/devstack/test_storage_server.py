"""SeaweedFS as the stack runs it: who may do what, and which doors are shut. It asks the server behind `bin/test`."""

import json
import os
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from devstack.ports import GRPC_OFFSET

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "devstack/probe"


@pytest.fixture
def stack() -> dict[str, Any]:
    """What `stack.json` tells."""
    path = os.environ.get("STRONGROOM_STACK")
    if not path:
        pytest.skip("runs under bin/test")
    details: dict[str, Any] = json.loads(Path(path).read_text())
    return details


Client = Callable[[str], "S3Client"]


@pytest.fixture
def client(stack: dict[str, Any]) -> Client:
    """Make a client for one of the identities."""

    def make(identity: str) -> "S3Client":
        keys = stack["s3"][identity]
        return boto3.client(
            "s3",
            endpoint_url=stack["s3_endpoint"],
            region_name="us-east-1",
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    return make


def refused(call: Callable[[], object]) -> bool:
    """Tell whether a call is answered by 403."""
    try:
        call()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return False


def test_both_buckets_keep_versions(client: Client) -> None:
    for bucket in ("quarantine", "vault"):
        assert client("worker").get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_the_api_may_put_and_list_in_quarantine_but_not_read_there(client: Client) -> None:
    api = client("api")
    api.put_object(Bucket="quarantine", Key=KEY, Body=b"x")
    assert api.list_object_versions(Bucket="quarantine", Prefix=KEY)["Versions"]
    assert refused(lambda: api.get_object(Bucket="quarantine", Key=KEY))


def test_the_api_may_read_the_vault_but_not_write_there(client: Client) -> None:
    client("worker").put_object(Bucket="vault", Key=KEY, Body=b"x")
    api = client("api")
    assert api.get_object(Bucket="vault", Key=KEY)["Body"].read() == b"x"
    assert refused(lambda: api.put_object(Bucket="vault", Key=KEY, Body=b"y"))
    assert refused(lambda: api.delete_object(Bucket="vault", Key=KEY))


def test_a_worker_may_do_all_it_needs_in_both_buckets_and_make_no_third(client: Client) -> None:
    worker = client("worker")
    for bucket in ("quarantine", "vault"):
        made = worker.put_object(Bucket=bucket, Key=KEY, Body=b"x", ServerSideEncryption="AES256")
        worker.copy_object(Bucket="vault", Key=f"{KEY}-{bucket}", CopySource={"Bucket": bucket, "Key": KEY})
        worker.delete_object(Bucket=bucket, Key=KEY, VersionId=made["VersionId"])
    assert refused(lambda: worker.create_bucket(Bucket="third"))


def ask(port: int, method: str, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Speak plain HTTP; returns the status and the headers of the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders())
    finally:
        connection.close()


@pytest.fixture
def ports(stack: dict[str, Any]) -> dict[str, int]:
    """Every port of the stack, by name."""
    found: dict[str, int] = json.loads((Path(stack["data"]) / "ports.json").read_text())
    return found


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/vault"), ("GET", f"/vault/{KEY}"), ("PUT", "/quarantine/x"), ("DELETE", "/vault")]
)
def test_strangers_may_do_nothing(ports: dict[str, int], method: str, path: str) -> None:
    assert ask(ports["s3"], method, path)[0] == 403


def test_a_browser_may_post_from_the_console_and_from_a_front_end_in_development(ports: dict[str, int]) -> None:
    for origin in (f"http://127.0.0.1:{ports['web']}", "http://localhost:5173"):
        _, headers = ask(ports["s3"], "OPTIONS", "/quarantine", Origin=origin, Access_Control_Request_Method="POST")
        assert headers["Access-Control-Allow-Origin"] == origin


def test_nobody_wipes_a_bucket_through_the_master(ports: dict[str, int]) -> None:
    assert ask(ports["master"], "GET", "/col/delete?collection=vault")[0] == 404


def test_nobody_deletes_through_the_filer(ports: dict[str, int]) -> None:
    assert ask(ports["filer"], "DELETE", "/buckets/vault/?recursive=true")[0] in {401, 403, 404}


def test_it_listens_on_loopback_and_at_no_port_that_is_not_the_stacks(
    stack: dict[str, Any], ports: dict[str, int]
) -> None:
    listening = {
        connection.laddr
        for connection in psutil.Process(stack["pids"]["s3"]).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} <= {*ports.values(), ports["admin"] + GRPC_OFFSET}
