"""What is never signed over: a log that is behind the published one, or another. And how a new one begins."""

import base64
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from audit import bucket, checkpoint, note, private, standing
from audit.models import Checkpoint, Event, Publication, State, Tile
from audit.trail import Ref
from tests import factories
from tests.audit.bucketed import (
    KEYS,
    ORIGIN,
    START,
    actions_of,
    bypassed,
    files,
    grow,
    in_bucket,
    keys,
    notes,
    put_back,
    whole,
)  # fmt: skip

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("log_in_bucket")]

OPERATOR = Ref("system", "manage")


def publish(*, minutes: float = 0) -> Checkpoint | None:
    """Publish, so many minutes after the tests' noon."""
    return checkpoint.publish(now=START + timedelta(minutes=minutes))


def refused(kind: type[checkpoint.Refused], *words: str) -> None:
    """Try to publish: it is refused in those words, the refusal is kept, and the bucket stays as it was."""
    before = files(), notes()
    with pytest.raises(kind) as refusal:
        publish()
    assert (files(), notes()) == before
    assert Publication.objects.get().refusal == str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


def restart(reason: str = "The backup of Sunday.", **more: Any) -> str:
    """Begin a new log."""
    return checkpoint.restart(reason=reason, actor=OPERATOR, now=START, **more)


# --- Behind ---


def test_an_older_backup_is_not_signed_and_the_words_say_both_sizes_and_what_to_do() -> None:
    for _ in range(2):
        grow(300)
        publish()
    put_back(300)
    grow(10)
    refused(checkpoint.Behind, "600 events were published", "this database has 310", "manage.py audit restart")
    refused(checkpoint.Behind)


def test_an_older_backup_stays_refused_until_the_newer_one_is_put_back() -> None:
    grow(20)
    publish()
    State.objects.update(size=10)
    refused(checkpoint.Behind)
    State.objects.update(size=20)
    assert publish(minutes=1) is not None
    assert Publication.objects.get().refusal == ""


def test_an_emptied_database_is_behind() -> None:
    grow(20)
    publish()
    put_back(0)
    with bypassed():
        State.objects.all().delete()
        Publication.objects.all().delete()
    refused(checkpoint.Behind, "20 events were published", "has 0")


def test_a_backup_from_before_a_restart_is_behind() -> None:
    grow(20)
    publish()
    restart(force=True)
    grow(1)
    publish()
    Publication.objects.update(origin=ORIGIN, generation=1, exported=20)
    refused(checkpoint.Behind, "a later log")


# --- Forked ---


def test_another_history_of_the_same_length_is_forked() -> None:
    for _ in range(2):
        grow(300)
        publish()
    put_back(299)
    grow(400, "otherwise")
    refused(checkpoint.Forked, "first 600 events", "manage.py audit verify")


def test_an_event_altered_after_it_was_published_is_forked() -> None:
    grow(10)
    publish()
    with bypassed():
        Event.objects.filter(seq=3).update(leaf_hash=bytes(32))
    grow(1)
    refused(checkpoint.Forked, "first 10 events")


def test_an_event_altered_before_it_was_published_never_comes_to_the_bucket() -> None:
    grow(300)
    with bypassed():
        Event.objects.filter(seq=260).update(leaf='{"edited":true}')
    with pytest.raises(checkpoint.Forked, match="Event 260 is not"):
        publish()
    assert "checkpoint" not in files()
    assert not any("entries/001" in path for path in files())


def test_a_missing_event_is_forked() -> None:
    grow(10)
    with bypassed():
        Event.objects.filter(seq=9).delete()
    with pytest.raises(checkpoint.Forked, match="has a hole"):
        publish()


def test_a_missing_tile_is_forked() -> None:
    grow(600)
    with bypassed():
        Tile.objects.filter(level=0, number=1).delete()
    with pytest.raises(checkpoint.Forked, match="has a hole"):
        publish()


