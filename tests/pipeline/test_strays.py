"""What lies in the buckets and should not: purged from quarantine, told of in the vault, never touched there."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from identity.models import User
from pipeline import gone, lifecycle, listing, storage, strays
from pipeline.models import Alarm, Document, DocumentVersion, Status, Walk
from tests import factories
from tests.people import recorded
from tests.pipeline import vaults

pytestmark = pytest.mark.django_db

HOURS = timedelta(hours=2)


@pytest.fixture(autouse=True)
def empty() -> None:
    """Rows of other tests are rolled back; what they left in the buckets would all be strays."""
    vaults.emptied(settings.QUARANTINE_BUCKET, "incoming/")
    vaults.emptied(settings.VAULT_BUCKET, "documents/")


def walk(name: str, *, now: datetime | None = None, limit: int = 1000) -> int:
    """Walk to the bucket's end; how many acts that came to."""
    acts, now = 0, now or timezone.now()
    Walk.objects.filter(name=name).update(finished_at=None)
    for _ in range(1000):
        looked = strays.step(name, now=now, limit=limit)
        assert looked is not None
        assert looked.entries <= limit
        acts += looked.acts
        if looked.ended:
            return acts
    raise AssertionError("the walk never ends")


def quarantined(key: str) -> int:
    """How many S3 versions lie under a key of quarantine."""
    return sum(not marker for _, marker in vaults.entries(settings.QUARANTINE_BUCKET, key))


def alarm() -> tuple[str, str]:
    """The one alarm that stands: its kind and key."""
    found = Alarm.objects.get(resolved_at__isnull=True)
    return found.kind, found.object


# --- quarantine ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [str(uuid.uuid4()), "no id", "deep/er", str(uuid.uuid4()).upper()])
def test_bytes_that_are_nobodys_are_purged_after_an_hour_and_recorded(name: str) -> None:
    key = f"incoming/{name}"
    ids = {vaults.put(settings.QUARANTINE_BUCKET, key, b"x") for _ in range(3)}
    assert walk("quarantine") == 0
    assert quarantined(key) == 3
    assert walk("quarantine", now=timezone.now() + HOURS) == 3
    assert quarantined(key) == 0
    [event] = recorded("quarantine.purged")
    assert event["facts"]["key"] == key
    assert event["facts"]["count"] == 3
    assert set(event["facts"]["s3_versions"]) == ids


def test_only_incoming_is_walked_through() -> None:
    vaults.put(settings.QUARANTINE_BUCKET, "elsewhere/x")
    assert walk("quarantine", now=timezone.now() + HOURS) == 0
    assert quarantined("elsewhere/x") == 1


def test_it_is_recorded_before_it_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    key = f"incoming/{uuid.uuid4()}"
    vaults.put(settings.QUARANTINE_BUCKET, key)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "purge_key", crash)
        with pytest.raises(KeyboardInterrupt):
            walk("quarantine", now=timezone.now() + HOURS)
    assert len(recorded("quarantine.purged")) == quarantined(key) == 1
    assert walk("quarantine", now=timezone.now() + HOURS) == 1


@pytest.mark.parametrize("state", ["begun", "received", "validated", "clean"])
def test_what_is_under_way_is_left_alone_with_all_its_replays(alice: User, state: str) -> None:
    version = getattr(factories, state)(alice)
    factories.send(version).raise_for_status()
    before = quarantined(version.incoming_key)
    assert walk("quarantine", now=timezone.now() + HOURS) == 0
    assert quarantined(version.incoming_key) == before


def test_infected_bytes_are_kept(alice: User) -> None:
    version = factories.validated(alice, factories.EICAR, filename="a.txt", content_type="text/plain")
    assert lifecycle.scan(version.pk)
    assert walk("quarantine", now=timezone.now() + HOURS) == 0
    assert quarantined(version.incoming_key) == 1


def test_bytes_that_land_after_the_last_tidy_are_purged_by_another(alice: User) -> None:
    version = factories.available(alice)
    ended = version.expires_at + timedelta(hours=1)
    assert lifecycle.tidy(version.pk, now=ended) == 1
    vaults.put(settings.QUARANTINE_BUCKET, version.incoming_key, b"late")
    assert walk("quarantine") == 1
    later = ended + timedelta(hours=1)
    assert list(DocumentVersion.objects.untidied(later, ended)) == [version]
    assert walk("quarantine") == 0
    assert lifecycle.tidy(version.pk, now=later) == 1
    assert quarantined(version.incoming_key) == 0
    assert len(recorded("version.purged")) == 2
    assert walk("quarantine") == 0
    assert not DocumentVersion.objects.untidied(later, ended).exists()


def test_a_delete_marker_in_quarantine_matters_to_nobody(alice: User) -> None:
    version = factories.received(alice)
    nobodys = f"incoming/{uuid.uuid4()}"
    for key in (version.incoming_key, nobodys):
        vaults.delete(settings.QUARANTINE_BUCKET, key)
    for _ in range(2):
        assert walk("quarantine", now=timezone.now() + HOURS, limit=1) == 0
    assert lifecycle.validate(version.pk)


