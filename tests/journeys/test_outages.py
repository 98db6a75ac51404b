"""A dependency is away: what the service still does, who is named, and that nothing is lost.

The real servers of a running stack are stopped and started again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from devstack import holding
from devstack.client import Client, Refused
from devstack.launch import Running
from tests import factories
from tests.journeys.test_documents import ended, upload

As = Callable[[str], Client]


@contextmanager
def without(stack: Running, name: str) -> Iterator[None]:
    """Stop a server for the block; leave when it serves again."""
    holding.hold(stack.path.parent, name)
    try:
        yield
    finally:
        holding.resume(stack.path.parent, name)
        until(lambda: readyz(stack)[1]["status"] == "ready", 60)


def until(true: Callable[[], Any], seconds: float) -> None:
    """Wait for something to become true."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "it did not come true"
        time.sleep(0.2)


def readyz(stack: Running) -> tuple[int, dict[str, Any]]:
    """Status and content of the health page."""
    answer = requests.get(stack.details["api"].removesuffix("/api") + "/readyz", timeout=30)
    return answer.status_code, answer.json()


def culprits(said: dict[str, Any]) -> set[str]:
    """Who is named."""
    return {name for name, check in said["checks"].items() if not check["ok"]}


def comes_back(client: Client, version: str) -> bool:
    """Whether its bytes are served. SeaweedFS may find a volume only some seconds after it says that it is there."""
    try:
        return client.fetch(version) == factories.PDF
    except Refused as refusal:
        if refusal.code != "internal_error":
            raise
        return False


def documents(stack: Running, client: Client, method: str = "GET", **body: Any) -> requests.Response:
    """A bare call, to see its status and headers."""
    return requests.request(
        method,
        f"{stack.details['api']}/documents/",
        headers=client.authorization,
        json=body or None,
        timeout=60,
    )


BODY = {
    "name": "Away",
    "doc_type": "other",
    "filename": "a.pdf",
    "content_type": "application/pdf",
    "size": len(factories.PDF),
}


def test_with_the_broker_away_uploads_are_taken_and_finish_when_it_is_back(stack: Running, as_: As) -> None:
    alice = as_("alice")
    with without(stack, "valkey"):
        status, said = readyz(stack)
        assert (status, said["status"], culprits(said)) == (200, "degraded", {"broker"})
        sent = [upload(alice, factories.PDF, f"No broker {i}", "a.pdf", "application/pdf") for i in range(3)]
        assert {alice.show(id_)["status"] for id_ in sent} == {"received"}
    for id_ in sent:
        assert ended(alice, id_, 90)["status"] == "available"


def test_with_clamd_away_versions_stand_and_go_on_by_themselves(stack: Running, as_: As) -> None:
    alice = as_("alice")
    with without(stack, "clamd"):
        status, said = readyz(stack)
        assert (status, said["status"], culprits(said)) == (200, "degraded", {"scanner"})
        id_ = upload(alice, factories.PDF, "No clamd", "a.pdf", "application/pdf")
        until(lambda: alice.show(id_)["status"] == "validated", 30)
        time.sleep(4)
        assert alice.show(id_)["status"] == "validated"
        with pytest.raises(Refused):
            alice.fetch(id_)
    assert ended(alice, id_, 90)["status"] == "available"


def test_with_s3_away_the_api_says_503_where_it_cannot_do_its_part(stack: Running, as_: As) -> None:
    alice = as_("alice")
    id_ = upload(alice, factories.PDF, "Before", "a.pdf", "application/pdf")
    ended(alice, id_)
    ticket = alice.begin({**BODY, "name": "During"})
    with without(stack, "s3"):
        status, said = readyz(stack)
        assert (status, said["status"], culprits(said)) == (503, "unavailable", {"s3"})
        # Reading what is known, and signing, need no S3.
        assert documents(stack, alice).status_code == 200
        assert documents(stack, alice, "POST", **BODY).status_code == 201
        refused = requests.post(
            f"{stack.details['api']}/documents/{ticket.id}/complete/", headers=alice.authorization, timeout=60
        )
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert refused.json()["code"] == "unavailable"
    alice.send(ticket, "a.pdf", factories.PDF, "application/pdf")
    alice.complete(ticket.id)
    assert ended(alice, ticket.id, 90)["status"] == "available"
    until(lambda: comes_back(alice, id_), 30)


def test_s3_stopped_in_the_middle_of_the_work_loses_nothing(stack: Running, as_: As) -> None:
    alice = as_("alice")
    sent = [upload(alice, factories.PDF, f"Cut off {i}", "a.pdf", "application/pdf") for i in range(5)]
    with without(stack, "s3"):
        time.sleep(3)
    for id_ in sent:
        assert ended(alice, id_, 120)["status"] == "available"
    until(lambda: all(comes_back(alice, id_) for id_ in sent), 30)


def test_with_the_database_away_everything_but_life_is_503_and_nothing_is_lost(stack: Running, as_: As) -> None:
    alice = as_("alice")
    sent = [upload(alice, factories.PDF, f"No database {i}", "a.pdf", "application/pdf") for i in range(3)]
    with without(stack, "postgres"):
        status, said = readyz(stack)
        assert (status, said["status"]) == (503, "unavailable")
        assert "database" in culprits(said)
        for answer in (documents(stack, alice), documents(stack, alice, "POST", **BODY)):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert answer.json()["code"] == "unavailable"
        alive = requests.get(stack.details["api"].removesuffix("/api") + "/healthz", timeout=10)
        assert alive.status_code == 200
    for id_ in sent:
        assert ended(alice, id_, 120)["status"] == "available"
        assert alice.fetch(id_) == factories.PDF
