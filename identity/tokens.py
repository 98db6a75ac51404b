"""Signing in with a password, and the token that comes of it.

What an attempt costs and answers is the same for a name that nobody has, a wrong password and an
inactive account, so that nobody learns who has an account. Each attempt leaves an event; a failed
one is committed by itself, because the request that made it has nothing else to commit.
"""

from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed

from audit import actions, trail
from audit.trail import Ref
from identity.accounts import ref
from identity.models import ApiToken, User


class WrongCredentials(Exception):
    """The user name or the password is wrong."""


class TokenAuthentication(KnoxAuthentication):
    """`Authorization: Token ...`, looked up by its digest. knox reads the header.

    knox's own look-up deletes what has expired and decodes before it looks (bytes that are not
    UTF-8 become a 500); this one is a single read.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        """The user and the stored token; raises AuthenticationFailed (401)."""
        stored = _living(token) if token.isascii() and token.isalnum() else None
        if stored is None:
            raise AuthenticationFailed("Invalid token.")
        return stored.user, stored


def _living(token: bytes) -> ApiToken | None:
    """The stored token, unless it has expired, its person is inactive or it was revoked."""
    return (
        ApiToken.objects.select_related("user")
        .filter(digest=hash_token(token.decode()), expiry__gt=timezone.now())
        .filter(user__is_active=True, created__gte=F("user__security_epoch"))
        .first()
    )


def sign_in(username: str, password: str, *, now: datetime) -> tuple[ApiToken, str]:
    """A new token for the person: the stored one, and the text that only its holder will have.

    Must not run inside a transaction, which could undo the record of a failure. Raises
    WrongCredentials, whatever it is that was wrong.
    """
    user, reason = _identify(username, password)
    if user is not None and not reason:
        with transaction.atomic(durable=True):
            if _unchanged(user, now):
                return _issue(user, now)
        reason = "changed"
    _record_failure(user, reason, now)
    raise WrongCredentials


def _unchanged(user: User, now: datetime) -> bool:
    """Note the sign-in, unless password or activity changed while the password was being hashed."""
    same = User.objects.filter(pk=user.pk, password=user.password, is_active=True)
    return same.update(last_login=now) == 1


def _issue(user: User, now: datetime) -> tuple[ApiToken, str]:
    ApiToken.objects.filter(user=user, expiry__lte=now).delete()
    stored, text = ApiToken.objects.create(user=user)
    trail.record(
        actions.AUTH_SIGNED_IN,
        actor=ref(user),
        object=ref(user),
        subject=ref(user),
        details="Signed in with a password.",
        facts={"method": "password"},
        now=now,
    )
    return stored, text


def _identify(username: str, password: str) -> tuple[User | None, str]:
    """Whose name it is and what was wrong, if anything. Every path hashes one password."""
    user = User.objects.named(username) if _writable(username) else None
    right = _matches(user, password)
    if user is None:
        return None, "unknown"
    if not right:
        return user, "password"
    return user, "" if user.is_active else "inactive"


def _matches(user: User | None, password: str) -> bool:
    if not _writable(password):
        password, user = (
            "",
            None,
        )  # no stored password can be it; the work is done all the same
    if user is None:
        make_password(password)
        return False
    return user.check_password(password)


def _writable(text: str) -> bool:
    """Whether the text can be stored or hashed at all: JSON allows half surrogates and NUL."""
    return "\x00" not in text and text == text.encode(errors="ignore").decode()


def _record_failure(user: User | None, reason: str, now: datetime) -> None:
    """The name that was typed is not recorded: people type their password there."""
    with transaction.atomic(durable=True):
        trail.record(
            actions.AUTH_SIGN_IN_FAILED,
            actor=Ref("anonymous", "unknown"),
            object=ref(user) if user else Ref("user", "unknown"),
            subject=ref(user) if user else None,
            outcome="failure",
            details="Sign-in refused: wrong user name or password.",
            facts={"method": "password", "reason": reason},
            now=now,
        )
