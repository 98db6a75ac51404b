"""Recording: exact, in the caller's transaction, and never the caller's problem afterwards."""

import json
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from audit import actions, context, leaf, trail
from audit.models import Outbox
from audit.trail import Ref

ALICE = Ref("user", "12")
VERSION = Ref("version", "6f1d3e0a-0000-4000-8000-000000000001")

Capture = Callable[..., AbstractContextManager[list[Callable[[], Any]]]]

woken: list[str] = []


def wake() -> None:
    """What AUDIT_WAKE names in these tests."""
    woken.append("woken")


def wake_badly() -> None:
    """A broker that is away."""
    raise ConnectionError("no broker")


def only_leaf() -> dict[str, Any]:
    """The one leaf in the outbox, read."""
    values: dict[str, Any] = json.loads(Outbox.objects.get().leaf)
    return values


@pytest.mark.django_db
def test_a_leaf_carries_every_field_it_must() -> None:
    now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    with context.bound(context.Request(request_id="req-1", ip="192.0.2.1", user_agent="Firefox")):
        trail.record(
            actions.VERSION_INFECTED,
            actor=Ref("system", "worker"),
            object=VERSION,
            subject=ALICE,
            outcome="failure",
            details="Found: Eicar.",
            facts={"bytes": 68, "signature": "Eicar"},
            now=now,
        )
    values = only_leaf()
    assert len(values.pop("nonce")) == 32
    assert len(values.pop("id")) == 36
    assert len(values.pop("private")) == 64
    assert values == {
        "v": 1,
        "time": "2026-11-24T12:00:00.000000Z",
        "action": "version.infected",
        "outcome": "failure",
        "actor": {"kind": "system", "uid": "worker"},
        "object": {"kind": "version", "uid": VERSION.uid},
        "subject": {"kind": "user", "uid": "12"},
        "details": "Found: Eicar.",
        "facts": {"bytes": 68, "signature": "Eicar"},
        "request_id": "req-1",
    }


@pytest.mark.django_db
def test_what_is_not_known_has_no_key() -> None:
    trail.record(actions.VERSION_EXPIRED, actor=Ref("system", "reconcile"), object=VERSION)
    values = only_leaf()
    assert not {"subject", "request_id", "private"} & values.keys()
    assert Outbox.objects.get().private is None


@pytest.mark.django_db
def test_two_equal_acts_have_different_leaves() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    for _ in range(2):
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION, now=now)
    assert len({row.leaf for row in Outbox.objects.all()}) == 2


@pytest.mark.django_db
def test_address_and_user_agent_do_not_stand_in_clear() -> None:
    request = context.Request(request_id="r", ip="192.0.2.77", user_agent="Mozilla/5.0 Secretive")
    with context.bound(request):
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)
    row = Outbox.objects.get()
    assert "192.0.2.77" not in row.leaf
    assert "Secretive" not in row.leaf
    assert row.private is not None
    assert b"192.0.2.77" not in bytes(row.private)


@pytest.mark.django_db
def test_details_are_one_line_whatever_is_put_in() -> None:
    trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION, details="a\r\nforged  line\n")
    assert only_leaf()["details"] == "a forged line"


@pytest.mark.django_db
def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(trail.UnknownAction):
        trail.record("version.enjoyed", actor=ALICE, object=VERSION)
    assert not Outbox.objects.exists()


@pytest.mark.django_db
def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="outcome"):
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION, outcome="perhaps")


@pytest.mark.django_db
def test_an_over_long_event_is_refused_where_it_is_made() -> None:
    with pytest.raises(leaf.TooLong):
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION, details="x" * 17_000)
    assert not Outbox.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_recording_outside_a_transaction_is_refused() -> None:
    with pytest.raises(trail.OutsideTransaction):
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_change_leaves_no_event() -> None:
    with transaction.atomic():
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION, private={"ip": "::1"})
        transaction.set_rollback(True)
    assert not Outbox.objects.exists()


@pytest.mark.django_db
def test_the_sequencer_is_woken_after_the_commit(
    django_capture_on_commit_callbacks: Capture,
) -> None:
    woken.clear()
    with (
        override_settings(AUDIT_WAKE=f"{__name__}.wake"),
        django_capture_on_commit_callbacks(execute=True),
    ):
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)
        assert woken == []
    assert woken == ["woken"]


@pytest.mark.django_db(transaction=True)
def test_a_transaction_wakes_once_however_many_events_it_has() -> None:
    woken.clear()
    with override_settings(AUDIT_WAKE=f"{__name__}.wake"), transaction.atomic():
        for undone in (False, False, True):
            trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)
            with transaction.atomic():
                trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)
                transaction.set_rollback(undone)
    assert (woken, Outbox.objects.count()) == (["woken"], 5)


@pytest.mark.django_db(transaction=True)
def test_an_event_wakes_although_an_earlier_one_was_undone_with_its_wake_up() -> None:
    woken.clear()
    with override_settings(AUDIT_WAKE=f"{__name__}.wake"), transaction.atomic():
        with transaction.atomic():
            with transaction.atomic():
                trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)
            transaction.set_rollback(True)
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)
    assert woken == ["woken"]


@pytest.mark.django_db(transaction=True)
def test_an_event_wakes_although_a_later_savepoint_is_undone() -> None:
    woken.clear()
    with override_settings(AUDIT_WAKE=f"{__name__}.wake"), transaction.atomic():
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)
        with transaction.atomic():
            trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)
            transaction.set_rollback(True)
    assert woken == ["woken"]


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_that_fails_does_not_fail_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.ERROR),
        override_settings(AUDIT_WAKE=f"{__name__}.wake_badly"),
        transaction.atomic(),
    ):
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=VERSION)
    assert Outbox.objects.count() == 1


@pytest.mark.parametrize(("kind", "uid"), [("", "1"), ("a:b", "1"), ("user", ""), ("user", "9" * 200), ("user", "a\0")])
def test_a_name_that_names_nothing_is_refused(kind: str, uid: str) -> None:
    with pytest.raises(ValueError, match="names nothing"):
        Ref(kind, uid)


def test_every_action_is_dotted_and_in_lower_case() -> None:
    assert len(actions.ALL) >= 20
    assert all(action == action.lower() and action.count(".") == 1 for action in actions.ALL)


def test_a_prefix_names_the_actions_that_begin_with_it() -> None:
    assert actions.matching("document.") == ["document.download_linked", "document.history_read", "document.read"]
    assert actions.matching("version.infected") == ["version.infected"]
    assert actions.matching("nothing") == []
