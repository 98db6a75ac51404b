"""Who may have a person's values in the log erased: two admins, of somebody whose account is deactivated.

What an erasure is, and that an operator executes it, stands in audit.erasure.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from audit import erasure
from audit.models import Erasure
from identity import two_people
from identity.accounts import ref
from identity.acts import OnYourself
from identity.models import User


class StillActive(Exception):
    """Deactivate the account first: whoever still signs in would leave new values at once."""


class NoSuchPerson(Exception):
    """There is no such account."""


def requests() -> QuerySet[Erasure]:
    """Every request."""
    return Erasure.objects.all()


def ask(admin: User, user_id: int, *, reason: str, now: datetime) -> Erasure:
    """Ask that somebody's values be erased. Raises NoSuchPerson, OnYourself, StillActive, AlreadyAsked."""
    with transaction.atomic():
        user = _locked(admin, user_id)
        return erasure.ask(ref(user), reason=reason, by=ref(admin), now=now)


def decide(admin: User, id: UUID, *, approve: bool, now: datetime) -> Erasure:
    """Say yes or no to what was asked for.

    Yes takes a second admin (identity.two_people); no may say whoever is an admin, also the one who asked. Raises
    NoSuchErasure, OnYourself, and to a yes NotASecondPerson and StillActive.
    """
    with transaction.atomic():
        asked = erasure.open_request(id)
        if ref(admin) == erasure.of(asked):
            raise OnYourself
        if approve:
            asker = _locked(admin, id_of(asked.person), also=id_of(asked.requested_by))
            two_people.demand(asker, admin, now=now)
        return erasure.decide(asked, approve=approve, by=ref(admin), now=now)


def _locked(admin: User, user_id: int, *, also: int | None = None) -> User:
    """Lock everybody concerned, all in one order, as identity.acts does; return the person, or `also` if given.

    Raises NoSuchPerson, OnYourself, StillActive.
    """
    if admin.pk == user_id:
        raise OnYourself
    concerned = User.objects.select_for_update(no_key=True).filter(pk__in=[admin.pk, user_id, also or user_id])
    people = {user.pk: user for user in concerned.order_by("pk")}
    if user_id not in people:
        raise NoSuchPerson
    if people[user_id].is_active:
        raise StillActive
    return people[also or user_id]


def id_of(name: str) -> int:
    """The id in "user:12"; people are never deleted, so it is somebody's."""
    return int(name.partition(":")[2])
