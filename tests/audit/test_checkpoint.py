"""Checkpoints: each continues the one before, in the bucket as in the database, whoever publishes and dies."""

import base64
import contextlib
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import Settings

from audit import bucket, checkpoint, mirror, note, standing, trail, tree, verify
from audit.models import Checkpoint, Private, Publication
from audit.trail import Ref
from tests.audit.bucketed import (
    KEYS,
    ORIGIN,
    START,
    actions_of,
    files,
    grow,
    in_bucket,
    keys,
    notes,
    partials,
    whole,
)  # fmt: skip
from tests.database_roles import SEQUENCER, being

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("log_in_bucket")]


def publish(*, minutes: float = 0, **more: Any) -> Checkpoint | None:
    """Publish, so many minutes after the tests' noon."""
    return checkpoint.publish(now=START + timedelta(minutes=minutes), **more)


def test_an_empty_log_publishes_nothing() -> None:
    assert publish() is None
    assert files() == {}


def test_a_log_is_published_with_its_tiles_and_noted_down() -> None:
    grow(300)
    made = publish()
    assert made is not None
    assert (made.origin, made.size, made.at) == (ORIGIN, 300, START)
    assert whole() == 300
    assert set(files()) == {
        *("checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"),
        *("tile/entries/000", "tile/entries/001.p/44"),
    }
    assert checkpoint.latest() == made
    assert Publication.objects.get().exported == 300


def test_the_types_of_the_files_are_those_of_tlog_tiles(settings: Settings) -> None:
    grow(3)
    publish()
    for path, kind in {
        "checkpoint": "text/plain; charset=utf-8",
        "tile/0/000.p/3": "application/octet-stream",
        "tile/entries/000.p/3": "application/octet-stream",
    }.items():
        said = bucket.client().head_object(Bucket=settings.VAULT_BUCKET, Key=bucket.key(1, path))
        assert said["ContentType"] == kind


def test_nothing_is_published_while_nothing_happens_and_within_the_hour() -> None:
    grow(3)
    publish()
    assert publish(minutes=59) is None
    assert len(notes()) == 1
    beat = publish(minutes=60)
    assert beat is not None
    assert (beat.size, beat.at) == (3, START + timedelta(minutes=60))
    assert len(set(notes())) == 1
    assert len(notes()) == 2
    assert publish(minutes=61) is None


def test_a_log_that_has_grown_is_published_at_once_and_continues_the_old_one() -> None:
    grow(3)
    publish()
    old = in_bucket()
    grow(700)
    publish()
    new = in_bucket()
    proof = tree.consistency(3, 703, standing.look().read)
    verify.check_consistency(old.size, old.root, new.size, new.root, proof)
    assert whole() == 703


def test_partial_tiles_go_when_they_are_full_and_not_before() -> None:
    for count in (100, 50):
        grow(count)
        publish()
    assert partials() == [f"tile/{level}/000.p/{width}" for level in ("0", "entries") for width in (100, 150)]
    grow(200)
    publish()
    assert partials() == ["tile/0/001.p/94", "tile/1/000.p/1", "tile/entries/001.p/94"]
    assert whole() == 350


def test_what_a_lost_publication_left_behind_goes_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    grow(100)
    publish()
    grow(200)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_put", lambda *_: False)  # another was faster
        assert publish() is None
    assert "tile/0/001.p/44" in partials()
    grow(300)
    publish()
    assert partials() == ["tile/0/002.p/88", "tile/1/000.p/1", "tile/1/000.p/2", "tile/entries/002.p/88"]


def test_a_backlog_is_published_by_slices_each_of_them_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SLICE", 512)
    grow(1500)
    sizes = []
    while made := publish():
        sizes.append(made.size)
        assert whole() == made.size
    assert sizes == [512, 1024, 1500]


def test_a_process_without_a_key_signs_nothing_and_says_so(settings: Settings) -> None:
    grow(3)
    settings.AUDIT_SIGNING_KEYS = []
    with pytest.raises(note.NoSigningKey):
        publish()
    assert "AUDIT_SIGNING_KEYS" in Publication.objects.get().refusal
    assert files() == {}
    settings.AUDIT_SIGNING_KEYS = KEYS[:1]
    assert publish() is not None
    assert Publication.objects.get().refusal == ""


