"""POST /api/auth/token/ (the login for programs) and /api/auth/token/rotate/."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from identity.models import Attempts
from tests import factories
from tests.factories import PASSWORD
from tests.people import Person, bearer, post, refusal

FORM = "application/x-www-form-urlencoded"


def form(**fields: str) -> Any:
    """POST a form."""
    return APIClient().post("/api/auth/token/", "&".join(f"{k}={v}" for k, v in fields.items()), content_type=FORM)


def test_it_gives_the_token_under_the_rule_of_the_login(carol: Person) -> None:
    answer = post(APIClient(), "auth/token/", {"username": "carol", "password": PASSWORD, "mfa_code": carol.code()})
    assert answer.status_code == 200
    assert set(answer.json()) == {"token", "expiry"}
    assert bearer(answer.json()["token"]).get("/api/documents/").json() == []


def test_a_form_will_do(carol: Person) -> None:
    answer = form(username="carol", password=PASSWORD.replace(" ", "+"), mfa_code=carol.code())
    assert bearer(answer.json()["token"]).get("/api/documents/").status_code == 200


def test_a_password_alone_gets_no_token(carol: Person) -> None:
    answer = form(username="carol", password=PASSWORD.replace(" ", "+"))
    assert refusal(answer) == (400, "mfa_required")
    assert answer.json()["non_field_errors"] == [answer.json()["error"]]


def test_without_a_second_factor_it_can_but_enrol_one(newton: Person) -> None:
    token = post(APIClient(), "auth/token/", {"username": "newton", "password": PASSWORD}).json()["token"]
    assert refusal(bearer(token).get("/api/documents/")) == (403, "mfa_setup_required")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"username": "carol", "password": "wrong"}, "invalid_credentials"),
        ({"username": "nobody", "password": "wrong"}, "invalid_credentials"),
        ({"username": "carol"}, "invalid"),
        ({"username": "carol", "password": "x", "is_staff": "1"}, "invalid"),
    ],
)
def test_refusals_stand_under_non_field_errors_too(carol: Person, fields: dict[str, str], code: str) -> None:
    for answer in (form(**fields), post(APIClient(), "auth/token/", fields)):
        assert refusal(answer) == (400, code)
        assert answer.json()["non_field_errors"] == [answer.json()["error"]]


def test_wrong_passwords_here_and_at_the_login_share_a_counter(carol: Person) -> None:
    for path in ("auth/token/", "auth/login/", "auth/token/", "auth/login/", "auth/token/"):
        post(APIClient(), path, {"username": "carol", "password": "wrong"})
    answer = form(username="carol", password=PASSWORD.replace(" ", "+"), mfa_code=carol.code())
    assert refusal(answer) == (429, "throttled")
    assert answer.json()["retry_after"] == int(answer["Retry-After"])


@pytest.mark.parametrize("body", [b"\xff\xfe=1", b"username=%FF%00&password=%00", b"&&&", b"a" * 1000])
def test_forms_of_any_bytes_are_400(db: None, body: bytes) -> None:
    answer = APIClient().post("/api/auth/token/", body, content_type=FORM)
    assert refusal(answer)[0] == 400


def test_a_form_of_a_thousand_fields_is_400(db: None) -> None:
    body = "&".join(f"f{number}=1" for number in range(2000))
    answer = APIClient().post("/api/auth/token/", body, content_type=FORM)
    assert refusal(answer)[0] == 400
    assert not Attempts.objects.exists()


def test_rotating_gives_a_new_token_and_kills_the_old_one(carol: Person) -> None:
    login = carol.login().json()
    old = bearer(login["token"])
    answer = old.post("/api/auth/token/rotate/")
    assert set(answer.json()) == {"token", "expiry"}
    assert answer.json()["expiry"] == login["expiry"]
    assert refusal(old.get("/api/documents/")) == (401, "authentication_failed")
    assert bearer(answer.json()["token"]).get("/api/documents/").status_code == 200


def test_rotating_is_not_for_a_token_that_can_but_enrol(newton: Person) -> None:
    assert refusal(newton.client().post("/api/auth/token/rotate/")) == (403, "mfa_setup_required")


def test_a_token_ends_however_often_it_is_rotated(carol: Person) -> None:
    start = timezone.now()
    text = factories.token(carol.user).text
    with time_machine.travel(start, tick=False) as clock:
        for _ in range(24):  # every half hour, so that it never lies unused
            clock.shift(timedelta(minutes=29))
            text = bearer(text).post("/api/auth/token/rotate/").json()["token"]
        clock.shift(timedelta(minutes=29))
        assert refusal(bearer(text).get("/api/documents/")) == (401, "authentication_failed")
