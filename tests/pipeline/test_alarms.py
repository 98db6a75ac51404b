"""An alarm stands once, closes the version that it is about, and is over when it is no longer so."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from rest_framework.test import APIClient

from identity.models import User
from pipeline import alarms, reading
from pipeline.models import Alarm, DocumentVersion
from tests import factories
from tests.database_roles import WORKER, being
from tests.people import recorded, refusal
from tests.pipeline.test_races import at_once

pytestmark = pytest.mark.django_db

ALTERED, MISSING, STRAY = Alarm.Kind.ALTERED, Alarm.Kind.MISSING, Alarm.Kind.STRAY
LATER = timedelta(minutes=5)


def stand(
    version: DocumentVersion, kind: Alarm.Kind = ALTERED, words: str = "For a test.", now: datetime | None = None
) -> bool:
    """Raise an alarm of the version's object."""
    return alarms.stand(kind, version.vault_key, version, words, now=now)


def test_an_alarm_is_recorded_and_the_version_is_among_the_stuck(alice: User) -> None:
    version = factories.available(alice)
    assert stand(version)
    version.refresh_from_db()
    assert (version.stuck_reason, version.stuck_at is not None) == ("For a test.", True)
    assert list(DocumentVersion.objects.stuck()) == [version]
    [event] = recorded("alarm.raised")
    assert event["outcome"] == "failure"
    assert event["facts"] == {"kind": "altered", "key": version.vault_key, "why": "For a test."}
    assert event["object"]["uid"] == str(version.pk)
    assert event["subject"]["uid"] == str(alice.pk)


def test_seen_again_only_its_time_is_noted(alice: User) -> None:
    version, now = factories.available(alice), timezone.now()
    stand(version, now=now)
    assert not stand(version, words="Other words.", now=now + LATER)
    alarm = Alarm.objects.get()
    assert (alarm.raised_at, alarm.seen_at, alarm.words) == (now, now + LATER, "For a test.")
    assert len(recorded("alarm.raised")) == 1


def test_what_is_settled_is_open_again_and_may_be_raised_anew(alice: User) -> None:
    version = factories.available(alice)
    stand(version)
    assert alarms.settle(ALTERED, version.vault_key)
    assert not alarms.settle(ALTERED, version.vault_key)
    version.refresh_from_db()
    assert (version.stuck_reason, version.stuck_at) == ("", None)
    assert [event["facts"] for event in recorded("alarm.resolved")] == [{"kind": "altered", "key": version.vault_key}]
    assert stand(version)
    assert Alarm.objects.count() == 2


def test_a_version_stays_closed_until_no_alarm_stands_of_it(alice: User) -> None:
    version = factories.available(alice)
    stand(version, MISSING, "Missing.")
    stand(version, ALTERED, "Altered.")
    alarms.settle(ALTERED, version.vault_key)
    version.refresh_from_db()
    assert version.stuck_reason == "Missing."
    alarms.reopen(version)
    version.refresh_from_db()
    assert version.stuck_reason == "Missing."


def test_an_alarm_of_nobodys_object_closes_nothing(alice: User) -> None:
    version = factories.available(alice)
    assert alarms.stand(STRAY, version.vault_key, None, "Something lies beside it.")
    version.refresh_from_db()
    assert version.stuck_reason == ""
    [event] = recorded("alarm.raised")
    assert event["object"] == {"kind": "alarm", "uid": str(Alarm.objects.get().pk)}
    assert event.get("subject") is None


@pytest.mark.parametrize("key", ["documents/\0odd", "documents/" + "ü" * 500, "documents/x"])
def test_no_key_is_too_strange_to_be_told(key: str) -> None:
    assert alarms.stand(STRAY, key, None, "w" * 900)
    assert not alarms.stand(STRAY, key, None, "w" * 900)
    assert alarms.settle(STRAY, key)
    assert len(recorded("alarm.resolved")) == 1


def test_a_closed_version_is_not_downloaded(alice: User, ada: User, signed_in: Callable[[User], APIClient]) -> None:
    version = factories.available(alice)
    stand(version)
    for user in (alice, ada):  # not by an admin either
        answer = signed_in(user).get(f"/api/documents/{version.pk}/download/")
        assert refusal(answer) == (409, "withheld")
        with pytest.raises(reading.Withheld):
            reading.download(user, version.document_id)
    assert recorded("document.download_linked") == []
    alarms.settle(ALTERED, version.vault_key)
    assert signed_in(alice).get(f"/api/documents/{version.pk}/download/").status_code == 200


def test_an_earlier_version_of_the_document_is_given_out_all_the_same(alice: User) -> None:
    first, second = factories.available(alice), factories.available(alice)
    stand(second)
    assert reading.download(alice, first.pk)[0] == first


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_raises_it(alice: User) -> None:
    version = factories.available(alice)
    assert sorted(at_once(*[lambda: stand(version)] * 6)) == [False] * 5 + [True]
    assert Alarm.objects.count() == len(recorded("alarm.raised")) == 1
    assert sorted(at_once(*[lambda: alarms.settle(ALTERED, version.vault_key)] * 6)) == [False] * 5 + [True]
    assert len(recorded("alarm.resolved")) == 1


@pytest.mark.django_db(transaction=True)
def test_settling_one_kind_while_another_is_raised_leaves_no_version_open(alice: User) -> None:
    version = factories.available(alice)
    for _ in range(10):
        stand(version, MISSING)
        at_once(lambda: alarms.settle(MISSING, version.vault_key), lambda: stand(version, ALTERED))
        version.refresh_from_db()
        assert version.stuck_reason
        assert alarms.standing(version) == {"altered"}
        alarms.settle(ALTERED, version.vault_key)
    version.refresh_from_db()
    assert version.stuck_reason == ""


@pytest.mark.django_db(transaction=True)
def test_the_workers_role_may_raise_and_settle(alice: User) -> None:
    version = factories.available(alice)
    call_command("grant", verbosity=0)
    with being(WORKER):
        assert stand(version)
        assert alarms.settle(ALTERED, version.vault_key)
