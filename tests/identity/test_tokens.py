"""Signing in, and the tokens that come of it."""

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from audit import context
from audit.models import Outbox
from identity import accounts, authentication, mfa, tokens
from identity.authentication import CodeRequired, WrongCode, WrongCredentials
from identity.models import ApiToken, TokenKind, User
from identity.passwords import Argon2
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    """An investor with the password above."""
    return factories.person("alice", "investor", password=PASSWORD)


def sign_in(username: str = "alice", password: str = PASSWORD, code: str = "") -> tuple[ApiToken, str]:
    """Sign in now."""
    issued = tokens.sign_in(username, password, code, now=timezone.now())
    return issued.token, issued.text


def authenticate(header: str | bytes) -> User | None:
    """Whom the API takes a request with this Authorization header to be from."""
    incoming = APIRequestFactory().get("/", HTTP_AUTHORIZATION=header)
    user = Request(incoming, authenticators=[tokens.TokenAuthentication()]).user
    return user if isinstance(user, User) else None


def last_event() -> dict[str, Any]:
    """The event recorded last."""
    values: dict[str, Any] = json.loads(Outbox.objects.latest("id").leaf)
    return values


def test_a_token_speaks_for_its_person(alice: User) -> None:
    _, text = sign_in("Alice")
    assert authenticate(f"Token {text}") == alice


def test_only_a_digest_of_the_token_is_stored(alice: User) -> None:
    stored, text = sign_in()
    assert len(text) == 64  # 256 bits in hex
    assert stored.token_key == text[:15]
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM identity_apitoken t")
        [(row,)] = cursor.fetchall()
    assert text not in row
    with pytest.raises(AuthenticationFailed):
        authenticate(f"Token {stored.digest}")


def test_a_password_alone_gets_a_token_that_can_but_enrol(alice: User) -> None:
    stored, _ = sign_in()
    assert (stored.kind, stored.mfa_at) == ("enrol", None)
    assert lives(stored) == timedelta(minutes=15)


@pytest.mark.parametrize(("role", "hours"), [("investor", 12), ("admin", 8), ("auditor", 8)])
def test_a_session_has_an_absolute_end(role: str, hours: int) -> None:
    user = factories.person("someone", role, password=PASSWORD)
    stored, text = sign_in("someone", code=factories.code(factories.enrolled(user)))
    assert (stored.kind, stored.mfa_at) == ("session", stored.auth_time)
    assert lives(stored) == timedelta(hours=hours)
    with time_machine.travel(stored.auth_time, tick=False) as clock:
        for _ in range(hours * 4 - 1):
            clock.shift(timedelta(minutes=15))
            assert authenticate(f"Token {text}") == user
        clock.shift(timedelta(minutes=15))
        with pytest.raises(AuthenticationFailed):
            authenticate(f"Token {text}")


@pytest.mark.parametrize(("role", "minutes"), [("investor", 60), ("admin", 30), ("auditor", 30)])
def test_an_unused_session_ends(role: str, minutes: int) -> None:
    user = factories.person("someone", role)
    issued = factories.token(user)
    with time_machine.travel(issued.token.auth_time, tick=False) as clock:
        clock.shift(timedelta(minutes=minutes - 1))
        assert authenticate(f"Token {issued.text}") == user
        clock.shift(timedelta(minutes=minutes))
        with pytest.raises(AuthenticationFailed):
            authenticate(f"Token {issued.text}")


def lives(token: ApiToken) -> timedelta:
    """How long the token has from its beginning to its absolute end."""
    assert token.expiry
    return token.expiry - token.auth_time


def test_using_a_token_writes_at_most_once_a_minute(alice: User) -> None:
    issued = factories.token(alice)
    with time_machine.travel(issued.token.auth_time, tick=False) as clock:
        for seconds in (10, 49):
            clock.shift(timedelta(seconds=seconds))
            with CaptureQueriesContext(connection) as queries:
                authenticate(f"Token {issued.text}")
            assert len(queries) == 1
        clock.shift(timedelta(seconds=1))
        with CaptureQueriesContext(connection) as queries:
            authenticate(f"Token {issued.text}")
        assert len(queries) == 2


@pytest.mark.parametrize("minutes", [0, 1, 60 * 24 * 365])
def test_an_expired_token_is_refused(alice: User, minutes: int) -> None:
    _, text = sign_in()
    ApiToken.objects.update(expiry=timezone.now() - timedelta(minutes=minutes))
    with pytest.raises(AuthenticationFailed):
        authenticate(f"Token {text}")


