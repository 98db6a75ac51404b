"""What has ended is deleted, and what still counts is kept."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from identity import housekeeping
from identity.models import ApiToken, Attempts, User
from tests import factories

pytestmark = pytest.mark.django_db


def test_the_ended_goes_and_the_living_stays(alice: User) -> None:
    now = timezone.now()
    old, recent = now - timedelta(days=31), now - timedelta(days=29)
    factories.token(alice)
    dead = factories.token(alice).token
    ApiToken.objects.filter(pk=dead.pk).update(expiry=now - timedelta(days=2))
    Session.objects.create(session_key="dead", expire_date=now - timedelta(days=2))
    Session.objects.create(session_key="living", expire_date=now + timedelta(hours=1))
    for key, last_at, succeeded_at in (("a", old, None), ("b", recent, None), ("c", old, recent), ("d", old, old)):
        Attempts.objects.create(key=key, last_at=last_at, succeeded_at=succeeded_at)
    assert housekeeping.forget(now) == 4
    assert housekeeping.forget(now) == 0
    assert [row.session_key for row in Session.objects.all()] == ["living"]
    assert sorted(Attempts.objects.values_list("key", flat=True)) == ["b", "c"]
    assert ApiToken.objects.count() == 1
