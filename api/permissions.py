"""Who may enter which room; what they see inside is decided where it is looked up."""

from typing import Any

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from identity import roles
from identity.models import User


class ReadsTheLog(BasePermission):
    """Admins and auditors."""

    message = "Only admins and auditors may read this."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller's role is one of the two."""
        return roles.reads_the_log(request.user)


def caller(request: Request) -> User:
    """Return who calls. Raises NotAuthenticated (401) where nobody has signed in."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user
