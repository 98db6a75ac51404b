"""How often somebody may call, per person and window; and that a broker that is away fails nothing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.cache import caches
from pytest_django import Settings
from rest_framework.test import APIClient
from structlog.testing import capture_logs

from api import rates
from identity.models import User
from tests import factories
from tests.api.test_upload import BODY
from tests.people import Person, post, recorded, refusal

Signed = Callable[[User], APIClient]
START = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[Any]:
    """A clock that stands still, ten seconds after a window of a minute began."""
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def few(settings: Settings) -> None:
    """Limits that a test can reach."""
    settings.INVESTOR_CALLS_PER_MINUTE, settings.ADMIN_CALLS_PER_MINUTE = 5, 8
    settings.UPLOADS_PER_HOUR, settings.DOWNLOADS_PER_HOUR = 2, 2


def statuses(client: APIClient, path: str, times: int) -> list[int]:
    """GET it so often."""
    return [client.get(f"/api/{path}").status_code for _ in range(times)]


def test_too_many_calls_in_a_minute_wait_for_the_next(clock: Any, signed_in: Signed, alice: User) -> None:
    api = signed_in(alice)
    assert statuses(api, "documents/", 6) == [200] * 5 + [429]
    answer = api.get("/api/auth/me/")
    assert refusal(answer) == (429, "throttled")
    assert answer.json()["retry_after"] == int(answer["Retry-After"]) == 50
    clock.shift(timedelta(seconds=50))
    assert api.get("/api/auth/me/").status_code == 200


def test_one_persons_calls_are_not_anothers(clock: Any, signed_in: Signed, alice: User, bob: User) -> None:
    assert statuses(signed_in(alice), "documents/", 6)[-1] == 429
    assert statuses(signed_in(bob), "documents/", 1) == [200]


def test_all_tokens_of_a_person_count_together(clock: Any, signed_in: Signed, alice: User) -> None:
    assert [signed_in(alice).get("/api/documents/").status_code for _ in range(6)] == [200] * 5 + [429]


@pytest.mark.parametrize("role", ["admin", "auditor"])
def test_admins_and_auditors_look_at_more(db: None, clock: Any, signed_in: Signed, role: str) -> None:
    api = signed_in(factories.person("looker", role))
    assert statuses(api, "documents/", 9) == [200] * 8 + [429]


def test_beginning_uploads_has_a_rate_by_the_hour_and_listing_does_not_count(
    clock: Any, signed_in: Signed, alice: User
) -> None:
    api = signed_in(alice)
    assert statuses(api, "documents/", 2) == [200, 200]
    answers = [post(api, "documents/", {**BODY, "name": f"n{number}"}) for number in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[-1].json()["retry_after"] == 3590
    clock.shift(timedelta(minutes=2))
    assert post(api, "documents/", BODY).status_code == 429
    clock.shift(timedelta(hours=1))
    assert post(signed_in(alice), "documents/", BODY).status_code == 201


def test_downloads_have_a_rate_by_the_hour_and_reading_does_not_count(
    clock: Any, signed_in: Signed, alice: User
) -> None:
    api, path = signed_in(alice), f"documents/{uuid4()}/"
    assert statuses(api, path, 2) == [404, 404]
    assert statuses(api, f"{path}download/", 3) == [404, 404, 429]


def test_a_refusal_is_a_call_too_because_it_leaves_an_event(clock: Any, newton: Person) -> None:
    assert statuses(newton.client(), "documents/", 6) == [403] * 5 + [429]
    assert len(recorded("access.denied")) == 5


def test_strangers_are_not_counted_here(clock: Any, db: None) -> None:
    assert statuses(APIClient(), "documents/", 10) == [401] * 10


@pytest.fixture
def broker_is_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there, and this process has not asked before."""
    monkeypatch.setattr(rates, "counts", rates.Counts())
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}


@pytest.mark.usefixtures("broker_is_away")
def test_a_broker_that_is_away_fails_no_call_and_is_told_of_once(signed_in: Signed, alice: User) -> None:
    api = signed_in(alice)
    with capture_logs() as logs:
        assert statuses(api, "documents/", 10) == [200] * 10
    assert [line["fault"] for line in logs if line["event"] == "rates_not_counted"] == ["ConnectionError"]


@pytest.mark.usefixtures("broker_is_away")
def test_counting_goes_on_when_it_is_back(
    clock: Any, signed_in: Signed, alice: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = signed_in(alice)
    assert statuses(api, "documents/", 1) == [200]
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": settings.BROKER_URL}}
    assert statuses(api, "documents/", 6) == [200] * 6  # not asked again at once
    monkeypatch.setattr(rates, "_ASK_AGAIN_AFTER", 0)
    rates.counts._ask_from = 0
    assert statuses(api, "documents/", 6) == [200] * 5 + [429]


def test_the_counts_end_by_themselves(clock: Any, signed_in: Signed, alice: User) -> None:
    statuses(signed_in(alice), "documents/", 1)
    key = f"calls:{alice.pk}:{int(START.timestamp()) // 60}"
    assert caches["default"].get(key) == 1
    ttl = caches["default"]._cache.get_client().ttl(caches["default"].make_key(key))  # type: ignore[attr-defined]
    assert 0 < ttl <= 120
