"""What an admin does to somebody's account. Each act is recorded, and mailed to the person.

That the admin has just shown a second factor is asked at the door. Accounts are deactivated, never
deleted: documents and events name people by their id. The admin role is given by two people.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet

from audit import actions
from audit.leaf import JSON
from audit.trail import Ref
from identity import accounts, lockout, mail, mfa, tokens, two_people
from identity.accounts import ref
from identity.models import AdminAct, MfaDevice, Role, RoleRequest, User


class OnYourself(Exception):
    """This cannot be done to your own account. Ask another admin."""


class LastAdmin(Exception):
    """This is the last active admin. Make another one first."""


class NoSuchRequest(Exception):
    """There is no such open request. It may have been decided already."""


class Pointless(Exception):
    """The account is in that state already. Nothing was changed."""


_ACTIVE_ADMIN: Final = Q(role=Role.ADMIN, is_active=True)
_PROMOTE: Final = "Give the admin role to an account that exists: it takes two admins."


def people() -> QuerySet[User]:
    """Everybody, for lists: with what is needed to tell of their second factor."""
    return User.objects.select_related("mfa_device").order_by("-id")


def read(admin: User, user: User, *, now: datetime) -> User:
    """Return the person, and record that an admin looked at what is known of them."""
    with transaction.atomic():
        _record(actions.USER_READ, admin, user, f"Looked at the account of user {user.pk}.", now)
    return user


@transaction.atomic
def create_user(
    admin: User, *, username: str, email: str, password: str | None, role: Role = Role.INVESTOR, now: datetime
) -> User:
    """Make an account. With a password it must be changed at the first sign-in; without one an invitation is mailed.

    Raises ValidationError by field; an admin is not made in one step.
    """
    if role == Role.ADMIN:
        raise ValidationError({"role": _PROMOTE})
    if not (password or email):
        raise ValidationError({"email": "Without a password there must be an address to send the invitation to."})
    user = accounts.create(
        username=username,
        email=email,
        role=role,
        password=password or None,
        initial=bool(password),
        actor=ref(admin),
        now=now,
    )
    two_people.remember(admin, AdminAct.Kind.CREATED, user, now=now)
    if not password:
        _record(actions.USER_INVITED, admin, user, "Invited to choose a password.", now)
    mail.to(user, "account_created" if password else "invitation", now=now)
    return user


def reset_mfa(admin: User, user: User, *, reason: str, now: datetime) -> None:
    """Take the second factor away from somebody who has lost it; they can but enrol a new one.

    Raises OnYourself, Pointless.
    """
    with _act(admin, user):
        if not MfaDevice.objects.filter(user=user).exists():
            raise Pointless
        mfa.remove(user)
        tokens.end_all(user)
        two_people.remember(admin, AdminAct.Kind.MFA_RESET, user, now=now)
        _tell(actions.MFA_RESET, admin, user, "Second factor reset by an admin.", reason, now)


def revoke_sessions(admin: User, user: User, *, reason: str, now: datetime) -> None:
    """End every token and browser session of somebody, one's own too."""
    with _act(admin, user, also_own=True):
        tokens.end_all(user)
        _tell(actions.USER_SESSIONS_REVOKED, admin, user, "All sessions ended by an admin.", reason, now)


def unlock(by: Ref, user: User, *, reason: str, now: datetime) -> None:
    """Forget wrong passwords and codes, and let a locked second factor be used again."""
    with transaction.atomic():
        lockout.unlock(user)
        MfaDevice.objects.filter(user=user).update(disabled_at=None)
        _tell(actions.USER_UNLOCKED, by, user, "Account unlocked.", reason, now)


def deactivate(admin: User, user: User, *, reason: str, now: datetime) -> None:
    """Nobody signs in to this account any more, and whoever is in is out. Raises OnYourself, LastAdmin, Pointless."""
    with _act(admin, user):
        if not user.is_active:
            raise Pointless
        _keep_an_admin(user)
        User.objects.filter(pk=user.pk).update(is_active=False)
        tokens.end_all(user)
        _tell(actions.USER_DEACTIVATED, admin, user, "Account deactivated.", reason, now)


def reactivate(admin: User, user: User, *, reason: str, now: datetime) -> None:
    """The account can be used again, with the password and second factor it had. Raises OnYourself, Pointless."""
    with _act(admin, user):
        if user.is_active:
            raise Pointless
        User.objects.filter(pk=user.pk).update(is_active=True)
        _tell(actions.USER_REACTIVATED, admin, user, "Account reactivated.", reason, now)


def change_email(admin: User, user: User, *, email: str, reason: str, now: datetime) -> None:
    """Change where somebody's mails go; the old address hears of it too (ASVS 6.3.7).

    Raises OnYourself, Pointless, ValidationError by field.
    """
    with _act(admin, user):
        old, user.email = user.email, User.objects.normalize_email(email)
        if user.email == old:
            raise Pointless
        accounts.save(user, "email")
        mail.to(user, "user_email_changed", address=old, now=now)
        said, addresses = "E-mail address changed by an admin.", {"from": old, "to": user.email}
        _tell(actions.USER_EMAIL_CHANGED, admin, user, said, reason, now, private=addresses)


