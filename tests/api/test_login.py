"""POST /api/auth/login/."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from identity import accounts
from identity.models import User
from tests.factories import said

PASSWORD = "correct horse battery"


@pytest.fixture
def carol(db: None) -> User:
    """Somebody with a password."""
    return accounts.ensure(username="carol", role="investor", email="carol@example.test", password=PASSWORD)


def test_the_token_opens_the_documents(carol: User) -> None:
    api = APIClient()
    login = said(api.post("/api/auth/login/", {"username": "carol", "password": PASSWORD}, format="json"))
    assert (login["user_id"], login["role"], login["mfa_enabled"]) == (carol.pk, "investor", False)
    api.credentials(HTTP_AUTHORIZATION=f"Token {login['token']}")
    assert api.get("/api/documents/").json() == []


def test_unknown_names_and_wrong_passwords_get_the_same_answer(carol: User) -> None:
    answers = [
        APIClient().post("/api/auth/login/", {"username": name, "password": "wrong password"}, format="json")
        for name in ("carol", "nobody")
    ]
    first, second = ({**said(answer), "request_id": 0} for answer in answers)
    assert first == second
    assert {answer.status_code for answer in answers} == {400}
    assert first["code"] == "invalid_credentials"


@pytest.mark.parametrize("body", [{}, {"username": "carol"}, {"username": [1], "password": "x"}, [1]])
def test_bad_bodies_are_400(db: None, body: Any) -> None:
    answer = APIClient().post("/api/auth/login/", body, format="json")
    assert answer.status_code == 400
    assert isinstance(said(answer)["error"], str)


@pytest.mark.parametrize("header", ["Token", "Token \u00fc\u00fc", "Token a b", "Bearer x", "Token " + "f" * 64])
def test_bad_tokens_are_401(db: None, header: str) -> None:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=header)
    answer = api.get("/api/documents/")
    assert answer.status_code == 401
    assert isinstance(said(answer)["error"], str)