def test_a_state_that_does_not_fit_its_tree_is_forked() -> None:
    grow(10)
    State.objects.update(root=bytes(32))
    with pytest.raises(checkpoint.Forked, match="another root"):
        publish()


def test_a_tile_in_the_bucket_that_is_not_ours_is_forked() -> None:
    grow(300)
    bucket.put(bucket.key(1, "tile/0/000"), bytes(8192), lock=False)
    with pytest.raises(checkpoint.Forked, match=r"tile/0/000 in the bucket is not"):
        publish()
    assert "checkpoint" not in files()


def test_our_own_rows_are_continued_too_where_the_bucket_was_set_back() -> None:
    grow(10)
    publish()
    old = bucket.get(bucket.key(1, "checkpoint"))
    assert old is not None
    grow(10)
    publish()
    bucket.put(bucket.key(1, "checkpoint"), old[0], lock=False)
    put_back_events_alone(15)
    refused(checkpoint.Behind, "20 events were published")


def put_back_events_alone(size: int) -> None:
    """An older log with newer rows about it: somebody made it shorter by hand."""
    rows = list(Checkpoint.objects.order_by("id"))
    put_back(size)
    with bypassed():
        Checkpoint.objects.all().delete()
        Checkpoint.objects.bulk_create(rows)


# --- Foreign, lost ---


def test_a_checkpoint_that_another_key_signed_is_foreign(settings: Settings) -> None:
    grow(10)
    publish()
    settings.AUDIT_SIGNING_KEYS = KEYS[1:2]
    grow(1)
    refused(checkpoint.Foreign, ORIGIN, "name the old one and the new one", "manage.py audit restart")
    settings.AUDIT_SIGNING_KEYS = KEYS[:2]
    assert publish() is not None


@pytest.mark.parametrize("lying", [b"", b"hello\n", b"\xff\xfe", f"{ORIGIN}\n3\n{'A' * 43}=\n".encode()])
def test_what_is_no_checkpoint_is_foreign(lying: bytes) -> None:
    grow(10)
    bucket.put(bucket.key(1, "checkpoint"), lying, lock=False)
    refused(checkpoint.Foreign)


def test_the_checkpoint_of_another_log_is_foreign() -> None:
    grow(10)
    (signer,) = note.signers("other.example/log")
    text = note.signed(note.body(signer.name, 3, bytes(32)), [signer])
    bucket.put(bucket.key(1, "checkpoint"), text.encode(), lock=False)
    refused(checkpoint.Foreign, "other.example/log")


def test_a_checkpoint_that_has_vanished_from_the_bucket_is_not_made_anew() -> None:
    grow(10)
    publish()
    bucket.delete_prefix(bucket.key(1, "checkpoint"))
    grow(1)
    with pytest.raises(checkpoint.Lost, match="over 10 events is no longer"):
        publish()
    assert "checkpoint" not in files()


# --- Restart ---


def test_a_log_that_can_go_on_is_not_begun_anew() -> None:
    grow(10)
    publish()
    with pytest.raises(checkpoint.NothingWrong):
        restart()
    assert not actions_of("log.restarted")


def test_after_an_older_backup_a_new_log_begins_with_what_the_old_one_said_last() -> None:
    for _ in range(2):
        grow(300)
        publish()
    last = in_bucket()
    put_back(300)
    grow(1)
    refused(checkpoint.Behind)
    assert restart() == f"{ORIGIN}/2"
    assert Publication.objects.get().refusal == ""
    assert checkpoint.latest() is None
    (event,) = actions_of("log.restarted")
    publish()
    assert whole(2) == 302
    assert in_bucket(2).origin == f"{ORIGIN}/2"
    facts = event.leaf_values()["facts"]
    assert (event.object, event.actor, facts["cause"]) == (f"log:{ORIGIN}/2", "system:manage", "behind")
    assert (facts["old_origin"], facts["size"], facts["published_size"]) == (ORIGIN, 301, 600)
    assert base64.b64decode(facts["published_root"]) == last.root
    assert facts["keys"] == [each.vkey for each in note.signers(f"{ORIGIN}/2")]


