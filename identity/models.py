"""People and their tokens. Users are made by `identity.accounts.create`, and by nothing else.

A user is never deleted, only made inactive: documents and events name users by their id. What a
role may do is in `identity.roles`; Django's groups and permissions are not used.
"""

import uuid
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import ASCIIUsernameValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from knox.models import AbstractAuthToken


class Role(models.TextChoices):
    """What somebody is to the house. Everybody has exactly one."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    INVESTOR = "investor"


class UserManager(BaseUserManager["User"]):
    """Finds users by name, and lets Django's commands make them by our own rules."""

    def named(self, username: str) -> "User | None":
        """The user of this name, in whatever case it is written."""
        lower = Lower(models.Value(username))
        return self.alias(lower=Lower("username")).filter(lower=lower).first()

    def get_by_natural_key(self, username: str | None) -> "User":
        """As Django's sign-in asks for one: DoesNotExist if there is none."""
        if user := self.named(username or ""):
            return user
        raise self.model.DoesNotExist

    def create_user(
        self,
        username: str,
        email: str = "",
        password: str | None = None,
        *,
        role: Role = Role.INVESTOR,
    ) -> "User":
        """Make a user as the system; see `accounts.create`."""
        from identity import accounts  # it needs the models of this file

        return accounts.create(
            username=username,
            email=email,
            password=password,
            role=role,
            actor=accounts.SYSTEM,
        )

    def create_superuser(self, username: str, email: str = "", password: str | None = None) -> "User":
        """Make an admin (`manage.py createsuperuser`)."""
        return self.create_user(username, email, password, role=Role.ADMIN)


class User(AbstractBaseUser):
    """Somebody who can sign in. The role is the one truth: `is_staff` follows from it."""

    id = models.BigAutoField(primary_key=True)
    # ASCII only: two names that look alike in different alphabets would be two people.
    username = models.CharField(max_length=150, validators=[ASCIIUsernameValidator()])
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=10, choices=Role.choices)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)
    # A token or session that carries another value is void. Moved on by a trigger in the database
    # (0003_security_epoch) whenever password, e-mail, role, activity or second factor changes.
    security_epoch = models.DateTimeField(default=timezone.now)
    must_change_password = models.BooleanField(default=False)
    initial_secret_expires_at = models.DateTimeField(null=True, blank=True)

    objects = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email"]

    class Meta:
        constraints = [
            # The plain one is implied by the next; Django's check wants to see it.
            models.UniqueConstraint(fields=["username"], name="identity_user_username"),
            models.UniqueConstraint(Lower("username"), name="identity_user_username_any_case"),
            models.UniqueConstraint(
                Lower("email"),
                condition=~models.Q(email=""),
                name="identity_user_email_any_case",
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values),
                name="identity_user_role_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(username__regex=r"^[A-Za-z0-9_.@+-]+$"),
                name="identity_user_username_is_ascii",
            ),
        ]

    @property
    def is_staff(self) -> bool:
        """Whether the Django admin is for them."""
        return self.role == Role.ADMIN

    @property
    def is_superuser(self) -> bool:
        """Nobody is: there is no flag that is above the role."""
        return False

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Django admin's question. Each ModelAdmin narrows it; none lets rows be changed freely."""
        return self.is_active and self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        """As `has_perm`."""
        return self.is_active and self.is_staff


class InvestorProfile(models.Model):
    """What is known of an investor beyond the account. Every investor has one."""

    id = models.BigAutoField(primary_key=True)
    user = models.OneToOneField(User, on_delete=models.PROTECT, related_name="profile")
    phone = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"profile of user {self.user_id}"


class TokenKind(models.TextChoices):
    """What a token is good for."""

    SESSION = "session"  # came of both factors
    ENROL = "enrol"  # came of a password alone: opens nothing but the enrolment of a second factor


class ApiToken(AbstractAuthToken):
    """A bearer token, of which only a SHA-512 digest is stored (knox).

    It lives until `expiry`, whatever happens, and as long as it is used; and it is void as soon as
    its `epoch` is no longer its person's `security_epoch`.
    """

    id = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)  # how people name it
    kind = models.CharField(max_length=7, choices=TokenKind.choices)
    epoch = models.DateTimeField()
    auth_time = models.DateTimeField()
    mfa_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField()
    ip = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = "API token"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="enrol") | models.Q(kind="session", mfa_at__isnull=False),
                name="identity_apitoken_session_has_both_factors",
            ),
        ]

    def __str__(self) -> str:
        return f"token of user {self.user_id}"


class MfaDevice(models.Model):
    """The authenticator app of a person. Only a confirmed one counts."""

    user = models.OneToOneField(User, on_delete=models.PROTECT, primary_key=True, related_name="mfa_device")
    secret = models.BinaryField()  # sealed, see identity.mfa
    key_id = models.CharField(max_length=16)  # which key of the ring sealed it
    setup_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_step = models.BigIntegerField(default=-1)  # RFC 6238 time step that was spent last
    disabled_at = models.DateTimeField(null=True, blank=True)  # too many wrong codes; an admin unlocks it

    class Meta:
        verbose_name = "second factor"

    def __str__(self) -> str:
        return f"second factor of user {self.user_id}"


class BackupCode(models.Model):
    """One of ten codes for the day the phone is lost. The selector finds it, the hash proves it."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="backup_codes")
    selector = models.CharField(max_length=2)
    code_hash = models.CharField(max_length=128)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "selector"], name="identity_backupcode_selector"),
        ]

    def __str__(self) -> str:
        return f"backup code of user {self.user_id}"


class Attempts(models.Model):
    """How often something was tried in vain under one key, and from when it may be tried again."""

    key = models.CharField(max_length=120, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True, blank=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "attempts"

    def __str__(self) -> str:
        return self.key


class Mail(models.Model):
    """A mail to send. It holds no secret: links are minted when it is sent (identity.mail)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="mails")
    kind = models.CharField(max_length=40)
    address = models.EmailField(blank=True)  # where it goes if not to the person's present address
    facts = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    dropped_at = models.DateTimeField(null=True, blank=True)  # given up, or nobody to send it to

    class Meta:
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(sent_at=None, dropped_at=None),
                name="identity_mail_unsent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to user {self.user_id}"


class AdminAct(models.Model):
    """An admin made, promoted or MFA-reset somebody: for a week each cannot be the other's second person."""

    class Kind(models.TextChoices):
        """What was done."""

        CREATED = "created"
        PROMOTED = "promoted"
        MFA_RESET = "mfa_reset"

    id = models.BigAutoField(primary_key=True)
    admin = models.ForeignKey(User, on_delete=models.PROTECT, related_name="acts")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="acted_on")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["user", "admin", "at"], name="identity_adminact_between")]

    def __str__(self) -> str:
        return f"user {self.user_id} {self.kind} by {self.admin_id}"


class RoleRequest(models.Model):
    """One admin asks that somebody become an admin; another says yes or no."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="role_requests")
    reason = models.CharField(max_length=500)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    granted = models.BooleanField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(decided_at=None), name="identity_rolerequest_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(decided_by=None) | ~models.Q(decided_by=models.F("requested_by")),
                name="identity_rolerequest_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"admin role for user {self.user_id}"
