"""The vault is read again: what is not what was put there is found, closed and told of; what is away is not."""

import os
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as ours
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from audit.trail import Ref
from identity.models import User
from pipeline import alarms, lifecycle, reading, scrub, storage
from pipeline.models import Alarm, DocumentVersion, Status
from pipeline.scrub import Outcome, Unread
from tests import factories
from tests.people import recorded
from tests.pipeline import vaults

pytestmark = pytest.mark.django_db

ADMIN = Ref("user", "1")
EQUAL, ALTERED, MISSING, UNREAD, BROKEN_OFF = Outcome
MIB = 1024 * 1024


def at_full_speed(_: int) -> bool:
    """No pace."""
    return True


def check(version: DocumentVersion, **changes: Any) -> Outcome:
    """Check one version as its row is now."""
    fresh = DocumentVersion.objects.select_related("document").get(pk=version.pk)
    return scrub.check(fresh, **{"pace": at_full_speed, "unread": Unread(), **changes})


def due(**changes: Any) -> list[DocumentVersion]:
    """What is to be read now."""
    return scrub.due(**{"now": timezone.now(), "leave_out": [], **changes})


def standing() -> list[tuple[str, str]]:
    """Kind and key of every alarm that stands."""
    return list(Alarm.objects.filter(resolved_at__isnull=True).values_list("kind", "object"))


# --- what is found -------------------------------------------------------------------------------
def test_what_is_as_it_was_is_noted_and_no_more(alice: User) -> None:
    version = factories.available(alice)
    before = timezone.now()
    assert check(version) == EQUAL
    version.refresh_from_db()
    assert version.checked_at
    assert version.checked_at > before
    assert not Alarm.objects.exists()
    assert due() == []


def test_other_bytes_of_the_same_length_under_the_same_metadata_are_found(alice: User) -> None:
    version = vaults.planted(alice)
    assert reading.download(alice, version.pk)  # nobody knows yet
    assert check(version) == ALTERED
    assert standing() == [("altered", version.vault_key)]
    version.refresh_from_db()
    assert factories.sha256(bytes(version.size)) in version.stuck_reason
    with pytest.raises(reading.Withheld):
        reading.download(alice, version.pk)
    assert len(recorded("alarm.raised")) == 1
    assert due() == []  # it was checked


def test_an_object_that_is_not_there_is_missing(alice: User) -> None:
    version = factories.available(alice)
    vaults.lost(version)
    assert check(version) == MISSING
    assert standing() == [("missing", version.vault_key)]
    with pytest.raises(reading.Withheld):
        reading.download(alice, version.pk)


def test_other_bytes_in_its_place_do_not_stand_for_it(alice: User) -> None:
    version = factories.available(alice)
    vaults.lost(version)
    vaults.put(ours.VAULT_BUCKET, version.vault_key, factories.PDF)  # even the same: nobody pinned these
    assert check(version) == MISSING


def test_an_object_behind_a_delete_marker_is_there(alice: User) -> None:
    version = factories.available(alice)
    vaults.delete(ours.VAULT_BUCKET, version.vault_key)
    assert check(version) == EQUAL


