"""GET /api/auditlogs/: the log by who, what, what to, how it ended and when; in JSON or as a table."""

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from audit import actions, sequencer, trail
from audit.models import Event
from audit.trail import Ref
from identity.models import User
from pipeline.models import DocumentVersion
from tests import factories
from tests.people import recorded, refusal

Client = Callable[[User], APIClient]
START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def logged(alice: User, bob: User) -> None:
    """Something in the log."""
    factories.begun(alice)
    factories.begun(bob)
    place()


def place() -> None:
    """Give everything its place."""
    while sequencer.sequence():
        pass


def happened(count: int, *, details: str = "Read it.", outcome: str = "success", action: str = "document.read") -> None:
    """So many events, an hour apart."""
    for hour in range(count):
        trail.record(
            action,
            actor=Ref("system", "test"),
            object=Ref("version", "a"),
            outcome=outcome,
            details=details,
            now=START + timedelta(hours=hour),
        )
    place()


A = {"object": "version:a"}  # what `happened` is about


def hours(answer: Any) -> list[int]:
    """How many hours after the start the events of an answer happened, in its order."""
    if answer["Content-Type"].startswith("text/csv"):
        times = [row[1] for row in table(answer)]
    else:
        assert answer.status_code == 200, answer.json()
        times = [row["timestamp"] for row in answer.json()]
    return [(datetime.fromisoformat(each) - START) // timedelta(hours=1) for each in times]


def seqs(answer: Any) -> list[int]:
    """The places of the events in an answer."""
    assert answer.status_code == 200, answer.json()
    return [row["id"] for row in answer.json()]


@pytest.mark.usefixtures("logged")
def test_rows_say_who_what_and_when(signed_in: Client, ada: User, alice: User) -> None:
    rows = signed_in(ada).get("/api/auditlogs/", {"user_id": alice.pk}).json()
    assert rows
    row = rows[0]
    assert row["user"] == {"id": alice.pk, "username": "alice"}
    assert row["action"] == "version.requested"
    assert isinstance(row["details"], str)
    assert isinstance(row["id"], int)
    assert row["timestamp"]


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("prefix", ["version.", "version.requested", "v"])
def test_it_filters_by_the_beginning_of_the_action(signed_in: Client, ada: User, prefix: str) -> None:
    rows = signed_in(ada).get("/api/auditlogs/", {"action": prefix}).json()
    assert {row["action"] for row in rows} == {"version.requested"}
    assert signed_in(ada).get("/api/auditlogs/", {"action": "mfa."}).json() == []


@pytest.mark.usefixtures("logged")
def test_it_filters_by_the_object_and_a_document_means_its_versions(signed_in: Client, ada: User, alice: User) -> None:
    version = DocumentVersion.objects.get(document__owner=alice)
    client = signed_in(ada)
    by_version = seqs(client.get("/api/auditlogs/", {"object": f"version:{version.pk}"}))
    assert len(by_version) == 1
    assert seqs(client.get("/api/auditlogs/", {"object": f"document:{version.document_id}"})) == by_version
    assert seqs(client.get("/api/auditlogs/", {"object": f"document:{version.document_id}".replace("-", "")})) == (
        by_version
    )
    assert seqs(client.get("/api/auditlogs/", {"object": f"document:{uuid4()}"})) == []


@pytest.mark.django_db
def test_it_filters_by_the_outcome(signed_in: Client, ada: User) -> None:
    happened(2)
    happened(1, outcome="denied", action="access.denied")
    (row,) = signed_in(ada).get("/api/auditlogs/", {"outcome": "denied"}).json()
    assert row["action"] == "access.denied"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("window", "found"),
    [
        ({"since": "2026-11-01T03:00:00Z"}, [4, 3]),
        ({"until": "2026-11-01T02:00:00Z"}, [1, 0]),
        ({"since": "2026-11-01T01:00:00Z", "until": "2026-11-01T03:00:00+00:00"}, [2, 1]),
        ({"since": "2026-11-01T02:00:00.000001+01:00", "until": "2026-11-01t03:00:00z"}, [2]),
        ({"since": "2026-11-01T01:00:00Z", "until": "2026-11-01T01:00:00Z"}, []),
        ({"until": "0001-01-01T00:00:00Z"}, []),
        ({"since": "9999-12-31T23:59:59Z"}, []),
    ],
)
def test_it_filters_by_the_time_when_it_happened(
    signed_in: Client, ada: User, window: dict[str, str], found: list[int]
) -> None:
    happened(5)
    assert hours(signed_in(ada).get("/api/auditlogs/", {**window, **A})) == found


@pytest.mark.django_db
@pytest.mark.parametrize("query", [{}, {"action": "document."}, {"format": "csv"}])
def test_the_pages_follow_each_other_and_leave_nothing_out(signed_in: Client, ada: User, query: dict[str, str]) -> None:
    happened(7)
    found, client, query = list[int](), signed_in(ada), {**query, **A, "limit": "3"}
    answer = client.get("/api/auditlogs/", query)
    while link := re.fullmatch('<(.+)>; rel="next"', answer.get("Link", "")):
        found += hours(answer)
        answer = client.get(link[1])
    assert found + hours(answer) == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", [{}, {"action": "v"}, {"object": f"document:{uuid4()}"}, {"since": "2026-01-01T00:00:00Z"}]
)
def test_a_page_costs_as_many_queries_however_long_it_is(signed_in: Client, ada: User, query: dict[str, str]) -> None:
    client, counts = signed_in(ada), []
    for _ in range(2):
        for number in range(4):
            factories.begun(factories.person(f"p{Event.objects.count()}-{number}", "investor"))
        place()
        client.get("/api/auditlogs/", query)
        with CaptureQueriesContext(connection) as queries:
            client.get("/api/auditlogs/", query)
        counts.append(len(queries))
        assert not [each for each in queries if "COUNT(" in each["sql"] or "OFFSET" in each["sql"]]
    assert counts[0] == counts[1]


