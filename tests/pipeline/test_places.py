"""At most OWNER_PLACES versions of one owner are checked at once; the others stand in `received` and follow."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from identity.models import User
from pipeline import lifecycle, places
from pipeline.models import DocumentVersion, Status
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def two_places(settings: Any) -> None:
    """So that a third one waits."""
    settings.OWNER_PLACES = 2


def fill(owner: User) -> list[DocumentVersion]:
    """Give the owner's free places."""
    return places.fill(owner.pk, now=timezone.now())


def test_those_who_find_no_place_stand_received_and_are_not_checked(alice: User) -> None:
    first, second, third = (factories.received(alice, name=f"n{i}") for i in range(3))
    assert [version.entered_at is not None for version in (first, second, third)] == [True, True, False]
    assert lifecycle.validate(third.pk) is None
    third.refresh_from_db()
    assert (third.status, third.attempts) == (Status.RECEIVED, 0)


def test_one_owner_s_crowd_takes_no_place_of_another_s(alice: User, bob: User) -> None:
    for i in range(4):
        factories.received(alice, name=f"n{i}")
    assert factories.received(bob).entered_at is not None


@pytest.mark.parametrize("body", [factories.PDF, b"\x7fELF" + b"\0" * 50], ids=["available", "rejected"])
def test_a_place_is_free_again_when_its_version_has_ended(alice: User, body: bytes) -> None:
    first = factories.received(alice, body)
    factories.received(alice, name="Second")
    third, fourth = factories.received(alice, name="Third"), factories.received(alice, name="Fourth")
    assert fill(alice) == []
    for step in (lifecycle.validate, lifecycle.scan, lifecycle.finalize):
        step(first.pk)
    assert fill(alice) == [third]
    assert fill(alice) == []
    fourth.refresh_from_db()
    assert fourth.entered_at is None


def test_a_stuck_version_holds_no_place(alice: User) -> None:
    first = factories.received(alice)
    factories.received(alice, name="Second")
    third = factories.received(alice, name="Third")
    DocumentVersion.objects.filter(pk=first.pk).update(stuck_reason="for a test")
    assert fill(alice) == [third]


def test_who_comes_while_others_wait_stands_behind_them(alice: User) -> None:
    versions = [factories.received(alice, name=f"n{i}") for i in range(3)]
    DocumentVersion.objects.filter(pk=versions[0].pk).update(stuck_reason="for a test")
    late = factories.received(alice, name="Late")
    assert late.entered_at is None
    assert fill(alice) == [versions[2]]


def test_places_are_given_in_the_order_of_arrival_even_if_a_clock_goes_back(alice: User) -> None:
    factories.received(alice, name="A")
    factories.received(alice, name="B")
    earlier = factories.begun(alice, name="Same")
    factories.send(earlier).raise_for_status()
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):  # a machine whose clock is ahead
        ahead = lifecycle.receive(earlier.pk)
    later = factories.received(alice, name="Same")
    assert ahead is not None
    assert ahead.received_at is not None
    assert later.received_at is not None
    assert later.received_at >= ahead.received_at


def test_the_clock_of_its_budget_begins_with_the_place(alice: User) -> None:
    factories.received(alice, name="A")
    first = factories.received(alice, name="B")
    third = factories.received(alice, name="C")
    DocumentVersion.objects.filter(pk=third.pk).update(late_at=timezone.now() - timedelta(days=1))
    assert not lifecycle.forsaken(timezone.now()).exists()
    DocumentVersion.objects.filter(pk=first.pk).update(stuck_reason="for a test")
    (entered,) = fill(alice)
    entered.refresh_from_db()
    assert entered.late_at is not None
    assert entered.late_at > timezone.now()


def test_the_owners_of_those_who_wait_are_found_also_of_an_older_release_s(alice: User, bob: User) -> None:
    for i in range(3):
        factories.received(alice, name=f"n{i}")
    old = factories.received(bob)
    DocumentVersion.objects.filter(pk=old.pk).update(owner=None, entered_at=None)
    assert sorted(places.queues()) == sorted([alice.pk, bob.pk])
    assert fill(bob) == [old]


@pytest.mark.django_db(transaction=True)
def test_many_who_fill_at_once_give_no_place_twice(alice: User) -> None:
    for i in range(6):
        factories.received(alice, name=f"n{i}")
    DocumentVersion.objects.filter(entered_at__isnull=False).update(stuck_reason="for a test")
    given: list[DocumentVersion] = []
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        given.extend(fill(alice))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 2
    assert DocumentVersion.objects.in_place(alice.pk).count() == 2


@pytest.mark.django_db(transaction=True)
def test_many_who_are_received_at_once_take_no_more_than_the_places(alice: User) -> None:
    versions = [factories.begun(alice, name=f"n{i}") for i in range(5)]
    for version in versions:
        factories.send(version).raise_for_status()
    start = threading.Barrier(5)

    def run(version: DocumentVersion) -> None:
        start.wait()
        lifecycle.receive(version.pk)
        connection.close()

    threads = [threading.Thread(target=run, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert DocumentVersion.objects.filter(status=Status.RECEIVED).count() == 5
    assert DocumentVersion.objects.in_place(alice.pk).count() == 2