# --- the walk ------------------------------------------------------------------------------------
def test_a_walk_goes_on_where_it_was_and_misses_nothing_whatever_the_page(alice: User) -> None:
    keys = [f"incoming/{uuid.uuid4()}" for _ in range(7)]
    for key in keys:
        for _ in range(3):
            vaults.put(settings.QUARANTINE_BUCKET, key, b"x")
    for limit in (1, 2, 4, 5):
        seen: list[listing.Found] = []
        after = ""
        while True:
            found, after = listing.page(settings.QUARANTINE_BUCKET, "incoming/", after=after, limit=limit)
            assert len(found) <= limit
            seen += found
            if not after:
                break
        assert len(seen) == len({one.version_id for one in seen}) == 21
    assert walk("quarantine", now=timezone.now() + HOURS, limit=2) == 21
    assert sum(event["facts"]["count"] for event in recorded("quarantine.purged")) == 21


def test_a_walk_that_has_ended_rests_and_begins_anew() -> None:
    now = timezone.now()
    vaults.put(settings.QUARANTINE_BUCKET, f"incoming/{uuid.uuid4()}")
    assert strays.step("quarantine", now=now)
    assert strays.step("quarantine", now=now + timedelta(minutes=4)) is None
    assert strays.step("quarantine", now=now + timedelta(minutes=6))
    row = Walk.objects.get()
    assert (row.marker, row.started_at, row.finished_at) == ("", *[now + timedelta(minutes=6)] * 2)


def test_a_walk_that_was_cut_off_goes_on_at_once() -> None:
    now = timezone.now()
    for _ in range(3):
        vaults.put(settings.QUARANTINE_BUCKET, f"incoming/{uuid.uuid4()}")
    first = strays.step("quarantine", now=now, limit=2)
    second = strays.step("quarantine", now=now, limit=2)
    assert first == strays.Looked(2, 0, ended=False)
    assert second == strays.Looked(1, 0, ended=True)


def test_a_page_takes_as_many_queries_as_a_key(alice: User) -> None:
    for n in range(5):
        factories.available(alice, name=f"n{n}")
    counts = []
    for limit in (1, 5):
        Walk.objects.all().delete()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            strays.step("vault", now=timezone.now(), limit=limit)
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- the vault -----------------------------------------------------------------------------------
def test_a_sound_vault_raises_nothing(alice: User) -> None:
    factories.available(alice)
    factories.available(alice)
    factories.clean(alice, name="Other")
    assert walk("vault", now=timezone.now() + HOURS) == 0


@pytest.mark.parametrize("name", ["{document}/{new}", "{new}/{version}", "{document}/{version}/more", "no-id"])
def test_an_object_that_no_version_knows_is_told_of_and_stays(alice: User, name: str) -> None:
    version = factories.available(alice)
    names = {"document": version.document_id, "version": version.pk, "new": uuid.uuid4()}
    key = f"documents/{name.format(**names)}"
    vaults.put(settings.VAULT_BUCKET, key)
    assert walk("vault") == 1
    assert alarm() == ("stray", key)
    assert walk("vault") == 0
    assert len(vaults.entries(settings.VAULT_BUCKET, key)) == 1


def test_a_further_s3_version_is_told_of_and_the_document_is_given_out_as_it_was(alice: User) -> None:
    version = factories.available(alice)
    vaults.put(settings.VAULT_BUCKET, version.vault_key, b"other")
    assert walk("vault") == 1
    assert alarm() == ("stray", version.vault_key)
    version.refresh_from_db()
    assert version.stuck_reason == ""  # what is given out is named by its VersionId


def test_a_delete_marker_in_the_vault_is_told_of(alice: User) -> None:
    version = factories.available(alice)
    vaults.delete(settings.VAULT_BUCKET, version.vault_key)
    assert walk("vault", limit=1) == 1
    assert "1 delete marker " in Alarm.objects.get().words


def test_the_logs_own_objects_are_left_alone() -> None:
    vaults.put(settings.VAULT_BUCKET, "audit/0/for-a-test")
    assert walk("vault", now=timezone.now() + HOURS) == 0
    vaults.delete(
        settings.VAULT_BUCKET, "audit/0/for-a-test", vaults.entries(settings.VAULT_BUCKET, "audit/0/for-a-test")[0][0]
    )


def test_a_copy_whose_version_is_not_yet_available_is_no_stray(alice: User) -> None:
    version = factories.clean(alice)
    storage.admit(version)
    assert walk("vault", now=timezone.now() + HOURS) == 0
    assert lifecycle.finalize(version.pk)
    assert walk("vault", now=timezone.now() + HOURS) == 0


