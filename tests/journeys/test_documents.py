"""From a browser's first call to the bytes that come back, through real workers."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from devstack.client import Client, Refused
from devstack.launch import Running
from tests import factories

As = Callable[[str], Client]


def upload(client: Client, body: bytes, name: str, filename: str, content_type: str) -> str:
    """Send a body as a browser does; return the version's id."""
    said = {"name": name, "doc_type": "other", "filename": filename, "content_type": content_type}
    ticket = client.begin({**said, "size": len(body), "sha256": factories.sha256(body)})
    client.send(ticket, filename, body, content_type)
    client.complete(ticket.id)
    return ticket.id


def ended(client: Client, version: str, seconds: float = 30) -> dict[str, Any]:
    """Wait for the version's end."""
    limit = time.monotonic() + seconds
    while (said := client.show(version))["status"] in {"pending", "received", "validated", "clean"}:
        assert time.monotonic() < limit, f"still {said['status']} after {seconds} s"
        time.sleep(0.05)
    return said


def test_a_clean_document_arrives_byte_for_byte(as_: As) -> None:
    alice = as_("alice")
    said = ended(alice, upload(alice, factories.PDF, "Clean", "clean.pdf", "application/pdf"))
    assert (said["status"], said["version"]) == ("available", 1)
    assert alice.fetch(said["id"]) == factories.PDF


def test_eicar_does_not(as_: As) -> None:
    alice = as_("alice")
    said = ended(alice, upload(alice, factories.EICAR, "Test", "test.txt", "text/plain"))
    assert (said["status"], said["version"]) == ("infected", None)
    with pytest.raises(Refused) as refusal:
        alice.fetch(said["id"])
    assert refusal.value.code == "not_available"


def test_bytes_without_a_call_back_are_received_anyway(as_: As) -> None:
    alice = as_("alice")
    body = factories.PDF + b"%silent\n"
    ticket = alice.begin(
        {
            "name": "Silent",
            "doc_type": "other",
            "filename": "silent.pdf",
            "content_type": "application/pdf",
            "size": len(body),
        }
    )
    alice.send(ticket, "silent.pdf", body, "application/pdf")
    limit = time.monotonic() + 60
    while alice.show(ticket.id)["status"] == "pending":
        assert time.monotonic() < limit
        time.sleep(0.2)
    assert ended(alice, ticket.id)["status"] == "available"


def test_what_happened_is_in_the_audit_log_within_seconds(as_: As, stack: Running) -> None:
    alice, admin = as_("alice"), as_("admin")
    id_ = ended(alice, upload(alice, factories.PDF, "Audited", "a.pdf", "application/pdf"))["id"]
    life = ["requested", "received", "validated", "scanned", "available", "purged"]
    wanted = [f"version.{happened}" for happened in reversed(life)]
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        answer = requests.get(
            f"{stack.details['api']}/auditlogs/?action=version.",
            headers=admin.authorization,
            timeout=10,
        )
        seen = [row["action"] for row in answer.json() if row["object"] == f"version:{id_}"]
        if seen == wanted:
            return
        time.sleep(0.2)
    pytest.fail(f"only {seen}")


def test_every_process_that_works_with_the_database_has_said_that_it_started(as_: As, stack: Running) -> None:
    """Once, however many processes it has; and all go by the same policy and configuration."""
    asked = f"{stack.details['api']}/auditlogs/?action=process.started"
    rows = requests.get(asked, headers=as_("admin").authorization, timeout=10).json()
    started = [row["facts"]["process"] for row in rows]
    assert sorted(started) == ["apart", "audit", "default", "finalize", "reconcile", "scan", "scrub", "validate", "web"]
    assert {row["object"] for row in rows} == {f"process:{name}" for name in started}
    for fact in ("policy_sha256", "settings_sha256", "version"):
        assert len({row["facts"][fact] for row in rows}) == 1, fact


def test_metrics_tell_of_each_stage_on_the_internal_address(stack: Running) -> None:
    text = requests.get(stack.details["metrics"], timeout=10).text
    for line in (
        'strongroom_pending{stage="received"}',
        'strongroom_oldest_pending_seconds{stage="clean"}',
        'strongroom_stage_seconds_last_hour{quantile="0.5",stage="scan"}',
        'strongroom_queue_length{queue="scan"}',
        "strongroom_audit_backlog",
    ):
        assert line in text
    root = stack.details["api"].removesuffix("/api")
    assert requests.get(f"{root}/metrics", timeout=10).status_code == 404


def test_readyz_is_ready(stack: Running) -> None:
    root = stack.details["api"].removesuffix("/api")
    said = requests.get(f"{root}/readyz", timeout=10).json()
    assert said["status"] == "ready"
    assert said["checks"]["scanner"]["engine"] == "clamd"
