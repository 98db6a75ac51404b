"""The second factor: an authenticator app (TOTP, RFC 6238) and ten backup codes.

A time step is spent once, by a conditional UPDATE, so that a code that was seen opens nothing
(ASVS 6.5.1). The secret is sealed with a key ring that is not SECRET_KEY; backup codes are kept as
Argon2 hashes (ASVS 6.5.2). How often a code may be tried is counted in `identity.authentication`.
"""

import base64
import hashlib
import hmac
import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyotp
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction

from audit import actions, trail
from audit.trail import Ref
from identity import limits, mail
from identity.accounts import record, ref
from identity.models import ApiToken, BackupCode, MfaDevice, Role, TokenKind, User

STEP_SECONDS: Final = 30
SETUP_LIVES: Final = timedelta(minutes=10)
CODES: Final = 10
_SECRET_LENGTH: Final = 32  # base32: 160 bits (RFC 4226 4, R6)
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTVWXYZ2345679"  # nothing that looks like something else; 49 bits in ten
_SELECTOR, _BODY = 2, 10


class AlreadyEnrolled(Exception):
    """A second factor is set up already. Disable it first, or ask an admin to reset it."""


class NotEnrolled(Exception):
    """No second factor is set up."""


class NotSetUp(Exception):
    """No setup is under way, or it has run out. Begin again with the setup."""


class Mandatory(Exception):
    """Admins and auditors need their second factor. Another admin can reset it."""


class WrongKey(Exception):
    """No key of MFA_ENCRYPTION_KEYS opens this secret."""


@dataclass(frozen=True)
class Setup:
    """What is shown once: the secret as text, as an otpauth address and as a PNG in a data address."""

    secret: str
    uri: str
    qr_code: str


def enrolled(user: User) -> bool:
    """Whether this person has a second factor."""
    return MfaDevice.objects.filter(user=user, confirmed_at__isnull=False).exists()


def locked(user: User) -> bool:
    """Whether too many wrong codes have put the second factor out of use."""
    return MfaDevice.objects.filter(user=user, disabled_at__isnull=False).exists()


def backup_codes_left(user: User) -> int:
    """How many backup codes are still good."""
    return BackupCode.objects.filter(user=user, used_at=None).count()


@transaction.atomic
def setup(user: User, *, now: datetime) -> Setup:
    """Make a new secret, good for ten minutes; an earlier one that was not confirmed is dead.

    Raises AlreadyEnrolled.
    """
    _lock_person(user)
    if enrolled(user):
        raise AlreadyEnrolled
    secret = pyotp.random_base32(_SECRET_LENGTH)
    MfaDevice.objects.update_or_create(user=user, defaults={**_sealed(user, secret), "setup_at": now, "last_step": -1})
    record(actions.MFA_SETUP_STARTED, user, "Setting up a second factor began.", now=now)
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name=settings.MFA_ISSUER)
    return Setup(secret, uri, _png(uri))


@transaction.atomic
def confirm(user: User, code: str, *, token: ApiToken | None, now: datetime) -> list[str] | None:
    """End a setup with its first code; the backup codes, to be shown once. None: the code is wrong.

    The token that was given for enrolling is good for everything from now on, every other one and
    every session is void. Raises AlreadyEnrolled, NotSetUp.
    """
    _lock_person(user)
    device = MfaDevice.objects.filter(user=user).first()
    if device is None or now - device.setup_at > SETUP_LIVES:
        raise AlreadyEnrolled if device and device.confirmed_at else NotSetUp
    if device.confirmed_at:
        raise AlreadyEnrolled
    if not _spend(device, code, now):
        return None
    codes = _new_codes(user)
    _enrol(user, now, by=ref(user))
    user.refresh_from_db(fields=["security_epoch"])  # it has just moved on
    if token is not None:
        _carry_over(token, kind=TokenKind.SESSION, now=now)
    return codes


def accepts(user: User, code: str, *, now: datetime) -> str | None:
    """Spend a code of an enrolled person: "totp", "backup_code", or None for one that is not good.

    Spaces and dashes do not matter. Raises NotEnrolled.
    """
    device = MfaDevice.objects.filter(user=user, confirmed_at__isnull=False, disabled_at=None).first()
    if device is None:
        raise NotEnrolled
    typed = "".join(code.split()).replace("-", "")
    if typed.isascii() and typed.isdigit():
        return "totp" if _spend(device, typed, now) else None
    return "backup_code" if _spend_backup_code(user, typed.upper(), now) else None


