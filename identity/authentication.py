"""Who is this? A password, then a second factor; every attempt counted and recorded.

What an attempt costs and answers is the same for a name that nobody has, a wrong password and an
inactive account, so that nobody learns who has an account (ASVS 6.3.8). A refusal is committed by
itself, because the request that made it has nothing else to commit: nothing here may be called
inside a transaction. What a person gets who passed is for `identity.tokens` and `identity.sessions`.
"""

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Q

from audit import actions, trail
from audit.trail import Ref
from identity import lockout, mail, mfa
from identity.accounts import owes_a_password, record, ref
from identity.lockout import TooManyAttempts as TooManyAttempts
from identity.models import ApiToken, Role, User

ANONYMOUS = Ref("anonymous", "unknown")  # who has not shown both factors, whoever they say they are
_WARN_AT = 10  # wrong codes in a row after which the person gets a mail


class WrongCredentials(Exception):
    """The user name or the password is wrong."""


class CodeRequired(Exception):
    """The password is right. Send the code of your authenticator app, or a backup code, as well."""


class WrongCode(Exception):
    """This code is wrong or was used already. Wait for the next one and try again."""


class FactorLocked(Exception):
    """The second factor was locked after too many wrong codes. An admin can unlock it."""


def check_password(username: str, password: str, *, now: datetime, role: Role | None = None) -> User:
    """The person whose name and password these are.

    A door that is for one role names it: the right password of anybody else is refused there as a
    wrong one, and counted as one, or the missing wait would tell that it was right. Raises
    WrongCredentials, whatever it is that was wrong, and TooManyAttempts.
    """
    user = User.objects.named(username) if writable(username) else None
    charges = lockout.sign_in(username, user)
    last = lockout.charge(charges, now=now)
    reason = _wrong(user, password, role, now)
    if user is None or reason:
        _refused(user, reason or "unknown", now, last=last)
        raise WrongCredentials
    lockout.refund(charges, now=now)
    return user


def awaits_code(user: User, *, now: datetime) -> None:
    """Record that somebody knows the person's password and has not shown a code yet; once a minute."""
    with transaction.atomic(durable=True):
        if lockout.noted_lately("password_accepted", user, now=now):
            return
        said = "The password was right; a second factor is awaited."
        record(actions.AUTH_PASSWORD_ACCEPTED, user, said, by=ANONYMOUS, facts={"method": "password"}, now=now)


def check_code(user: User, code: str, *, now: datetime, by: Ref = ANONYMOUS) -> str:
    """Spend a code of an enrolled person; "totp" or "backup_code". `by`: who shows it, if they are signed in.

    Raises WrongCode, TooManyAttempts, FactorLocked, mfa.NotEnrolled.
    """
    if mfa.locked(user):
        _locked_code(user, now, by)
        raise FactorLocked
    charges = lockout.second_factor(user)
    last = lockout.charge(charges, now=now)
    factor = mfa.accepts(user, code, now=now)
    if factor is None:
        _wrong_code(user, charges, now, by, last=last)
        raise WrongCode
    lockout.forgive(charges, now=now)
    return factor


def confirm_enrolment(user: User, code: str, *, token: ApiToken | None, now: datetime) -> list[str]:
    """End the setup of a second factor with its first code; the backup codes, to be shown once.

    Raises WrongCode, TooManyAttempts, mfa.NotSetUp, mfa.AlreadyEnrolled.
    """
    charges = lockout.second_factor(user)
    last = lockout.charge(charges, now=now)
    codes = mfa.confirm(user, code, token=token, now=now)
    if codes is None:
        _wrong_code(user, charges, now, ref(user) if token else ANONYMOUS, last=last)
        raise WrongCode
    lockout.forgive(charges, now=now)
    return codes


def writable(text: str) -> bool:
    """Whether the text can be stored or hashed at all: JSON allows half surrogates and NUL."""
    return "\x00" not in text and text == text.encode(errors="ignore").decode()


