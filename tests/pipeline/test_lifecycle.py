"""A version's life, step by step, on the real servers."""

import json
from datetime import timedelta

import pytest
import requests
from django.conf import settings

from audit.models import Outbox
from identity.models import User
from pipeline import lifecycle, storage
from pipeline.models import DocumentVersion, Scan, Status
from tests import factories
from tests.people import recorded


def test_a_document_goes_from_post_to_vault(alice: User) -> None:
    version = factories.available(alice, factories.PDF)

    assert (version.status, version.number) == (Status.AVAILABLE, 1)
    assert version.sha256 == factories.sha256(factories.PDF)
    got = requests.get(storage.download_url(version), timeout=10)
    assert got.content == factories.PDF


def test_a_second_upload_under_the_same_name_is_version_two(alice: User) -> None:
    factories.available(alice)
    second = factories.available(alice, factories.PDF + b"%more\n")
    assert second.number == 2


def test_another_name_type_or_owner_is_another_document(alice: User, bob: User) -> None:
    numbers = {
        factories.available(alice).number,
        factories.available(alice, name="Other").number,
        factories.available(alice, doc_type="agreement").number,
        factories.available(bob).number,
    }
    assert numbers == {1}


def test_names_are_compared_in_nfc_and_trimmed(alice: User) -> None:
    composed = factories.begun(alice, name="Caf\u00e9")
    decomposed = factories.begun(alice, name=" Cafe\u0301 ")
    assert composed.document_id == decomposed.document_id


def test_receive_without_bytes_is_refused_and_changes_nothing(alice: User) -> None:
    version = factories.begun(alice)
    with pytest.raises(lifecycle.BytesMissing):
        lifecycle.receive(version.pk)
    version.refresh_from_db()
    assert version.status == Status.PENDING


def test_a_replayed_post_does_not_change_what_was_pinned(alice: User) -> None:
    version = factories.begun(alice)
    factories.send(version)
    lifecycle.receive(version.pk)
    other = factories.PDF.replace(b"1.4", b"1.7")
    assert factories.send(version, other).status_code == 204

    for step in (lifecycle.validate, lifecycle.scan, lifecycle.finalize):
        step(version.pk)
    version.refresh_from_db()
    assert version.sha256 == factories.sha256(factories.PDF)
    assert requests.get(storage.download_url(version), timeout=10).content == factories.PDF


def test_eicar_is_infected_and_never_available(alice: User) -> None:
    version = factories.validated(alice, factories.EICAR, filename="test.txt", content_type="text/plain")
    lifecycle.scan(version.pk)
    version.refresh_from_db()
    assert (version.status, version.reason_code) == (Status.INFECTED, "infected")
    assert lifecycle.finalize(version.pk) is None
    assert Scan.objects.get(version=version).verdict == "infected"


def test_a_scan_records_who_looked_at_what(alice: User) -> None:
    version = factories.clean(alice)
    scan = Scan.objects.get(version=version)
    assert (scan.engine, scan.verdict) == ("clamd", "clean")
    assert (scan.scanned_bytes, scan.sha256) == (version.size, version.sha256)


def test_a_body_that_is_not_the_declared_hash_is_refused_by_s3(alice: User) -> None:
    version = factories.begun(alice, sha256=factories.sha256(b"something else"))
    refused = factories.send(version)
    assert refused.status_code == 400
    assert "BadDigest" in refused.text


def test_a_wrong_hash_that_s3_let_through_is_rejected(alice: User) -> None:
    version = factories.received(alice)
    DocumentVersion.objects.filter(pk=version.pk).update(declared_sha256="0" * 64)
    lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert (version.status, version.reason_code) == (Status.REJECTED, "hash_mismatch")


def test_an_executable_named_pdf_is_rejected(alice: User) -> None:
    version = factories.received(alice, b"\x7fELF\x02\x01\x01" + b"\0" * 100)
    lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert (version.status, version.reason_code) == (Status.REJECTED, "type_mismatch")


def test_five_bytes_cannot_be_scanned(alice: User) -> None:
    version = factories.received(alice, b"hello", filename="a.txt", content_type="text/plain")
    lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert (version.status, version.reason_code) == (Status.REJECTED, "unscannable")


def test_an_upload_that_never_came_expires_after_the_grace(alice: User) -> None:
    version = factories.begun(alice)
    ends = version.expires_at + lifecycle._grace()
    assert lifecycle.expire(version.pk, now=ends - timedelta(seconds=1)) is None
    lifecycle.expire(version.pk, now=ends)
    version.refresh_from_db()
    assert (version.status, version.reason_code) == (Status.EXPIRED, "never_sent")


def test_expire_finds_bytes_that_nobody_told_of(alice: User) -> None:
    version = factories.begun(alice)
    factories.send(version)
    moved = lifecycle.expire(version.pk, now=version.expires_at + lifecycle._grace())
    assert moved is not None
    assert moved.status == Status.RECEIVED


