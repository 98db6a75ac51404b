"""A POST replayed before, during and after every step: what was first received is what is served."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from django.conf import settings

from identity.models import User
from pipeline import lifecycle, storage
from pipeline.models import DocumentVersion, Status
from tests import factories
from tests.pipeline import vaults

GOOD = factories.EICAR[:60] + b"harmless"  # as long as the bad one, so that the same form takes both
BAD = factories.EICAR
STEPS = ("receive", "validate", "scan", "finalize")


def begun(owner: User) -> DocumentVersion:
    """An upload of text, its hash not announced: the form takes any bytes of that size."""
    return factories.begun(owner, GOOD, filename="a.txt", content_type="text/plain")


def replayed(version: DocumentVersion, body: bytes) -> None:
    """Send another body with the same form."""
    assert factories.send(version, body).status_code == 204


def through(version: DocumentVersion, before: Callable[[str], None] = lambda _: None) -> DocumentVersion:
    """Run all steps, calling `before` ahead of each."""
    for step in STEPS:
        before(step)
        getattr(lifecycle, step)(version.pk)
    version.refresh_from_db()
    return version


def served(version: DocumentVersion) -> bytes:
    """What a reader gets."""
    return requests.get(storage.download_url(version), timeout=10).content


@pytest.mark.parametrize("ahead_of", [*STEPS[1:], "download"])
def test_bad_bytes_replayed_between_any_two_steps_are_never_served(alice: User, ahead_of: str) -> None:
    version = begun(alice)
    replayed(version, GOOD)
    through(version, lambda step: replayed(version, BAD) if step == ahead_of else None)
    if ahead_of == "download":
        replayed(version, BAD)
    assert version.status == Status.AVAILABLE
    assert served(version) == GOOD


@pytest.mark.parametrize("ahead_of", STEPS)
def test_good_bytes_replayed_after_bad_ones_do_not_help(alice: User, ahead_of: str) -> None:
    version = begun(alice)
    replayed(version, BAD)
    through(version, lambda step: replayed(version, GOOD) if step == ahead_of else None)
    assert version.status == Status.INFECTED


@pytest.mark.parametrize("where", ["spooled", "stream", "admit"])
def test_a_replay_in_the_middle_of_the_work_changes_nothing(
    alice: User, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    version = begun(alice)
    replayed(version, GOOD)
    real = getattr(storage, where)

    def meanwhile(*args: Any) -> Any:
        replayed(version, BAD)
        return real(*args)

    monkeypatch.setattr(storage, where, meanwhile)
    through(version)
    assert version.status == Status.AVAILABLE
    assert served(version) == GOOD


def test_a_replay_between_two_chunks_of_the_scan_changes_nothing(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    version = begun(alice)
    replayed(version, GOOD)
    monkeypatch.setattr(storage, "CHUNK", 16)
    real = storage.stream

    def interrupted(pinned: DocumentVersion) -> Iterator[bytes]:
        for i, chunk in enumerate(real(pinned)):
            if i == 1:
                replayed(version, BAD)
            yield chunk

    monkeypatch.setattr(storage, "stream", interrupted)
    through(version)
    assert served(version) == GOOD


def test_a_pinned_version_that_is_deleted_and_sent_again_is_gone_not_swapped(alice: User) -> None:
    version = begun(alice)
    replayed(version, GOOD)
    lifecycle.receive(version.pk)
    lifecycle.validate(version.pk)
    version.refresh_from_db()
    storage.purge(version)
    replayed(version, BAD)

    assert lifecycle.scan(version.pk) is None
    version.refresh_from_db()
    assert version.status == Status.VALIDATED
    assert "gone" in version.stuck_reason


def test_a_delete_marker_hides_nothing_from_receive(alice: User) -> None:
    version = begun(alice)
    replayed(version, GOOD)
    storage.client().delete_object(Bucket=settings.QUARANTINE_BUCKET, Key=version.incoming_key)
    assert through(version).status == Status.AVAILABLE


def test_a_foreign_object_under_the_vault_key_is_not_taken_for_ours(alice: User) -> None:
    version = begun(alice)
    replayed(version, GOOD)
    for step in STEPS[:-1]:
        getattr(lifecycle, step)(version.pk)
    version.refresh_from_db()
    storage.client().put_object(Bucket=settings.VAULT_BUCKET, Key=version.vault_key, Body=BAD)
    with pytest.raises(storage.Differs):
        lifecycle.finalize(version.pk)
    version.refresh_from_db()
    assert (version.status, version.number) == (Status.CLEAN, None)


def test_a_key_that_begins_with_ours_is_not_ours(alice: User) -> None:
    version = begun(alice)
    storage.client().put_object(Bucket=settings.QUARANTINE_BUCKET, Key=f"{version.incoming_key}x", Body=BAD)
    assert storage.oldest(version) is None


def test_a_bucket_without_versions_is_a_fault(alice: User, settings: Any) -> None:
    settings.QUARANTINE_BUCKET = "unversioned-for-a-test"
    settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY = _admin()  # only it makes buckets
    storage.client().create_bucket(Bucket=settings.QUARANTINE_BUCKET)
    version = begun(alice)
    storage.client().put_object(Bucket=settings.QUARANTINE_BUCKET, Key=version.incoming_key, Body=GOOD)
    with pytest.raises(storage.NotVersioned):
        lifecycle.receive(version.pk)
    with pytest.raises(storage.NotVersioned):
        storage.check()
    version.refresh_from_db()
    assert version.status == Status.PENDING


def _admin() -> tuple[str, str]:
    stack = factories.stack()
    return stack["s3"]["admin"]["access_key_id"], stack["s3"]["admin"]["secret_access_key"]


def test_other_bytes_that_lie_in_the_vault_already_are_not_taken_for_an_earlier_copy(alice: User) -> None:
    version = factories.clean(alice)
    metadata = {"sha256": version.sha256, "source-version": version.s3_version_id}
    vaults.put(settings.VAULT_BUCKET, version.vault_key, bytes(version.size), Metadata=metadata)
    with pytest.raises(storage.Differs):
        lifecycle.finalize(version.pk)
    version.refresh_from_db()
    assert version.status == Status.CLEAN
    assert "operator" in version.waits_for
