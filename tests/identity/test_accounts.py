"""Making accounts: whole, on the record, and the same when done twice."""

import io
import json
from typing import Any

import pyotp
import pytest
from django.contrib.auth.hashers import get_hashers_by_algorithm
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from audit.models import Outbox
from audit.trail import Ref
from identity import accounts, mfa
from identity.models import InvestorProfile, MfaDevice, User

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
ALICE = {"username": "alice", "email": "a@example.org", "role": "investor", "password": PASSWORD}


def create(actor: Ref = accounts.SYSTEM, **changes: str) -> User:
    """Make alice, with these changes."""
    wanted = {**ALICE, **changes}
    return accounts.create(
        username=wanted["username"],
        email=wanted["email"],
        role=wanted["role"],
        password=wanted["password"],
        actor=actor,
    )


def events() -> list[dict[str, Any]]:
    """Every event recorded so far, in order."""
    return [json.loads(row.leaf) for row in Outbox.objects.order_by("id")]


def test_an_account_is_recorded_without_name_address_or_password() -> None:
    user = create(actor=Ref("user", "1"))
    [event] = events()
    assert event["action"] == "user.created"
    assert event["actor"] == {"kind": "user", "uid": "1"}
    assert event["object"] == event["subject"] == {"kind": "user", "uid": str(user.pk)}
    text = Outbox.objects.get().leaf
    assert not any(value in text for value in ("alice", "example.org", PASSWORD))


def test_a_refused_account_leaves_nothing() -> None:
    with pytest.raises(ValidationError):
        create(role="root")
    assert not User.objects.exists()
    assert not InvestorProfile.objects.exists()
    assert not events()


@pytest.mark.parametrize("password", ["", "short", "elevenchars", "x" * 129])
def test_a_password_has_12_to_128_characters(password: str) -> None:
    with pytest.raises(ValidationError):
        create(password=password)


def test_a_long_password_counts_to_its_last_character() -> None:
    password = "a long way round " * 7 + "Z"
    user = create(password=password)
    assert user.check_password(password)
    assert not user.check_password(password[:-1])
    assert not user.check_password(password[:72])


def test_a_password_is_kept_as_argon2id_at_the_measured_cost() -> None:
    user = create()
    assert user.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert list(get_hashers_by_algorithm()) == ["argon2"]


def test_without_a_password_nobody_can_sign_in() -> None:
    user = accounts.create(username="alice", role="investor", actor=accounts.SYSTEM)
    assert not user.has_usable_password()


def ensure(monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """Run `manage.py identity ensure` with `text` on standard input; what it printed."""
    printed = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    call_command("identity", "ensure", stdout=printed)
    return printed.getvalue()


def test_ensuring_twice_is_the_same_as_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = json.dumps([ALICE, {**ALICE, "username": "root", "email": "", "role": "admin"}])
    first = ensure(monkeypatch, wanted)
    rows = list(User.objects.order_by("id").values())
    assert ensure(monkeypatch, wanted) == first == "alice: investor\nroot: admin\n"
    assert list(User.objects.order_by("id").values()) == rows
    assert [event["action"] for event in events()] == ["user.created", "user.created"]


def test_ensuring_brings_an_account_up_to_date_and_records_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ensure(monkeypatch, json.dumps([ALICE]))
    before = User.objects.get()
    wanted = {"username": "ALICE", "role": "auditor", "password": "another long password"}
    ensure(monkeypatch, json.dumps([wanted]))
    after = User.objects.get()
    assert (after.pk, after.username, after.email) == (before.pk, "alice", "")
    assert after.role == "auditor"
    assert after.check_password("another long password")
    assert after.security_epoch > before.security_epoch
    assert [event["action"] for event in events()[1:]] == [
        "user.email_changed",
        "user.role_changed",
        "password.changed",
    ]


def test_an_operator_can_enrol_an_account_once(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = pyotp.random_base32()
    wanted = json.dumps([{**ALICE, "totp_secret": secret}])
    ensure(monkeypatch, wanted)
    rows = list(MfaDevice.objects.values())
    ensure(monkeypatch, wanted)
    assert list(MfaDevice.objects.values()) == rows
    assert mfa.opened(MfaDevice.objects.get()) == secret
    assert [event["action"] for event in events()] == ["user.created", "mfa.enrolled"]


def test_somebody_who_becomes_an_investor_gets_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    ensure(monkeypatch, json.dumps([{**ALICE, "role": "admin"}]))
    assert not InvestorProfile.objects.exists()
    ensure(monkeypatch, json.dumps([ALICE]))
    assert InvestorProfile.objects.get().user.username == "alice"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json " + PASSWORD,
        "{}",
        "[1]",
        json.dumps([{"username": "alice", "role": "admin"}]),
        json.dumps([{**ALICE, "is_superuser": "yes"}]),
        json.dumps([{**ALICE, "password": 12}]),
        json.dumps([{**ALICE, "totp_secret": "short"}]),
        json.dumps([{**ALICE, "totp_secret": "1" * 40}]),
        json.dumps([{**ALICE, "role": "root"}]),
        json.dumps([{**ALICE, "password": "short"}]),
        json.dumps([ALICE, {**ALICE, "username": "bob"}]),  # the address is taken
    ],
)
def test_a_bad_list_makes_nobody_and_repeats_no_password(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(CommandError) as refused:
        ensure(monkeypatch, text)
    assert PASSWORD not in str(refused.value)
    assert not User.objects.exists()
    assert not events()