def test_the_operators_words_are_no_part_of_the_proof_and_can_be_read() -> None:
    grow(1)
    restart("Ada's laptop burnt.", force=True)
    (event,) = actions_of("log.restarted")
    assert "laptop" not in event.leaf
    assert private.reveal(event) == {"reason": "Ada's laptop burnt."}
    assert event.leaf_values()["facts"]["cause"] == "forced"


def test_the_old_log_stays_in_the_bucket_as_it_was() -> None:
    grow(300)
    publish()
    before = files()
    restart(force=True)
    grow(300)
    publish()
    assert files() == before
    assert whole(2) == 601


def test_a_number_that_was_used_is_not_used_again() -> None:
    grow(10)
    publish()
    bucket.put(bucket.key(2, "tile/0/000.p/9"), b"left by somebody", lock=False)
    assert restart(force=True) == f"{ORIGIN}/3"
    publish()
    assert whole(3) == 10


def test_a_log_whose_key_is_lost_begins_anew_without_what_it_said(settings: Settings) -> None:
    grow(10)
    publish()
    settings.AUDIT_SIGNING_KEYS = KEYS[1:2]
    restart()
    (event,) = actions_of("log.restarted")
    facts = event.leaf_values()["facts"]
    assert facts["cause"] == "foreign"
    assert "published_size" not in facts
    publish()
    assert whole(2) == 11
    assert {key.name for key in keys()} == {f"{ORIGIN}/2"}


def test_two_restarts_at_once_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    grow(10)
    publish()
    log = standing.look()
    restart(force=True)
    monkeypatch.setattr(standing, "look", lambda: log)
    with pytest.raises(checkpoint.NothingWrong):
        restart(force=True)
    assert len(actions_of("log.restarted")) == 1


def test_what_was_exported_of_the_old_log_says_nothing_of_the_new() -> None:
    grow(600)
    log = standing.look()
    publish()
    restart(force=True)
    checkpoint._export(log, 600)  # a publisher that was slow
    assert Publication.objects.get().exported == 0
    publish()
    assert whole(2) == 600


def test_without_a_key_no_log_is_begun(settings: Settings) -> None:
    grow(10)
    settings.AUDIT_SIGNING_KEYS = []
    with pytest.raises(note.NoSigningKey):
        restart(force=True)


# --- Locked ---


@pytest.fixture
def locked(settings: Settings) -> Callable[[str], str]:
    """A new vault bucket with Object Lock, spoken to as the administrator; gives the lock's mode of a file in it."""
    admin = factories.stack()["s3"]["admin"]
    settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY = admin["access_key_id"], admin["secret_access_key"]
    settings.VAULT_BUCKET = f"locked-log-{uuid.uuid4()}"
    settings.VAULT_LOCK_MODE, settings.VAULT_LOCK_DAYS = "GOVERNANCE", 7
    bucket.client().create_bucket(Bucket=settings.VAULT_BUCKET, ObjectLockEnabledForBucket=True)

    def mode(path: str) -> str:
        said = bucket.client().head_object(Bucket=settings.VAULT_BUCKET, Key=bucket.key(1, path))
        return str(said.get("ObjectLockMode", ""))

    return mode


def test_where_the_vault_is_locked_checkpoints_and_full_tiles_are_and_partial_ones_go(
    locked: Callable[[str], str],
) -> None:
    grow(100)
    publish()
    grow(500)
    publish()
    assert whole() == 600
    paths = {"checkpoint", "tile/0/000", "tile/0/001", "tile/entries/000", "tile/entries/001"}
    for path in files():
        assert locked(path) == ("GOVERNANCE" if path in paths else "")
    assert not any("000.p/100" in path for path in files())
    assert len(notes()) == 2