def test_a_later_version_waits_until_the_earlier_has_ended(alice: User) -> None:
    first = factories.received(alice)
    second = factories.clean(alice, factories.PDF + b"%2\n")
    assert lifecycle.finalize(second.pk) is None
    vault = storage.client().list_objects_v2(Bucket=settings.VAULT_BUCKET, Prefix=second.vault_key)
    assert vault["KeyCount"] == 0  # nothing is copied for one that waits

    lifecycle.validate(first.pk)
    lifecycle.scan(first.pk)
    ended = lifecycle.finalize(first.pk)
    assert ended is not None
    assert ended.number == 1
    assert lifecycle.next_in_line(ended) == second
    moved = lifecycle.finalize(second.pk)
    assert moved is not None
    assert moved.number == 2


def test_a_stuck_version_leaves_the_line(alice: User) -> None:
    first = factories.received(alice)
    DocumentVersion.objects.filter(pk=first.pk).update(stuck_reason="for a test")
    second = factories.available(alice, factories.PDF + b"%2\n")
    assert second.number == 1


def test_bytes_gone_from_quarantine_leave_the_version_standing_with_a_reason(alice: User) -> None:
    version = factories.received(alice)
    storage.purge(version)
    assert lifecycle.validate(version.pk) is None
    version.refresh_from_db()
    assert version.status == Status.RECEIVED
    assert "gone" in version.stuck_reason


def test_every_status_change_has_exactly_one_event(alice: User) -> None:
    Outbox.objects.all().delete()
    factories.available(alice)
    actions = [row.leaf.split('"action":"')[1].split('"')[0] for row in Outbox.objects.order_by("id")]
    assert actions == [
        "version.requested",
        "version.received",
        "version.validated",
        "version.scanned",
        "version.available",
    ]


@pytest.mark.parametrize("step", ["receive", "validate", "scan", "finalize"])
def test_a_step_run_twice_moves_once(alice: User, step: str) -> None:
    before = {
        "receive": factories.begun,
        "validate": factories.received,
        "scan": factories.validated,
        "finalize": factories.clean,
    }[step]
    version = before(alice)
    if step == "receive":
        factories.send(version)
    assert getattr(lifecycle, step)(version.pk) is not None
    events = Outbox.objects.count()
    assert getattr(lifecycle, step)(version.pk) is None
    assert Outbox.objects.count() == events


def test_tidy_empties_quarantine_and_remembers_it_only_after_the_policy_ends(alice: User) -> None:
    version = factories.available(alice)
    assert lifecycle.tidy(version.pk) == 1
    version.refresh_from_db()
    assert version.tidied_at is None
    factories.send(version)  # a late replay
    assert lifecycle.tidy(version.pk, now=version.expires_at + lifecycle._grace()) == 1
    version.refresh_from_db()
    assert version.tidied_at is not None


def test_what_is_purged_is_recorded_once_by_its_s3_versions(alice: User) -> None:
    version = factories.available(alice)
    factories.send(version)
    held = storage.quarantined(version)
    assert [lifecycle.tidy(version.pk) for _ in range(3)] == [2, 0, 0]
    (event,) = recorded("version.purged")
    assert (event["facts"]["count"], event["facts"]["s3_versions"]) == (2, held)
    assert event["object"] == {"kind": "version", "uid": str(version.pk)}
    assert event["subject"] == {"kind": "user", "uid": str(alice.pk)}


def test_an_upload_that_never_came_leaves_nothing_to_purge(alice: User) -> None:
    version = factories.begun(alice)
    lifecycle.expire(version.pk, now=version.expires_at + lifecycle._grace())
    assert lifecycle.tidy(version.pk) == 0
    assert recorded("version.purged") == []


def test_every_event_of_a_version_is_a_readable_line_without_names(alice: User) -> None:
    lifecycle.tidy(factories.available(alice).pk)
    dud = factories.received(alice, b"no PDF at all", name="Dud")
    lifecycle.validate(dud.pk)
    stuck = factories.received(alice, name="Stuck")
    storage.purge(stuck)
    lifecycle.validate(stuck.pk)
    leaves = list(map(json.loads, Outbox.objects.values_list("leaf", flat=True)))
    lines = [leaf["details"] for leaf in leaves]
    assert not [leaf for leaf in leaves if "request_id" in leaf]  # no request: no address, and nobody's browser
    assert all(lines)
    assert not [line for line in lines if "\n" in line or "statement.pdf" in line or "alice" in line or "Dud" in line]
    assert {line.split(",")[0] for line in lines} >= {"Version received", "Version stuck", "Version purged"}


def test_infected_bytes_are_kept(alice: User) -> None:
    version = factories.validated(alice, factories.EICAR, filename="test.txt", content_type="text/plain")
    lifecycle.scan(version.pk)
    assert lifecycle.tidy(version.pk) == 0
    assert storage.oldest(version) is not None
