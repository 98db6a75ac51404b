"""What is known to be away is not asked: when a breaker opens, and whom it lets through. Times are given."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from identity.models import User
from pipeline import breaker, faults, lifecycle, scanner, storage
from pipeline.breaker import FIRST, IN_A_ROW, LONGEST, Breakers
from pipeline.models import DocumentVersion, Status
from tests import factories

SCAN = ("storage", "scanner")


@pytest.fixture
def breakers() -> Breakers:
    """Those of a process that has just begun."""
    return Breakers()


def fail(breakers: Breakers, times: int = IN_A_ROW, *, now: float = 0.0, fault: faults.Fault = faults.SCANNER) -> None:
    """Let so many different versions meet a fault."""
    for number in range(times):
        breakers.failed(fault, of=number, now=now)


def opened(breakers: Breakers, *, now: float = 0.0) -> float:
    """Open it, and return for how long."""
    fail(breakers, now=now)
    shut = breakers.shut(SCAN, now=now)
    assert shut
    return shut.seconds


def test_it_opens_after_some_faults_in_a_row_and_says_what_is_away(breakers: Breakers) -> None:
    fail(breakers, IN_A_ROW - 1)
    assert breakers.shut(SCAN, now=0) is None
    breakers.failed(faults.SCANNER, of="one more", now=0)
    shut = breakers.shut(SCAN, now=0)
    assert shut
    assert shut.fault is faults.SCANNER
    assert 0 < shut.seconds <= FIRST


def test_what_does_not_need_it_goes_on(breakers: Breakers) -> None:
    opened(breakers)
    assert breakers.shut(["storage"], now=0) is None


def test_one_that_comes_through_in_between_shows_that_it_is_there(breakers: Breakers) -> None:
    for _ in range(5):
        fail(breakers, IN_A_ROW - 1)
        breakers.answered(SCAN)
    assert breakers.shut(SCAN, now=0) is None


def test_one_version_that_always_fails_opens_nothing(breakers: Breakers) -> None:
    for _ in range(50):
        breakers.failed(faults.SCANNER, of="poison", now=0)
    assert breakers.shut(SCAN, now=0) is None


def test_a_fault_of_the_version_s_own_bytes_opens_nothing(breakers: Breakers) -> None:
    fail(breakers, 50, fault=faults.DIFFERS)
    assert breakers.shut(SCAN, now=0) is None


def test_after_a_while_one_is_let_through_and_nobody_else(breakers: Breakers) -> None:
    wait = opened(breakers)
    assert breakers.shut(SCAN, now=wait - 0.01)
    assert breakers.shut(SCAN, now=wait) is None
    assert breakers.shut(SCAN, now=wait)


def test_a_trial_that_comes_through_closes_it(breakers: Breakers) -> None:
    wait = opened(breakers)
    assert breakers.shut(SCAN, now=wait) is None
    breakers.answered(SCAN)
    assert breakers.shut(SCAN, now=wait) is None
    fail(breakers, IN_A_ROW - 1)
    assert breakers.shut(SCAN, now=wait) is None  # it counts from the beginning


def test_each_trial_that_fails_doubles_the_wait_up_to_a_bound(breakers: Breakers) -> None:
    now, waits = 0.0, [opened(breakers)]
    for number in range(8):
        now += waits[-1]
        assert breakers.shut(SCAN, now=now) is None
        breakers.failed(faults.SCANNER, of=number, now=now)
        shut = breakers.shut(SCAN, now=now)
        assert shut
        waits.append(shut.seconds)
    for wait, whole in zip(waits, [1, 2, 4, 8, 15, 15, 15, 15, 15], strict=True):
        assert 0.75 * whole <= wait <= whole
    assert max(waits) <= LONGEST


def test_no_two_processes_come_back_at_the_same_moment() -> None:
    assert len({opened(Breakers()) for _ in range(20)}) == 20


def test_those_that_began_before_it_opened_say_nothing_new(breakers: Breakers) -> None:
    wait = opened(breakers)
    fail(breakers, 20, now=wait / 2)
    assert breakers.shut(SCAN, now=wait) is None


def test_a_trial_that_nothing_is_heard_of_is_over_in_time(breakers: Breakers) -> None:
    wait = opened(breakers)
    assert breakers.shut(SCAN, now=wait) is None
    assert breakers.shut(SCAN, now=wait + FIRST / 2)
    assert breakers.shut(SCAN, now=wait + FIRST) is None


@pytest.mark.parametrize(
    "come_to_nothing",
    [
        lambda breakers, now: breakers.unsaid(SCAN, now=now),
        lambda breakers, now: breakers.failed(faults.DIFFERS, of="poison", now=now),
    ],
    ids=["nothing to do", "the version's own fault"],
)
def test_a_trial_that_comes_to_nothing_is_given_to_the_next(breakers: Breakers, come_to_nothing: Any) -> None:
    fail(breakers, fault=faults.STORAGE)
    assert breakers.shut(SCAN, now=FIRST) is None
    come_to_nothing(breakers, FIRST)
    assert breakers.shut(SCAN, now=FIRST) is None


def test_of_two_that_are_away_the_one_that_takes_longer_is_named(breakers: Breakers) -> None:
    fail(breakers, now=0.0, fault=faults.STORAGE)
    fail(breakers, now=0.9)
    shut = breakers.shut(SCAN, now=0.95)
    assert shut
    assert shut.fault is faults.SCANNER
    assert breakers.shut(SCAN, now=1.5)  # the storage may be tried, the scanner not yet: nobody is on trial
    assert breakers.shut(["storage"], now=1.5) is None


# --- where it stands in a version's life -----------------------------------------------------------
@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[DocumentVersion]:
    """Whose bytes were asked for."""
    seen: list[DocumentVersion] = []
    real = storage.stream

    def stream(version: DocumentVersion) -> Iterator[bytes]:
        seen.append(version)
        return real(version)

    monkeypatch.setattr(storage, "stream", stream)
    return seen


CASES = [
    (lifecycle.validate, factories.received, faults.STORAGE),
    (lifecycle.validate, factories.received, faults.SANDBOX),
    (lifecycle.validate, factories.received, faults.DISK),
    (lifecycle.scan, factories.validated, faults.STORAGE),
    (lifecycle.scan, factories.validated, faults.SCANNER),
    (lifecycle.finalize, factories.clean, faults.STORAGE),
]


@pytest.mark.parametrize(
    ("step", "before", "fault"), CASES, ids=[f"{step.__name__}-{fault.dependency}" for step, _, fault in CASES]
)
def test_a_step_that_needs_what_is_away_is_not_begun_and_says_so(
    alice: User,
    bytes_read: list[Any],
    step: Callable[..., Any],
    before: Callable[..., DocumentVersion],
    fault: faults.Fault,
) -> None:
    version = before(alice)
    bytes_read.clear()
    fail(breaker.process, fault=fault, now=time.monotonic())
    assert step(version.pk) is None  # no fault is raised: nobody tries it again at once
    now = timezone.now()
    version.refresh_from_db()
    assert (bytes_read, version.attempts, version.waits_for) == ([], 0, fault.words)
    assert version.waited_at
    assert version.waited_at <= now < version.due_at  # the reconciler nudges it when it may be tried
    assert (version.due_at - now).total_seconds() <= LONGEST

    breaker.process.forget()
    moved = step(version.pk)
    assert moved
    assert moved.waits_for == ""


def test_after_three_versions_a_dead_scanner_is_not_asked_by_a_fourth(
    alice: User, bytes_read: list[Any], settings: Any
) -> None:
    versions = [factories.validated(alice, name=f"n{number}") for number in range(IN_A_ROW + 1)]
    address, settings.CLAMD_ADDRESS = settings.CLAMD_ADDRESS, "tcp://127.0.0.1:9"
    for version in versions[:-1]:
        with pytest.raises(scanner.Unavailable):
            lifecycle.scan(version.pk)
    assert lifecycle.scan(versions[-1].pk) is None

    settings.CLAMD_ADDRESS = address
    assert lifecycle.scan(versions[-1].pk) is None  # not yet
    breaker.process.forget()
    fail(breaker.process, now=time.monotonic() - LONGEST)
    for version in versions:  # the first is the trial, and shows the others the way
        moved = lifecycle.scan(version.pk)
        assert moved
        assert moved.status == Status.CLEAN


def test_a_poison_version_holds_up_no_other(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    poison = factories.validated(alice, name="Poison")
    real = storage.stream

    def stream(version: DocumentVersion) -> Iterator[bytes]:
        if version.pk == poison.pk:
            raise scanner.Unavailable("whoever looks at this fails")
        return real(version)

    monkeypatch.setattr(storage, "stream", stream)
    for number in range(5):
        good = factories.validated(alice, name=f"n{number}")
        for _ in range(4):
            with pytest.raises(scanner.Unavailable):
                lifecycle.scan(poison.pk)
        assert lifecycle.scan(good.pk)
        assert lifecycle.finalize(good.pk)
    poison.refresh_from_db()
    assert (poison.status, poison.attempts, poison.stuck_reason) == (Status.VALIDATED, 0, "")
    assert poison.waits_for == faults.SCANNER.words
