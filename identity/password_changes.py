"""How a password changes: by its owner, who knows the present one, or by a link in a mail.

A reset neither removes the second factor nor signs anybody in (ASVS 6.4.3). Each change makes every
other token and session void, by the epoch. Nothing here may be called inside a transaction: refused
attempts are counted.
"""

from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from audit import actions, trail
from audit.trail import Ref
from identity import authentication, links, lockout, mail, mfa, tokens
from identity.accounts import record, ref
from identity.authentication import CodeRequired, WrongCredentials
from identity.models import ApiToken, TokenKind, User
from identity.tokens import Issued


class WrongPassword(Exception):
    """The current password is wrong."""


def change(token: ApiToken, *, current: str, new: str, code: str = "", now: datetime) -> Issued:
    """Change the password of the token's person, who gets a new token; every other one is void.

    Needs the present password and, where there is one, a code of the second factor (ASVS 6.2.2,
    6.2.3). Raises WrongPassword, CodeRequired, WrongCode, FactorLocked, TooManyAttempts, and Django's
    ValidationError for a password that breaks a rule.
    """
    user = token.user
    charges = lockout.sign_in(user.username, user)
    last = lockout.charge(charges, now=now)
    if not user.check_password(current):
        _wrong_password(user, now, last=last)
        raise WrongPassword
    lockout.refund(charges, now=now)
    if new == current:
        raise ValidationError({"new_password": "The new password must be another than the current one."})
    _validate(user, new)
    mfa_at = _second_factor(user, code, now)
    with transaction.atomic(durable=True):
        if not authentication.unchanged(user):
            raise WrongCredentials
        _set(user, new)
        fresh = tokens.issue(user, kind=TokenKind(token.kind), mfa_at=mfa_at or token.mfa_at, now=now)
        facts = {"session": str(fresh.token.id), "replaced": str(token.id)}
        record(actions.PASSWORD_CHANGED, user, "Password changed by its owner.", facts=facts, now=now)
        mail.to(user, "password_changed", now=now)
    return fresh


def request_reset(email: str, *, now: datetime) -> None:
    """Send a link to whoever has this address; silent about whether anybody has.

    Raises TooManyAttempts for too many requests from one address of the network.
    """
    lockout.charge(lockout.address(), now=now)
    try:
        lockout.charge(lockout.reset(email), now=now)
    except lockout.TooManyAttempts:
        return  # to say so would tell that somebody has asked before
    user = _with_address(email)
    with transaction.atomic():
        who = ref(user) if user else Ref("user", "unknown")
        trail.record(
            actions.PASSWORD_RESET_REQUESTED,
            actor=authentication.ANONYMOUS,
            object=who,
            subject=ref(user) if user else None,
            details="A link to set a new password was asked for.",
            now=now,
        )
        if user:
            mail.to(user, "password_reset_link", now=now)


def set_by_link(uid: int, secret: str, new: str, *, now: datetime) -> None:
    """Set the password of the person whose link this is; the link is spent. No token comes of it.

    Raises BadLink, TooManyAttempts, and ValidationError for a password that breaks a rule.
    """
    charges = lockout.address()
    lockout.charge(charges, now=now)
    try:
        with transaction.atomic():
            user = links.read(uid, secret)
            _validate(user, new)
            _set(user, new)
            record(actions.PASSWORD_RESET, user, "Password set by a link from a mail.", now=now)
            mail.to(user, "password_changed", now=now)
    except links.BadLink:
        _bad_link(uid, now)
        raise
    lockout.refund(charges, now=now)


def _wrong_password(user: User, now: datetime, *, last: bool) -> None:
    with transaction.atomic(durable=True):
        said = "Change of password refused: the current one was wrong."
        record(actions.PASSWORD_CHANGE_FAILED, user, said, outcome="failure", now=now)
        if last:
            said, facts = "Too many wrong passwords: further ones must wait.", {"method": "password"}
            record(actions.AUTH_THROTTLED, user, said, outcome="failure", facts=facts, now=now)


def _bad_link(uid: int, now: datetime) -> None:
    """Whoever tries links tries to take over an account; the address of the network bounds how often."""
    user = User.objects.filter(pk=uid).first()
    with transaction.atomic(durable=True):
        trail.record(
            actions.PASSWORD_RESET_FAILED,
            actor=authentication.ANONYMOUS,
            object=ref(user) if user else Ref("user", "unknown"),
            subject=ref(user) if user else None,
            outcome="failure",
            details="Password not set: the link is not good (any more).",
            now=now,
        )


def _with_address(email: str) -> User | None:
    if not email or not authentication.writable(email):
        return None
    return User.objects.filter(email__iexact=email, is_active=True).first()


def _second_factor(user: User, code: str, now: datetime) -> datetime | None:
    if not mfa.enrolled(user):
        return None
    if not code.strip():
        raise CodeRequired
    authentication.check_code(user, code, now=now, by=ref(user))
    return now


def _validate(user: User, new: str) -> None:
    try:
        validate_password(new, user)
    except ValidationError as error:
        raise ValidationError({"new_password": error.messages}) from error


def _set(user: User, new: str) -> None:
    """The epoch moves on, and every token is void."""
    user.set_password(new)
    user.must_change_password, user.initial_secret_expires_at = False, None
    user.save(update_fields=["password", "must_change_password", "initial_secret_expires_at"])
    user.refresh_from_db(fields=["security_epoch"])
    ApiToken.objects.filter(user=user).delete()
