"""Finding events: nothing that a window holds is missed, whatever the order in which events came."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import growth, leaf, reading, sequencer
from audit.models import Batch, Event, Outbox

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 1, tzinfo=UTC)
LATER = START + timedelta(days=10)


def append(times: Sequence[datetime]) -> None:
    """Events that occurred then, in this order."""
    first = Event.objects.count()
    text = leaf.canonical({"details": "", "facts": {}})
    common = {"sequenced_at": LATER, "object": "version:x", "outcome": "success", "leaf": text, "leaf_hash": bytes(32)}
    Event.objects.bulk_create(
        Event(seq=seq, occurred_at=at, actor=f"user:{seq % 3}", action="document.read", **common)
        for seq, at in enumerate(times, start=first)
    )
    growth.span(first, times)


def minutes(*numbers: float) -> list[datetime]:
    """Moments, so many minutes after the start."""
    return [START + timedelta(minutes=each) for each in numbers]


def places(since: datetime | None = None, until: datetime | None = None) -> set[int]:
    """Where the events of the window stand."""
    return set(reading.events(since=since, until=until).values_list("seq", flat=True))


def pages(limit: int, **asked: Any) -> list[int]:
    """Where the events stand that are asked for, read page by page."""
    found: list[int] = []
    while page := reading.newest(before=found[-1] if found else None, limit=limit, **asked):
        found += [each.seq for each in page]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_window_misses_nothing_in_whatever_order_events_came(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "BATCH_EVENTS", 7)
    chance, times = random.Random(seed), list[datetime]()
    while len(times) < 200:
        run = [START + timedelta(seconds=60 * len(times) + chance.gauss(0, 5000)) for _ in range(chance.randint(1, 9))]
        run += [START - timedelta(days=chance.random() * 3)] * (chance.random() < 0.1)  # long before
        append(run)
        times += run
    for _ in range(60):
        since, until = sorted(chance.choice(times) + timedelta(seconds=chance.choice([-1, 0, 1])) for _ in range(2))
        inside = {seq for seq, at in enumerate(times) if since <= at < until}
        assert places(since, until) == inside
        assert pages(chance.randint(1, 30), since=since, until=until) == sorted(inside, reverse=True)
        assert places(since) == {seq for seq, at in enumerate(times) if since <= at}
        assert places(None, until) == {seq for seq, at in enumerate(times) if at < until}


def test_an_event_that_occurred_days_before_it_got_its_place_is_in_the_window_of_its_day() -> None:
    append(minutes(*range(0, 3000, 10)))
    append([*minutes(5), *minutes(3001)])
    assert places(*minutes(4, 6)) == {300}


def test_a_late_event_does_not_make_everything_between_be_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "BATCH_EVENTS", 10)
    monkeypatch.setattr(reading, "_NEAR", 20)
    append(minutes(*range(500)))
    append(minutes(100))  # by a clock that was wrong, or in a transaction that was long open
    append(minutes(*range(500, 1000)))
    main, late = reading.spans(*minutes(90, 110))
    assert main[0] <= 90 < 109 <= main[1]
    assert main[1] - main[0] < 60
    assert late[0] <= 500 <= late[1]
    assert late[1] - late[0] < 20
    assert pages(5, since=minutes(90)[0], until=minutes(110)[0]) == [500, *range(109, 89, -1)]
    monkeypatch.setattr(reading, "_SPANS", 1)
    assert reading.spans(*minutes(90, 110)) == [(main[0], late[1])]


def test_a_window_is_from_its_beginning_to_just_before_its_end() -> None:
    append(minutes(0, 1, 2))
    assert places(*minutes(0, 2)) == {0, 1}
    assert places(*minutes(1, 1)) == set()


@pytest.mark.parametrize(("since", "until"), [(90, None), (None, -1), (90, 100), (-9, -1)])
def test_outside_all_times_there_is_nothing_and_nothing_is_looked_through(
    since: float | None, until: float | None
) -> None:
    append(minutes(0, 1, 2))
    bounds = [None if each is None else minutes(each)[0] for each in (since, until)]
    low, high = reading.window(*bounds)
    assert high < low
    assert places(*bounds) == set()


def test_an_empty_log_has_no_window() -> None:
    assert reading.window(START, None) == (0, -1)
    assert places(START) == set()


def test_a_window_is_a_small_part_of_a_long_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "BATCH_EVENTS", 10)
    append(minutes(*range(1000)))
    low, high = reading.window(*minutes(500, 520))
    assert low <= 500
    assert high >= 519
    assert high - low < 60
    assert Batch.objects.count() >= 17


def recorded(*kinds: tuple[str, str, str, str]) -> None:
    """Events through the sequencer: action, actor, object, outcome."""
    for number, (action, actor, target, outcome) in enumerate(kinds):
        names = {"actor": actor.split(":"), "object": target.split(":")}
        refs = {name: {"kind": kind, "uid": uid} for name, (kind, uid) in names.items()}
        said: dict[str, leaf.JSON] = {
            "v": 1,
            "id": f"00000000-0000-4000-8000-{number:012d}",
            "nonce": "0" * 32,
            "details": "",
            "facts": {},
        }
        Outbox.objects.create(
            leaf=leaf.canonical({**said, **refs, "time": leaf.timestamp(START), "action": action, "outcome": outcome})
        )
    while sequencer.sequence():
        pass


@pytest.fixture
def log() -> None:
    """Six events."""
    recorded(
        ("version.requested", "user:1", "version:a", "success"),
        ("version.scanned", "system:scan", "version:a", "success"),
        ("document.read", "user:2", "version:b", "success"),
        ("auth.sign_in_failed", "anonymous:unknown", "user:1", "failure"),
        ("version.requested", "user:2", "version:b", "success"),
        ("access.denied", "user:1", "version:b", "denied"),
    )


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {0, 1, 2, 3, 4, 5}),
        ({"actor": "user:1"}, {0, 5}),
        ({"action": "version."}, {0, 1, 4}),
        ({"action": "version.requested"}, {0, 4}),
        ({"action": "nothing."}, set()),
        ({"objects": ["version:b"]}, {2, 4, 5}),
        ({"objects": ["version:b", "user:1"]}, {2, 3, 4, 5}),
        ({"outcome": "denied"}, {5}),
        ({"actor": "user:2", "action": "version.", "objects": ["version:b"], "outcome": "success"}, {4}),
    ],
)
def test_each_filter_finds_its_own(asked: dict[str, Any], found: set[int]) -> None:
    assert set(reading.events(**asked).values_list("seq", flat=True)) == found
    assert pages(2, **asked) == sorted(found, reverse=True)


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("many", [1, 2, 20])
def test_many_objects_are_found_as_few_are(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MANY", many)
    objects = ["version:b", "version:nothing", "user:1", "version:b"]
    assert pages(2, objects=objects) == [5, 4, 3, 2]
    assert pages(2, objects=objects, action="version.", since=START) == [4]


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("prefix", "found"),
    [("", [5, 4, 3, 2, 1, 0]), ("version.", [4, 1, 0]), ("version.requested", [4, 0]), ("nothing.", [])],
)
def test_the_newest_come_first_in_pages_however_many_actions_are_asked_for(prefix: str, found: list[int]) -> None:
    assert [each.seq for each in reading.newest(action=prefix, limit=10)] == found
    paged: list[int] = []
    while page := reading.newest(action=prefix, before=paged[-1] if paged else None, limit=2):
        paged += [each.seq for each in page]
    assert paged == found


@pytest.mark.usefixtures("log")
def test_a_page_is_one_query_that_counts_and_skips_nothing() -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        reading.newest(actor="user:1", action="version.", before=5, limit=3)
    (query,) = (each["sql"] for each in queries)
    assert "COUNT" not in query
    assert "OFFSET" not in query


def test_what_failed_is_found_by_its_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = reading.events(outcome="denied").order_by("-seq")[:10].explain()
    assert "audit_event_outcome" in plan
