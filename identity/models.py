"""People and their tokens. Users are made by `identity.accounts.create`, and by nothing else.

A user is never deleted, only made inactive: documents and events name users by their id. What a
role may do is in `identity.roles`; Django's groups and permissions are not used.
"""

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
    # Tokens and sessions from before this moment are void.
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

    @property
    def mfa_enabled(self) -> bool:
        """Whether a second factor is enrolled; there is none to enrol yet."""
        return False


class ApiToken(AbstractAuthToken):
    """A bearer token, of which only a SHA-512 digest is stored (knox)."""

    def __str__(self) -> str:
        return f"token of user {self.user_id}"