def unchanged(user: User) -> bool:
    """Whether nothing that matters has changed since the person was read, as while a password was being hashed.

    Locks the row to the end of the transaction, so that it stays so.
    """
    same = Q(pk=user.pk, password=user.password, security_epoch=user.security_epoch, is_active=True)
    return User.objects.select_for_update().filter(same).exists()


def signed_in(user: User, *, factor: str, door: str, now: datetime, session: str = "") -> None:
    """Note that somebody is in, within the transaction that lets them in.

    `factor`: totp, backup_code, or none where they can but enrol. `door`: api, admin. `session`: the token's id.
    """
    User.objects.filter(pk=user.pk).update(last_login=now)
    if factor != "none":
        lockout.forgive(lockout.sign_in(user.username, user), now=now)
    facts = {"method": "password", "factor": factor, "door": door, **({"session": session} if session else {})}
    record(actions.AUTH_SIGNED_IN, user, f"Signed in with a password and {_words(factor)}.", facts=facts, now=now)


def _words(factor: str) -> str:
    said = {"totp": "an authenticator code", "backup_code": "a backup code"}
    return said.get(factor, "no second factor: to enrol one")


def _wrong(user: User | None, password: str, role: Role | None, now: datetime) -> str:
    """What is wrong, if anything. Every path hashes one password."""
    right = _matches(user, password)
    if user is None:
        return "unknown"
    if not right:
        return "password"
    if not user.is_active:
        return "inactive"
    if role and user.role != role:
        return "role"
    return "expired" if _initial_password_expired(user, now) else ""


def _initial_password_expired(user: User, now: datetime) -> bool:
    """A password that an admin has set is good for three days (ASVS 6.4.1)."""
    expires = user.initial_secret_expires_at
    return owes_a_password(user) and expires is not None and expires <= now


def _matches(user: User | None, password: str) -> bool:
    if user is None or not writable(password):
        make_password("x")  # no stored password can be it; the work is done all the same
        return False
    stored = user.password
    right = user.check_password(password)
    if user.password != stored:  # hashed anew at today's cost, which moves the epoch
        user.refresh_from_db(fields=["security_epoch"])
    return right


def _refused(user: User | None, reason: str, now: datetime, *, last: bool) -> None:
    """The name that was typed is not recorded: people type their password there."""
    who = ref(user) if user else Ref("user", "unknown")
    with transaction.atomic(durable=True):
        said = "Sign-in refused: wrong user name or password."
        _record_failure(actions.AUTH_SIGN_IN_FAILED, who, user, said, now, method="password", reason=reason)
        if last:
            said = "Too many wrong sign-ins: further ones must wait."
            _record_failure(actions.AUTH_THROTTLED, who, user, said, now, method="password")


def _wrong_code(user: User, charges: Sequence[lockout.Charge], now: datetime, by: Ref, *, last: bool) -> None:
    failures = lockout.failures(charges)
    with transaction.atomic(durable=True):
        said = "A wrong or spent code."
        _record_failure(actions.MFA_FAILED, ref(user), user, said, now, by=by, reason="wrong", in_a_row=failures)
        if last:
            said = "Too many wrong codes: further ones must wait."
            _record_failure(actions.AUTH_THROTTLED, ref(user), user, said, now, by=by, method="code")
        if failures == _WARN_AT:
            mail.to(user, "codes_failing", now=now)
    if failures >= lockout.SECOND_FACTOR_DISABLED_AT:
        mfa.lock(user, now=now)


def _locked_code(user: User, now: datetime, by: Ref) -> None:
    """Nothing makes these attempts wait: they are recorded once a minute."""
    with transaction.atomic(durable=True):
        if not lockout.noted_lately("locked_code", user, now=now):
            said = "A code was refused: the second factor is locked."
            _record_failure(actions.MFA_FAILED, ref(user), user, said, now, by=by, reason="locked")


def _record_failure(
    action: str, who: Ref, user: User | None, details: str, now: datetime, *, by: Ref = ANONYMOUS, **facts: str | int
) -> None:
    trail.record(
        action,
        actor=by,
        object=who,
        subject=ref(user) if user else None,
        outcome="failure",
        details=details,
        facts=facts,
        now=now,
    )
