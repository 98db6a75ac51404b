"""POST /api/documents/ and /complete/: beginning an upload, and telling that it was sent."""

import json
from typing import Any

import pytest
import requests
from rest_framework.test import APIClient

from identity.models import User
from pipeline.models import DocumentVersion, Status
from tests import factories
from tests.factories import said

BODY = {
    "name": "Statement 2025",
    "doc_type": "statement",
    "filename": "statement.pdf",
    "content_type": "application/pdf",
    "size": len(factories.PDF),
}


def test_it_answers_with_a_post_that_s3_takes(api: APIClient) -> None:
    begun = api.post("/api/documents/", BODY, format="json")
    assert begun.status_code == 201
    begin = said(begun)
    assert (begin["status"], begin["version"]) == ("pending", None)
    assert begin["upload"]["method"] == "POST"
    assert begin["upload"]["max_bytes"] == len(factories.PDF)

    sent = requests.post(
        begin["upload"]["url"],
        data=begin["upload"]["fields"],
        files={"file": ("x", factories.PDF, "application/pdf")},
        timeout=10,
    )
    assert sent.status_code == 204
    done = api.post(f"/api/documents/{begin['id']}/complete/")
    assert done.status_code == 202
    assert said(done)["status"] == "received"


def test_complete_without_bytes_says_so(api: APIClient, alice: User) -> None:
    version = factories.begun(alice)
    answer = api.post(f"/api/documents/{version.pk}/complete/")
    assert (answer.status_code, said(answer)["code"]) == (409, "bytes_missing")


def test_complete_twice_gives_the_same_answer(api: APIClient, alice: User) -> None:
    version = factories.begun(alice)
    factories.send(version)
    first = api.post(f"/api/documents/{version.pk}/complete/")
    second = api.post(f"/api/documents/{version.pk}/complete/")
    assert first.status_code == second.status_code == 202
    assert said(first) == said(second)


def test_nobody_completes_another_investors_upload(api: APIClient, bob: User) -> None:
    version = factories.begun(bob)
    factories.send(version)
    assert api.post(f"/api/documents/{version.pk}/complete/").status_code == 404
    version.refresh_from_db()
    assert version.status == Status.PENDING


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("doc_type", "passport"),
        ("name", ""),
        ("name", "   "),
        ("name", "a\u0007b"),
        ("name", "a\ud800b"),
        ("name", "x" * 256),
        ("name", ["a"]),
        ("size", 0),
        ("size", -1),
        ("size", 1048576001),
        ("size", "many"),
        ("size", 10**30),
        ("filename", "../../etc/passwd.pdf"),
        ("filename", "a\\b.pdf"),
        ("filename", "run.exe"),
        ("filename", "noextension"),
        ("content_type", "pdf"),
        ("content_type", "text/html\r\nX-Evil: 1"),
        ("sha256", "abc"),
        ("owner", 1),
        ("status", "available"),
    ],
)
def test_bad_input_is_refused_with_its_field_and_leaves_no_row(api: APIClient, field: str, value: Any) -> None:
    answer = api.post("/api/documents/", json.dumps({**BODY, field: value}), content_type="application/json")
    assert answer.status_code == 400
    refusal = said(answer)
    assert isinstance(refusal["error"], str)
    assert refusal["code"] == "invalid"
    assert field in refusal["fields"]
    assert "message" not in refusal
    assert not DocumentVersion.objects.exists()


@pytest.mark.parametrize("body", ["[1]", '"x"', "7", "null", "{", '{"size": NaN}', ""])
def test_bodies_that_are_not_objects_are_400(api: APIClient, body: str) -> None:
    answer = api.post("/api/documents/", body, content_type="application/json")
    assert answer.status_code == 400
    assert isinstance(said(answer)["error"], str)


def test_multipart_is_415(api: APIClient) -> None:
    answer = api.post("/api/documents/", {"name": "x"}, format="multipart")
    assert answer.status_code == 415
    assert isinstance(said(answer)["error"], str)


def test_without_a_token_it_is_401_with_a_challenge() -> None:
    answer = APIClient().post("/api/documents/", BODY, format="json")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"
    assert said(answer)["code"]