def test_a_token_without_an_end_is_refused(alice: User) -> None:
    _, text = sign_in()
    ApiToken.objects.update(expiry=None)
    with pytest.raises(AuthenticationFailed):
        authenticate(f"Token {text}")


def test_signing_in_tidies_expired_tokens_away(alice: User) -> None:
    sign_in()
    ApiToken.objects.update(expiry=timezone.now() - timedelta(days=1))
    living, _ = sign_in()
    assert list(ApiToken.objects.all()) == [living]


def test_the_token_of_an_inactive_person_is_refused(alice: User) -> None:
    _, text = sign_in()
    User.objects.update(is_active=False)
    with pytest.raises(AuthenticationFailed):
        authenticate(f"Token {text}")


def test_a_new_password_ends_older_tokens(alice: User) -> None:
    _, text = sign_in()
    accounts.ensure(username="alice", role="investor", password="another long password")
    with pytest.raises(AuthenticationFailed):
        authenticate(f"Token {text}")
    _, new = sign_in(password="another long password")
    assert authenticate(f"Token {new}") == alice


@pytest.mark.parametrize(
    "header",
    [
        b"Token \xff\xfe\xfa",
        "Token \u00e9\u00e9".encode(),
        "Token \u0661\u0662\u0663".encode(),
        b"Token " + b"a" * 10_000,
        b"Token ../../etc",
        b"Token",
        b"Token a b",
        b"Token \x00",
    ],
)
def test_a_token_that_cannot_be_one_is_refused_and_no_fault(header: bytes) -> None:
    with pytest.raises(AuthenticationFailed):
        authenticate(header)


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer abc"])
def test_another_kind_of_header_is_no_token(header: str) -> None:
    assert authenticate(header) is None


@pytest.mark.parametrize(
    ("username", "password", "active"),
    [
        ("nobody", PASSWORD, True),
        ("alice", "wrong", True),
        ("alice", "", True),
        ("alice", PASSWORD, False),
        ("", "", True),
        ("ali\x00ce", PASSWORD, True),
        ("\ud800", PASSWORD, True),
        ("alice", "\ud800", True),
        ("alice", PASSWORD + "\x00", True),
        ("x" * 10_000, "y" * 10_000, True),
    ],
)
def test_whatever_is_wrong_the_refusal_is_the_same(alice: User, username: str, password: str, active: bool) -> None:
    User.objects.update(is_active=active)
    with pytest.raises(WrongCredentials) as refused:
        sign_in(username, password)
    assert refused.value.args == ()
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(("username", "active"), [("nobody", True), ("alice", True), ("alice", False)])
def test_every_refusal_hashes_one_password(
    alice: User, monkeypatch: pytest.MonkeyPatch, username: str, active: bool
) -> None:
    """Equal work is what makes the answer take equally long."""
    User.objects.update(is_active=active)
    hashed: list[str] = []
    for name in ("encode", "verify"):
        real = getattr(Argon2, name)

        def counted(*args: Any, name: str = name, real: Any = real) -> Any:
            hashed.append(name)
            return real(*args)

        monkeypatch.setattr(Argon2, name, counted)
    with pytest.raises(WrongCredentials):
        sign_in(username, "wrong password")
    assert len(hashed) == 1


def test_signing_in_is_recorded(alice: User) -> None:
    with context.bound(context.Request(request_id="r", ip="192.0.2.1")):
        _, text = sign_in()
    event = last_event()
    assert (event["action"], event["outcome"]) == ("auth.signed_in", "success")
    assert event["actor"] == event["object"] == {"kind": "user", "uid": str(alice.pk)}
    leaf = Outbox.objects.latest("id").leaf
    assert not any(secret in leaf for secret in (text, text[:15], PASSWORD, "alice", "192.0.2.1"))
    alice.refresh_from_db()
    assert alice.last_login


@pytest.mark.parametrize(
    ("username", "password", "reason"),
    [("alice", "my secret guess", "password"), ("my secret name", PASSWORD, "unknown")],
)
def test_a_refusal_is_recorded_without_what_was_typed(alice: User, username: str, password: str, reason: str) -> None:
    with pytest.raises(WrongCredentials):
        sign_in(username, password)
    event = last_event()
    assert (event["action"], event["outcome"]) == ("auth.sign_in_failed", "failure")
    assert event["facts"] == {"method": "password", "reason": reason}
    assert event["object"]["uid"] == (str(alice.pk) if reason == "password" else "unknown")
    leaf = Outbox.objects.latest("id").leaf
    assert not any(typed in leaf for typed in ("secret", PASSWORD, "alice"))


