"""/readyz tells how old the oldest is and what stands, and is never unready because of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from api import health
from identity.models import User
from pipeline import stalled
from pipeline.models import Alarm, DocumentVersion
from tests import factories

pytestmark = pytest.mark.django_db


def pipeline() -> tuple[int, str, dict[str, Any]]:
    """Status, word, and what is said of the pipeline."""
    answer = Client().get("/readyz")
    said = answer.json()
    return answer.status_code, said["status"], said["checks"]["pipeline"]


def test_it_tells_the_oldest_of_each_status_and_what_stands(alice: User) -> None:
    hour = timezone.now() - timedelta(hours=1)
    old, stuck = factories.begun(alice), factories.begun(alice, name="Stuck")
    DocumentVersion.objects.filter(pk=old.pk).update(status_at=hour, late_at=hour)
    DocumentVersion.objects.filter(pk=stuck.pk).update(status_at=hour - timedelta(hours=1), stuck_reason="For a test.")
    Alarm.objects.create(kind="stray", object="documents/a/b", words="Nobody's.")
    code, status, said = pipeline()
    assert (code, status, said["ok"]) == (200, "ready", True)
    assert (said["stuck"], said["late"], said["waiting_for_place"], said["alarms"]) == (1, 1, 0, 1)
    assert 3500 < said["oldest_seconds"]["pending"] < 3700
    assert said["oldest_seconds"]["clean"] == 0


@pytest.mark.django_db(transaction=True)
def test_a_count_that_takes_too_long_is_given_up_and_uploads_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("select pg_sleep(30)")
        raise AssertionError("it was not given up")

    monkeypatch.setattr(stalled, "summary", slow)
    monkeypatch.setattr(health, "COUNTING_MS", 50)
    code, status, said = pipeline()
    assert (code, status) == (200, "degraded")
    assert said["error"] == "OperationalError"
    assert said["ms"] < 5000
    with connection.cursor() as cursor:
        cursor.execute("show statement_timeout")
        assert cursor.fetchone()[0] != "50ms"  # of that transaction alone


def test_where_the_database_is_away_it_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> dict[str, Any]:
        raise OperationalError

    def asked() -> dict[str, Any]:
        raise AssertionError("it was asked again")

    for name, check in (("database", away), ("audit", asked), ("pipeline", asked)):
        monkeypatch.setitem(health.CHECKS, name, check)
    code, status, said = pipeline()
    assert (code, status) == (503, "unavailable")
    assert said == {"ok": False, "error": "OperationalError", "ms": 0.0}