def test_every_key_signs_and_a_change_of_keys_is_recorded_once(settings: Settings) -> None:
    grow(3)
    publish()
    settings.AUDIT_SIGNING_KEYS = KEYS[:2]
    grow(1)
    publish()
    old, new = keys()
    assert in_bucket().note.count("\n— ") == 2
    for key in (old, new):
        assert verify.open_checkpoint(in_bucket().note, [key]).size == 4
    settings.AUDIT_SIGNING_KEYS = KEYS[1:2]
    for _ in range(2):
        grow(1)
        publish()
    begun, ended = actions_of("log.keys_changed")
    assert begun.leaf_values()["facts"]["begins"] == [new.id.hex()]
    assert begun.leaf_values()["facts"]["keys"] == [each.vkey for each in _signers(*KEYS[:2])]
    assert (begun.object, begun.actor) == (f"log:{ORIGIN}", "system:checkpoint")
    assert ended.details == f"Keys of the checkpoints: {old.id.hex()} signs no more."
    assert whole() == 8  # and two events about keys


def _signers(*seeds: str) -> list[note.Signer]:
    return [note.Signer(ORIGIN, base64.urlsafe_b64decode(seed)) for seed in seeds]


def test_a_key_that_is_named_twice_signs_once(settings: Settings) -> None:
    settings.AUDIT_SIGNING_KEYS = [*KEYS[:1], *KEYS[:1]]
    for _ in range(2):
        grow(1)
        publish()
    assert in_bucket().note.count("\n— ") == 1


def test_the_name_is_the_public_address_unless_another_is_set(settings: Settings) -> None:
    settings.AUDIT_ORIGIN, settings.PUBLIC_URL = "", "https://rooms.example/strongroom/"
    assert standing.origin(1) == "rooms.example/strongroom/api/audit/log"
    assert standing.origin(3) == "rooms.example/strongroom/api/audit/log/3"
    settings.AUDIT_ORIGIN = "logs.example/a"
    assert standing.origin(2) == "logs.example/a/2"


def test_a_name_once_published_stays_whatever_the_settings_say(settings: Settings) -> None:
    grow(1)
    publish()
    settings.AUDIT_ORIGIN = "elsewhere.example/log"
    grow(1)
    publish()
    assert in_bucket().origin == ORIGIN


def test_nothing_personal_comes_to_the_bucket() -> None:
    person = Ref("user", "12")
    for _ in range(2):
        trail.record("document.read", actor=person, object=Ref("version", "v"), private={"ip": "203.0.113.77"})
    grow(1)
    publish()
    sealed = [bytes(each) for each in Private.objects.values_list("ciphertext", flat=True)]
    assert len(sealed) == 2
    lying = b"".join(files().values())
    assert b"203.0.113.77" not in lying
    for each in sealed:
        assert not any(form in lying for form in (each, each.hex().encode(), base64.b64encode(each)))


def test_an_event_is_covered_once_a_checkpoint_is_published_over_it() -> None:
    grow(2)
    with pytest.raises(checkpoint.NotCovered):
        checkpoint.covering(0)
    made = publish()
    grow(1)
    assert checkpoint.covering(1) == made
    with pytest.raises(checkpoint.NotCovered):
        checkpoint.prove(2)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
