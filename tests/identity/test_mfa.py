"""The second factor: made, shown once, spent once, sealed."""

import base64
import threading
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from identity import mfa
from identity.models import BackupCode, MfaDevice, User
from tests import factories

pytestmark = pytest.mark.django_db

# RFC 6238, appendix B (SHA-1), last six of the eight digits: what a code of six digits is.
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
    (20000000000, "353130"),
]
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_the_vectors_of_rfc_6238(alice: User, seconds: int, code: str) -> None:
    factories.enrolled(alice, RFC_SECRET)
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    assert mfa.accepts(alice, code, now=moment) == "totp"
    assert mfa.accepts(alice, code, now=moment) is None


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_may_be_one_step_early_or_late(alice: User, steps: int, good: bool) -> None:
    secret, now = factories.enrolled(alice), timezone.now()
    code = factories.code(secret, steps=steps, now=now)
    assert (mfa.accepts(alice, code, now=now) == "totp") is good


def test_the_window_can_be_closed(alice: User, settings: Settings) -> None:
    settings.MFA_WINDOW_STEPS = 0
    secret, now = factories.enrolled(alice), timezone.now()
    for steps in (-1, 1):
        assert mfa.accepts(alice, factories.code(secret, steps=steps, now=now), now=now) is None
    assert mfa.accepts(alice, factories.code(secret, now=now), now=now) == "totp"


def test_an_older_step_than_the_last_is_spent_too(alice: User) -> None:
    secret, now = factories.enrolled(alice), timezone.now()
    assert mfa.accepts(alice, factories.code(secret, now=now), now=now) == "totp"
    assert mfa.accepts(alice, factories.code(secret, steps=-1, now=now), now=now) is None
    assert mfa.accepts(alice, factories.code(secret, steps=1, now=now), now=now) == "totp"


@pytest.mark.parametrize(
    "typed", ["", " ", "12345", "1234567", "\u0661\u0662\u0663\u0664\u0665\u0666", "12345a", "\x00" * 6]
)
def test_what_is_not_a_code_is_refused(alice: User, typed: str) -> None:
    factories.enrolled(alice)
    assert mfa.accepts(alice, typed, now=timezone.now()) is None


def test_arabic_digits_of_the_right_code_are_not_the_code(alice: User) -> None:
    secret, now = factories.enrolled(alice), timezone.now()
    code = factories.code(secret, now=now)
    arabic = code.translate({ord("0") + n: 0x0660 + n for n in range(10)})
    assert mfa.accepts(alice, arabic, now=now) is None
    assert mfa.accepts(alice, f" {code[:3]} {code[3:]} ", now=now) == "totp"


def test_a_person_without_a_second_factor_has_no_code(alice: User) -> None:
    mfa.setup(alice, now=timezone.now())
    secret = mfa.opened(MfaDevice.objects.get())
    with pytest.raises(mfa.NotEnrolled):
        mfa.accepts(alice, factories.code(secret), now=timezone.now())


def test_a_second_setup_makes_the_first_dead(alice: User) -> None:
    now = timezone.now()
    first, second = (mfa.setup(alice, now=now).secret for _ in range(2))
    assert first != second
    assert mfa.confirm(alice, factories.code(first, now=now), token=None, now=now) is None
    codes = mfa.confirm(alice, factories.code(second, now=now), token=None, now=now)
    assert codes is not None
    assert len(set(codes)) == 10


def test_a_setup_dies_after_ten_minutes(alice: User) -> None:
    now = timezone.now()
    secret = mfa.setup(alice, now=now).secret
    late = now + timedelta(minutes=10, seconds=1)
    with pytest.raises(mfa.NotSetUp):
        mfa.confirm(alice, factories.code(secret, now=late), token=None, now=late)
    assert not mfa.enrolled(alice)


def test_the_code_that_enrolled_opens_nothing(alice: User) -> None:
    now = timezone.now()
    code = factories.code(mfa.setup(alice, now=now).secret, now=now)
    assert mfa.confirm(alice, code, token=None, now=now)
    assert mfa.accepts(alice, code, now=now) is None


def test_the_setup_is_a_png_of_the_otpauth_address(alice: User) -> None:
    setup = mfa.setup(alice, now=timezone.now())
    parsed = pyotp.parse_uri(setup.uri)
    assert (parsed.secret, parsed.issuer, parsed.name) == (setup.secret, "Strongroom", "alice")
    assert len(base64.b32decode(setup.secret)) >= 20
    kind, _, picture = setup.qr_code.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(picture).startswith(b"\x89PNG")


