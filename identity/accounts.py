"""Makes accounts and brings them to a wanted state. The only place where users are made.

An account, its investor's profile and the event that tells of it are one transaction. No name or
address of a person stands in clear in the log: events name users by their id.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import actions, trail
from audit.leaf import JSON
from audit.trail import Ref
from identity import mail
from identity.models import InvestorProfile, Role, User

SYSTEM: Final = Ref("system", "manage")  # a command run by an operator
INITIAL_LIVES: Final = timedelta(hours=72)


@transaction.atomic
def create(
    *,
    username: str,
    role: Role | str,
    actor: Ref,
    email: str = "",
    password: str | None = None,
    initial: bool = False,
    now: datetime | None = None,
) -> User:
    """Make an account; without a password nobody can sign in to it until one is set.

    `initial`: the password was chosen by somebody else. It is good for 72 hours and must be changed
    at the first sign-in (ASVS 6.4.1).

    Raises Django's ValidationError, by field, for a name or address that is taken or malformed, an
    unknown role, or a password that breaks a rule.
    """
    user = User(
        username=User.normalize_username(username),
        email=User.objects.normalize_email(email),
        role=role,
        must_change_password=initial,
        initial_secret_expires_at=(now or timezone.now()) + INITIAL_LIVES if initial else None,
    )
    set_password(user, password)
    save(user)
    give_profile(user)
    record(
        actions.USER_CREATED,
        user,
        f"Account made with the role {user.role}.",
        by=actor,
        facts={"role": str(user.role)},
        private={"username": user.username, "email": user.email},
        now=now,
    )
    return user


@transaction.atomic
def ensure(
    *,
    username: str,
    role: Role | str,
    email: str = "",
    password: str,
    now: datetime | None = None,
) -> User:
    """Make the account, or bring the one of that name to this address, role and password.

    Running it again changes and records nothing. Raises what `create` raises.
    """
    moment = now or timezone.now()
    user = User.objects.named(username)
    if user is None:
        return create(
            username=username,
            email=email,
            role=role,
            password=password,
            actor=SYSTEM,
            now=moment,
        )
    old_address = user.email
    changed = [
        change
        for change in (
            _change_email(user, email),
            _change_role(user, role),
            _change_password(user, password),
        )
        if change
    ]
    if changed:
        save(user, "email", "role", "password")
        user.refresh_from_db(fields=["security_epoch"])
        give_profile(user)
    for action, details in changed:
        record(action, user, details, by=SYSTEM, now=moment)
        mail.to(user, action.replace(".", "_"), address=old_address, now=moment)
    return user


def ref(user: User) -> Ref:
    """How the log names a user."""
    return Ref("user", str(user.pk))


def record(
    action: str,
    user: User,
    details: str,
    *,
    now: datetime | None,
    by: Ref | None = None,
    outcome: str = "success",
    facts: Mapping[str, JSON] = {},
    private: Mapping[str, JSON] | None = None,
) -> None:
    """Record what was done to a person's account, by themselves unless `by` says by whom."""
    trail.record(
        action,
        actor=by or ref(user),
        object=ref(user),
        subject=ref(user),
        outcome=outcome,
        details=details,
        facts=facts,
        private=private,
        now=now,
    )


def owes_a_password(user: User) -> bool:
    """Whether somebody else chose the person's password, and nothing opens until they have their own."""
    return settings.ENFORCE_INITIAL_PASSWORD_CHANGE and user.must_change_password


def set_password(user: User, password: str | None) -> None:
    """Give the person, who is not saved here, this password. Raises ValidationError for one that breaks a rule."""
    if password is not None:
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise ValidationError({"password": error.messages}) from error
    user.set_password(password)


def check(user: User) -> None:
    """Raise ValidationError, by field, for a name or address that is taken or malformed, or an unknown role.

    The constraints would refuse what is taken as well, but by their own names.
    """
    for field in ("username", "email"):
        value = getattr(user, field)
        if value and User.objects.exclude(pk=user.pk).filter(**{f"{field}__iexact": value}).exists():
            raise ValidationError({field: "Another account has it already, in this or another case."})
    user.full_clean()


def save(user: User, *fields: str) -> None:
    """Save the person, or these fields. Raises what `check` raises, also where another was a moment faster."""
    check(user)
    try:
        with transaction.atomic():
            user.save(update_fields=fields or None)
    except IntegrityError:
        check(user)
        raise


def give_profile(user: User) -> None:
    """Every investor has a profile, also one who was something else before."""
    if user.role == Role.INVESTOR:
        InvestorProfile.objects.get_or_create(user=user)


def _change_email(user: User, email: str) -> tuple[str, str] | None:
    wanted = User.objects.normalize_email(email)
    if wanted == user.email:
        return None
    user.email = wanted
    return actions.USER_EMAIL_CHANGED, "E-mail address changed."


def _change_role(user: User, role: Role | str) -> tuple[str, str] | None:
    if role == user.role:
        return None
    before, user.role = user.role, role
    return actions.USER_ROLE_CHANGED, f"Role changed from {before} to {role}."


def _change_password(user: User, password: str) -> tuple[str, str] | None:
    if user.check_password(password):
        return None
    set_password(user, password)
    return actions.PASSWORD_CHANGED, "Password changed by an operator."
