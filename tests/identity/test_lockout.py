"""Wrong attempts: counted by account and address, by account, by second factor; delays that double."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from audit import context
from audit.models import Outbox
from identity import authentication, lockout, mfa
from identity.authentication import FactorLocked, TooManyAttempts, WrongCode, WrongCredentials
from identity.models import Attempts, Mail, MfaDevice, User
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
START = timezone.now()


@pytest.fixture
def alice() -> User:
    """An investor with a password."""
    return factories.person("alice", "investor", password=PASSWORD, email="alice@example.test")


@contextmanager
def coming_from(ip: str) -> Iterator[None]:
    """Requests from this address."""
    with context.bound(context.Request(request_id="r", ip=ip)):
        yield


def attempt(username: str, password: str, *, ip: str = "192.0.2.1", now: datetime = START) -> int | str:
    """200 for a right password, 400 for a wrong one, "429:seconds" where it has to wait."""
    with coming_from(ip):
        try:
            authentication.check_password(username, password, now=now)
        except WrongCredentials:
            return 400
        except TooManyAttempts as early:
            return f"429:{early.wait}"
    return 200


@pytest.mark.parametrize("username", ["alice", "ALICE", "nobody"])
def test_five_wrong_passwords_and_then_a_wait(alice: User, username: str) -> None:
    assert [attempt(username, "wrong") for _ in range(7)] == [400] * 5 + ["429:30"] * 2
    assert attempt(username, PASSWORD) == "429:30"


def test_waits_double_up_to_a_quarter_of_an_hour(alice: User) -> None:
    now, waits = START, []
    for _ in range(5):
        attempt("alice", "wrong", now=now)
    for _ in range(7):
        wait = int(str(attempt("alice", "wrong", now=now)).partition(":")[2])
        waits.append(wait)
        now += timedelta(seconds=wait)
        assert attempt("alice", "wrong", now=now) == 400
    assert waits == [30, 60, 120, 240, 480, 900, 900]


def test_the_right_password_is_good_after_the_wait(alice: User) -> None:
    for _ in range(5):
        attempt("alice", "wrong")
    assert attempt("alice", PASSWORD, now=START + timedelta(seconds=30)) == 200


def test_ways_to_write_a_name_share_one_counter(alice: User) -> None:
    names = ["nobody", "NOBODY", "Nobody", "\uff4eobody", "nobody"]
    assert [attempt(name, "wrong") for name in (*names, "nobody")] == [400] * 5 + ["429:30"]


def test_one_accounts_wait_is_not_anothers(alice: User) -> None:
    bob = factories.person("bob", "investor", password=PASSWORD)
    for _ in range(6):
        attempt("alice", "wrong")
    assert attempt(bob.username, PASSWORD) == 200


def test_many_addresses_against_one_account_wait_too(alice: User) -> None:
    answers = [attempt("alice", "wrong", ip=f"198.51.100.{n}") for n in range(21)]
    assert answers == [400] * 20 + ["429:60"]


def test_many_names_from_one_address_wait_too(alice: User) -> None:
    answers = [attempt(f"nobody{n}", "wrong") for n in range(21)]
    assert answers == [400] * 20 + ["429:60"]
    assert attempt("alice", PASSWORD, now=START + timedelta(seconds=60)) == 200


def test_addresses_of_one_ipv6_network_are_one(alice: User) -> None:
    answers = [attempt("alice", "wrong", ip=f"2001:db8::{n:x}") for n in range(6)]
    assert answers == [400] * 5 + ["429:30"]
    assert attempt("alice", "wrong", ip="2001:db8:0:1::1") == 400


def test_a_stranger_cannot_lock_a_person_out(alice: User) -> None:
    """Where alice signed in before she gets in, however long somebody elsewhere goes on."""
    with coming_from("192.0.2.1"):
        authentication.check_password("alice", PASSWORD, now=START)
        authentication.signed_in(alice, factor="totp", door="api", now=START)
    for n in range(25):
        attempt("alice", "wrong", ip=f"198.51.100.{n}")
    assert attempt("alice", PASSWORD, ip="203.0.113.9") == "429:60"
    assert attempt("alice", PASSWORD, ip="192.0.2.1") == 200


def test_wrong_passwords_never_lock_for_good(alice: User) -> None:
    now = START
    for _ in range(150):
        answer = attempt("alice", "wrong", now=now)
        now += timedelta(seconds=int(str(answer).partition(":")[2])) if answer != 400 else timedelta()
    assert attempt("alice", PASSWORD, now=now + timedelta(hours=1)) == 200


def test_a_right_password_alone_does_not_clear_the_counter(alice: User) -> None:
    """Else somebody who knows it could go on guessing codes."""
    secret = factories.enrolled(alice)
    for n in range(5):
        assert attempt("alice", PASSWORD, now=START) == 200
        with pytest.raises(WrongCode):
            authentication.check_code(alice, "000000" if n else "12345", now=START)
    with pytest.raises(TooManyAttempts) as early:
        authentication.check_code(alice, factories.code(secret, now=START), now=START)
    assert early.value.wait == 60


def test_a_hundred_wrong_codes_lock_the_factor_until_it_is_unlocked(alice: User) -> None:
    secret = factories.enrolled(alice)
    now = START
    for _ in range(100):
        with pytest.raises(WrongCode):
            authentication.check_code(alice, "wrong", now=now)
        now += timedelta(hours=1)
    good = factories.code(secret, now=now)
    with pytest.raises(FactorLocked):
        authentication.check_code(alice, good, now=now)
    assert set(Mail.objects.values_list("kind", flat=True)) >= {"codes_failing", "mfa_locked"}
    call_command("identity", "unlock", "alice", reason="called us")
    assert authentication.check_code(alice, good, now=now) == "totp"
    assert "called us" not in Outbox.objects.latest("id").leaf  # free text about a person: sealed
    assert '"user.unlocked"' in "".join(Outbox.objects.values_list("leaf", flat=True))


def test_a_right_code_starts_the_count_anew(alice: User) -> None:
    secret = factories.enrolled(alice)
    for _ in range(4):
        with pytest.raises(WrongCode):
            authentication.check_code(alice, "wrong", now=START)
    authentication.check_code(alice, factories.code(secret, now=START), now=START)
    assert lockout.failures(lockout.second_factor(alice)) == 0


def test_a_sign_in_takes_back_its_own_attempt_and_no_other(alice: User) -> None:
    """Else each sign-in of hers would give a stranger one guess more."""
    for n in range(3):
        attempt("alice", "wrong", ip=f"198.51.100.{n}")
    with coming_from("192.0.2.1"):
        authentication.check_password("alice", PASSWORD, now=START)
        authentication.signed_in(alice, factor="totp", door="api", now=START)
    assert Attempts.objects.get(key=f"password:user-{alice.pk}").failures == 3


def test_unlock_forgets_wrong_passwords_of_this_person_alone(alice: User) -> None:
    factories.person("bob", "investor", password=PASSWORD)
    for name in ("alice", "bob"):
        for _ in range(5):
            attempt(name, "wrong", ip="192.0.2.1" if name == "bob" else "192.0.2.2")
    call_command("identity", "unlock", "ALICE")
    assert attempt("alice", PASSWORD, ip="192.0.2.2") == 200
    assert attempt("bob", PASSWORD) == "429:30"


@pytest.mark.django_db(transaction=True)
def test_of_twenty_threads_five_may_guess() -> None:
    """Counted before the password is looked at: a burst is no way around."""
    factories.person("alice", "investor", password=PASSWORD)
    gate, answers = threading.Barrier(20), []

    def guess() -> None:
        try:
            gate.wait()
            answers.append(attempt("alice", "wrong"))
        finally:
            connection.close()

    crowd = [threading.Thread(target=guess) for _ in range(20)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert sorted(map(str, answers)) == ["400"] * 5 + ["429:30"] * 15


def test_no_name_stands_in_the_counters(alice: User) -> None:
    attempt("alice", "wrong")
    attempt("my secret typed here", "wrong")
    keys = "".join(Attempts.objects.values_list("key", flat=True))
    assert "alice" not in keys
    assert "secret" not in keys


def test_the_lock_of_a_factor_ends_no_session(alice: User) -> None:
    """Somebody with the password alone must not be able to throw its owner out."""
    factories.enrolled(alice)
    before = alice.security_epoch
    mfa.lock(alice, now=START)
    alice.refresh_from_db()
    assert (alice.security_epoch, MfaDevice.objects.get().disabled_at) == (before, START)
