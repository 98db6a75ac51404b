"""How many uploads an owner may have open, and how many bytes may come in a day."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from identity.models import User
from pipeline import lifecycle, quotas
from pipeline.models import Document, DocumentVersion, Status
from tests import factories

pytestmark = pytest.mark.django_db


def test_one_more_than_may_be_open_is_refused_and_leaves_nothing(alice: User, bob: User, settings: Any) -> None:
    settings.OPEN_UPLOADS_PER_OWNER = 2
    factories.begun(alice, name="A")
    factories.begun(alice, name="B")
    with pytest.raises(quotas.TooManyOpen) as refused:
        factories.begun(alice, name="C")
    assert 0 < refused.value.wait <= 300 + 900 + 1
    assert not Document.objects.filter(name="C").exists()
    factories.begun(bob, name="C")  # others have quotas of their own


def test_what_is_received_or_expired_is_open_no_more(alice: User, settings: Any) -> None:
    settings.OPEN_UPLOADS_PER_OWNER = 1
    factories.received(alice, name="A")
    gone = factories.begun(alice, name="B")
    DocumentVersion.objects.filter(pk=gone.pk).update(expires_at=timezone.now() - timedelta(days=1))
    lifecycle.expire(gone.pk)
    factories.begun(alice, name="C")


def test_more_bytes_than_a_day_takes_are_refused_until_the_oldest_are_a_day_old(alice: User, settings: Any) -> None:
    settings.BYTES_PER_DAY_PER_OWNER = 2 * len(factories.PDF)
    first = factories.begun(alice, name="A")
    factories.begun(alice, name="B")
    DocumentVersion.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(hours=23))
    with pytest.raises(quotas.DayFull) as refused:
        factories.begun(alice, name="C")
    assert 3500 < refused.value.wait <= 3600
    DocumentVersion.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(hours=25))
    factories.begun(alice, name="C")


def test_what_never_came_takes_no_room_of_the_day(alice: User, settings: Any) -> None:
    settings.BYTES_PER_DAY_PER_OWNER = len(factories.PDF)
    gone = factories.begun(alice, name="A")
    DocumentVersion.objects.filter(pk=gone.pk).update(expires_at=timezone.now() - timedelta(days=1))
    lifecycle.expire(gone.pk)
    assert DocumentVersion.objects.get(pk=gone.pk).status == Status.EXPIRED
    factories.begun(alice, name="B")


@pytest.mark.django_db(transaction=True)
def test_several_at_once_do_not_get_past_the_quota_together(alice: User, settings: Any) -> None:
    settings.OPEN_UPLOADS_PER_OWNER = 2
    start, refused = threading.Barrier(5), []

    def run(name: str) -> None:
        start.wait()
        try:
            factories.begun(alice, name=name)
        except quotas.TooManyOpen:
            refused.append(name)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[f"n{i}"]) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert DocumentVersion.objects.count() == 2