def test_the_object_of_a_version_that_never_came_so_far_is_a_stray_after_an_hour(alice: User) -> None:
    version = factories.validated(alice)
    vaults.put(settings.VAULT_BUCKET, version.vault_key)
    assert walk("vault") == 0
    assert walk("vault", now=timezone.now() + HOURS) == 1
    assert alarm() == ("stray", version.vault_key)


def test_a_stray_that_is_gone_is_settled(alice: User) -> None:
    version = factories.available(alice)
    keys = [f"documents/{uuid.uuid4()}/{uuid.uuid4()}", version.vault_key]
    ids = [vaults.put(settings.VAULT_BUCKET, key) for key in keys]
    assert walk("vault") == 2
    now = timezone.now() + HOURS
    assert strays.look_again(now=now) == 0
    assert set(Alarm.objects.values_list("seen_at", flat=True)) == {now}
    for key, id_ in zip(keys, ids, strict=True):
        vaults.delete(settings.VAULT_BUCKET, key, id_)
    assert strays.look_again(now=now) == 0  # it was looked at just now
    assert strays.look_again(now=now + HOURS) == 2
    assert len(recorded("alarm.resolved")) == 2
    assert storage.in_vault(version)


def test_an_object_of_another_size_closes_its_version(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """No S3 lets anybody change the size of a version; what lists it so has been tampered with below S3."""
    version, page = factories.available(alice), listing.page

    def tampered(*args: Any, **kwargs: Any) -> Any:
        found, after = page(*args, **kwargs)
        return [listing.Found(f.key, f.version_id, f.at, f.size + 1, f.is_marker) for f in found], after

    monkeypatch.setattr(listing, "page", tampered)
    assert walk("vault") == 1
    assert alarm() == ("altered", version.vault_key)
    version.refresh_from_db()
    assert f"has {version.size + 1} bytes" in version.stuck_reason


# --- bytes that are gone -------------------------------------------------------------------------
def gone_from_quarantine(version: DocumentVersion) -> None:
    """Delete the pinned bytes; a replay of them stays and is no help."""
    factories.send(version).raise_for_status()
    vaults.delete(settings.QUARANTINE_BUCKET, version.incoming_key, version.s3_version_id)


@pytest.mark.parametrize("state", ["received", "validated", "clean"])
def test_a_version_under_way_whose_bytes_are_gone_says_so(alice: User, state: str) -> None:
    version = getattr(factories, state)(alice)
    gone_from_quarantine(version)
    assert gone.look(now=timezone.now()) == 0  # too young
    assert gone.look(now=timezone.now() + HOURS) == 1
    version.refresh_from_db()
    assert version.stuck_reason == "The bytes are gone from quarantine. The file must be sent again."
    assert len(recorded("version.stuck")) == 1
    assert gone.look(now=timezone.now() + 2 * HOURS) == 0


def test_one_that_waits_for_a_place_says_so_too(alice: User, settings: Any) -> None:
    settings.OWNER_PLACES = 1
    factories.received(alice)
    waiting = factories.received(alice, name="Other")
    assert waiting.entered_at is None
    gone_from_quarantine(waiting)
    assert gone.look(now=timezone.now() + HOURS) == 1


def test_whose_bytes_are_there_or_who_has_ended_is_left_alone(alice: User) -> None:
    factories.received(alice)
    version = factories.clean(alice, name="Other")
    lifecycle.finalize(version.pk)
    lifecycle.tidy(version.pk)
    assert gone.look(now=timezone.now() + HOURS) == 0
    assert not DocumentVersion.objects.stuck().exists()


def test_one_that_ends_in_the_middle_of_it_is_not_said_to_be_lost(alice: User) -> None:
    version = factories.clean(alice)
    lifecycle.finalize(version.pk)
    lifecycle.tidy(version.pk)
    lifecycle.miss(version)  # as it was read before
    version.refresh_from_db()
    assert (version.status, version.stuck_reason) == (Status.AVAILABLE, "")


def test_the_walk_through_what_is_under_way_is_bounded_and_reaches_all(alice: User) -> None:
    versions = [factories.received(alice, name=f"n{n}") for n in range(5)]
    same = timezone.now()
    DocumentVersion.objects.filter(pk__in=[v.pk for v in versions[:4]]).update(status_at=same)  # at one moment
    for version in versions:
        vaults.delete(settings.QUARANTINE_BUCKET, version.incoming_key, version.s3_version_id)
    assert [gone.look(now=timezone.now() + HOURS, at_once=2) for _ in range(4)] == [2, 2, 1, 0]
    assert Document.objects.count() == DocumentVersion.objects.stuck().count() == 5


def test_with_the_storage_away_nothing_is_said_to_be_gone(alice: User, settings: Any) -> None:
    version = factories.received(alice)
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    with pytest.raises(storage.FAULTS):
        gone.look(now=timezone.now() + HOURS)
    with pytest.raises(storage.FAULTS):
        strays.step("vault", now=timezone.now())
    version.refresh_from_db()
    assert version.stuck_reason == ""
