"""/api/ops/stuck/: all that stands still or is late, in one list, and how an admin sets it going again."""

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from identity.models import User
from pipeline import lifecycle
from pipeline.models import Alarm, DocumentVersion, Status
from tests import factories
from tests.people import bearer, post, recorded, refusal
from workers import nudges

LIST = "/api/ops/stuck/"


@pytest.fixture
def admin(ada: User) -> APIClient:
    """ada's client, who has just shown her second factor."""
    return bearer(factories.token(ada).text)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is put on queues."""
    messages: list[tuple[str, str]] = []
    monkeypatch.setattr(nudges, "send", lambda task, **told: messages.append((task, told.get("version_id", ""))))
    return messages


def change(version: DocumentVersion, **changes: Any) -> DocumentVersion:
    """Write it into the row."""
    DocumentVersion.objects.filter(pk=version.pk).update(**changes)
    version.refresh_from_db()
    return version


def ago(**span: float) -> datetime:
    """So long ago."""
    return timezone.now() - timedelta(**span)


def stuck(owner: User, name: str = "Stuck", **changes: Any) -> DocumentVersion:
    """One that stands with a reason, pending because that needs no bytes."""
    return change(
        factories.begun(owner, name=name), **{"stuck_reason": "For a test.", "stuck_at": ago(minutes=5), **changes}
    )


def late(owner: User, name: str = "Late", **changes: Any) -> DocumentVersion:
    """One that is over its budget, and waits for something that has a name."""
    return change(
        factories.begun(owner, name=name), **{"waits_for": "The scanner is away.", "late_at": ago(hours=1), **changes}
    )


def alarm(version: DocumentVersion | None = None, **changes: Any) -> Alarm:
    """One that stands."""
    said = {"kind": "stray", "object": f"documents/{uuid4()}", "words": "Nobody's.", "version": version, **changes}
    return Alarm.objects.create(**said)


def ids(answer: Any) -> list[str]:
    """The ids of a list."""
    assert answer.status_code == 200, answer.json()
    return [row["id"] for row in answer.json()]


def next_page(answer: Any) -> str:
    """The address of the next page, if there is one."""
    found = re.fullmatch(r'<(.*)>; rel="next"', answer.get("Link", ""))
    return found[1] if found else ""


# --- the list ------------------------------------------------------------------------------------
def test_a_stuck_version_is_told_with_everything_that_an_admin_needs(admin: APIClient, alice: User) -> None:
    version = stuck(alice, attempts=6)
    assert version.stuck_at is not None
    (row,) = admin.get(LIST).json()
    assert datetime.fromisoformat(row.pop("since")) == version.stuck_at
    assert datetime.fromisoformat(row.pop("status_at")) == version.status_at
    assert row == {
        "id": str(version.pk),
        "kind": "stuck",
        "version_id": str(version.pk),
        "document_id": str(version.document_id),
        "owner": {"id": alice.pk, "username": "alice"},
        "status": "pending",
        "reason": "For a test.",
        "next_action": "requeue",
        "attempts": 6,
        "size": len(factories.PDF),
        "object": None,
    }


def test_a_late_version_tells_what_it_waits_for(admin: APIClient, alice: User) -> None:
    late(alice)
    (row,) = admin.get(LIST).json()
    assert (row["kind"], row["reason"], row["next_action"]) == ("late", "The scanner is away.", "wait")


def test_an_alarm_that_stands_is_told_and_one_that_is_resolved_is_not(admin: APIClient, alice: User) -> None:
    version = factories.begun(alice)
    stray, altered = alarm(), alarm(version, kind="altered", words="Another hash.")
    alarm(resolved_at=timezone.now())
    rows = {row["id"]: row for row in admin.get(LIST).json()}
    assert set(rows) == {f"alarm:{stray.pk}", f"alarm:{altered.pk}"}
    told = rows[f"alarm:{stray.pk}"]
    assert (told["kind"], told["version_id"], told["owner"], told["status"]) == ("stray", None, None, None)
    assert told["object"] == stray.object
    told = rows[f"alarm:{altered.pk}"]
    assert (told["version_id"], told["owner"]["username"]) == (str(version.pk), "alice")
    assert (told["reason"], told["next_action"]) == ("Another hash.", "examine")


@pytest.mark.parametrize(
    ("changes", "next_action"),
    [
        ({"stuck_reason": lifecycle.BYTES_GONE, "stuck_at": ago(minutes=1)}, "send_again"),
        ({"stuck_reason": "Cut off.", "stuck_at": ago(minutes=1)}, "requeue"),
        ({"late_at": ago(minutes=1), "waits_for": ""}, "requeue"),
        ({"late_at": ago(minutes=1), "waits_for": lifecycle.IN_LINE}, "wait"),
    ],
)
def test_it_says_what_to_do_next(admin: APIClient, alice: User, changes: dict[str, Any], next_action: str) -> None:
    change(factories.begun(alice), **changes)
    (row,) = admin.get(LIST).json()
    assert row["next_action"] == next_action
    assert row["reason"]


def test_a_closed_version_of_the_vault_is_to_be_examined(admin: APIClient, alice: User) -> None:
    stuck_in_vault = change(factories.available(alice), stuck_reason="Another hash.", stuck_at=ago(minutes=1))
    (row,) = admin.get(LIST).json()
    assert (row["id"], row["status"], row["next_action"]) == (str(stuck_in_vault.pk), "available", "examine")


def test_what_goes_its_way_is_not_listed(admin: APIClient, alice: User) -> None:
    factories.begun(alice)
    factories.received(alice, name="Received")
    assert admin.get(LIST).json() == []


def test_the_newest_comes_first_whatever_it_is(admin: APIClient, alice: User) -> None:
    third = stuck(alice, "Third", stuck_at=ago(minutes=3))
    first = late(alice, "First", late_at=ago(minutes=1))
    second = alarm(raised_at=ago(minutes=2))
    fourth = alarm(raised_at=ago(minutes=4))
    undated = stuck(alice, "An older release's", stuck_at=None)
    expected = [str(undated.pk), str(first.pk), f"alarm:{second.pk}", str(third.pk), f"alarm:{fourth.pk}"]
    assert ids(admin.get(LIST)) == expected


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_follow_each_other_without_gap_or_double(admin: APIClient, alice: User, limit: int) -> None:
    same = ago(minutes=9)
    for i in range(2):
        stuck(alice, f"undated {i}", stuck_at=None)
        stuck(alice, f"stuck {i}", stuck_at=same)
        late(alice, f"late {i}", late_at=same)
        alarm(raised_at=same)
    everything = ids(admin.get(LIST))
    assert len(set(everything)) == 8
    seen, address = [], f"{LIST}?limit={limit}"
    while address:
        answer = admin.get(address)
        seen += ids(answer)
        address = next_page(answer)
    assert seen == everything


def test_a_page_costs_the_same_number_of_queries_however_long_it_is(admin: APIClient, alice: User, bob: User) -> None:
    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert admin.get(LIST).status_code == 200
        return len(queries)

    stuck(alice)
    few = cost()
    for i in range(5):
        stuck(bob, f"stuck {i}")
        late(alice, f"late {i}")
        alarm(factories.begun(bob, name=f"alarm {i}"))
    assert cost() == few


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("kind=stuck", {"a", "b"}),
        ("kind=late", {"c"}),
        ("kind=altered", {"alarm"}),
        ("kind=stray", set()),
        ("status=pending", {"a", "b", "c", "alarm"}),
        ("status=clean", set()),
        ("owner={alice}", {"a"}),
        ("owner={bob}", {"b", "c", "alarm"}),
        ("owner={bob}&kind=late&status=pending", {"c"}),
        ("owner=2147483647", set()),
    ],
)
def test_filters_narrow_it(admin: APIClient, alice: User, bob: User, query: str, names: set[str]) -> None:
    made = {"a": str(stuck(alice).pk), "b": str(stuck(bob).pk), "c": str(late(bob).pk)}
    of_bob = alarm(factories.begun(bob, name="Other"), kind="altered")
    made["alarm"] = f"alarm:{of_bob.pk}"
    found = ids(admin.get(f"{LIST}?{query.format(alice=alice.pk, bob=bob.pk)}"))
    assert set(found) == {made[name] for name in names}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *[("kind=lost", "kind"), ("status=gone", "status"), ("owner=alice", "owner"), ("owner=0", "owner")],
        *[("owner=99999999999999999999", "owner"), ("limit=0", "limit"), ("limit=1001", "limit")],
        *[("cursor=x", "cursor"), ("cursor=%C3%A9", "cursor"), ("cursor=MjAyNg==", "cursor"), ("colour=red", "colour")],
        ("cursor=MjAyNi0wMS0wMVQwMDowMDowMCswMDowMCA5IDE=", "cursor"),  # of a source that there is not
        ("cursor=MjAyNi0wMS0wMVQwMDowMDowMCAwIDE=", "cursor"),  # without a zone
    ],
)
def test_a_bad_filter_is_refused_by_its_name(admin: APIClient, query: str, field: str) -> None:
    answer = admin.get(f"{LIST}?{query}")
    assert refusal(answer) == (400, "invalid")
    assert list(answer.json()["fields"]) == [field]


def test_auditors_read_it_and_investors_do_not(alice: User, otto: User, signed_in: Any) -> None:
    assert signed_in(otto).get(LIST).status_code == 200
    assert refusal(signed_in(alice).get(LIST)) == (403, "permission_denied")


# --- requeueing ----------------------------------------------------------------------------------
def requeue(client: APIClient, id_: object) -> Any:
    return post(client, f"ops/stuck/{id_}/requeue/")


def test_requeued_it_is_due_again_and_nudged(
    admin: APIClient, ada: User, alice: User, sent: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    version = change(factories.validated(alice), stuck_reason="Cut off.", stuck_at=ago(hours=1), attempts=6)
    with django_capture_on_commit_callbacks(execute=True):
        answer = requeue(admin, version.pk)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["id"], told["status"], told["attempts"]) == (str(version.pk), "validated", 0)
    assert datetime.fromisoformat(told["late_at"]) > timezone.now()
    assert sent == [("workers.tasks.scan", str(version.pk))]
    assert ids(admin.get(LIST)) == []


def test_one_whose_check_had_not_begun_gets_a_place_first(
    admin: APIClient, alice: User, sent: list[Any], django_capture_on_commit_callbacks: Any, settings: Any
) -> None:
    settings.OWNER_PLACES = 1
    version = change(factories.received(alice), stuck_reason="Cut off.", stuck_at=ago(hours=1))
    with django_capture_on_commit_callbacks(execute=True):
        assert "goes on" in requeue(admin, version.pk).json()["message"]
    assert sent == [("workers.tasks.validate", str(version.pk))]
    version.refresh_from_db()
    assert version.entered_at is not None


def test_where_no_place_is_free_it_says_so(admin: APIClient, alice: User, settings: Any) -> None:
    settings.OWNER_PLACES = 1
    version = change(factories.received(alice), stuck_reason="Cut off.", stuck_at=ago(hours=1))
    factories.received(alice, name="Other")
    DocumentVersion.objects.exclude(pk=version.pk).update(entered_at=timezone.now())
    assert "places" in requeue(admin, version.pk).json()["message"]


def test_who_requeued_it_and_why_it_stood_is_on_the_record(admin: APIClient, ada: User, alice: User) -> None:
    version = stuck(alice)
    requeue(admin, version.pk)
    (leaf,) = recorded("version.requeued")
    assert leaf["actor"] == {"kind": "user", "uid": str(ada.pk)}
    assert leaf["object"] == {"kind": "version", "uid": str(version.pk)}
    assert leaf["subject"] == {"kind": "user", "uid": str(alice.pk)}
    assert (leaf["facts"]["status"], leaf["facts"]["why"]) == ("pending", "For a test.")


def test_what_does_not_stand_is_not_requeued(admin: APIClient, alice: User) -> None:
    version = factories.begun(alice)
    assert refusal(requeue(admin, version.pk)) == (409, "nothing_to_requeue")
    assert recorded("version.requeued") == []


def test_the_second_of_two_requeues_finds_nothing(admin: APIClient, alice: User) -> None:
    version = stuck(alice)
    assert requeue(admin, version.pk).status_code == 202
    assert refusal(requeue(admin, version.pk)) == (409, "nothing_to_requeue")


def test_an_unknown_id_is_not_found_and_who_tried_it_is_recorded(admin: APIClient, alice: User) -> None:
    unknown = uuid4()
    assert refusal(requeue(admin, unknown)) == (404, "not_found")
    assert recorded("access.denied")[-1]["object"] == {"kind": "version", "uid": str(unknown)}
    assert refusal(requeue(admin, stuck(alice).document_id)) == (404, "not_found")


def test_it_takes_an_admin_with_a_fresh_second_factor(ada: User, alice: User, otto: User, signed_in: Any) -> None:
    version = stuck(alice)
    stale = bearer(factories.token(ada, age=timedelta(minutes=15)).text)
    assert refusal(requeue(stale, version.pk)) == (403, "step_up_required")
    assert refusal(requeue(signed_in(otto), version.pk)) == (403, "admin_only")
    assert refusal(requeue(signed_in(alice), version.pk)) == (403, "admin_only")
    version.refresh_from_db()
    assert version.stuck_reason


def test_a_broken_object_of_the_vault_stays_closed_until_it_was_read_again(admin: APIClient, alice: User) -> None:
    version = change(factories.available(alice), stuck_reason="Another hash.", stuck_at=ago(minutes=1))
    answer = requeue(admin, version.pk)
    assert answer.status_code == 202
    assert "read and hashed again" in answer.json()["message"]
    version.refresh_from_db()
    assert (version.status, version.stuck_reason) == (Status.AVAILABLE, "Another hash.")
