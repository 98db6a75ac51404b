"""Signing in, and the tokens that come of it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from audit import context
from audit.models import Outbox
from identity import accounts, tokens
from identity.models import ApiToken, User
from identity.passwords import Argon2

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture
def alice() -> User:
    """An investor with the password above."""
    return accounts.create(username="alice", role="investor", password=PASSWORD, actor=accounts.SYSTEM)


def sign_in(username: str = "alice", password: str = PASSWORD) -> tuple[ApiToken, str]:
    """Sign in now."""
    return tokens.sign_in(username, password, now=timezone.now())


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


def test_a_token_lasts_twelve_hours(alice: User) -> None:
    stored, _ = sign_in()
    assert stored.expiry
    assert abs(stored.expiry - timezone.now() - timedelta(hours=12)) < timedelta(minutes=1)


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
    with pytest.raises(tokens.WrongCredentials) as refused:
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
    with pytest.raises(tokens.WrongCredentials):
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
    with pytest.raises(tokens.WrongCredentials):
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
    with pytest.raises(tokens.WrongCredentials):
        sign_in("nobody", "wrong password")
    assert Outbox.objects.count() == 1


def test_a_password_changed_while_it_was_being_checked_opens_nothing(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = User.check_password

    def meanwhile(self: User, password: str) -> bool:
        right = checked(self, password)
        User.objects.update(password="changed")
        return right

    monkeypatch.setattr(User, "check_password", meanwhile)
    with pytest.raises(tokens.WrongCredentials):
        sign_in()
    assert last_event()["facts"]["reason"] == "changed"
    assert not ApiToken.objects.exists()
