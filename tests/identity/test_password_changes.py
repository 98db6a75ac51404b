"""Passwords: which are taken, how they change, what a reset does and does not."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils import timezone
from pytest_django import Settings

from identity import authentication, links, lockout, mfa, password_changes, tokens
from identity.authentication import CodeRequired, TooManyAttempts, WrongCode, WrongCredentials
from identity.links import BadLink
from identity.models import ApiToken, Mail, User
from identity.password_changes import WrongPassword
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
NEW = "another long password"


@pytest.fixture
def alice() -> User:
    """An investor with a password and an address."""
    return factories.person("alice", "investor", password=PASSWORD, email="alice@example.test")


@pytest.mark.parametrize(
    "password",
    [
        "password123456",
        "SecureInvestor2026",
        "Strongroom2026!",
        "strongroom strongroom",
        "qwertyuiop12",
        "123456789012",
        "aaaaaaaaaaaaaaa",
        "alice1234567",
        "alice@example.test",
        "iloveyouiloveyou",
        "elevenchars",
        "x" * 129,
    ],
)
def test_a_guessable_password_is_refused(alice: User, password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, alice)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse",
        "twelve chars" + " ",
        "839201748392",
        "tigers eat green apples",
        "  leading and trailing  ",
        "p\u00e4ssw\u00f6rter sind sch\u00f6n",
        "\U0001f40e\U0001f50b correct horse",
        "kdjfhgiqpwxm",
        "my investor likes purple boats",
        ("a long way round " * 8)[:128],
    ],
)
def test_any_other_password_is_taken_whatever_it_is_made_of(alice: User, password: str) -> None:
    validate_password(password, alice)


def test_an_admins_password_has_fifteen_characters() -> None:
    root = factories.person("root", "admin")
    with pytest.raises(ValidationError):
        validate_password("kdjfhgiqpwxmza", root)
    validate_password("kdjfhgiqpwxmzav", root)


def test_words_of_the_house_count_for_nothing(alice: User, settings: Settings) -> None:
    validate_password("acmecapital 4 me", alice)
    settings.PASSWORD_CONTEXT_WORDS = ["acmecapital"]
    with pytest.raises(ValidationError):
        validate_password("acmecapital 4 me", alice)


def change(token: ApiToken, *, current: str = PASSWORD, new: str = NEW, code: str = "") -> tokens.Issued:
    """Change the password now."""
    return password_changes.change(token, current=current, new=new, code=code, now=timezone.now())


def test_a_change_gives_a_new_token_and_ends_all_others(alice: User) -> None:
    secret = factories.enrolled(alice)
    mine, other = factories.token(alice), factories.token(alice)
    fresh = change(mine.token, code=factories.code(secret))
    assert list(ApiToken.objects.all()) == [fresh.token]
    assert fresh.token.kind == "session"
    assert other.token.pk != fresh.token.pk
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert Mail.objects.filter(kind="password_changed").exists()


def test_a_change_needs_the_current_password_and_the_second_factor(alice: User) -> None:
    factories.enrolled(alice)
    token = factories.token(alice).token
    with pytest.raises(WrongPassword):
        change(token, current="wrong password")
    with pytest.raises(CodeRequired):
        change(token)
    with pytest.raises(WrongCode):
        change(token, code="000000")
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
    assert ApiToken.objects.count() == 1


def test_guessing_the_current_password_waits_like_a_sign_in(alice: User) -> None:
    token = factories.token(alice).token
    for _ in range(5):
        with pytest.raises(WrongPassword):
            change(token, current="wrong password")
    with pytest.raises(TooManyAttempts):
        change(token)


@pytest.mark.parametrize("new", ["short", PASSWORD, "password123456"])
def test_a_bad_new_password_spends_no_code(alice: User, new: str) -> None:
    secret = factories.enrolled(alice)
    code = factories.code(secret)
    token = factories.token(alice).token
    with pytest.raises(ValidationError):
        change(token, new=new, code=code)
    assert mfa.accepts(alice, code, now=timezone.now()) == "totp"


def test_changing_a_given_password_is_the_end_of_having_to(alice: User) -> None:
    User.objects.update(must_change_password=True, initial_secret_expires_at=timezone.now())
    alice.refresh_from_db()
    change(factories.token(alice).token)
    alice.refresh_from_db()
    assert (alice.must_change_password, alice.initial_secret_expires_at) == (False, None)


def test_a_given_password_is_good_for_three_days(settings: Settings) -> None:
    settings.ENFORCE_INITIAL_PASSWORD_CHANGE = True
    bob = factories.person("bob", "investor", password=PASSWORD, initial=True)
    now = bob.date_joined
    authentication.check_password("bob", PASSWORD, now=now + timedelta(hours=71))
    with pytest.raises(WrongCredentials):
        authentication.check_password("bob", PASSWORD, now=now + timedelta(hours=73))
    settings.ENFORCE_INITIAL_PASSWORD_CHANGE = False
    authentication.check_password("bob", PASSWORD, now=now + timedelta(hours=73))


def minted(user: User, purpose: str = "reset") -> tuple[int, str]:
    """The two parts of a link."""
    address = urlsplit(links.mint(user, purpose))
    assert not address.query  # nothing secret where servers and other pages see it
    parts = parse_qs(address.fragment)
    return int(parts["uid"][0]), parts["secret"][0]


def test_a_reset_keeps_the_second_factor_and_signs_nobody_in(alice: User) -> None:
    secret = factories.enrolled(alice)
    factories.token(alice)
    password_changes.set_by_link(*minted(alice), NEW, now=timezone.now())
    assert not ApiToken.objects.exists()
    assert mfa.enrolled(alice)
    with pytest.raises(CodeRequired):
        tokens.sign_in("alice", NEW, "", now=timezone.now())
    assert tokens.sign_in("alice", NEW, factories.code(secret), now=timezone.now()).token.kind == "session"


@pytest.mark.parametrize(("purpose", "good_for"), [("reset", timedelta(hours=1)), ("invitation", timedelta(hours=72))])
def test_a_link_is_good_once_and_for_its_time(alice: User, purpose: str, good_for: timedelta) -> None:
    uid, secret = minted(alice, purpose)
    with time_machine.travel(timezone.now() + good_for + timedelta(seconds=2)), pytest.raises(BadLink):
        password_changes.set_by_link(uid, secret, NEW, now=timezone.now())
    with time_machine.travel(timezone.now() + good_for - timedelta(seconds=5)):
        password_changes.set_by_link(uid, secret, NEW, now=timezone.now())
        with pytest.raises(BadLink):
            password_changes.set_by_link(uid, secret, "yet another long password", now=timezone.now())


def test_a_link_is_dead_after_any_other_change_of_the_account(alice: User) -> None:
    uid, secret = minted(alice)
    User.objects.update(email="new@example.test")
    with pytest.raises(BadLink):
        password_changes.set_by_link(uid, secret, NEW, now=timezone.now())


def test_a_link_is_for_its_person_alone(alice: User) -> None:
    bob = factories.person("bob", "investor")
    _, secret = minted(alice)
    for uid, tampered in ((bob.pk, secret), (alice.pk, secret[:-1]), (alice.pk, "x"), (alice.pk, "")):
        with pytest.raises(BadLink):
            password_changes.set_by_link(uid, tampered, NEW, now=timezone.now())


def test_a_refused_password_leaves_the_link_good(alice: User) -> None:
    uid, secret = minted(alice)
    with pytest.raises(ValidationError):
        password_changes.set_by_link(uid, secret, "short", now=timezone.now())
    password_changes.set_by_link(uid, secret, NEW, now=timezone.now())


@pytest.mark.parametrize(
    ("email", "mails"), [("ALICE@example.test", 1), ("nobody@example.test", 0), ("", 0), ("\x00", 0), ("\ud800", 0)]
)
def test_a_request_is_silent_about_whether_anybody_has_the_address(alice: User, email: str, mails: int) -> None:
    password_changes.request_reset(email, now=timezone.now())
    assert Mail.objects.filter(kind="password_reset_link").count() == mails


def test_the_inactive_get_no_link(alice: User) -> None:
    User.objects.update(is_active=False)
    password_changes.request_reset(alice.email, now=timezone.now())
    assert not Mail.objects.exists()


def test_one_address_gets_at_most_five_links_an_hour(alice: User) -> None:
    now = timezone.now()
    for _ in range(8):
        password_changes.request_reset(alice.email, now=now)
    assert Mail.objects.count() == lockout.RESET.free
