"""Every answer under /api/ is JSON in one shape, errors included; health and schema."""

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from pipeline import reading


def test_unknown_paths_under_api_are_json(db: None) -> None:
    answer = APIClient().get("/api/nothing/here")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert isinstance(answer.json()["error"], str)


def test_a_wrong_host_is_400_json(db: None) -> None:
    answer = APIClient(SERVER_NAME="evil.example").get("/api/documents/")
    assert answer.status_code == 400
    assert answer.json()["code"]


def test_a_database_that_is_away_is_503_with_a_time_to_retry(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("secret words")

    monkeypatch.setattr(reading, "documents", away)
    answer = api.get("/api/documents/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "secret" not in answer.content.decode()


def test_a_crash_is_500_json_without_details(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(reading, "documents", broken)
    api.raise_request_exception = False
    answer = api.get("/api/documents/")
    assert answer.status_code == 500
    assert answer.json()["code"] == "server_error"
    assert "secret" not in answer.content.decode()


def test_every_answer_carries_the_request_id(api: APIClient) -> None:
    answer = api.get("/api/documents/00000000-0000-0000-0000-000000000000/")
    assert answer.json()["request_id"] == answer["X-Request-ID"]


def test_healthz_and_readyz_name_every_dependency(db: None) -> None:
    assert APIClient().get("/healthz").json() == {"status": "alive"}
    said = APIClient().get("/readyz").json()
    assert said["status"] == "ready"
    assert set(said["checks"]) == {"database", "s3", "broker", "scanner"}


def test_the_schema_is_openapi_3_1_for_those_signed_in(api: APIClient) -> None:
    assert APIClient().get("/api/schema/").status_code == 401
    schema = api.get("/api/schema/").json()
    assert schema["openapi"].startswith("3.1")
    assert "/api/documents/{id}/download/" in schema["paths"]
