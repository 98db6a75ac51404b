"""Metrics are counted from the database at each scrape, by indexes of what they count."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from identity.models import User
from pipeline import stalled
from pipeline.models import Alarm, DocumentVersion, Status
from tests import factories
from workers import metrics

pytestmark = pytest.mark.django_db


class Standing(Collector):
    """What is counted of what stands and waits. The rest, and the closing of the connection, are `collect`'s."""

    def collect(self) -> Iterator[Any]:
        """The families."""
        yield from metrics._waiting()
        yield from metrics._standing()


def sample(name: str, **labels: str) -> float | None:
    """The value of one sample."""
    registry = CollectorRegistry()
    registry.register(Standing())
    return registry.get_sample_value(f"strongroom_{name}", labels)


def change(version: DocumentVersion, **changes: Any) -> None:
    """Write it into the row."""
    DocumentVersion.objects.filter(pk=version.pk).update(**changes)


def plan(rows: Any) -> str:
    """How PostgreSQL finds the rows where it neither reads nor sorts all of them, unless no index helps.

    The tables are nearly empty here, and its own choice between indexes would go by chance.
    """
    with connection.cursor() as cursor:
        cursor.execute("set local enable_seqscan = off; set local enable_sort = off; set local enable_bitmapscan = off")
    said: str = rows.explain()
    return said


def test_with_nothing_there_every_sample_is_zero() -> None:
    for name in ("stuck", "late", "waiting_for_place"):
        assert sample(name) == 0
    for kind in Alarm.Kind.values:
        assert sample("alarms", kind=kind) == 0
    for status in ("pending", "received", "validated", "clean"):
        assert sample("pending", stage=status) == sample("oldest_pending_seconds", stage=status) == 0


def test_what_stands_is_late_or_waits_for_a_place_is_counted(alice: User, settings: Any) -> None:
    settings.OWNER_PLACES = 1
    hour = timezone.now() - timedelta(hours=1)
    change(factories.begun(alice, name="Stuck"), stuck_reason="For a test.", status_at=hour)
    change(factories.begun(alice, name="Late"), late_at=hour, status_at=hour)
    factories.received(alice, name="First")
    factories.received(alice, name="Second")
    assert [sample(name) for name in ("stuck", "late", "waiting_for_place")] == [1, 1, 1]
    assert sample("pending", stage="received") == 2
    assert sample("pending", stage="pending") == 1
    age = sample("oldest_pending_seconds", stage="pending")
    assert age is not None
    assert 3600 <= age < 3700


def test_alarms_that_stand_are_counted_by_their_kind() -> None:
    for kind, resolved in (("stray", None), ("stray", None), ("altered", None), ("missing", timezone.now())):
        Alarm.objects.create(kind=kind, object=str(uuid4()), words="For a test.", resolved_at=resolved)
    assert {kind: sample("alarms", kind=kind) for kind in Alarm.Kind.values} == {"stray": 2, "altered": 1, "missing": 0}


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (lambda: DocumentVersion.objects.stuck(), "version_stuck"),
        (lambda: DocumentVersion.objects.over_budget(timezone.now()), "version_late"),
        (lambda: DocumentVersion.objects.queueing().order_by("owner_id", "received_at"), "version_queueing"),
        (lambda: Alarm.objects.filter(resolved_at__isnull=True), "alarm_stands_once"),
    ],
    ids=["stuck", "late", "queueing", "alarms"],
)
def test_each_count_has_an_index(rows: Any, index: str) -> None:
    assert index in plan(rows())


@pytest.mark.parametrize("kind", [stalled.STUCK, stalled.LATE])
@pytest.mark.parametrize("first", [True, False], ids=["first page", "next page"])
def test_each_page_of_what_stands_is_read_in_the_order_of_its_index(kind: str, first: bool) -> None:
    now = timezone.now()
    (source,) = stalled._sources(kind, now)
    after = None if first else stalled.Place(now, source.rank, uuid4())
    assert f"version_{kind}" in plan(stalled._found(source, stalled.Asked(), after)[:201])


def test_the_oldest_of_a_status_is_found_by_an_index() -> None:
    oldest = DocumentVersion.objects.filter(status=Status.VALIDATED, stuck_reason="").order_by("status_at")[:1]
    assert "version_by_status" in plan(oldest)
