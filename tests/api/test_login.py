"""POST /api/auth/login/: a password and a code for a token."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from audit.models import Outbox
from identity import mfa
from identity.models import ApiToken, Attempts, MfaDevice, TokenKind, User
from tests.factories import PASSWORD, said
from tests.people import Person, bearer, post, recorded, refusal

ARABIC = str.maketrans("0123456789", "".join(chr(0x0660 + digit) for digit in range(10)))


def raw(path: str, body: bytes | str, content_type: str = "application/json") -> Any:
    """POST exactly these bytes."""
    return APIClient().post(f"/api/{path}", body, content_type=content_type)


def test_both_factors_give_a_token_that_opens_the_documents(carol: Person) -> None:
    login = carol.login().json()
    assert set(login) == {"token", "expiry", "user_id", "role", "mfa_enabled", "password_change_required"}
    assert (login["user_id"], login["role"], login["mfa_enabled"]) == (carol.user.pk, "investor", True)
    assert bearer(login["token"]).get("/api/documents/").json() == []


def test_a_password_alone_is_answered_by_asking_for_the_code(carol: Person) -> None:
    answer = post(APIClient(), "auth/login/", {"username": "carol", "password": PASSWORD})
    assert answer.status_code == 200
    assert set(answer.json()) == {"mfa_required", "message"}
    assert answer.json()["mfa_required"] is True
    assert not ApiToken.objects.exists()


def test_without_a_second_factor_the_token_can_but_enrol_one(newton: Person) -> None:
    login = newton.login().json()
    assert login["mfa_enabled"] is False
    assert refusal(bearer(login["token"]).get("/api/documents/")) == (403, "mfa_setup_required")


def test_a_backup_code_will_do_and_is_good_once(carol: Person) -> None:
    code = mfa.renew_backup_codes(carol.user, now=timezone.now())[0]
    assert carol.login(mfa_code=code.lower()).json()["mfa_enabled"] is True
    assert refusal(carol.login(mfa_code=code)) == (400, "invalid_mfa_code")


def test_a_code_is_good_once(carol: Person) -> None:
    code = carol.code()
    assert carol.login(mfa_code=code).status_code == 200
    assert refusal(carol.login(mfa_code=code)) == (400, "invalid_mfa_code")


def test_an_initial_password_is_told_to_be_changed(carol: Person, settings: Settings) -> None:
    User.objects.filter(pk=carol.user.pk).update(must_change_password=True)
    assert carol.login().json()["password_change_required"] is True
    settings.ENFORCE_INITIAL_PASSWORD_CHANGE = False
    assert carol.login().json()["password_change_required"] is False


def test_unknown_wrong_and_inactive_get_the_same_answer(carol: Person, somebody: Callable[..., Person]) -> None:
    User.objects.filter(pk=somebody("gone").user.pk).update(is_active=False)
    tries = [("nobody", PASSWORD), ("carol", "wrong password"), ("gone", PASSWORD), ("CAROL", "wrong password")]
    answers = [post(APIClient(), "auth/login/", {"username": name, "password": word}) for name, word in tries]
    assert {refusal(answer) for answer in answers} == {(400, "invalid_credentials")}
    assert len({json.dumps({**answer.json(), "request_id": 0}) for answer in answers}) == 1
    assert len({json.dumps({**answer.headers, "X-Request-ID": 0}) for answer in answers}) == 1


@pytest.mark.parametrize("name", ["carol", "nobody"])
def test_after_five_wrong_passwords_known_and_unknown_wait_alike(carol: Person, name: str) -> None:
    answers = [post(APIClient(), "auth/login/", {"username": name, "password": "wrong"}) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429] * 2
    assert refusal(answers[-1]) == (429, "throttled")
    assert answers[-1].json()["retry_after"] == int(answers[-1]["Retry-After"]) in range(1, 31)
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        again = post(APIClient(), "auth/login/", {"username": name, "password": "wrong"})
        assert refusal(again) == (400, "invalid_credentials")


def test_a_spoofed_header_changes_nothing_about_the_wait(carol: Person) -> None:
    statuses = []
    for number in range(7):
        client = APIClient(HTTP_X_FORWARDED_FOR=f"10.0.0.{number}", HTTP_X_REAL_IP=f"10.0.1.{number}")
        statuses.append(post(client, "auth/login/", {"username": "carol", "password": "wrong"}).status_code)
    assert statuses == [400] * 5 + [429] * 2


def test_a_locked_second_factor_is_named_and_opens_nothing(carol: Person) -> None:
    MfaDevice.objects.update(disabled_at=timezone.now())
    assert refusal(carol.login()) == (403, "mfa_locked")


def test_a_token_that_is_no_longer_good_does_not_keep_anybody_from_signing_in(carol: Person) -> None:
    answer = post(bearer("f" * 64), "auth/login/", {"username": "carol", "password": PASSWORD})
    assert answer.json()["mfa_required"] is True


@pytest.mark.parametrize(
    "password",
    ["x" * 10_000, "x" * 200_000, "a\x00b", "a\ud800b", "\u0661\u0662\u0663", " ", "' or 1=1 --"],
    ids=["10,000", "200,000", "NUL", "half a pair", "other digits", "blank", "SQL"],
)
def test_a_password_that_can_never_be_right_is_an_attempt_like_any_other(carol: Person, password: str) -> None:
    answer = raw("auth/login/", json.dumps({"username": "carol", "password": password}))
    assert refusal(answer) == (400, "invalid_credentials")
    assert Attempts.objects.get(key=f"password:user-{carol.user.pk}").failures == 1
    assert len(recorded("auth.sign_in_failed")) == 1


@pytest.mark.parametrize("name", ["n" * 10_000, "a\x00b", "a\ud800b", "\u0430lice", "\u212a", "'; drop table"])
def test_a_name_that_nobody_can_have_is_an_attempt_like_any_other(db: None, name: str) -> None:
    answer = raw("auth/login/", json.dumps({"username": name, "password": "wrong"}))
    assert refusal(answer) == (400, "invalid_credentials")
    assert Attempts.objects.filter(key__startswith="password:name-", failures=1).count() == 2


@pytest.mark.parametrize("code", ["arabic", "000000", "12345", "1234567", "0" * 10_000, "a\x00b", "\ud800", "\u2460"])
def test_a_code_that_can_never_be_right_is_an_attempt_like_any_other(carol: Person, code: str) -> None:
    code = carol.code().translate(ARABIC) if code == "arabic" else code
    body = {"username": "carol", "password": PASSWORD, "mfa_code": code}
    assert refusal(raw("auth/login/", json.dumps(body))) == (400, "invalid_mfa_code")
    assert Attempts.objects.get(key=f"code:{carol.user.pk}").failures == 1


@pytest.mark.parametrize(
    "body",
    [
        "[1]",
        '"x"',
        "7",
        "null",
        "{",
        "",
        "{}",
        '{"username": "carol"}',
        '{"username": "", "password": ""}',
        '{"username": ["carol"], "password": "x"}',
        '{"username": "carol", "password": {"x": 1}}',
        '{"username": "carol", "password": 123456789012}',
        '{"username": true, "password": "x"}',
        '{"username": "carol", "password": null}',
        '{"username": "carol", "password": "x", "mfa_code": 123456}',
        '{"username": "carol", "password": "x", "is_staff": true}',
        '{"username": "carol", "password": "x", "\\ud800": 1}',
        '{"username": NaN, "password": Infinity}',
        '{"username": ' + "9" * 5000 + "}",
        '{"username": ' + "[" * 100_000 + "]" * 100_000 + "}",
        b'{"username": "\xff\xfe", "password": "x"}',
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b\x08\x00",
    ],
)
def test_bad_bodies_are_400(db: None, body: bytes | str) -> None:
    status, code = refusal(raw("auth/login/", body))
    assert (status, code in {"invalid", "bad_json"}) == (400, True)
    assert not Attempts.objects.exists()


@pytest.mark.parametrize("path", ["auth/login/", "auth/token/", "auth/password/reset/"])
def test_a_body_that_is_too_large_is_not_read(db: None, path: str) -> None:
    body = json.dumps({"username": "carol", "password": "x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE})
    assert refusal(raw(path, body)) == (413, "body_too_large")
    assert not Attempts.objects.exists()


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml", "x"])
def test_another_kind_of_body_is_415(db: None, content_type: str) -> None:
    assert refusal(raw("auth/login/", b"username=carol&password=x", content_type)) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "header",
    [
        "Token",
        "Token \u00fc\u00fc",
        "Token a b",
        "Bearer x",
        "Basic Y2Fyb2w6eA==",
        "Token " + "f" * 64,
        "Token " + "f" * 9000,
        "Token ' or 1=1",
        "Token " + "\u0661\u0662".encode().decode("latin-1"),
        "Token \xff\xfe",
    ],
)
def test_bad_tokens_are_401(db: None, header: str) -> None:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=header)
    answer = api.get("/api/documents/")
    status, code = refusal(answer)
    assert (status, code in {"not_authenticated", "authentication_failed"}) == (401, True)
    assert answer["WWW-Authenticate"] == "Token"


def test_a_login_never_answers_to_a_get(db: None) -> None:
    assert refusal(APIClient().get("/api/auth/login/?username=carol&password=x")) == (405, "method_not_allowed")


def test_what_was_typed_stands_in_no_record(carol: Person) -> None:
    carol.login(username="my secret word", password="another secret word", mfa_code="998877")
    carol.login(password="another secret word", mfa_code="998877")
    carol.login(mfa_code="998877")
    records = "".join(row.leaf + str(row.private) for row in Outbox.objects.all())
    assert not [word for word in ("secret word", "998877", PASSWORD) if word in records]


def test_the_kind_of_token_follows_from_the_factors(carol: Person, newton: Person) -> None:
    for person, kind in ((carol, TokenKind.SESSION), (newton, TokenKind.ENROL)):
        person.login()
        assert ApiToken.objects.get(user=person.user).kind == kind
    assert said(newton.login())["mfa_enabled"] is False
