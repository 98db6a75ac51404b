"""Each status may last so long: what has lasted longer stands with a reason, or is late because of one."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from identity.models import User
from pipeline import lifecycle, stalled
from pipeline.models import DocumentVersion, Status
from tests import factories
from tests.people import recorded

pytestmark = pytest.mark.django_db

Made = Callable[[User], DocumentVersion]
MADE: dict[Status, Made] = {
    Status.PENDING: factories.begun,
    Status.RECEIVED: factories.received,
    Status.VALIDATED: factories.validated,
    Status.CLEAN: factories.clean,
}
each_status = pytest.mark.parametrize("status", MADE)


def of_age(owner: User, status: Status, **changes: Any) -> DocumentVersion:
    """One whose status has lasted a minute longer than it may."""
    version = MADE[status](owner)
    now = timezone.now()
    said = {"status_at": now - timedelta(hours=7), "late_at": now - timedelta(minutes=1), **changes}
    DocumentVersion.objects.filter(pk=version.pk).update(**said)
    version.refresh_from_db()
    return version


def listed(kind: str) -> list[Any]:
    """What stands of that kind."""
    return [entry.version.pk for entry in stalled.everything(stalled.Asked(kind)) if entry.version]


@each_status
def test_each_status_begins_with_its_own_budget(alice: User, status: Status) -> None:
    version = MADE[status](alice)
    version.refresh_from_db()
    grace = timedelta(seconds=settings.EXPIRE_GRACE_SECONDS)
    begins = version.expires_at + grace if status == Status.PENDING else version.status_at
    assert version.late_at is not None
    assert abs(version.late_at - begins - timedelta(seconds=settings.STATUS_BUDGETS[status])) < timedelta(seconds=5)


def test_what_has_ended_has_none(alice: User) -> None:
    assert factories.available(alice).late_at is None


@each_status
def test_over_its_budget_without_hindrance_it_stands_with_words(alice: User, status: Status) -> None:
    version = of_age(alice, status)
    assert lifecycle.give_up(version.pk) is not None
    version.refresh_from_db()
    assert version.status == status
    assert version.stuck_reason.startswith(f"It has been {status.value} since ")
    assert lifecycle.NOBODY in version.stuck_reason
    assert version.stuck_at is not None
    (leaf,) = recorded("version.stuck")
    assert (leaf["outcome"], leaf["facts"]["status"]) == ("failure", status.value)
    assert (listed(stalled.STUCK), listed(stalled.LATE)) == ([version.pk], [])


@each_status
def test_hindered_lately_it_is_late_and_goes_on_by_itself(alice: User, status: Status) -> None:
    version = of_age(alice, status, waits_for="The scanner is away.", waited_at=timezone.now() - timedelta(minutes=1))
    assert lifecycle.give_up(version.pk) is None
    version.refresh_from_db()
    assert version.stuck_reason == ""
    assert (listed(stalled.STUCK), listed(stalled.LATE)) == ([], [version.pk])


def test_hindered_long_ago_it_is_given_up(alice: User) -> None:
    long_ago = timezone.now() - lifecycle.HINDERED_LATELY - timedelta(seconds=1)
    version = of_age(alice, Status.VALIDATED, waits_for="The scanner is away.", waited_at=long_ago)
    assert lifecycle.give_up(version.pk) is not None


@each_status
def test_within_its_budget_it_is_neither(alice: User, status: Status) -> None:
    version = of_age(alice, status, late_at=timezone.now() + timedelta(minutes=1))
    assert lifecycle.give_up(version.pk) is None
    assert (listed(stalled.STUCK), listed(stalled.LATE)) == ([], [])


def test_given_up_twice_is_once(alice: User) -> None:
    version = of_age(alice, Status.VALIDATED)
    assert lifecycle.give_up(version.pk) is not None
    assert lifecycle.give_up(version.pk) is None
    assert len(recorded("version.stuck")) == 1


def test_one_that_moved_meanwhile_is_not_given_up(alice: User) -> None:
    version = of_age(alice, Status.VALIDATED)
    assert lifecycle.scan(version.pk) is not None
    assert lifecycle.give_up(version.pk) is None


def test_a_version_given_up_lets_later_ones_of_its_document_pass(alice: User) -> None:
    first = of_age(alice, Status.VALIDATED)
    second = factories.clean(alice)
    assert lifecycle.finalize(second.pk) is None
    lifecycle.give_up(first.pk)
    assert lifecycle.finalize(second.pk) is not None
    second.refresh_from_db()
    assert second.number == 1


def test_the_longest_late_are_given_up_first(alice: User) -> None:
    now = timezone.now()
    ages = {n: of_age(alice, Status.PENDING, late_at=now - timedelta(minutes=n)).pk for n in (1, 3, 2)}
    assert list(lifecycle.forsaken(now).values_list("pk", flat=True)) == [ages[3], ages[2], ages[1]]


def test_the_oldest_of_each_status_and_what_stands_are_told_together(alice: User) -> None:
    now = timezone.now()
    begun = of_age(alice, Status.PENDING)
    of_age(alice, Status.VALIDATED, waits_for="A scanner.", waited_at=now)
    lifecycle.give_up(begun.pk)
    told = stalled.summary(now)
    ages = {status: seconds // 3600 for status, seconds in told.pop("oldest_seconds").items()}
    assert ages == {"pending": 0, "received": 0, "validated": 7, "clean": 0}
    assert told == {"stuck": 1, "late": 1, "waiting_for_place": 0, "alarms": 0}


def test_counts_go_no_further_than_they_need_to(alice: User) -> None:
    for i in range(3):
        version = factories.begun(alice, name=f"n{i}")
        DocumentVersion.objects.filter(pk=version.pk).update(stuck_reason="For a test.")
    assert stalled.summary(timezone.now(), most=2)["stuck"] == 2
