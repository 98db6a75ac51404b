"""What stands still is set going again by an admin: from where it was, with a new clock, in its owner's queue."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.trail import Ref
from identity.models import User
from pipeline import lifecycle, places, storage
from pipeline.models import DocumentVersion, Status
from tests import factories
from tests.people import recorded
from tests.pipeline.test_races import at_once

ADA = Ref("user", "7")

pytestmark = pytest.mark.django_db


def change(version: DocumentVersion, **changes: Any) -> DocumentVersion:
    """Write it into the row."""
    DocumentVersion.objects.filter(pk=version.pk).update(**changes)
    return read(version)


def read(version: DocumentVersion) -> DocumentVersion:
    """As it stands in the database."""
    return DocumentVersion.objects.select_related("document").get(pk=version.pk)


def stuck(version: DocumentVersion) -> DocumentVersion:
    """Stands since an hour ago, as after six deaths of its worker."""
    return change(version, stuck_reason="Cut off.", stuck_at=ago(hours=1), attempts=6, waits_for="A scanner.")


def ago(**span: float) -> datetime:
    """So long ago."""
    return timezone.now() - timedelta(**span)


MADE: list[Callable[[User], DocumentVersion]] = [
    *(factories.begun, factories.received, factories.validated, factories.clean),
]


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.__name__)
def test_requeued_it_is_where_it_was_and_due_with_all_its_attempts(
    alice: User, made: Callable[[User], DocumentVersion]
) -> None:
    version = stuck(made(alice))
    lifecycle.requeue(version.pk, by=ADA)
    after = read(version)
    assert after.status == version.status
    assert (after.stuck_reason, after.stuck_at, after.attempts, after.waits_for) == ("", None, 0, "")
    assert after.due_at <= timezone.now()


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.__name__)
def test_the_clock_of_its_budget_begins_anew(alice: User, made: Callable[[User], DocumentVersion]) -> None:
    version = change(made(alice), late_at=ago(hours=1))
    assert lifecycle.give_up(version.pk) is not None
    after = lifecycle.requeue(version.pk, by=ADA)
    assert after.late_at is not None
    assert after.late_at > timezone.now() + timedelta(minutes=30)
    assert lifecycle.give_up(version.pk) is None


def test_it_goes_all_the_way_from_there(alice: User) -> None:
    version = stuck(factories.validated(alice))
    assert lifecycle.scan(version.pk) is None
    lifecycle.requeue(version.pk, by=ADA)
    assert lifecycle.scan(version.pk) is not None
    assert lifecycle.finalize(version.pk) is not None
    assert read(version).number == 1


def test_one_whose_check_had_not_begun_stands_in_its_owner_s_queue_again(alice: User, settings: Any) -> None:
    settings.OWNER_PLACES = 1
    first = stuck(factories.received(alice))
    second = factories.received(alice, name="Second")
    assert read(second).entered_at is not None
    lifecycle.requeue(first.pk, by=ADA)
    assert read(first).entered_at is None
    assert places.fill(alice.pk, now=timezone.now()) == []
    stuck(second)
    assert places.fill(alice.pk, now=timezone.now()) == [first]


def test_a_stuck_version_lets_later_ones_pass_and_requeued_takes_the_next_number(alice: User) -> None:
    first, second = stuck(factories.clean(alice)), factories.clean(alice)
    lifecycle.finalize(second.pk)
    assert (read(first).number, read(second).number) == (None, 1)
    lifecycle.requeue(first.pk, by=ADA)
    lifecycle.finalize(first.pk)
    third = factories.available(alice)
    assert [read(version).number for version in (second, first, third)] == [1, 2, 3]


def test_requeued_before_the_later_one_was_numbered_it_stands_before_it_again(alice: User) -> None:
    first, second = stuck(factories.clean(alice)), factories.clean(alice)
    lifecycle.requeue(first.pk, by=ADA)
    assert lifecycle.finalize(second.pk) is None
    assert read(second).waits_for == lifecycle.IN_LINE
    for version in (first, second):
        lifecycle.finalize(version.pk)
    assert [read(first).number, read(second).number] == [1, 2]


def test_a_late_one_can_be_requeued_though_it_waits_for_something(alice: User) -> None:
    version = change(factories.validated(alice), late_at=ago(hours=1), waits_for="A scanner.", waited_at=ago(minutes=1))
    lifecycle.requeue(version.pk, by=ADA)
    assert read(version).waits_for == ""
    (leaf,) = recorded("version.requeued")
    assert (leaf["facts"]["status"], leaf["facts"]["why"]) == ("validated", "late")


@pytest.mark.parametrize("made", [*MADE, factories.available], ids=lambda made: made.__name__)
def test_what_goes_its_way_or_has_ended_well_is_not_requeued(
    alice: User, made: Callable[[User], DocumentVersion]
) -> None:
    version = made(alice)
    before = DocumentVersion.objects.filter(pk=version.pk).values().get()
    with pytest.raises(lifecycle.NothingToRequeue):
        lifecycle.requeue(version.pk, by=ADA)
    assert DocumentVersion.objects.filter(pk=version.pk).values().get() == before
    assert recorded("version.requeued") == []


def test_bytes_of_the_vault_are_due_to_be_read_and_stay_closed(alice: User) -> None:
    version = change(factories.available(alice), stuck_reason="Another hash.", stuck_at=ago(hours=1), checked_at=ago())
    lifecycle.requeue(version.pk, by=ADA)
    after = read(version)
    assert (after.status, after.stuck_reason, after.checked_at) == (Status.AVAILABLE, "Another hash.", None)
    assert len(recorded("version.requeued")) == 1


def test_bytes_that_are_gone_make_it_stand_again(alice: User) -> None:
    version = stuck(factories.received(alice))
    storage.purge(version, storage.quarantined(version))
    lifecycle.requeue(version.pk, by=ADA)
    places.fill(alice.pk, now=timezone.now())
    lifecycle.validate(version.pk)
    assert read(version).stuck_reason == lifecycle.BYTES_GONE


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("changes", [{"stuck_reason": "Cut off."}, {"late_at": ago(hours=1)}], ids=["stuck", "late"])
def test_of_two_who_requeue_at_once_one_does_and_one_event_is_written(alice: User, changes: dict[str, Any]) -> None:
    version = change(factories.begun(alice), **changes)

    def one() -> int:
        try:
            lifecycle.requeue(version.pk, by=ADA)
        except lifecycle.NothingToRequeue:
            return 0
        return 1

    assert sum(at_once(one, one, one)) == 1
    assert len(recorded("version.requeued")) == 1
