"""Bearer tokens: how one is got, how long it is good, and how it ends.

There is no "partly signed in": a token of the kind `session` came of both factors; one of the kind
`enrol`, which a person without a second factor gets, opens nothing but setting one up. Only
digests are stored (knox). A token ends when it has been unused too long, at its absolute end, by
signing out, and with any change of its person's `security_epoch`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from knox.models import get_digest_token
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed

from audit import actions, context
from identity import authentication, limits, mfa
from identity.accounts import record, ref
from identity.authentication import CodeRequired, WrongCredentials
from identity.models import ApiToken, TokenKind, User

STEP_UP_LASTS: Final = timedelta(minutes=15)
_TOUCH_AFTER: Final = timedelta(minutes=1)  # a write per call would be too dear


class NoSuchSession(Exception):
    """There is no such session of yours."""


@dataclass(frozen=True)
class Issued:
    """A token as stored, and the text that only its holder will have."""

    token: ApiToken
    text: str


class TokenAuthentication(KnoxAuthentication):
    """`Authorization: Token ...`, looked up by its digest. knox reads the header.

    knox's own look-up deletes what has expired and decodes before it looks (bytes that are not
    UTF-8 become a 500); this one is a single read.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        """The user and the stored token; raises AuthenticationFailed (401)."""
        stored = _living(token, timezone.now()) if token.isascii() and token.isalnum() else None
        if stored is None:
            raise AuthenticationFailed("Invalid token. Sign in again.")
        return stored.user, stored


def sign_in(username: str, password: str, code: str, *, now: datetime) -> Issued:
    """A new token for the person; one that can but enrol, for somebody without a second factor.

    Must not run inside a transaction, which could undo the record of a failure. Raises
    WrongCredentials, CodeRequired, WrongCode, FactorLocked, TooManyAttempts.
    """
    user = authentication.check_password(username, password, now=now)
    if not mfa.enrolled(user):
        return _admit(user, "none", now)
    if not code.strip():
        authentication.awaits_code(user, now=now)
        raise CodeRequired
    return _admit(user, authentication.check_code(user, code, now=now), now)


def rotate(token: ApiToken, *, now: datetime) -> Issued:
    """A new text for the same session; the old one is dead. Its absolute end stays where it was."""
    with transaction.atomic():
        fresh = _replace(token, mfa_at=token.mfa_at, now=now)
        facts = {"session": str(fresh.token.id), "replaced": str(token.id)}
        record(actions.TOKEN_ROTATED, token.user, "Token exchanged for a new one.", facts=facts, now=now)
    return fresh


def step_up(token: ApiToken, code: str, *, now: datetime) -> Issued:
    """The second factor once more, for what asks for a fresh one; the old text is dead.

    Raises what `authentication.check_code` raises.
    """
    factor = authentication.check_code(token.user, code, now=now, by=ref(token.user))
    with transaction.atomic():
        fresh = _replace(token, mfa_at=now, now=now)
        facts = {"factor": factor, "session": str(fresh.token.id), "replaced": str(token.id)}
        record(actions.AUTH_STEPPED_UP, token.user, "Second factor shown again.", facts=facts, now=now)
    return fresh


def stepped_up(token: ApiToken, *, now: datetime) -> bool:
    """Whether the second factor was shown within the last 15 minutes."""
    return token.mfa_at is not None and now - token.mfa_at < STEP_UP_LASTS


def sign_out(token: ApiToken, *, now: datetime) -> None:
    """End this token."""
    with transaction.atomic():
        ApiToken.objects.filter(pk=token.pk).delete()
        facts = {"door": "api", "session": str(token.id)}
        record(actions.AUTH_SIGNED_OUT, token.user, "Signed out.", facts=facts, now=now)


def sign_out_everywhere(user: User, *, now: datetime) -> None:
    """End every token and browser session of the person, this one too."""
    with transaction.atomic():
        end_all(user)
        record(actions.AUTH_SIGNED_OUT_EVERYWHERE, user, "Signed out everywhere.", now=now)


