"""GET /api/auditlogs/{seq}/: one event, its personal values, its bytes and its proof."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from audit import actions, checkpoint, context, erasure, private, sequencer, trail, verify
from audit.models import Event, Private, PrivateKey
from audit.trail import Ref
from identity.models import User
from tests.audit import bucketed
from tests.audit.bucketed import START
from tests.audit.conftest import log_in_bucket as log_in_bucket
from tests.people import recorded, refusal

Client = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db


def placed() -> Event:
    """Give everything its place; the last event."""
    while sequencer.sequence():
        pass
    return Event.objects.newest()[0]


@pytest.fixture
def event(alice: User, ada: User) -> Event:
    """ada read alice's account; the address that she came from is alice's to have erased."""
    with context.bound(context.Request(request_id="req-1", ip="192.0.2.7")), transaction.atomic():
        person = Ref("user", str(alice.pk))
        trail.record(
            actions.USER_READ, actor=Ref("user", str(ada.pk)), object=person, subject=person, details="Looked at it."
        )
    return placed()


@pytest.fixture
def bare(ada: User) -> Event:
    """An event without personal values."""
    with transaction.atomic():
        trail.record(actions.LOG_VERIFIED, actor=Ref("system", "audit"), object=Ref("log", "x"), details="Checked.")
    return placed()


def get(client: APIClient, event: Event, rest: str = "") -> Any:
    """The answer for an event."""
    return client.get(f"/api/auditlogs/{event.seq}/{rest}")


def test_an_event_is_shown_whole(signed_in: Client, otto: User, ada: User, event: Event) -> None:
    row = get(signed_in(otto), event).json()
    listed = next(each for each in signed_in(otto).get("/api/auditlogs/").json() if each["id"] == event.seq)
    assert {name: row[name] for name in listed} == listed
    assert row["leaf"] == event.leaf
    assert verify.leaf_hash(row["leaf"].encode()).hex() == row["leaf_hash"]
    assert row["sequenced_at"]
    assert (row["request_id"], row["private"], row["erased"]) == ("req-1", {"ip": "192.0.2.7"}, False)


def test_showing_personal_values_is_recorded_before_they_are_shown(signed_in: Client, otto: User, event: Event) -> None:
    answer = get(signed_in(otto), event)
    (leaf,) = recorded("log.revealed")
    assert leaf["actor"] == {"kind": "user", "uid": str(otto.pk)}
    assert leaf["object"] == {"kind": "event", "uid": str(event.seq)}
    assert leaf["subject"] == event.leaf_values()["subject"]
    assert leaf["request_id"] == answer["X-Request-ID"]
    assert "192.0.2.7" not in json.dumps(leaf)


def test_an_event_without_them_reveals_nothing(signed_in: Client, otto: User, bare: Event) -> None:
    row = get(signed_in(otto), bare).json()
    assert (row["private"], row["erased"], row["request_id"], row["user"]) == (None, False, None, None)
    assert not recorded("log.revealed")
    (leaf,) = recorded("log.read")
    assert "subject" not in leaf


def test_erased_values_are_told_of_and_not_shown(signed_in: Client, otto: User, alice: User, event: Event) -> None:
    now, person = timezone.now(), Ref("user", str(alice.pk))
    asked = erasure.ask(person, reason="x", by=Ref("user", "1001"), now=now)
    erasure.decide(erasure.open_request(asked.pk), approve=True, by=Ref("user", "1002"), now=now)
    erasure.execute(asked.pk, now=now)
    row = get(signed_in(otto), event).json()
    assert (row["private"], row["erased"]) == (None, True)
    assert row["leaf"] == event.leaf
    assert not recorded("log.revealed")


def _another_ciphertext(stored: Private) -> bytes:
    return bytes(stored.ciphertext)[:-1] + bytes([bytes(stored.ciphertext)[-1] ^ 1])


def _other_values(stored: Private) -> bytes:
    """As somebody makes them who has the keys."""
    key = PrivateKey.objects.get(pk=stored.key_id)
    event = Event.objects.get(seq=stored.seq)
    return private.seal({"ip": "203.0.113.1"}, owner=key.owner, event_id=UUID(event.leaf_values()["id"])).ciphertext


@pytest.mark.parametrize("altered", [_another_ciphertext, _other_values])
def test_values_that_are_not_those_recorded_are_not_shown(
    signed_in: Client, otto: User, event: Event, altered: Callable[[Private], bytes]
) -> None:
    stored = Private.objects.get(seq=event.seq)
    Private.objects.filter(seq=event.seq).update(ciphertext=altered(stored))
    assert refusal(get(signed_in(otto), event)) == (409, "damaged")
    assert get(signed_in(otto), event, "leaf/").status_code == 200


def test_the_leaf_is_the_exact_bytes_as_a_file(signed_in: Client, otto: User, event: Event) -> None:
    answer = get(signed_in(otto), event, "leaf/")
    assert answer.content == event.leaf.encode()
    assert verify.leaf_hash(answer.content) == bytes(event.leaf_hash)
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"] == f'attachment; filename="{event.seq}.leaf"'
    assert [leaf["facts"] for leaf in recorded("log.read")] == [{"form": "leaf"}]


@pytest.mark.usefixtures("log_in_bucket")
def test_the_proof_convinces_the_verifier_that_auditors_run(signed_in: Client, otto: User, event: Event) -> None:
    bucketed.grow(300)
    checkpoint.publish(now=START)
    answer = get(signed_in(otto), event, "proof/")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="{event.seq}.tlog-proof"'
    assert len(answer.content) < 1500
    proof = verify.parse_proof(answer.content.decode())
    under = verify.open_checkpoint(proof.note, bucketed.keys())
    assert proof.index == event.seq
    verify.check_inclusion(bytes(event.leaf_hash), proof.index, under.size, under.root, proof.hashes)


@pytest.mark.usefixtures("log_in_bucket")
def test_what_no_checkpoint_covers_yet_is_asked_for_again_in_ten_seconds(
    signed_in: Client, otto: User, event: Event
) -> None:
    answer = get(signed_in(otto), event, "proof/")
    assert refusal(answer) == (409, "not_covered")
    assert answer["Retry-After"] == "10"
    checkpoint.publish(now=START)
    assert get(signed_in(otto), event, "proof/").status_code == 200
    later = placed()
    assert refusal(get(signed_in(otto), later, "proof/")) == (409, "not_covered")


@pytest.mark.parametrize("rest", ["", "leaf/", "proof/"])
@pytest.mark.parametrize("seq", ["99999", str(2**63), "9" * 60])
def test_what_is_not_in_the_log_is_404(signed_in: Client, otto: User, seq: str, rest: str) -> None:
    assert refusal(signed_in(otto).get(f"/api/auditlogs/{seq}/{rest}")) == (404, "not_found")


@pytest.mark.parametrize("rest", ["", "leaf/", "proof/"])
def test_what_is_not_known_in_the_query_is_refused_by_name(
    signed_in: Client, otto: User, event: Event, rest: str
) -> None:
    answer = signed_in(otto).get(f"/api/auditlogs/{event.seq}/{rest}", {"colour": "red"})
    assert refusal(answer) == (400, "invalid")
    assert set(answer.json()["fields"]) == {"colour"}


def test_whoever_may_not_read_the_log_gets_no_event(signed_in: Client, alice: User, event: Event) -> None:
    for rest in ("", "leaf/", "proof/"):
        assert get(signed_in(alice), event, rest).status_code == 403
    assert not recorded("log.revealed")
    assert PrivateKey.objects.exists()
