"""Every answer under /api/ is JSON in one shape, errors included; health and schema."""

import inspect
from pathlib import Path

import pytest
from django.db import OperationalError
from rest_framework.exceptions import APIException
from rest_framework.test import APIClient

from api import permissions
from api.errors import REFUSALS
from audit import checkpoint, erasure, private
from identity import (
    accounts,
    acts,
    authentication,
    erasures,
    links,
    lockout,
    mail,
    mfa,
    password_changes,
    tokens,
    two_people,
)  # fmt: skip
from pipeline import lifecycle, quotas, reading
from tests.api.routes import routes


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
    assert set(said["checks"]) == {"database", "s3", "broker", "scanner", "sandbox", "audit", "pipeline"}


def test_the_schema_is_openapi_3_1_for_those_signed_in(api: APIClient) -> None:
    assert APIClient().get("/api/schema/").status_code == 401
    schema = api.get("/api/schema/").json()
    assert schema["openapi"].startswith("3.1")
    assert "/api/documents/{id}/download/" in schema["paths"]


def test_every_refusal_of_the_domain_has_a_status_and_a_code() -> None:
    faults = {mfa.WrongKey, private.WrongKey}  # a key of ours is missing: nothing that a caller did
    told = {private.Erased}  # which an event says of itself
    kinds = {quotas.QuotaReached}  # what two of them have in common
    operators = {
        checkpoint.NothingWrong,
        erasure.NotApproved,
        erasure.Executed,
        erasure.InsideRequest,
    }  # no call does that
    modules = (
        accounts, acts, authentication, links, lockout, mail, mfa, password_changes, tokens, two_people, lifecycle,
        quotas, reading, checkpoint, erasure, erasures, private,
    )  # fmt: skip
    found = {
        kind
        for module in modules
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == module.__name__
    }
    assert found - faults - told - kinds - operators == set(REFUSALS)
    assert all(kind.__doc__ for kind in found)


def test_every_code_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs/frontend.md").read_text()
    raised = [kind for kind in vars(permissions).values() if inspect.isclass(kind) and issubclass(kind, APIException)]
    codes = {code for _, code in REFUSALS.values()} | {str(kind.default_code) for kind in raised}
    assert {"mfa_setup_required", "invalid_mfa_code"} <= codes
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_the_schema_has_every_route_and_no_answer_with_a_secret(api: APIClient) -> None:
    schema = api.get("/api/schema/").json()
    described = {path.replace("{", "<").replace("}", ">") for path in schema["paths"]}
    there = {_without_types(route) for route in routes() if route.startswith("/api/")} - {"/api/schema/"}
    assert described == there
    answers = {name: part.get("properties", {}) for name, part in schema["components"]["schemas"].items()}
    shown = {
        field for name, fields in answers.items() if not name.endswith(("Input", "Credentials")) for field in fields
    }
    assert not {"password", "mfa_secret", "current_password", "new_password", "code_hash", "digest"} & shown
    assert [name for name, fields in answers.items() if "secret" in fields] == ["SetupOutput"]


def _without_types(route: str) -> str:
    return route.replace("<uuid:", "<").replace("<int:", "<").replace("<str:", "<").replace("<path:", "<")
