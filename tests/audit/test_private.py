"""Personal values: readable with their key, gone without it, committed to for ever."""

import base64
import hashlib
import secrets
import threading
import time

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import actions, context, leaf, private, sequencer, trail
from audit.models import Event, Private, PrivateKey
from audit.trail import Ref

pytestmark = pytest.mark.django_db

ALICE = Ref("user", "12")
BOB = Ref("user", "13")
DOCUMENT = Ref("document", "d")
VALUES = {"username": "Alice \u20ac", "ip": "192.0.2.1"}


def new_key() -> str:
    """A key as AUDIT_ENCRYPTION_KEYS holds it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def recorded(subject: Ref = ALICE, values: dict[str, leaf.JSON] | None = None) -> Event:
    """An event about somebody, in its place in the log."""
    trail.record(
        actions.DOCUMENT_READ,
        actor=BOB,
        object=DOCUMENT,
        subject=subject,
        private=values or {**VALUES},
    )
    sequencer.sequence()
    return Event.objects.newest()[0]


def destroy_key_of(owner: Ref) -> None:
    """What erasure does."""
    PrivateKey.objects.filter(owner=str(owner)).update(wrapped=None, destroyed_at=timezone.now())


def test_the_values_are_read_with_the_key() -> None:
    assert private.reveal(recorded()) == VALUES


def test_the_request_is_part_of_the_values() -> None:
    with context.bound(context.Request(request_id="r", ip="192.0.2.9", user_agent="curl")):
        event = recorded(values={"username": "alice"})
    assert private.reveal(event) == {"username": "alice", "ip": "192.0.2.9", "user_agent": "curl"}


def test_the_key_is_the_subjects_and_without_one_the_actors() -> None:
    recorded(subject=ALICE)
    trail.record(actions.DOCUMENT_READ, actor=BOB, object=DOCUMENT, private={"ip": "::1"})
    assert {key.owner for key in PrivateKey.objects.all()} == {"user:12", "user:13"}


def test_a_person_has_one_key_for_all_their_events() -> None:
    for _ in range(3):
        recorded()
    assert PrivateKey.objects.filter(owner="user:12").count() == 1


def test_the_commitment_can_be_checked_by_whoever_is_shown_the_opening() -> None:
    event = recorded()
    opening = private.opening(event)
    expected = hashlib.sha256(b"audit-priv-v1\x00" + opening).hexdigest()
    assert event.leaf_values()["private"] == expected
    assert opening[32:].decode() == leaf.canonical(VALUES)


def test_two_equal_values_have_different_commitments() -> None:
    first, second = recorded(), recorded()
    assert first.leaf_values()["private"] != second.leaf_values()["private"]


def test_without_the_key_nobody_reads_the_values_and_the_record_stands() -> None:
    event = recorded()
    opening = private.opening(event)
    destroy_key_of(ALICE)
    with pytest.raises(private.Erased):
        private.reveal(event)
    event.refresh_from_db()
    assert bytes(event.leaf_hash) == leaf.leaf_hash(event.leaf)
    assert event.leaf_values()["private"] == private.commitment(opening)


def test_a_deleted_ciphertext_reads_as_erased() -> None:
    event = recorded()
    Private.objects.all().delete()
    with pytest.raises(private.Erased):
        private.reveal(event)


def test_an_erased_person_who_returns_gets_a_new_key() -> None:
    old = recorded()
    destroy_key_of(ALICE)
    assert private.reveal(recorded()) == VALUES
    with pytest.raises(private.Erased):
        private.reveal(old)


def test_an_event_without_personal_values_has_none_to_reveal() -> None:
    trail.record(actions.DOCUMENT_READ, actor=BOB, object=DOCUMENT)
    sequencer.sequence()
    with pytest.raises(Private.DoesNotExist):
        private.reveal(Event.objects.get())


def test_a_ciphertext_moved_to_another_event_does_not_open() -> None:
    first, second = recorded(), recorded()
    other = Private.objects.get(seq=first.seq).ciphertext
    Private.objects.filter(seq=second.seq).update(ciphertext=other)
    with pytest.raises(private.Damaged, match="event"):
        private.reveal(second)


def test_an_older_key_of_the_ring_still_opens_and_a_removed_one_does_not() -> None:
    old, new = new_key(), new_key()
    with override_settings(AUDIT_ENCRYPTION_KEYS=[old]):
        event = recorded()
    with override_settings(AUDIT_ENCRYPTION_KEYS=[new, old]):
        assert private.reveal(event) == VALUES
    with override_settings(AUDIT_ENCRYPTION_KEYS=[new]), pytest.raises(private.WrongKey):
        private.reveal(event)


@pytest.mark.parametrize("keys", [[], ["c2hvcnQ="]])
def test_a_ring_that_cannot_encrypt_refuses_to_record(keys: list[str]) -> None:
    with override_settings(AUDIT_ENCRYPTION_KEYS=keys), pytest.raises(ImproperlyConfigured):
        recorded()


def test_a_person_cannot_have_two_living_keys() -> None:
    recorded()
    with pytest.raises(IntegrityError, match="one_living"), transaction.atomic():
        PrivateKey.objects.create(owner="user:12", wrapped=b"x")


def test_the_data_key_is_not_stored_in_clear() -> None:
    recorded()
    key = PrivateKey.objects.get(owner="user:12")
    assert key.wrapped is not None
    assert len(bytes(key.wrapped)) == 12 + 32 + 16  # nonce, encrypted key, tag


def record_in_a_transaction(*, undone: bool = False) -> int:
    """One event about alice, in a transaction of its own; the number of the statements that it took."""
    with CaptureQueriesContext(connection) as said, transaction.atomic():
        trail.record(actions.DOCUMENT_READ, actor=BOB, object=DOCUMENT, subject=ALICE, private={**VALUES})
        transaction.set_rollback(undone)
    return len([each for each in said if "audit_" in each["sql"]])


@pytest.mark.django_db(transaction=True)
def test_a_key_is_read_once_and_then_an_event_is_one_statement() -> None:
    assert [record_in_a_transaction() for _ in range(3)] == [4, 1, 1]  # looked for, made, looked up; and its event
    sequencer.sequence()
    assert [private.reveal(event) for event in Event.objects.newest()] == [VALUES] * 3


@pytest.mark.django_db(transaction=True)
def test_a_key_that_was_rolled_back_is_never_used() -> None:
    record_in_a_transaction(undone=True)
    assert not PrivateKey.objects.exists()
    record_in_a_transaction()
    sequencer.sequence()
    assert private.reveal(Event.objects.get()) == VALUES


@pytest.mark.django_db(transaction=True)
def test_a_key_that_was_rolled_back_to_a_savepoint_is_never_used() -> None:
    with transaction.atomic():
        record_in_a_transaction(undone=True)
    record_in_a_transaction()
    sequencer.sequence()
    assert private.reveal(Event.objects.get()) == VALUES


@pytest.mark.django_db(transaction=True)
def test_a_key_destroyed_while_it_is_remembered_makes_events_that_nobody_can_read() -> None:
    record_in_a_transaction()
    destroy_key_of(ALICE)
    record_in_a_transaction()
    sequencer.sequence()
    for event in Event.objects.newest():
        with pytest.raises(private.Erased):
            private.reveal(event)


@pytest.mark.django_db(transaction=True)
def test_a_key_is_remembered_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    record_in_a_transaction()
    destroy_key_of(ALICE)
    later = time.monotonic() + 601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    record_in_a_transaction()
    sequencer.sequence()
    assert private.reveal(Event.objects.newest()[0]) == VALUES


@pytest.mark.django_db(transaction=True)
def test_no_more_than_so_many_keys_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "_REMEMBERED", 2)
    for uid in "abc":
        with transaction.atomic():
            trail.record(actions.DOCUMENT_READ, actor=Ref("user", uid), object=DOCUMENT, private={**VALUES})
    assert [*private._keys] == ["user:c"]


@pytest.mark.django_db(transaction=True)
def test_two_transactions_that_meet_a_new_person_share_one_key() -> None:
    meet = threading.Barrier(2)

    def record() -> None:
        meet.wait(10)
        with transaction.atomic():
            trail.record(actions.DOCUMENT_READ, actor=ALICE, object=DOCUMENT, private={**VALUES})
        connection.close()

    racers = [threading.Thread(target=record) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert PrivateKey.objects.count() == 1
    sequencer.sequence()
    assert [private.reveal(event) for event in Event.objects.newest()] == [VALUES, VALUES]
