"""Two or twenty at once, with threads on PostgreSQL: one wins, the others leave quietly."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from django.db import connections

from audit.models import Outbox
from identity.models import User
from pipeline import claims, lifecycle, storage
from pipeline.models import Document, DocumentVersion, Scan, Status
from tests import factories
from tests.people import recorded

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls at the same moment, each in a thread with a connection of its own."""
    start = threading.Barrier(len(calls))

    def one(call: Callable[[], Any]) -> Any:
        start.wait(10)
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def together(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> None:
    """Make two racers meet right before `where.name` returns to them: both have done the work."""
    real, meet = getattr(where, name), threading.Barrier(2)

    def meeting(*args: Any, **kwargs: Any) -> Any:
        done = real(*args, **kwargs)
        meet.wait(10)
        return done

    monkeypatch.setattr(where, name, meeting)


@pytest.mark.parametrize(
    ("step", "before", "work"),
    [
        ("receive", factories.begun, "oldest"),
        ("validate", factories.received, "spooled"),
        ("scan", factories.validated, "stream"),
        ("finalize", factories.clean, "admit"),
    ],
)
def test_of_two_racing_steps_one_moves_and_one_event_is_written(
    alice: User, monkeypatch: pytest.MonkeyPatch, step: str, before: Callable[..., DocumentVersion], work: str
) -> None:
    version = before(alice)
    if step == "receive":
        factories.send(version)
    # Without the claim, so that both really do the work and meet at the move.
    monkeypatch.setattr(claims, "_ask", lambda *_: True)
    together(monkeypatch, storage, work)
    Outbox.objects.all().delete()

    run = getattr(lifecycle, step)
    moved = at_once(lambda: run(version.pk), lambda: run(version.pk))

    assert sorted(m is None for m in moved) == [False, True]
    assert Outbox.objects.count() == 1
    assert Scan.objects.count() == (1 if step in {"scan", "finalize"} else 0)


def test_of_many_who_tidy_at_once_one_purges_and_tells_of_it(alice: User) -> None:
    version = factories.available(alice)
    purged = at_once(*[lambda: lifecycle.tidy(version.pk)] * 4)
    assert sorted(purged) == [0, 0, 0, 1]
    assert len(recorded("version.purged")) == 1


def test_a_claimed_version_is_left_alone(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    version = factories.received(alice)
    inside, leave = threading.Event(), threading.Event()
    real, calls = storage.spooled, Counter[str]()

    def slow(*args: Any) -> Any:
        calls["work"] += 1
        inside.set()
        leave.wait(10)
        return real(*args)

    monkeypatch.setattr(storage, "spooled", slow)

    def second() -> Any:
        inside.wait(10)
        try:
            return lifecycle.validate(version.pk)
        finally:
            leave.set()

    first, other = at_once(lambda: lifecycle.validate(version.pk), second)
    assert first is not None
    assert other is None
    assert calls["work"] == 1


def test_twenty_clients_racing_versions_of_one_name_get_the_numbers_in_the_order_of_receipt(alice: User) -> None:
    bodies = [factories.PDF + f"% {i}\n".encode() for i in range(20)]

    def client(body: bytes) -> Callable[[], DocumentVersion]:
        def upload() -> DocumentVersion:
            version = factories.begun(alice, body)
            factories.send(version, body)
            lifecycle.receive(version.pk)
            return version

        return upload

    at_once(*[client(body) for body in bodies])
    versions = list(DocumentVersion.objects.order_by("arrival"))
    assert Document.objects.count() == 1
    assert [v.arrival for v in versions] == list(range(1, 21))

    def work(version: DocumentVersion) -> Callable[[], None]:
        def through() -> None:
            lifecycle.validate(version.pk)
            lifecycle.scan(version.pk)
            lifecycle.finalize(version.pk)

        return through

    at_once(*[work(version) for version in reversed(versions)])
    while waiting := DocumentVersion.objects.filter(status=Status.CLEAN).order_by("arrival").first():
        assert lifecycle.finalize(waiting.pk) is not None  # as the nudge after an end does

    ended = list(DocumentVersion.objects.order_by("number"))
    assert [v.number for v in ended] == [v.arrival for v in ended] == list(range(1, 21))
    for version in ended:
        got = requests.get(storage.download_url(version), timeout=10).content
        assert factories.sha256(got) == version.sha256
    assert {v.sha256 for v in ended} == {factories.sha256(body) for body in bodies}


def test_twenty_racing_receives_pin_the_same_bytes_once(alice: User) -> None:
    version = factories.begun(alice)
    for i in range(3):
        factories.send(version, factories.PDF[:-1] + str(i).encode())
    moved = at_once(*[lambda: lifecycle.receive(version.pk)] * 20)
    assert sum(m is not None for m in moved) == 1
    version.refresh_from_db()
    assert version.document.arrivals == version.arrival == 1
    lifecycle.validate(version.pk)
    version.refresh_from_db()
    assert version.sha256 == factories.sha256(factories.PDF[:-1] + b"0")


def test_expire_and_receive_racing_leave_one_of_the_two(alice: User) -> None:
    version = factories.begun(alice)
    ends = version.expires_at + lifecycle._grace()
    factories.send(version)
    at_once(*[lambda: lifecycle.receive(version.pk)] * 3, *[lambda: lifecycle.expire(version.pk, now=ends)] * 3)
    version.refresh_from_db()
    assert version.status == Status.RECEIVED
    assert Outbox.objects.filter(leaf__contains='"version.received"').count() == 1
    assert not Outbox.objects.filter(leaf__contains='"version.expired"').exists()


def test_beginning_one_name_at_once_makes_one_document(alice: User) -> None:
    at_once(*[lambda: factories.begun(alice)] * 10)
    assert Document.objects.count() == 1
    assert DocumentVersion.objects.count() == 10
