"""Erasing a person: their values are gone, and every proof of the log still holds."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError

from audit import actions, checkpoint, context, erasure, private, sequencer, trail, verify
from audit.models import Erasure, Event, Outbox, Private, PrivateKey
from audit.trail import Ref
from tests.audit import bucketed

pytestmark = pytest.mark.django_db

ALICE, BOB, RHEA, RUTH = (Ref("user", each) for each in ("12", "13", "1", "2"))
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def read_by(person: Ref) -> Event:
    """An event with personal values of theirs, in its place."""
    trail.record(
        actions.DOCUMENT_READ,
        actor=person,
        object=Ref("document", "d"),
        details="Read it.",
        private={"ip": "192.0.2.7"},
    )
    sequence()
    return Event.objects.newest()[0]


def sequence() -> None:
    """Give everything its place."""
    while sequencer.sequence():
        pass


def allowed(person: Ref = ALICE) -> Erasure:
    """A request that a second person has approved."""
    asked = erasure.ask(person, reason="She left.", by=RHEA, now=NOW)
    return erasure.decide(erasure.open_request(asked.pk), approve=True, by=RUTH, now=NOW)


def test_the_values_are_gone_and_others_stay_readable() -> None:
    hers, his = read_by(ALICE), read_by(BOB)
    assert erasure.execute(allowed().pk, now=NOW) == 1
    with pytest.raises(private.Erased):
        private.reveal(hers)
    assert private.reveal(his) == {"ip": "192.0.2.7"}
    key = PrivateKey.objects.get(owner=str(ALICE))
    assert (key.wrapped, key.destroyed_at) == (None, NOW)
    assert set(Private.objects.values_list("seq", flat=True)) == {his.seq}


def test_it_is_told_without_a_new_key_for_the_person() -> None:
    read_by(ALICE)
    asked = allowed()
    erasure.execute(asked.pk, now=NOW)
    sequence()
    event = Event.objects.newest()[0]
    assert (event.action, event.actor, event.object) == ("person.erased", "system:erasure", str(ALICE))
    # The reason that the request gave was waiting for its place, and went with the key all the same.
    assert event.leaf_values()["facts"] == {"erasure": str(asked.pk), "keys": 1, "parts": 1}
    assert "private" not in event.leaf_values()
    assert PrivateKey.objects.filter(owner=str(ALICE)).count() == 1


def test_what_was_waiting_for_its_place_is_erased_too() -> None:
    asked = allowed()
    assert Outbox.objects.filter(private__isnull=False).count() == 1  # the request, with its reason
    erasure.execute(asked.pk, now=NOW)
    sequence()
    event = Event.objects.get(action="erasure.requested")
    with pytest.raises(private.Erased):
        private.reveal(event)


def test_the_reason_goes_too() -> None:
    asked = allowed()
    assert asked.reason == "She left."
    erasure.execute(asked.pk, now=NOW)
    asked.refresh_from_db()
    assert (asked.reason, asked.executed_at) == ("", NOW)
    assert not [row for row in Outbox.objects.all() if "left" in row.leaf]


@pytest.mark.usefixtures("log_in_bucket")
def test_every_proof_still_holds() -> None:
    events = [read_by(person) for person in (ALICE, BOB, ALICE)]
    before = checkpoint.publish(now=NOW)
    assert before
    proofs = [checkpoint.prove(event.seq) for event in events]
    erasure.execute(allowed().pk, now=NOW)
    sequence()
    after = checkpoint.publish(now=NOW + timedelta(hours=2))
    assert after
    for event, old in zip(events, proofs, strict=True):
        event.refresh_from_db()
        for text in (old, checkpoint.prove(event.seq)):
            holds(event, text)


def holds(event: Event, text: str) -> None:
    """The proof is good for the event, by the verifier that auditors run."""
    proof = verify.parse_proof(text)
    under = verify.open_checkpoint(proof.note, bucketed.keys())
    assert proof.index == event.seq
    hashed = verify.leaf_hash(event.leaf.encode())
    verify.check_inclusion(hashed, proof.index, under.size, under.root, proof.hashes)


def test_what_the_person_does_later_gets_a_new_key() -> None:
    read_by(ALICE)
    erasure.execute(allowed().pk, now=NOW)
    later = read_by(ALICE)
    assert private.reveal(later) == {"ip": "192.0.2.7"}
    assert PrivateKey.objects.filter(owner=str(ALICE)).count() == 2


def test_this_process_forgets_the_key_that_it_destroyed(django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        read_by(ALICE)
    asked = allowed()
    with django_capture_on_commit_callbacks(execute=True):
        erasure.execute(asked.pk, now=NOW)
    assert private.reveal(read_by(ALICE)) == {"ip": "192.0.2.7"}


def test_somebody_of_whom_nothing_is_kept_can_be_erased() -> None:
    asked = Erasure.objects.create(
        person=str(BOB),
        reason="x",
        requested_by=str(RHEA),
        requested_at=NOW,
        decided_by=str(RUTH),
        decided_at=NOW,
        approved=True,
    )
    assert erasure.execute(asked.pk, now=NOW) == 0


def test_only_what_was_approved_is_executed_and_only_once() -> None:
    asked = erasure.ask(ALICE, reason="x", by=RHEA, now=NOW)
    with pytest.raises(erasure.NotApproved):
        erasure.execute(asked.pk, now=NOW)
    erasure.decide(erasure.open_request(asked.pk), approve=False, by=RUTH, now=NOW)
    with pytest.raises(erasure.NotApproved):
        erasure.execute(asked.pk, now=NOW)
    with pytest.raises(erasure.NoSuchErasure):
        erasure.execute(uuid4(), now=NOW)
    other = allowed()
    erasure.execute(other.pk, now=NOW)
    with pytest.raises(erasure.Executed):
        erasure.execute(other.pk, now=NOW)


def test_it_is_never_executed_within_a_request() -> None:
    asked = allowed()
    with context.bound(context.Request(request_id="r", ip="192.0.2.9")), pytest.raises(erasure.InsideRequest):
        erasure.execute(asked.pk, now=NOW)
    asked.refresh_from_db()
    assert asked.executed_at is None


def test_one_is_asked_for_at_a_time_until_it_is_refused_or_done() -> None:
    asked = erasure.ask(ALICE, reason="x", by=RHEA, now=NOW)
    with pytest.raises(erasure.AlreadyAsked):
        erasure.ask(ALICE, reason="y", by=RUTH, now=NOW)
    erasure.decide(erasure.open_request(asked.pk), approve=False, by=RUTH, now=NOW)
    approved = allowed()
    with pytest.raises(erasure.AlreadyAsked):
        erasure.ask(ALICE, reason="z", by=RUTH, now=NOW)
    erasure.execute(approved.pk, now=NOW)
    assert erasure.ask(ALICE, reason="again", by=RHEA, now=NOW).decided_at is None


def test_what_is_decided_is_not_decided_again() -> None:
    asked = allowed()
    with pytest.raises(erasure.NoSuchErasure):
        erasure.open_request(asked.pk)


@pytest.mark.parametrize("by", [RHEA, ALICE])
def test_the_database_itself_demands_a_second_person(by: Ref) -> None:
    asked = erasure.ask(ALICE, reason="x", by=RHEA, now=NOW)
    with pytest.raises(IntegrityError, match="audit_erasure_takes_two"):
        erasure.decide(asked, approve=True, by=by, now=NOW)
