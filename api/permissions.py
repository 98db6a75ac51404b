"""Who may enter which room; what they see inside is decided where it is looked up.

`Verified` is the default of every view: nothing answers without a second factor unless its view says so.
"""

from typing import Any

from django.utils import timezone
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from identity import accounts, roles, tokens
from identity.models import ApiToken, TokenKind, User


class MfaSetupRequired(PermissionDenied):
    """The token came of a password alone."""

    default_detail = "Set up a second factor first: POST /api/investors/mfa/setup/, then /api/investors/mfa/verify/."
    default_code = "mfa_setup_required"


class PasswordChangeRequired(PermissionDenied):
    """The password was set by somebody else."""

    default_detail = "Change the password that you were given first: POST /api/auth/password/change/."
    default_code = "password_change_required"


class AdminOnly(PermissionDenied):
    """The caller's role is another."""

    default_detail = "Only admins may do this."
    default_code = "admin_only"


class StepUpRequired(PermissionDenied):
    """The second factor was shown too long ago (ASVS 7.5.1, 7.5.3)."""

    default_detail = "Confirm that it is you: sign in again, or post a fresh code to /api/auth/step-up/."
    default_code = "step_up_required"


class SignedIn(BasePermission):
    """Anybody with a living token, also one that came of a password alone."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether a token came with the request; no: 401."""
        return isinstance(request.auth, ApiToken)


class Verified(SignedIn):
    """Both factors were shown, and the password is the person's own (ASVS 6.3.3, 6.4.1)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether it is so; raises what says which step is missing."""
        if not super().has_permission(request, view):
            return False
        if token(request).kind != TokenKind.SESSION:
            raise MfaSetupRequired
        if accounts.owes_a_password(caller(request)):
            raise PasswordChangeRequired
        return True


class BringsDocuments(Verified):
    """Everybody looks; whoever is no auditor also uploads."""

    message = "Auditors read. They bring no documents in."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the call only looks, or the caller's role uploads."""
        return super().has_permission(request, view) and (request.method in SAFE_METHODS or roles.uploads(request.user))


class ReadsTheLog(Verified):
    """Admins and auditors."""

    message = "Only admins and auditors may read this."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller's role is one of the two."""
        return super().has_permission(request, view) and roles.reads_the_log(request.user)


class IsAdmin(Verified):
    """Admins."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller is one; raises AdminOnly."""
        if not super().has_permission(request, view):
            return False
        if not roles.is_admin(request.user):
            raise AdminOnly
        return True


class ActsAsAdmin(IsAdmin):
    """Admins who have shown their second factor within the last 15 minutes."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether it is so; raises StepUpRequired."""
        if not super().has_permission(request, view):
            return False
        if not tokens.stepped_up(token(request), now=timezone.now()):
            raise StepUpRequired
        return True


def caller(request: Request) -> User:
    """Return who calls. Raises NotAuthenticated (401) where nobody has signed in."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def token(request: Request) -> ApiToken:
    """Return the token that came with the request. Raises NotAuthenticated (401) where none has."""
    if not isinstance(request.auth, ApiToken):
        raise NotAuthenticated
    return request.auth