def test_a_secret_is_sealed_and_opens_for_its_owner_alone(alice: User, bob: User) -> None:
    secret = factories.enrolled(alice)
    factories.enrolled(bob)
    with connection.cursor() as cursor:
        cursor.execute("SELECT d::text, encode(secret, 'escape') FROM identity_mfadevice d")
        assert not any(secret in text for row in cursor.fetchall() for text in row)
    stolen = MfaDevice.objects.get(user=alice).secret
    MfaDevice.objects.filter(user=bob).update(secret=stolen)
    with pytest.raises(mfa.WrongKey):
        mfa.opened(MfaDevice.objects.get(user=bob))


def test_rotation_seals_everything_with_the_first_key(alice: User, bob: User, settings: Settings) -> None:
    old, new = settings.MFA_ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    secret = factories.enrolled(alice)
    settings.MFA_ENCRYPTION_KEYS = [new, old]
    fresh = factories.enrolled(bob)
    alice.refresh_from_db()
    before = alice.security_epoch
    assert (mfa.rotate_keys(), mfa.rotate_keys()) == (1, 0)
    settings.MFA_ENCRYPTION_KEYS = [new]
    assert [mfa.opened(MfaDevice.objects.get(user=who)) for who in (alice, bob)] == [secret, fresh]
    alice.refresh_from_db()
    assert alice.security_epoch == before  # the same secret: nobody is signed out


def test_rotation_without_the_old_key_changes_nothing(alice: User, settings: Settings) -> None:
    factories.enrolled(alice)
    before = MfaDevice.objects.values().get()
    settings.MFA_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(mfa.WrongKey):
        mfa.rotate_keys()
    assert MfaDevice.objects.values().get() == before


def test_backup_codes_are_hashed_single_use_and_renewable(alice: User) -> None:
    factories.enrolled(alice)
    now = timezone.now()
    old = mfa.renew_backup_codes(alice, now=now)
    assert all(row.code_hash.startswith("argon2$argon2id$") for row in BackupCode.objects.all())
    with connection.cursor() as cursor:
        cursor.execute("SELECT c::text FROM identity_backupcode c")
        stored = "".join(row[0] for row in cursor.fetchall())
    assert not any(code.replace("-", "")[2:] in stored for code in old)
    assert mfa.accepts(alice, old[0].lower().replace("-", " "), now=now) == "backup_code"
    assert mfa.accepts(alice, old[0], now=now) is None
    assert mfa.backup_codes_left(alice) == 9
    new = mfa.renew_backup_codes(alice, now=now)
    assert mfa.accepts(alice, old[1], now=now) is None
    assert mfa.accepts(alice, new[0], now=now) == "backup_code"


def test_a_backup_code_of_somebody_else_is_none(alice: User, bob: User) -> None:
    for who in (alice, bob):
        factories.enrolled(who)
    [code, *_] = mfa.renew_backup_codes(bob, now=timezone.now())
    assert mfa.accepts(alice, code, now=timezone.now()) is None


def _race(user: User, code: str, threads: int) -> list[str | None]:
    """So many threads that show the same code at once; what each got."""
    now, gate, got = timezone.now(), threading.Barrier(threads), []

    def show() -> None:
        try:
            gate.wait()
            got.append(mfa.accepts(user, code, now=now))
        finally:
            connection.close()

    crowd = [threading.Thread(target=show) for _ in range(threads)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    return got


@pytest.mark.django_db(transaction=True)
def test_of_twenty_threads_with_one_code_one_gets_in() -> None:
    alice = factories.person("alice", "investor")
    secret = factories.enrolled(alice)
    got = _race(alice, factories.code(secret), 20)
    assert sorted(map(str, got)) == ["None"] * 19 + ["totp"]


@pytest.mark.django_db(transaction=True)
def test_of_ten_threads_with_one_backup_code_one_gets_in() -> None:
    alice = factories.person("alice", "investor")
    factories.enrolled(alice)
    [code, *_] = mfa.renew_backup_codes(alice, now=timezone.now())
    got = _race(alice, code, 10)
    assert sorted(map(str, got)) == ["None"] * 9 + ["backup_code"]