def test_another_size_is_found_without_reading(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    version = factories.available(alice)
    version.size += 1
    assert scrub.check(version, pace=lambda _: pytest.fail("it was read"), unread=Unread()) == ALTERED
    version.refresh_from_db()
    assert f"has {len(factories.PDF)} bytes" in version.stuck_reason


def test_found_well_again_it_is_open_again(alice: User) -> None:
    version = factories.available(alice)
    for kind in (Alarm.Kind.MISSING, Alarm.Kind.ALTERED):
        alarms.stand(kind, version.vault_key, version, "For a test.")
    assert check(version) == EQUAL
    assert standing() == []
    assert len(recorded("alarm.resolved")) == 2
    assert reading.download(alice, version.pk)


def test_one_kind_of_alarm_follows_another(alice: User) -> None:
    version = vaults.planted(alice)
    check(version)
    vaults.lost(version)
    assert check(version) == MISSING
    assert standing() == [("missing", version.vault_key)]
    version.refresh_from_db()
    assert version.stuck_reason == "The storage has the object of this version no more."


def test_what_closed_it_without_an_alarm_is_over_when_it_is_found_well(alice: User) -> None:
    version = factories.available(alice)
    DocumentVersion.objects.filter(pk=version.pk).update(stuck_reason="By hand.", stuck_at=timezone.now())
    assert check(version) == EQUAL
    assert reading.download(alice, version.pk)


# --- what is no alarm ----------------------------------------------------------------------------
def test_that_the_storage_is_away_is_no_alarm(alice: User, settings: Settings) -> None:
    version, unread = factories.available(alice), Unread()
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    for _ in range(6):
        with pytest.raises(storage.FAULTS):
            check(version, unread=unread)
    assert standing() == []
    assert vaults.told_at(version) is None
    assert not unread.tries


def test_that_we_may_not_read_is_no_alarm(alice: User, settings: Settings) -> None:
    version = factories.available(alice)
    settings.S3_SECRET_ACCESS_KEY = "wrong"
    with pytest.raises(storage.FAULTS):
        check(version)
    assert standing() == []


def test_a_bucket_that_is_not_there_is_no_alarm(alice: User, settings: Settings) -> None:
    version = factories.available(alice)
    settings.VAULT_BUCKET = "no-such-bucket"
    with pytest.raises(storage.FAULTS):
        check(version)
    assert standing() == []


def test_a_check_that_is_broken_off_notes_nothing(alice: User) -> None:
    version = vaults.planted(alice)
    assert check(version, pace=lambda _: False) == BROKEN_OFF
    assert standing() == []
    assert vaults.told_at(version) is None


# --- bit rot -------------------------------------------------------------------------------------
@pytest.fixture
def rotten() -> Callable[[DocumentVersion], None]:
    """Make what is on the disk of the storage differ in a few bytes, as a failing disk does."""

    def rot(version: DocumentVersion) -> None:
        for path, place in _on_disk(version):
            with path.open("r+b") as file:
                file.seek(place)
                file.write(b"rotten")

    return rot


def _on_disk(version: DocumentVersion) -> Iterator[tuple[Path, int]]:
    """Where the version's object begins on the disk: its key names the file, the last that was written is its end."""
    volumes = Path(factories.stack()["data"]).glob("s3/**/*.dat")
    newest = max(volumes, key=lambda path: path.stat().st_mtime_ns)
    yield newest, newest.stat().st_size - version.size // 2


def test_what_the_storage_has_and_does_not_give_time_and_again_is_an_alarm(
    alice: User, rotten: Callable[[DocumentVersion], None]
) -> None:
    version, unread, now = factories.available(alice, text(MIB), **TEXT), Unread(), timezone.now()
    rotten(version)
    for wait in (0, 1, 5, 15):
        now += timedelta(minutes=wait)
        assert check(version, unread=unread, now=now) == UNREAD
        assert unread.left_out(now) == [version.pk]
        assert standing() == []
        assert vaults.told_at(version) is None
    now += timedelta(minutes=30)
    assert unread.left_out(now) == []
    assert check(version, unread=unread, now=now) == UNREAD
    assert standing() == [("altered", version.vault_key)]
    version.refresh_from_db()
    assert "failed to give it 5 times" in version.stuck_reason
    assert version.checked_at == now
    other = factories.available(alice, name="Other")
    assert check(other) == EQUAL


def test_one_good_reading_makes_up_for_failures(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    version, unread = factories.available(alice), Unread()
    with monkeypatch.context() as broken:
        broken.setattr(storage, "vaulted", _broken)
        for _ in range(4):
            assert check(version, unread=unread) == UNREAD
    assert check(version, unread=unread) == EQUAL
    assert not unread.tries


def _broken(_: DocumentVersion) -> Any:
    raise storage.Gone  # which the storage's answer to HEAD denies


TEXT = {"filename": "a.txt", "content_type": "text/plain"}


def text(size: int) -> bytes:
    """Lines that no compression makes small, and no disk holds twice."""
    return os.urandom(size // 2).hex().encode()


# --- in which order ------------------------------------------------------------------------------
def checked(owner: User, name: str, days: float | None) -> DocumentVersion:
    """An available version that was checked so many days ago."""
    version = factories.available(owner, name=name)
    at = None if days is None else timezone.now() - timedelta(days=days)
    DocumentVersion.objects.filter(pk=version.pk).update(checked_at=at)
    return version


def test_the_never_checked_come_first_then_the_longest_checked_and_the_rest_not_at_all(alice: User) -> None:
    old, _, older, never = (checked(alice, f"n{days}", days) for days in (31, 29, 40, None))
    assert due() == [never, older, old]
    assert due(at_once=2) == [never, older]
    assert due(leave_out=[never.pk], at_once=2) == [older, old]


def test_how_old_a_check_may_grow_is_a_setting(alice: User, settings: Settings) -> None:
    version = checked(alice, "n", 3)
    assert due() == []
    settings.SCRUB_EVERY_DAYS = 2
    assert due() == [version]


def test_only_what_is_in_the_vault_is_read(alice: User) -> None:
    factories.clean(alice)
    assert due() == []


def test_an_alarm_is_looked_at_again_by_itself(alice: User) -> None:
    version = vaults.planted(alice)
    check(version)
    assert due() == []
    assert due(now=timezone.now() + timedelta(hours=7)) == [version]


def test_what_an_admin_requeues_is_read_before_all_others(alice: User) -> None:
    version = vaults.planted(alice, name="Altered")
    check(version)
    others = [checked(alice, "n", None), checked(alice, "m", 99)]
    assert due() == others
    requeued = lifecycle.requeue(version.pk, by=ADMIN)
    assert requeued.checked_at is None
    assert due() == [version, *others]
    assert check(version) == ALTERED
    assert due() == others
    assert len(recorded("version.requeued")) == 1


def test_requeued_and_found_well_it_is_given_out_again(alice: User) -> None:
    version = factories.available(alice)
    check(version)
    alarms.stand(Alarm.Kind.ALTERED, version.vault_key, version, "For a test.")
    lifecycle.requeue(version.pk, by=ADMIN)
    with pytest.raises(reading.Withheld):  # closed until it was read
        reading.download(alice, version.pk)
    [first] = due()
    assert check(first) == EQUAL
    assert reading.download(alice, version.pk)


def test_what_is_requeued_while_it_is_read_is_read_again(alice: User) -> None:
    version = vaults.planted(alice)
    check(version)

    def requeue(_: int) -> bool:
        lifecycle.requeue(version.pk, by=ADMIN)
        return True

    assert check(version, pace=requeue) == ALTERED
    assert vaults.told_at(version) is None
    assert due() == [version]


def test_turned_off_it_reads_what_is_requeued_and_nothing_else(alice: User, settings: Settings) -> None:
    settings.SCRUB_BYTES_PER_SECOND = 0
    version = checked(alice, "n", None)
    assert due() == []
    DocumentVersion.objects.filter(pk=version.pk).update(stuck_reason="For a test.", stuck_at=timezone.now())
    assert due() == [version]


# --- what it costs -------------------------------------------------------------------------------
def test_a_large_object_is_read_in_constant_memory(alice: User) -> None:
    size = 40 * MIB
    version = factories.available(alice, text(size), **TEXT)
    tracemalloc.start()
    try:
        assert check(version) == EQUAL
        assert tracemalloc.get_traced_memory()[1] < 3 * MIB
    finally:
        tracemalloc.stop()


def test_a_sound_object_costs_two_queries_and_the_next_ones_three(alice: User) -> None:
    versions = [factories.available(alice, name=f"n{n}") for n in range(4)]
    with CaptureQueriesContext(connection) as queries:
        assert len(due()) == 4
    assert len(queries) == 3
    with CaptureQueriesContext(connection) as queries:
        scrub.check(versions[0], pace=at_full_speed, unread=Unread())
    assert len(queries) == 2


def test_the_oldest_are_found_by_the_index_of_the_unchecked(alice: User) -> None:
    checked(alice, "n", None)
    with CaptureQueriesContext(connection) as queries:
        due()
        scrub.since(now=timezone.now())
    asked = [query["sql"] for query in queries if "NULLS FIRST" in query["sql"]]
    assert len(asked) == 3
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        for sql in asked:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "version_unchecked" in plan
            assert "Sort" not in plan


def test_its_age_is_that_of_the_longest_unchecked(alice: User) -> None:
    assert scrub.since(now=timezone.now()) == 0
    checked(alice, "n", 2)
    assert scrub.since(now=timezone.now()) == pytest.approx(2 * 86400, abs=60)
    checked(alice, "m", None)
    assert scrub.since(now=timezone.now()) == pytest.approx(2 * 86400, abs=60)
    assert scrub.since(now=timezone.now() + timedelta(days=30)) == pytest.approx(32 * 86400, abs=60)


def test_the_state_of_a_version_never_changes_by_it(alice: User) -> None:
    version = vaults.planted(alice)
    check(version)
    version.refresh_from_db()
    assert (version.status, version.number) == (Status.AVAILABLE, 1)