@transaction.atomic
def disable(token: ApiToken, *, now: datetime) -> None:
    """Remove the second factor, after its code has been checked. The token can but enrol from now on.

    Raises Mandatory, NotEnrolled.
    """
    _lock_person(token.user)
    may_disable(token.user)
    remove(token.user)
    record(actions.MFA_DISABLED, token.user, "Second factor disabled.", now=now)
    mail.to(token.user, "mfa_disabled", now=now)
    _carry_over(token, kind=TokenKind.ENROL, now=now)


def may_disable(user: User) -> None:
    """Raise Mandatory or NotEnrolled where `disable` would."""
    if user.role != Role.INVESTOR:
        raise Mandatory
    if not enrolled(user):
        raise NotEnrolled


@transaction.atomic
def renew_backup_codes(user: User, *, now: datetime) -> list[str]:
    """Ten new backup codes, to be shown once; the old ones are dead. Call it after a code was checked."""
    _lock_person(user)
    codes = _new_codes(user)
    record(actions.BACKUP_CODES_RENEWED, user, "Ten new backup codes.", now=now)
    mail.to(user, "backup_codes_renewed", now=now)
    return codes


@transaction.atomic
def enrol_with(user: User, secret: str, *, by: Ref, now: datetime) -> bool:
    """Give the person exactly this secret (an operator's act); False if it is theirs already.

    Backup codes come with renewing them: here is nobody to show them to.

    Raises ValueError for a secret that is not base32 of at least 160 bits.
    """
    _lock_person(user)
    device = MfaDevice.objects.filter(user=user).first()
    if device and device.confirmed_at and hmac.compare_digest(opened(device), secret):
        return False
    if len(secret) < _SECRET_LENGTH or len(base64.b32decode(secret)) * 8 < 160:
        raise ValueError("a TOTP secret is base32 of at least 160 bits")
    remove(user)
    MfaDevice.objects.create(user=user, setup_at=now, **_sealed(user, secret))
    _enrol(user, now, by=by)
    return True


def remove(user: User) -> None:
    """Take second factor and backup codes away; the epoch moves on by itself."""
    BackupCode.objects.filter(user=user).delete()
    MfaDevice.objects.filter(user=user).delete()


def lock(user: User, *, now: datetime) -> None:
    """Put the second factor out of use until an admin unlocks it: too many wrong codes (SP 800-63B-4 3.2.2)."""
    with transaction.atomic(durable=True):
        if MfaDevice.objects.filter(user=user, disabled_at=None).update(disabled_at=now):
            said = "Second factor locked after too many wrong codes."
            record(actions.MFA_LOCKED, user, said, by=Ref("system", "lockout"), now=now)
            mail.to(user, "mfa_locked", now=now)


def rotate_keys() -> int:
    """Seal every secret with the first key of the ring; how many were not yet.

    Raises WrongKey, and changes nothing, if one cannot be opened.
    """
    with transaction.atomic():
        stale = MfaDevice.objects.select_for_update().select_related("user").exclude(key_id=_key_id())
        for device in stale:
            sealed = _sealed(device.user, opened(device))
            MfaDevice.objects.filter(pk=device.pk).update(**sealed)
        if stale:
            trail.record(
                actions.MFA_KEYS_ROTATED,
                actor=Ref("system", "manage"),
                object=Ref("key", _key_id()),
                details=f"{len(stale)} secrets sealed with the current key.",
            )
    return len(stale)


def opened(device: MfaDevice) -> str:
    """The secret in clear. A sealed secret that was copied from another person's row does not open."""
    try:
        owner, secret = _ring().decrypt(bytes(device.secret)).decode().split(":")
    except InvalidToken:
        raise WrongKey from None
    if owner != str(device.user_id):
        raise WrongKey
    return secret


def _lock_person(user: User) -> None:
    """Changes of a second factor come one after another. The person's row first: the trigger takes it too."""
    User.objects.select_for_update().get(pk=user.pk)


