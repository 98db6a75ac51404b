"""Two people: what one admin asks for, another must allow, and the two must be two.

Neither may have made, promoted or MFA-reset the other within the last week, else one person could
be both (DESIGN: "two people always means"). Who has no admin above them (the first, made by an
operator's command) has no such act on record and passes.
"""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q, QuerySet

from identity import roles
from identity.models import AdminAct, User

WEEK: Final = timedelta(days=7)


class NotASecondPerson(Exception):
    """This takes a second admin, whom the first has not made, promoted or MFA-reset within the last 7 days."""


def demand(asker: User, approver: User, *, now: datetime) -> None:
    """Raise NotASecondPerson unless the two may decide this together."""
    independent = asker.pk != approver.pk and not _acted(asker, approver, now).exists()
    if not (roles.is_admin(asker) and roles.is_admin(approver) and independent):
        raise NotASecondPerson


def remember(admin: User, kind: AdminAct.Kind, user: User, *, now: datetime) -> None:
    """Note an act that makes one dependent on the other for a week."""
    AdminAct.objects.create(admin=admin, user=user, kind=kind, at=now)


def _acted(one: User, other: User, now: datetime) -> QuerySet[AdminAct]:
    between = Q(admin=one, user=other) | Q(admin=other, user=one)
    return AdminAct.objects.filter(between, at__gt=now - WEEK)
