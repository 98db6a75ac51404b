"""`manage.py pipeline`, as an operator types it."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from identity.models import User
from pipeline import lifecycle, places, stalled
from pipeline.models import Alarm, DocumentVersion, Status, Walk
from tests import factories
from tests.people import recorded
from workers import broker, reconcile
from workers.celery import app

pytestmark = pytest.mark.django_db


def pipeline(*words: object) -> tuple[int, str, str]:
    """Run the command; its exit code, and what it printed on each stream."""
    out, err = StringIO(), StringIO()
    try:
        call_command("pipeline", *map(str, words), stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), f"{err.getvalue()}{error}"
    return 0, out.getvalue(), err.getvalue()


def objects(told: str) -> list[dict[str, Any]]:
    """The JSON objects of the lines."""
    return [json.loads(line) for line in told.splitlines()]


def stuck(owner: User, name: str = "Statement", **changes: Any) -> DocumentVersion:
    """One that stands."""
    version = factories.begun(owner, name=name)
    at = timezone.now() - timedelta(minutes=5)
    said = {"stuck_reason": "For a test.", "stuck_at": at, "attempts": 6, **changes}
    DocumentVersion.objects.filter(pk=version.pk).update(**said)
    return version


def late(owner: User) -> DocumentVersion:
    """One that is late, and waits."""
    hour = timezone.now() - timedelta(hours=1)
    return stuck(owner, "Late", stuck_reason="", stuck_at=None, late_at=hour, waits_for="The scanner is away.")


def stands(version: DocumentVersion) -> bool:
    """Whether it is stuck."""
    version.refresh_from_db()
    return bool(version.stuck_reason)


def test_where_nothing_stands_nothing_is_printed() -> None:
    assert pipeline("stuck") == (0, "", "")
    assert pipeline("stuck", "--json", "--exit-code") == (0, "", "")


def test_the_list_is_a_table_with_one_line_each(alice: User) -> None:
    version, alarm = stuck(alice), Alarm.objects.create(kind="stray", object="documents/x/y", words="Nobody's.")
    code, out, _ = pipeline("stuck")
    head, *lines = out.splitlines()
    assert code == 0
    assert head.split() == ["id", "kind", "status", "since", "owner", "attempts", "size", "next", "reason"]
    told = {line.split()[0]: line for line in lines}
    assert set(told) == {str(version.pk), f"alarm:{alarm.pk}"}
    assert told[str(version.pk)].index("requeue") == head.index("next")
    assert told[str(version.pk)].endswith("  For a test.")
    assert told[f"alarm:{alarm.pk}"].split()[1:3] == ["stray", "-"]


def test_the_list_is_json_a_line_if_asked(alice: User) -> None:
    version = stuck(alice)
    (row,) = objects(pipeline("stuck", "--json")[1])
    assert row.pop("since")
    assert row == {
        "id": str(version.pk),
        "kind": "stuck",
        "status": "pending",
        "owner": "alice",
        "attempts": 6,
        "size": version.size,
        "next": "requeue",
        "reason": "For a test.",
    }


def test_the_list_narrows_by_kind_status_and_owner(alice: User, bob: User) -> None:
    a, b = stuck(alice), late(bob)

    def found(*words: object) -> list[str]:
        return [row["id"] for row in objects(pipeline("stuck", "--json", *words)[1])]

    assert found("--kind", "stuck") == [str(a.pk)]
    assert found("--owner", bob.pk) == [str(b.pk)]
    assert found("--status", "clean") == []


def test_the_list_says_when_there_is_more(alice: User) -> None:
    for i in range(3):
        stuck(alice, f"n{i}")
    code, out, err = pipeline("stuck", "--json", "--limit", 2)
    assert (code, len(objects(out))) == (0, 2)
    assert "more than 2" in err


def test_an_exit_code_tells_whether_anything_stands_if_asked(alice: User) -> None:
    stuck(alice)
    assert pipeline("stuck")[0] == 0
    assert pipeline("stuck", "--exit-code")[0] == 1


def test_requeue_marks_those_named_as_due_and_records_who(alice: User) -> None:
    one, other, third = stuck(alice, "One"), stuck(alice, "Other"), stuck(alice, "Third")
    code, out, err = pipeline("requeue", one.pk, other.pk)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("2 requeued")
    assert (stands(one), stands(other), stands(third)) == (False, False, True)
    assert {leaf["object"]["uid"] for leaf in recorded("version.requeued")} == {str(one.pk), str(other.pk)}
    assert {leaf["actor"]["kind"] + ":" + leaf["actor"]["uid"] for leaf in recorded("version.requeued")} == {
        "system:manage"
    }


def test_requeue_goes_on_after_one_that_it_cannot_and_then_fails(alice: User) -> None:
    good, ordinary, unknown = stuck(alice), factories.begun(alice, name="Other"), uuid4()
    code, out, err = pipeline("requeue", unknown, ordinary.pk, good.pk)
    assert code == 1
    assert not stands(good)
    assert f"{unknown}: There is no such version." in err
    assert f"{ordinary.pk}: This version neither stands still" in err
    assert "2 of 3 were not requeued" in err
    assert str(good.pk) in out


def test_requeue_tells_each_in_json_if_asked(alice: User) -> None:
    good, unknown = stuck(alice), uuid4()
    code, out, _ = pipeline("requeue", good.pk, unknown, "--json")
    assert code == 1
    assert [(row["id"], row["requeued"]) for row in objects(out)] == [(str(good.pk), True), (str(unknown), False)]


def test_all_means_what_stands_but_not_what_must_be_sent_again_or_waits(alice: User) -> None:
    one, gone, waiting = stuck(alice), stuck(alice, "Gone", stuck_reason=lifecycle.BYTES_GONE), late(alice)
    assert pipeline("requeue", "--all")[0] == 0
    assert (stands(one), stands(gone)) == (False, True)
    (leaf,) = recorded("version.requeued")
    assert leaf["object"]["uid"] == str(one.pk)
    assert pipeline("requeue", "--all", "--kind", "late")[0] == 0
    waiting.refresh_from_db()
    assert waiting.waits_for == ""


def test_all_are_requeued_however_many_there_are(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalled, "AT_ONCE", 5)
    for i in range(12):
        stuck(alice, f"n{i}")
    assert pipeline("requeue", "--all")[1].splitlines()[-1].startswith("12 requeued")
    assert not DocumentVersion.objects.stuck().exists()


@pytest.mark.parametrize(
    "words",
    [("requeue",), ("requeue", uuid4(), "--all"), ("requeue", uuid4(), "--kind", "late")],
    ids=["nothing named", "named and all", "a kind without all"],
)
def test_a_wrong_call_is_refused_and_does_nothing(alice: User, words: tuple[object, ...]) -> None:
    version = stuck(alice)
    assert pipeline(*words)[0] == 2
    assert stands(version)


def test_the_reconciler_goes_on_with_what_was_requeued(alice: User) -> None:
    app.control.purge()
    version = factories.received(alice)
    DocumentVersion.objects.filter(pk=version.pk).update(stuck_reason="Cut off.", stuck_at=timezone.now())
    pipeline("requeue", version.pk)
    assert places.queues() == [alice.pk]
    assert reconcile.sweep()["entered"] == 1
    assert broker.length("validate") >= 1
    version.refresh_from_db()
    assert (version.status, version.stuck_reason) == (Status.RECEIVED, "")


def test_walks_say_how_far_they_have_come() -> None:
    now = timezone.now()
    Walk.objects.create(name="done", started_at=now, finished_at=now)
    Walk.objects.create(name="vault", marker="documents/3f", started_at=now)
    _, out, _ = pipeline("walks")
    head, *lines = out.splitlines()
    assert head.split() == ["name", "started", "finished", "marker"]
    assert [(line.split()[0], line.split()[2:]) for line in lines][1] == ("vault", ["-", "documents/3f"])
    told = objects(pipeline("walks", "--json")[1])
    assert [(row["name"], row["marker"]) for row in told] == [("done", None), ("vault", "documents/3f")]


@pytest.mark.parametrize("words", [(), ("stuck",), ("requeue",), ("walks",)])
def test_each_has_a_help_text(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("pipeline", *words, "--help")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