def _carry_over(token: ApiToken, *, kind: TokenKind, now: datetime) -> None:
    """Let this token live on as one of another kind although its person's epoch has moved; all others end.

    Not by save(): a token that was ended meanwhile stays ended.
    """
    token.user.refresh_from_db(fields=["security_epoch"])
    mine = ApiToken.objects.filter(pk=token.pk)
    mine.update(
        epoch=token.user.security_epoch,
        kind=kind,
        mfa_at=now if kind == TokenKind.SESSION else None,
        expiry=limits.end_of(token.user, kind, now if kind == TokenKind.ENROL else token.auth_time),
    )
    ApiToken.objects.filter(user=token.user).exclude(pk=token.pk).delete()


def _enrol(user: User, now: datetime, *, by: Ref) -> None:
    MfaDevice.objects.filter(user=user).update(confirmed_at=now, disabled_at=None)
    record(actions.MFA_ENROLLED, user, "Second factor enrolled.", by=by, now=now)
    mail.to(user, "mfa_enrolled", now=now)


def _spend(device: MfaDevice, code: str, now: datetime) -> bool:
    """Whether the code is that of a step not yet spent. All steps are computed, whatever is found."""
    typed = "".join(code.split())
    if not (len(typed) == 6 and typed.isascii() and typed.isdigit()):
        return False
    totp, hit = pyotp.TOTP(opened(device)), None
    for candidate in _window(int(now.timestamp()) // STEP_SECONDS):
        if hmac.compare_digest(totp.generate_otp(candidate), typed):
            hit = candidate
    if hit is None:
        return False
    return MfaDevice.objects.filter(pk=device.pk, last_step__lt=hit).update(last_step=hit) == 1


def _window(step: int) -> Iterator[int]:
    """Clocks differ: one step either way, and no more (ASVS 6.5.5)."""
    yield from range(step - settings.MFA_WINDOW_STEPS, step + settings.MFA_WINDOW_STEPS + 1)


def _spend_backup_code(user: User, typed: str, now: datetime) -> bool:
    """One hash is computed on every path, so that selectors cannot be told by the time."""
    found = None
    if len(typed) == _SELECTOR + _BODY and typed.isascii() and typed.isalnum():
        found = BackupCode.objects.filter(user=user, selector=typed[:_SELECTOR], used_at=None).first()
    if found is None:
        make_password("x")
        return False
    if not check_password(typed[_SELECTOR:], found.code_hash):
        return False
    return _use(user, found, now)


@transaction.atomic
def _use(user: User, code: BackupCode, now: datetime) -> bool:
    if not BackupCode.objects.filter(pk=code.pk, used_at=None).update(used_at=now):
        return False
    left = backup_codes_left(user)
    record(actions.BACKUP_CODE_USED, user, f"A backup code was used; {left} are left.", now=now)
    mail.to(user, "backup_code_used", facts={"left": left}, now=now)
    return True


def _new_codes(user: User) -> list[str]:
    BackupCode.objects.filter(user=user).delete()
    selectors = secrets.SystemRandom().sample([a + b for a in _ALPHABET for b in _ALPHABET], CODES)
    bodies = ["".join(secrets.choice(_ALPHABET) for _ in range(_BODY)) for _ in selectors]
    BackupCode.objects.bulk_create(
        BackupCode(user=user, selector=selector, code_hash=make_password(body))
        for selector, body in zip(selectors, bodies, strict=True)
    )
    return [f"{selector}{body[:3]}-{body[3:6]}-{body[6:]}" for selector, body in zip(selectors, bodies, strict=True)]


def _sealed(user: User, secret: str) -> dict[str, object]:
    return {"secret": _ring().encrypt(f"{user.pk}:{secret}".encode()), "key_id": _key_id()}


def _ring() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.MFA_ENCRYPTION_KEYS])


def _key_id() -> str:
    return hashlib.sha256(settings.MFA_ENCRYPTION_KEYS[0].encode()).hexdigest()[:16]


def _png(uri: str) -> str:
    import qrcode  # Pillow comes with it, which parses hostile pictures: workers, who read this module too, go without

    picture = io.BytesIO()
    qrcode.make(uri).save(picture)
    return f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"
