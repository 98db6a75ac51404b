"""The bench of the sweep fills tables that the schema takes, and knows who makes a query."""

from dataclasses import replace

import pytest
from django.utils import timezone

from bench.sweeping import rows, watch
from bench.sweeping.command import Line
from identity.models import User
from pipeline import stalled
from pipeline.models import IN_TURN, UNFINISHED, DocumentVersion, Status


@pytest.fixture
def owners(db: None) -> None:
    """Owners by the numbers that the crowds have."""
    User.objects.bulk_create(
        User(pk=number, username=f"owner-{number}", role="investor") for number in range(1, rows.OWNERS + 1)
    )


def test_the_crowds_are_as_many_as_were_asked_for() -> None:
    for versions in (50_000, 10_000_000):
        assert sum(crowd.count for crowd in rows.crowds(versions)) == versions


def test_too_few_versions_for_the_crowds_are_refused() -> None:
    with pytest.raises(SystemExit, match="50000"):
        rows.crowds(10_000)


@pytest.fixture
def crowds(owners: None) -> None:
    """A few of each."""
    for crowd in rows.crowds(10_000_000):
        few = replace(crowd, count=6)
        rows._documents(few)
        rows._versions(few)


@pytest.mark.usefixtures("crowds")
def test_every_crowd_is_a_crowd_that_can_be() -> None:
    versions, now = DocumentVersion.objects, timezone.now()
    assert {status for status in Status if versions.filter(status=status).exists()} == {*Status} - {Status.RECALLED}
    assert versions.stuck().count() == 18
    assert versions.over_budget(now).count() == 12
    assert versions.queueing().filter(owner_id=rows.CROWDED).count() == 6


@pytest.mark.usefixtures("crowds")
@pytest.mark.parametrize("status", UNFINISHED)
def test_what_is_due_of_a_status_is_what_is_in_turn(status: Status) -> None:
    versions, now = DocumentVersion.objects, timezone.now()
    found = set(versions.due(status, now))
    assert found == set(versions.filter(IN_TURN, status=status, due_at__lte=now))
    assert found


@pytest.mark.django_db
def test_a_query_is_told_under_the_function_that_makes_it() -> None:
    seen = watch.Watch()
    with seen.act("look"):
        stalled.oldest(Status.CLEAN)
    (((act, function, sql), query),) = seen.queries.items()
    assert (act, function) == ("look", "pipeline.stalled.oldest")
    assert watch.label(sql) == "select pipeline_documentversion"
    assert len(query.took) == 1
    assert "pipeline_documentversion" in watch.explained(query)


def test_lists_of_any_length_are_one_statement() -> None:
    assert watch._shape("id IN (%s, %s, %s)") == watch._shape("id IN (%s, %s)")


def test_a_line_keeps_its_limit_by_its_p95() -> None:
    line = Line("sweep", "workers.reconcile._nudge", "select x", 20, 19.0, 21.0, 20.0)
    assert not line.kept
    assert "FAIL" in line.text()
    assert replace(line, most=None).kept