def end_all(user: User) -> None:
    """Make every token and session void, in the caller's transaction. The database gives the epoch its value."""
    User.objects.filter(pk=user.pk).update(security_epoch=timezone.now())
    ApiToken.objects.filter(user=user).delete()


def sessions(user: User, *, now: datetime) -> QuerySet[ApiToken]:
    """The person's living tokens, the one used last first."""
    return (
        ApiToken.objects.filter(user=user, epoch=user.security_epoch, expiry__gt=now)
        .filter(last_used_at__gt=now - limits.idle(user))
        .order_by("-last_used_at")
    )


def revoke(user: User, id: UUID, *, now: datetime) -> None:
    """End one of the person's own sessions. Raises NoSuchSession."""
    with transaction.atomic():
        if not ApiToken.objects.filter(user=user, id=id).delete()[0]:
            raise NoSuchSession
        record(actions.SESSION_REVOKED, user, "A session was ended from another.", facts={"session": str(id)}, now=now)


def issue(user: User, *, kind: TokenKind, now: datetime, mfa_at: datetime | None = None) -> Issued:
    """Store a new token of a person who has shown what its kind asks for."""
    ApiToken.objects.filter(user=user, expiry__lte=now).delete()
    return _store(user, kind=kind, auth_time=now, mfa_at=mfa_at, expiry=limits.end_of(user, kind, now), now=now)


def _admit(user: User, factor: str, now: datetime) -> Issued:
    """Let the person in, unless something has changed while password and code were being checked."""
    with transaction.atomic(durable=True):
        if authentication.unchanged(user):
            kind, mfa_at = (TokenKind.ENROL, None) if factor == "none" else (TokenKind.SESSION, now)
            fresh = issue(user, kind=kind, mfa_at=mfa_at, now=now)
            authentication.signed_in(user, factor=factor, door="api", session=str(fresh.token.id), now=now)
            return fresh
    raise WrongCredentials


def _replace(token: ApiToken, *, mfa_at: datetime | None, now: datetime) -> Issued:
    """A token in the place of another, which must still be there: of two racing calls one gets it."""
    if not ApiToken.objects.filter(pk=token.pk, epoch=token.epoch).delete()[0]:
        raise AuthenticationFailed("This token has just been replaced or ended. Sign in again.")
    expiry = token.expiry or now
    kind = TokenKind(token.kind)
    return _store(token.user, kind=kind, auth_time=token.auth_time, mfa_at=mfa_at, expiry=expiry, now=now)


def _store(
    user: User, *, kind: TokenKind, auth_time: datetime, mfa_at: datetime | None, expiry: datetime, now: datetime
) -> Issued:
    request = context.current()
    digest, text = get_digest_token()
    stored = ApiToken(
        digest=digest,
        token_key=text[: CONSTANTS.TOKEN_KEY_LENGTH],
        user=user,
        kind=kind,
        epoch=user.security_epoch,
        auth_time=auth_time,
        mfa_at=mfa_at,
        expiry=expiry,
        last_used_at=now,
        ip=(request.ip or None) if request else None,
        user_agent=request.user_agent[:200] if request else "",
    )
    stored.save(force_insert=True)
    return Issued(stored, text)


def _living(token: bytes, now: datetime) -> ApiToken | None:
    """The stored token, unless it has ended in one of the ways above."""
    stored: ApiToken | None = (
        ApiToken.objects.select_related("user")
        .filter(digest=hash_token(token.decode()), expiry__gt=now)
        .filter(user__is_active=True, epoch=F("user__security_epoch"))
        .first()
    )
    if stored is None or now - stored.last_used_at >= limits.idle(stored.user):
        return None
    if now - stored.last_used_at >= _TOUCH_AFTER:
        ApiToken.objects.filter(pk=stored.pk).update(last_used_at=now)
    return stored