@pytest.mark.django_db(transaction=True)
def test_the_record_of_a_refusal_cannot_be_rolled_back_by_the_caller() -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        sign_in("nobody", "wrong password")
    with pytest.raises(WrongCredentials):
        sign_in("nobody", "wrong password")
    assert Outbox.objects.count() == 1


def _changed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = User.check_password

    def meanwhile(self: User, password: str) -> bool:
        right = checked(self, password)
        User.objects.update(password="changed")
        return right

    monkeypatch.setattr(User, "check_password", meanwhile)


def test_a_password_changed_while_it_was_being_checked_opens_nothing(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _changed_meanwhile(monkeypatch)
    with pytest.raises(WrongCredentials):
        sign_in()
    assert not ApiToken.objects.exists()


def test_a_right_password_without_a_code_gets_nothing(alice: User) -> None:
    factories.enrolled(alice)
    for code in ("", "  "):
        with pytest.raises(CodeRequired):
            sign_in(code=code)
    with pytest.raises(WrongCode):
        sign_in(code="000000")
    assert not ApiToken.objects.exists()


def test_a_code_opens_once(alice: User) -> None:
    code = factories.code(factories.enrolled(alice))
    sign_in(code=code)
    with pytest.raises(WrongCode):
        sign_in(code=code)


def test_a_spent_code_is_recorded_as_a_failure_of_the_factor(alice: User) -> None:
    factories.enrolled(alice)
    with pytest.raises(WrongCode):
        sign_in(code="123456")
    event = last_event()
    assert (event["action"], event["outcome"]) == ("mfa.failed", "failure")
    assert event["facts"] == {"reason": "wrong", "in_a_row": 1}


def test_rotating_changes_the_text_and_not_the_end(alice: User) -> None:
    issued = factories.token(alice, age=timedelta(minutes=20))
    fresh = tokens.rotate(issued.token, now=timezone.now())
    assert (fresh.token.expiry, fresh.token.mfa_at) == (issued.token.expiry, issued.token.mfa_at)
    assert authenticate(f"Token {fresh.text}") == alice
    with pytest.raises(AuthenticationFailed):
        authenticate(f"Token {issued.text}")


def test_of_two_who_exchange_one_token_one_gets_the_new_one(alice: User) -> None:
    issued = factories.token(alice)
    tokens.rotate(issued.token, now=timezone.now())
    with pytest.raises(AuthenticationFailed):
        tokens.rotate(issued.token, now=timezone.now())
    assert ApiToken.objects.count() == 1


def test_a_token_that_can_but_enrol_stays_one_when_it_is_exchanged(alice: User) -> None:
    issued = factories.token(alice, kind=TokenKind.ENROL)
    assert tokens.rotate(issued.token, now=timezone.now()).token.kind == "enrol"


def test_the_database_knows_no_session_without_a_second_factor(alice: User) -> None:
    issued = factories.token(alice, kind=TokenKind.ENROL)
    with pytest.raises(IntegrityError, match="session_has_both_factors"), transaction.atomic():
        ApiToken.objects.filter(pk=issued.token.pk).update(kind="session")


def test_enrolling_elevates_this_token_and_ends_the_others(alice: User) -> None:
    now = timezone.now()
    other, mine = (factories.token(alice, kind=TokenKind.ENROL) for _ in range(2))
    secret = mfa.setup(alice, now=now).secret
    codes = authentication.confirm_enrolment(alice, factories.code(secret, now=now), token=mine.token, now=now)
    assert len(codes) == 10
    stored = ApiToken.objects.get()
    assert (stored.pk, stored.kind, stored.mfa_at) == (mine.token.pk, "session", now)
    assert lives(stored) == timedelta(hours=12)  # no longer the quarter of an hour for enrolling
    assert authenticate(f"Token {mine.text}") == alice
    with pytest.raises(AuthenticationFailed):
        authenticate(f"Token {other.text}")


def test_disabling_leaves_this_token_to_enrol_and_ends_the_others(alice: User) -> None:
    factories.enrolled(alice)
    other, mine = factories.token(alice), factories.token(alice)
    mfa.disable(mine.token, now=timezone.now())
    assert authenticate(f"Token {mine.text}") == alice
    stored = ApiToken.objects.get()
    assert stored.kind == "enrol"
    assert stored.expiry
    assert stored.expiry - timezone.now() <= timedelta(minutes=15)
    with pytest.raises(AuthenticationFailed):
        authenticate(f"Token {other.text}")
