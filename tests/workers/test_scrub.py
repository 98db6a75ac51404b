"""The process that reads the vault again: one works, the pace is kept, and it stops in the middle of anything."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as ours
from django.db import connection, connections
from pytest_django import Settings

from devstack.places import ROOT
from identity.models import User
from pipeline import claims, scrub, storage, strays
from pipeline.models import Alarm, Walk
from tests import factories
from tests.people import recorded
from tests.pipeline import vaults
from workers.scrub import LOCK, Scrub

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
Process = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def work() -> Scrub:
    """One process's work."""
    return Scrub(threading.Event())


@pytest.fixture
def process() -> Iterator[Process]:
    """Start `python -m workers.scrub` on the tests' own database; whatever becomes of it, it ends."""
    started = []

    def start(**changes: str) -> "subprocess.Popen[str]":
        here: dict[str, Any] = connection.settings_dict
        login = f"{here['USER']}:{here['PASSWORD']}@{here['HOST']}:{here['PORT']}"
        env = {**os.environ, "DATABASE_URL": f"postgres://{login}/{here['NAME']}", **changes}
        argv = [sys.executable, "-m", "workers.scrub"]
        begun = subprocess.Popen(argv, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
        started.append(begun)
        return begun

    yield start
    for begun in started:
        begun.kill()
        begun.communicate()


def until(so: Callable[[], object], seconds: float = 30) -> None:
    """Wait until it is so."""
    ends = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_turn_does_a_part_of_everything(alice: User, work: Scrub) -> None:
    version = vaults.planted(alice)
    beside = factories.available(alice, name="Other")
    vaults.put(ours.VAULT_BUCKET, beside.vault_key, b"beside")
    until(lambda: not work.turn())
    found = set(Alarm.objects.filter(object__in=[version.vault_key, beside.vault_key]).values_list("kind", "object"))
    assert found == {("altered", version.vault_key), ("stray", beside.vault_key)}
    assert set(Walk.objects.filter(finished_at__isnull=False).values_list("name", flat=True)) == {
        "quarantine", "vault", "gone-received", "gone-validated", "gone-clean",
    }  # fmt: skip
    assert vaults.told_at(beside)
    assert work.tally.objects == 2


def test_while_another_copy_works_this_one_stands_by(alice: User, work: Scrub) -> None:
    version = factories.available(alice)

    def other() -> None:
        with claims.locked(LOCK) as theirs:
            assert theirs
            held.set()
            done.wait(30)
        connections.close_all()

    held, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    assert held.wait(10)
    assert not work.turn()
    assert vaults.told_at(version) is None
    done.set()
    thread.join()
    work.turn()
    assert vaults.told_at(version)


def test_with_the_storage_away_a_turn_ends_and_the_next_goes_on(alice: User, work: Scrub, settings: Settings) -> None:
    version, endpoint = factories.available(alice), settings.S3_ENDPOINT_URL
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    assert not work.turn()
    settings.S3_ENDPOINT_URL = endpoint
    work.unread.well(version.pk)  # it is left out for a minute
    work.turn()
    assert vaults.told_at(version)
    assert not Alarm.objects.filter(version=version).exists()


def test_an_object_that_fails_does_not_hold_up_the_next(
    alice: User, work: Scrub, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = factories.available(alice), factories.available(alice, name="Other")
    real = storage.vaulted

    def fails(version: Any) -> Any:
        if version == bad:
            raise storage.Differs
        return real(version)

    monkeypatch.setattr(storage, "vaulted", fails)
    monkeypatch.setattr(storage, "in_vault", lambda _: False)
    work.turn()
    work.turn()
    assert vaults.told_at(good)
    assert vaults.told_at(bad) is None
    assert not Alarm.objects.filter(version=bad).exists()


def test_it_reads_no_faster_than_it_may(alice: User, work: Scrub, settings: Settings) -> None:
    version = factories.available(
        alice, os.urandom(MIB // 2).hex().encode(), filename="a.txt", content_type="text/plain"
    )
    settings.SCRUB_BYTES_PER_SECOND = MIB
    began = time.monotonic()
    scrub.check(version, pace=work.pace, unread=work.unread)
    assert 0.9 < time.monotonic() - began < 5
    assert work.tally.bytes == MIB


def test_it_tells_now_and_then_how_far_it_has_come(alice: User, work: Scrub) -> None:
    factories.available(alice)
    work.turn()
    work.tell()
    assert work.tally.objects == 1
    work.told_at -= 61
    work.tell()
    assert work.tally.objects == 0


def test_the_process_stops_in_the_middle_of_a_large_object(alice: User, process: Process) -> None:
    body = os.urandom(8 * MIB).hex().encode()
    version = factories.available(alice, body, filename="a.txt", content_type="text/plain")
    started = process(SCRUB_BYTES_PER_SECOND="65536", LARGE_FILE_BYTES="1000000")  # it would take four minutes
    assert started.stderr
    assert any("large_object" in line for line in iter(started.stderr.readline, ""))
    assert recorded("process.started")[0]["facts"]["process"] == "scrub"
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate(timeout=5)
    assert started.returncode == 0
    assert json.loads(said.splitlines()[-1])["event"] == "scrub_stopped"
    assert vaults.told_at(version) is None
    assert not Alarm.objects.filter(version=version).exists()


def test_the_process_finds_what_was_altered_and_purges_what_is_nobodys(alice: User, process: Process) -> None:
    version, key = vaults.planted(alice), f"incoming/{uuid.uuid4()}"
    vaults.put(ours.QUARANTINE_BUCKET, key)
    started = process()
    until(lambda: Alarm.objects.filter(version=version, kind="altered").exists())
    until(lambda: Walk.objects.filter(name="quarantine", finished_at__isnull=False).exists())
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate(timeout=10)
    assert started.returncode == 0
    assert any(str(version.pk) in line and "vault_alarm" in line for line in said.splitlines())
    assert vaults.entries(ours.QUARANTINE_BUCKET, key)  # younger than an hour
    assert strays.YOUNG.total_seconds() == 3600
