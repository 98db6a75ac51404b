"""A step dies after each of its writes; run again it ends as if nothing had been.

Writes are found by themselves: every INSERT, UPDATE and DELETE and every call that changes S3 is one,
and the step is broken off after the first, after the second, and so on until it comes through.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from django.db import connection

from audit.models import Outbox
from identity.models import User
from pipeline import lifecycle, scanner, storage
from pipeline.models import DocumentVersion, Scan, Status
from tests import factories
from tests.people import recorded

pytestmark = pytest.mark.django_db(transaction=True)

WRITES = ("INSERT", "UPDATE", "DELETE")
S3_WRITES = {"CopyObject", "DeleteObject", "PutObject"}


class Crash(BaseException):
    """The process is gone. Not an Exception: nothing may catch it."""


class Fuse:
    """Blows after the n-th write."""

    def __init__(self, after: int) -> None:
        self.left = after

    def wrote(self) -> None:
        """Count one write."""
        self.left -= 1
        if self.left == 0:
            raise Crash

    def around_sql(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Django's execute wrapper."""
        result = execute(sql, params, many, context)
        if sql.lstrip().startswith(WRITES):
            self.wrote()
        return result

    def after_s3(self, model: Any, **_: Any) -> None:
        """botocore's event after a call."""
        if model.name in S3_WRITES:
            self.wrote()


@contextmanager
def breaking(after: int) -> Iterator[Fuse]:
    """Break what runs inside after its n-th write."""
    fuse = Fuse(after)
    events = storage.client().meta.events
    events.register("after-call.s3", fuse.after_s3)
    try:
        with connection.execute_wrapper(fuse.around_sql):
            yield fuse
    finally:
        events.unregister("after-call.s3", fuse.after_s3)


def broken_off_everywhere(version: DocumentVersion, step: Callable[[Any], Any]) -> int:
    """Run a step, broken off after its first write, its second ...; return how many writes it has."""
    writes = 1
    while True:
        try:
            with breaking(writes):
                step(version.pk)
        except Crash:
            connection.close()  # the process is gone, and its session with it
            writes += 1
            if version.status in {Status.RECEIVED, Status.VALIDATED, Status.CLEAN}:
                # A death is counted; this is not the test of how many.
                DocumentVersion.objects.filter(pk=version.pk).update(attempts=0)
            continue
        return writes - 1


CASES = [
    ("receive", factories.begun, Status.RECEIVED, "version.received"),
    ("validate", factories.received, Status.VALIDATED, "version.validated"),
    ("scan", factories.validated, Status.CLEAN, "version.scanned"),
    ("finalize", factories.clean, Status.AVAILABLE, "version.available"),
]


@pytest.mark.parametrize(("step", "before", "after", "action"), CASES)
def test_a_step_broken_off_after_every_write_ends_well_when_run_again(
    alice: User, step: str, before: Callable[..., DocumentVersion], after: Status, action: str
) -> None:
    version = before(alice)
    if step == "receive":
        factories.send(version)

    writes = broken_off_everywhere(version, getattr(lifecycle, step))

    assert writes >= 2
    version.refresh_from_db()
    # A crash after the last write may come before the commit or after it; either way it stands here.
    assert version.status == after
    assert Outbox.objects.filter(leaf__contains=f'"action":"{action}"').count() == 1
    assert Scan.objects.count() == (1 if after in {Status.CLEAN, Status.AVAILABLE} else 0)
    if after == Status.AVAILABLE:
        assert (version.number, version.document.numbers) == (1, 1)
        assert requests.get(storage.download_url(version), timeout=10).content == factories.PDF


def test_an_end_broken_off_after_every_write_has_one_event(alice: User) -> None:
    version = factories.validated(alice, factories.EICAR, filename="a.txt", content_type="text/plain")
    assert broken_off_everywhere(version, lifecycle.scan) >= 2
    version.refresh_from_db()
    assert version.status == Status.INFECTED
    assert Outbox.objects.filter(leaf__contains='"version.infected"').count() == 1


def test_expire_broken_off_after_every_write_has_one_event(alice: User) -> None:
    version = factories.begun(alice)
    ends = version.expires_at + lifecycle._grace()
    assert broken_off_everywhere(version, lambda pk: lifecycle.expire(pk, now=ends)) >= 1
    version.refresh_from_db()
    assert version.status == Status.EXPIRED
    assert Outbox.objects.filter(leaf__contains='"version.expired"').count() == 1


def test_tidy_broken_off_after_every_delete_leaves_nothing_when_run_again(alice: User) -> None:
    version = factories.begun(alice)
    for _ in range(3):
        factories.send(version)
    for step in (lifecycle.receive, lifecycle.validate, lifecycle.scan, lifecycle.finalize):
        step(version.pk)
    version.refresh_from_db()
    held = set(storage.quarantined(version))
    assert broken_off_everywhere(version, lifecycle.tidy) >= 3
    assert storage.oldest(version) is None
    told = [set(event["facts"]["s3_versions"]) for event in recorded("version.purged")]
    assert len(held) == 3
    assert set().union(*told) == held  # nothing went untold; after a crash some are told of again


def test_a_copy_that_was_made_before_the_crash_is_taken_not_made_again(alice: User) -> None:
    version = factories.clean(alice)
    first = storage.admit(version)
    moved = lifecycle.finalize(version.pk)
    assert moved is not None
    assert moved.vault_version_id == first


def test_six_deaths_on_one_version_leave_it_standing_with_a_reason(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = factories.received(alice)

    def dies(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as broken:
        broken.setattr(storage, "spooled", dies)
        for _ in range(lifecycle.MOST_DEATHS):
            with pytest.raises(Crash):
                lifecycle.validate(version.pk)
    assert lifecycle.validate(version.pk) is None
    version.refresh_from_db()
    assert version.status == Status.RECEIVED
    assert "cut off" in version.stuck_reason
    assert Outbox.objects.filter(leaf__contains='"version.stuck"').count() == 1


def test_a_fault_burns_no_attempt(alice: User, settings: Any) -> None:
    version = factories.validated(alice)
    settings.CLAMD_ADDRESS = "tcp://127.0.0.1:9"
    for _ in range(lifecycle.MOST_DEATHS + 1):
        with pytest.raises(scanner.Unavailable):
            lifecycle.scan(version.pk)
    version.refresh_from_db()
    assert (version.status, version.attempts, version.stuck_reason) == (Status.VALIDATED, 0, "")
