"""How long a token or session may live, and how long unused (SP 800-63B-4 2.2.3)."""

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from identity.models import Role, TokenKind, User

ENROL: Final = timedelta(minutes=15)


def absolute(user: User) -> timedelta:
    """How long at most, whatever happens. Whoever sees more than their own has less time."""
    investor = user.role == Role.INVESTOR
    return timedelta(hours=settings.INVESTOR_SESSION_HOURS if investor else settings.ADMIN_SESSION_HOURS)


def idle(user: User) -> timedelta:
    """How long unused."""
    investor = user.role == Role.INVESTOR
    return timedelta(minutes=settings.INVESTOR_IDLE_MINUTES if investor else settings.ADMIN_IDLE_MINUTES)


def end_of(user: User, kind: TokenKind, begun: datetime) -> datetime:
    """When a token of this kind ends that began at this moment."""
    return begun + (ENROL if kind == TokenKind.ENROL else absolute(user))
