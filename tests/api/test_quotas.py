"""POST /api/documents/ over a quota: 429 with Retry-After, and nothing else has happened."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from audit.models import Outbox
from identity.models import User
from pipeline import lifecycle
from pipeline.models import Document, DocumentVersion, Status
from tests import factories
from tests.api.test_upload import BODY
from tests.people import refusal

SIZE = len(factories.PDF)


@pytest.fixture(autouse=True)
def little(settings: Any) -> None:
    """Two open uploads, and ten times the bytes of one a day."""
    settings.OPEN_UPLOADS_PER_OWNER = 2
    settings.BYTES_PER_DAY_PER_OWNER = 10 * SIZE


def begin(client: APIClient, name: str = "Another", **changes: Any) -> Any:
    """Ask for one more."""
    return client.post("/api/documents/", {**BODY, "name": name, **changes}, format="json")


def everything() -> list[Any]:
    """What a refused call must leave as it is."""
    return [list(model.objects.order_by("pk").values()) for model in (Document, DocumentVersion, Outbox)]


def wait_of(answer: Any) -> int:
    """How long one is told to wait, which stands in the header and in the body."""
    assert answer["Retry-After"] == str(answer.json()["retry_after"])
    return int(answer["Retry-After"])


def test_too_many_open_uploads_are_refused_until_the_first_of_them_has_expired(api: APIClient, alice: User) -> None:
    first, _ = factories.begun(alice, name="One"), factories.begun(alice, name="Two")
    before = everything()
    answer = begin(api)
    assert refusal(answer) == (429, "too_many_open")
    ends = first.expires_at + lifecycle._grace() - timezone.now()
    assert abs(wait_of(answer) - ends.total_seconds()) <= 2
    assert everything() == before


def test_there_is_room_again_after_expiry(alice: User, signed_in: Any) -> None:
    first, _ = factories.begun(alice, name="One"), factories.begun(alice, name="Two")
    wait = wait_of(begin(signed_in(alice)))
    expired = lifecycle.expire(first.pk, now=timezone.now() + timedelta(seconds=wait))
    assert expired is not None
    assert expired.status == Status.EXPIRED
    assert begin(signed_in(alice)).status_code == 201


def test_there_is_room_again_when_one_was_sent(api: APIClient, alice: User) -> None:
    factories.begun(alice, name="One")
    factories.received(alice, name="Two")
    assert begin(api).status_code == 201
    assert refusal(begin(api, "Fourth")) == (429, "too_many_open")


def test_a_day_s_bytes_are_refused_until_the_oldest_are_a_day_old(api: APIClient, alice: User, signed_in: Any) -> None:
    for i in range(10):
        version = factories.begun(alice, name=f"n{i}")
        DocumentVersion.objects.filter(pk=version.pk).update(**_received(version))
    before = everything()
    answer = begin(api)
    assert refusal(answer) == (429, "day_full")
    assert abs(wait_of(answer) - 86_400) <= 31  # rows have the clock of the database, the test another
    assert everything() == before
    with time_machine.travel(timezone.now() + timedelta(seconds=wait_of(answer) + 1), tick=False):
        assert begin(signed_in(alice)).status_code == 201


def _received(version: DocumentVersion) -> dict[str, Any]:
    """What a row has whose bytes have come, without sending them."""
    pin = {"s3_version_id": "v", "etag": "e", "received_size": version.size, "received_at": timezone.now()}
    return {"status": Status.RECEIVED, "arrival": 1, **pin}


def test_one_that_would_be_too_much_is_refused_though_a_smaller_one_is_not(api: APIClient) -> None:
    assert refusal(begin(api, size=10 * SIZE + 1)) == (429, "day_full")
    assert begin(api, size=10 * SIZE).status_code == 201


def test_other_owners_are_not_concerned(api: APIClient, alice: User, bob: User, signed_in: Any) -> None:
    factories.begun(alice, name="One")
    factories.begun(alice, name="Two")
    assert refusal(begin(api)) == (429, "too_many_open")
    assert begin(signed_in(bob)).status_code == 201


def test_bad_input_is_told_first(api: APIClient, alice: User) -> None:
    factories.begun(alice, name="One")
    factories.begun(alice, name="Two")
    assert refusal(begin(api, size=0)) == (400, "invalid")


def test_reading_and_completing_go_on(api: APIClient, alice: User) -> None:
    first, _ = factories.begun(alice, name="One"), factories.begun(alice, name="Two")
    factories.send(first)
    assert refusal(begin(api)) == (429, "too_many_open")
    assert api.get("/api/documents/").status_code == 200
    assert api.post(f"/api/documents/{first.pk}/complete/").status_code == 202
    assert begin(api).status_code == 201


def test_the_schema_tells_of_it(api: APIClient) -> None:
    answers = api.get("/api/schema/").json()["paths"]["/api/documents/"]["post"]["responses"]
    assert set(answers["429"]["headers"]) == {"Retry-After"}