def test_every_event_can_be_proven(size: int) -> None:
    grow(size)
    publish()
    for seq in {0, size // 2, size - 1}:
        proof = verify.parse_proof(checkpoint.prove(seq))
        under = verify.open_checkpoint(proof.note, keys())
        verify.check_inclusion(standing.look().read(0, seq), proof.index, under.size, under.root, proof.hashes)
        assert proof.index == seq


def test_a_proof_among_a_million_events_with_two_keys_is_below_one_and_a_half_kilobytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = note.signed(note.body(ORIGIN, 10**6, bytes(32)), _signers(*KEYS[:2]))
    under = Checkpoint(origin=ORIGIN, size=10**6, root=bytes(32), note=text)
    monkeypatch.setattr(checkpoint, "covering", lambda _: under)
    monkeypatch.setattr("audit.tiles.reader", lambda: lambda height, place: bytes(32))
    assert len(checkpoint.prove(0).encode()) <= 1500


# --- Several at once ---


@pytest.mark.django_db(transaction=True)
def test_of_two_publishers_who_read_the_same_checkpoint_one_wins_and_the_other_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grow(10)
    publish()
    grow(10)
    both, put = threading.Barrier(2), checkpoint._put

    def together(log: standing.Log, text: str) -> bool:
        both.wait(10)
        return put(log, text)

    made: list[Checkpoint | None] = []

    def work() -> None:
        try:
            made.append(publish())
        finally:
            connections.close_all()

    monkeypatch.setattr(checkpoint, "_put", together)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(each.size if each else 0 for each in made) == [0, 20]
    assert len(notes()) == 2
    assert whole() == 20


@pytest.mark.django_db(transaction=True)
def test_three_publishers_and_a_growing_log_never_fork() -> None:
    growing, failures = threading.Event(), list[BaseException]()
    growing.set()

    def work() -> None:
        try:
            while growing.is_set():
                publish()
        except BaseException as failure:  # noqa: BLE001 - handed to the test below
            failures.append(failure)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(25):
        grow(40)
    growing.clear()
    for thread in threads:
        thread.join(30)
    assert failures == []
    publish()
    assert whole() == 1000
    log = standing.look()
    opened = [verify.open_checkpoint(text.decode(), keys()) for text in notes()]
    assert len(opened) > 3
    assert [each.size for each in opened] == sorted(each.size for each in opened)
    assert all(log.root_at(each.size) == each.root for each in opened)


# --- Crashes ---


class Died(BaseException):
    """What a killed process never says."""


def writes(monkeypatch: pytest.MonkeyPatch, die_after: int) -> list[str]:
    """Let the process die after so many writes, to S3 or the database; return the list that the writes are named in."""
    done: list[str] = []

    def counting(owner: Any, name: str) -> None:
        act = getattr(owner, name)

        def then_die(*given: Any, **more: Any) -> Any:
            said = act(*given, **more)
            done.append(name)
            if len(done) == die_after:
                raise Died
            return said

        monkeypatch.setattr(owner, name, then_die)

    counting(bucket, "put")
    counting(bucket, "_deleted")
    counting(checkpoint, "_remember")
    counting(checkpoint, "_export")
    counting(checkpoint, "_record_keys")
    counting(mirror, "tidy")
    return done


@pytest.mark.django_db(transaction=True)
def test_whoever_dies_after_any_write_the_next_one_goes_on(settings: Settings) -> None:
    grow(100)
    publish()
    for die_after in range(1, 100):
        settings.AUDIT_SIGNING_KEYS = KEYS[:2] if die_after % 2 else KEYS[:1]
        grow(300)
        with pytest.MonkeyPatch.context() as patch:
            done = writes(patch, die_after)
            with contextlib.suppress(Died):
                publish()
        after = publish()
        size = whole()
        assert size == standing.size()
        assert after is None or after.size == size
        assert len(actions_of("log.keys_changed")) == die_after
        if len(done) < die_after:
            break
    assert {path.split("/")[2] for path in partials() if "tile/0/" in path} == {f"{size >> 8:03d}.p"}
    assert {"put", "_deleted", "_remember", "_export", "_record_keys", "tidy"} <= set(done)


def test_a_checkpoint_whose_publisher_died_before_the_row_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    grow(10)

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_remember", die)
        with pytest.raises(Died):
            publish()
    assert (in_bucket().size, checkpoint.latest()) == (10, None)
    adopted = publish(minutes=1)
    assert adopted is not None
    assert adopted.note == in_bucket().note
    assert len(notes()) == 1
    assert publish(minutes=2) is None


def test_a_fault_of_s3_is_let_through_and_no_refusal(settings: Settings) -> None:
    grow(1)
    there, settings.VAULT_BUCKET = settings.VAULT_BUCKET, "no-such-bucket"
    with pytest.raises(bucket.FAULTS):
        publish()
    settings.VAULT_BUCKET = there
    assert not Publication.objects.exclude(refusal="").exists()
    assert publish() is not None


@pytest.mark.django_db(transaction=True)
def test_the_sequencers_own_role_can_publish() -> None:
    call_command("grant", verbosity=0)
    grow(300)
    with being(SEQUENCER):
        assert publish() is not None
    assert whole() == 300