def change_role(admin: User, user: User, *, role: Role, reason: str, now: datetime) -> RoleRequest | None:
    """Give somebody another role: at once, or for the admin role as a request that a second admin decides.

    Raises OnYourself, LastAdmin, Pointless.
    """
    with _act(admin, user):
        if user.role == role or RoleRequest.objects.filter(user=user, decided_at=None).exists():
            raise Pointless
        if role == Role.ADMIN:
            return _ask(admin, user, reason, now)
        _keep_an_admin(user)
        _set_role(admin, user, role, reason, now)
    return None


def requests() -> QuerySet[RoleRequest]:
    """The requests for the admin role, open ones first."""
    return RoleRequest.objects.select_related("user", "requested_by", "decided_by").order_by("-requested_at")


def decide(admin: User, id: UUID, *, grant: bool, now: datetime) -> RoleRequest:
    """Say yes or no, as the second admin, to a request for the admin role.

    Raises NoSuchRequest, OnYourself, NotASecondPerson (to say yes; anyone but the person may say no).
    """
    with transaction.atomic():
        asked = requests().select_for_update(of=("self",)).filter(pk=id, decided_at=None).first()
        if asked is None:
            raise NoSuchRequest
        with _act(admin, asked.user):
            if grant:
                _grant(admin, asked, now)
            else:
                facts = {"request": str(asked.pk)}
                _record(actions.USER_ROLE_REFUSED, admin, asked.user, "The admin role was refused.", now, facts=facts)
        decided_by = None if admin.pk == asked.requested_by_id else admin
        asked.decided_by, asked.decided_at, asked.granted = decided_by, now, grant
        asked.save(update_fields=["decided_by", "decided_at", "granted"])
    return asked


def _ask(admin: User, user: User, reason: str, now: datetime) -> RoleRequest:
    asked = RoleRequest.objects.create(user=user, reason=reason, requested_by=admin, requested_at=now)
    said, facts = "The admin role was asked for.", {"request": str(asked.pk)}
    _record(actions.USER_ROLE_REQUESTED, admin, user, said, now, facts=facts, private={"reason": reason})
    return asked


def _grant(admin: User, asked: RoleRequest, now: datetime) -> None:
    """The one who is promoted is not to be a creature of either: neither may have reset their second factor, say."""
    two_people.demand(asked.requested_by, admin, now=now)
    _set_role(admin, asked.user, Role.ADMIN, asked.reason, now)
    for one in (asked.requested_by, admin):
        two_people.remember(one, AdminAct.Kind.PROMOTED, asked.user, now=now)


def _set_role(admin: User, user: User, role: Role, reason: str, now: datetime) -> None:
    before, user.role = user.role, role
    user.must_change_password = user.must_change_password or role == Role.ADMIN  # an admin's is longer
    user.save(update_fields=["role", "must_change_password"])
    accounts.give_profile(user)
    tokens.end_all(user)
    said, facts = f"Role changed from {before} to {role}.", {"from": str(before), "to": str(role)}
    _tell(actions.USER_ROLE_CHANGED, admin, user, said, reason, now, facts=facts)


@contextmanager
def _act(admin: User, user: User, *, also_own: bool = False) -> Iterator[None]:
    """One transaction, with the person's row as it is now. Raises OnYourself.

    The admins' rows are locked too, all in one order: two of them who act on each other at once act
    one after the other.
    """
    if admin.pk == user.pk and not also_own:
        raise OnYourself
    with transaction.atomic():
        concerned = User.objects.select_for_update(no_key=True).filter(Q(pk=user.pk) | _ACTIVE_ADMIN)
        list(concerned.order_by("pk").values_list("pk"))
        user.refresh_from_db()
        yield


def _keep_an_admin(user: User) -> None:
    others = User.objects.filter(_ACTIVE_ADMIN).exclude(pk=user.pk)
    if user.role == Role.ADMIN and not others.exists():
        raise LastAdmin


def _tell(
    action: str,
    by: User | Ref,
    user: User,
    details: str,
    reason: str,
    now: datetime,
    *,
    facts: Mapping[str, JSON] = {},
    private: Mapping[str, JSON] = {},
) -> None:
    """Record it and mail it. The reason is somebody's free text about a person: it goes into the private part."""
    _record(action, by, user, details, now, facts=facts, private={"reason": reason, **private})
    mail.to(user, action.replace(".", "_"), now=now)


def _record(
    action: str,
    by: User | Ref,
    user: User,
    details: str,
    now: datetime,
    *,
    facts: Mapping[str, JSON] = {},
    private: Mapping[str, JSON] | None = None,
) -> None:
    actor = by if isinstance(by, Ref) else ref(by)
    accounts.record(action, user, details, by=actor, facts=facts, private=private, now=now)