def test_investors_may_not_read_it_and_auditors_may(signed_in: Client, alice: User, otto: User) -> None:
    assert signed_in(alice).get("/api/auditlogs/").status_code == 403
    assert signed_in(otto).get("/api/auditlogs/").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        *({"user_id": each} for each in ("abc", "-1", "9" * 40, "", "1.5", "\0")),
        *({"action": each} for each in ("nothing.", "version.Requested", "", "\0", "x" * 101)),
        *(
            {"object": each}
            for each in ("", "abc", ":1", "user:", "document:abc", "document:", "a:\0", "a:" + "b" * 200)
        ),
        *({"outcome": each} for each in ("", "good", "Success")),
        *({"since": each} for each in ("", "today", "2026-11-01", "2026-11-01T00:00:00", "2026-11-01 00:00:00Z", "1")),
        *({"until": each} for each in ("2026-02-30T00:00:00Z", "2026-11-01T24:00:01Z", "2026-11-01T00:00:00 01:00")),
        *(
            {"until": each}
            for each in ("0001-01-01T00:00:00+14:00", "0000-01-01T00:00:00Z", "2026-11-01T00:00:00+99:00")
        ),
        *({"cursor": each} for each in ("", "abc", "-1", "9" * 30, "cD0x", "\0")),
        *({"limit": each} for each in ("0", "1001", "abc", "")),
        *({"format": each} for each in ("xml", "", "CSV")),
        {"colour": "red"},
    ],
)
def test_a_bad_filter_is_400_with_its_field(signed_in: Client, ada: User, query: dict[str, str]) -> None:
    answer = signed_in(ada).get("/api/auditlogs/", query)
    assert refusal(answer) == (400, "invalid")
    assert set(answer.json()["fields"]) == set(query)


def test_a_window_that_ends_before_it_begins_is_400(signed_in: Client, ada: User) -> None:
    query = {"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}
    answer = signed_in(ada).get("/api/auditlogs/", query)
    assert refusal(answer) == (400, "invalid")
    assert set(answer.json()["fields"]) == {"until"}


# --- as a table ----------------------------------------------------------------------------------
def table(answer: Any) -> list[list[str]]:
    """The rows of a CSV answer, without its head."""
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.content.decode(), newline="")))[1:]


@pytest.mark.django_db
@pytest.mark.parametrize(("query", "accepted"), [({"format": "csv"}, "*/*"), ({}, "text/csv")])
def test_the_page_comes_as_a_table_too(signed_in: Client, ada: User, query: dict[str, str], accepted: str) -> None:
    happened(3)
    answer = signed_in(ada).get("/api/auditlogs/", {**query, **A}, headers={"Accept": accepted})
    assert answer["Content-Disposition"] == 'attachment; filename="auditlogs.csv"'
    assert answer["Cache-Control"] == "no-store"
    assert hours(answer) == [2, 1, 0]


@pytest.mark.django_db
@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_is_a_formula(signed_in: Client, ada: User, sign: str) -> None:
    happened(1, details=f"{sign}HYPERLINK(1)")
    (row,) = table(signed_in(ada).get("/api/auditlogs/", {"format": "csv", **A}))
    assert f"'{sign}HYPERLINK(1)" in row
    assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@pytest.mark.django_db
def test_taking_a_table_is_recorded_and_looking_at_a_page_is_not(signed_in: Client, ada: User) -> None:
    happened(3)
    query = {"action": "document.", "since": "2026-11-01T02:00:00+01:00", "limit": "2"}
    signed_in(ada).get("/api/auditlogs/", query)
    assert not recorded(actions.LOG_EXPORTED)
    signed_in(ada).get("/api/auditlogs/", {**query, "format": "csv"})
    (leaf,) = recorded(actions.LOG_EXPORTED)
    assert leaf["actor"] == {"kind": "user", "uid": str(ada.pk)}
    assert leaf["object"]["kind"] == "log"
    filters = {"action": "document.", "since": "2026-11-01T01:00:00.000000Z", "limit": "2"}
    assert leaf["facts"] == {"filters": filters, "form": "csv", "events": 2}


def test_a_refusal_is_json_also_for_whoever_wants_a_table(signed_in: Client, ada: User, alice: User) -> None:
    for answer, code in (
        (signed_in(ada).get("/api/auditlogs/", {"user_id": "x"}, headers={"Accept": "text/csv"}), 400),
        (signed_in(ada).get("/api/auditlogs/", {"user_id": "x", "format": "csv"}), 400),
        (signed_in(alice).get("/api/auditlogs/", {"format": "csv"}), 403),
        (APIClient().get("/api/auditlogs/", {"format": "csv"}), 401),
        (signed_in(ada).post("/api/auditlogs/?format=csv"), 405),
    ):
        assert answer.status_code == code
        assert answer["Content-Type"] == "application/json"
        assert answer.json()["code"]
    assert not recorded(actions.LOG_EXPORTED)
