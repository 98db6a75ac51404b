"""Sessions of a browser: the Django admin, Flower's door.

Between the two factors there is only a note of whose password was right; it grants nothing and
Django takes nobody for signed in. A session that passed both carries a note of its own, and only
that opens a door: a login by any other code of Django's gains nothing.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth import login, logout
from django.db import transaction
from django.http import HttpRequest

from audit import actions
from identity import authentication, limits
from identity.accounts import record, ref
from identity.authentication import WrongCredentials
from identity.models import User
from identity.tokens import STEP_UP_LASTS

PENDING_LASTS: Final = timedelta(minutes=10)
_PENDING, _NOTE = "strongroom_pending", "strongroom_mfa"
_TOUCH_AFTER: Final = timedelta(minutes=1)


def begin(request: HttpRequest, user: User, *, now: datetime) -> None:
    """Note that this person's password was right, in a session of its own (ASVS 7.2.4)."""
    request.session.flush()
    request.session[_PENDING] = _said(user) | {"at": now.timestamp()}


def pending(request: HttpRequest, *, now: datetime) -> User | None:
    """Whose second factor is awaited here."""
    note = request.session.get(_PENDING)
    if not note or now.timestamp() - note["at"] > PENDING_LASTS.total_seconds():
        return None
    return _person(note)


def complete(request: HttpRequest, user: User, *, factor: str, now: datetime) -> None:
    """Let the person in after the second factor, in a session with a new key.

    Raises WrongCredentials if something has changed meanwhile.
    """
    with transaction.atomic():
        if not authentication.unchanged(user):
            raise WrongCredentials
        authentication.signed_in(user, factor=factor, door="admin", now=now)
    request.session.flush()
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session[_NOTE] = _said(user) | {"at": now.timestamp(), "seen": now.timestamp()}


def holder(request: HttpRequest, *, now: datetime) -> User | None:
    """The person of a session that passed both factors, is within its limits and not revoked."""
    note: dict[str, Any] = request.session.get(_NOTE) or {}
    user = _person(note) if note else None
    if user is None or str(user.pk) != request.session.get("_auth_user_id") or not _within(note, user, now):
        return None
    if now.timestamp() - note["seen"] > _TOUCH_AFTER.total_seconds():
        request.session[_NOTE] = note | {"seen": now.timestamp()}
    return user


def stepped_up(request: HttpRequest, *, now: datetime) -> bool:
    """Whether the second factor was shown in this browser within the last 15 minutes, as for a token of the API."""
    note = request.session.get(_NOTE) or {}
    return bool(now.timestamp() - note.get("mfa_at", note.get("at", 0)) < STEP_UP_LASTS.total_seconds())


def step_up(request: HttpRequest, user: User, code: str, *, now: datetime) -> None:
    """Take the second factor of the session's holder once more; the session has a new key then (ASVS 7.2.4).

    Raises what `authentication.check_code` raises.
    """
    factor = authentication.check_code(user, code, now=now, by=ref(user))
    with transaction.atomic():
        record(
            actions.AUTH_STEPPED_UP,
            user,
            "Second factor shown again.",
            facts={"factor": factor, "door": "admin"},
            now=now,
        )
    request.session.cycle_key()
    request.session[_NOTE] = request.session[_NOTE] | {"mfa_at": now.timestamp()}


def end(request: HttpRequest, *, now: datetime) -> None:
    """Sign the browser out, and empty its session."""
    if user := holder(request, now=now):
        with transaction.atomic():
            record(actions.AUTH_SIGNED_OUT, user, "Signed out.", facts={"door": "admin"}, now=now)
    logout(request)


def _said(user: User) -> dict[str, Any]:
    return {"uid": user.pk, "epoch": user.security_epoch.isoformat()}


def _person(note: dict[str, Any]) -> User | None:
    user = User.objects.filter(pk=note["uid"], is_active=True).first()
    return user if user and user.security_epoch.isoformat() == note["epoch"] else None


def _within(note: dict[str, Any], user: User, now: datetime) -> bool:
    age, unused = now.timestamp() - note["at"], now.timestamp() - note["seen"]
    young, in_use = age < limits.absolute(user).total_seconds(), unused < limits.idle(user).total_seconds()
    return bool(young and in_use)
