"""Exports: whole or in part they verify, hold exactly what was asked for, and none is made without its event."""

import csv
import gzip
import hashlib
import io
import json
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker, Settings

from audit import actions, export, note, private, sequencer, spreadsheet, tiles, trail, tree, verify
from audit.export import Filters
from audit.models import Checkpoint, Event, Outbox, Private, PrivateKey, Tile
from audit.trail import Ref
from tests.audit import attacks, bucketed
from tests.audit.bucketed import START, bypassed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("log", "signing")]

OPERATOR = Ref("system", "manage")
DOCUMENT, OTHER = "0b1c6c4e-6a4e-4a55-9d0c-9a3f6b1d7e11", "b5f9f6de-2b43-4bb3-8f0e-6d6a1f1b2c3d"
SIZE, OLD = 600, 300
FIRST = 12  # events of several kinds; the others are reads by users 0 to 6


@pytest.fixture(scope="module")
def log(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Events of several kinds, then many of one, under two checkpoints."""
    with attacks.log(django_db_blocker, OLD, SIZE, first=several_kinds):
        yield


def several_kinds() -> None:
    """Twelve events; the even ones have personal values."""
    with transaction.atomic():
        for number in range(FIRST // 3):
            user = Ref("user", str(100 + number % 2))
            personal = {"ip": f"192.0.2.{number}"} if number % 2 == 0 else None
            about: dict[str, Any] = {"facts": {"document": DOCUMENT if number < 2 else OTHER}, "private": personal}
            trail.record(actions.VERSION_AVAILABLE, actor=user, object=Ref("version", f"v{number}"), **about)
            trail.record(actions.AUTH_SIGNED_IN, actor=user, object=user, details=f"Not of {DOCUMENT}.")
            trail.record(actions.DOCUMENT_READ, actor=user, object=Ref("document", OTHER if number else DOCUMENT))
    sequencer.sequence()


@pytest.fixture
def signing(settings: Settings) -> None:
    """The log's name and key."""
    for name, value in attacks.SIGNING.items():
        setattr(settings, name, value)


def under(size: int = SIZE) -> Checkpoint:
    """A checkpoint over so many events."""
    root = tree.root(size, tiles.reader())
    text = note.signed(note.body(bucketed.ORIGIN, size, root), note.signers(bucketed.ORIGIN))
    return Checkpoint(origin=bucketed.ORIGIN, size=size, root=root, note=text)


def opened(size: int) -> verify.Checkpoint:
    """The same, as somebody has it who kept it."""
    return verify.open_checkpoint(under(size).note, bucketed.keys())


def write(path: Path, asked: Filters | None = None, *, size: int = SIZE, **how: Any) -> export.Exported:
    """Make an export."""
    return export.write(path, under(size), asked or Filters(), actor=OPERATOR, now=START, **how)


def verified(path: Path, old: verify.Checkpoint | None = None) -> verify.Report:
    """What the stand-alone verifier says of an export."""
    with path.open("rb") as file:
        lines = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        return verify.verify_export(lines, bucketed.keys(), old)


def shown(path: Path) -> list[int]:
    """The places of the events in an export."""
    return [each["seq"] for each in map(json.loads, path.read_text().splitlines()) if "seq" in each]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 600])
def test_a_whole_export_of_any_length_verifies(tmp_path: Path, size: int) -> None:
    made = write(tmp_path / "log", size=size)
    report = verified(tmp_path / "log", opened(size) if size else None)
    assert (report.events, report.withheld, report.size) == (size, 0, size)
    assert (made.events, made.size) == (size, size)
    assert shown(tmp_path / "log") == list(range(size))


def test_every_event_stands_in_it_to_the_letter(tmp_path: Path) -> None:
    write(tmp_path / "log")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["leaf"] for line in lines[1:-1]] == list(Event.objects.order_by("seq").values_list("leaf", flat=True))
    assert {**lines[0], "checkpoint": "", "made_at": ""} == {
        "strongroom_export": 1,
        "origin": bucketed.ORIGIN,
        "size": SIZE,
        "checkpoint": "",
        "filters": {},
        "made_at": "",
    }
    assert lines[-1] == {"end": SIZE, "events": SIZE}


PARTS: dict[str, tuple[Filters, Any]] = {
    "by user": (Filters(user=3), lambda event: event.actor == "user:3"),
    "by action": (Filters(action="auth.signed_in"), lambda event: event.action == "auth.signed_in"),
    "by a prefix": (Filters(action="version."), lambda event: event.action.startswith("version.")),
    "by object": (Filters(object="version:v2"), lambda event: event.object == "version:v2"),
    "by document": (Filters(document=DOCUMENT), lambda event: event.seq in (0, 2, 3)),
    "by nothing that there is": (Filters(user=999), lambda event: False),
    "by two things": (
        Filters(user=100, action="document."),
        lambda event: (event.actor, event.action) == ("user:100", "document.read"),
    ),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("size", [255, 600])
def test_a_part_verifies_and_holds_exactly_what_was_asked_for(tmp_path: Path, part: str, size: int) -> None:
    asked, belongs = PARTS[part]
    wanted = [event.seq for event in Event.objects.filter(seq__lt=size).order_by("seq") if belongs(event)]
    made = write(tmp_path / "log", asked, size=size)
    report = verified(tmp_path / "log")
    assert shown(tmp_path / "log") == wanted
    assert (report.events, report.withheld, made.events) == (len(wanted), size - len(wanted), len(wanted))
    assert json.loads((tmp_path / "log").read_text().splitlines()[0])["filters"] == asked.words()


def test_a_part_by_time_holds_what_occurred_then(tmp_path: Path) -> None:
    middle = Event.objects.get(seq=400).occurred_at
    end = middle + timedelta(milliseconds=50)
    write(tmp_path / "log", Filters(since=middle, until=end))
    verified(tmp_path / "log")
    assert shown(tmp_path / "log") == [
        event.seq for event in Event.objects.order_by("seq") if middle <= event.occurred_at < end
    ]
    assert len(shown(tmp_path / "log")) == 50


def test_what_was_not_asked_for_is_not_in_it(tmp_path: Path) -> None:
    write(tmp_path / "log", Filters(document=DOCUMENT))
    assert "auth.signed_in" not in (tmp_path / "log").read_text()
    assert len((tmp_path / "log").read_text().splitlines()) < 20


@pytest.mark.parametrize("old", [1, 255, 256, 300, 599, 600])
def test_a_part_is_comparable_with_the_checkpoint_that_it_was_made_against(tmp_path: Path, old: int) -> None:
    write(tmp_path / "log", Filters(user=100), against=old)
    assert verified(tmp_path / "log", opened(old)).withheld > 500
    false = verify.Checkpoint(bucketed.ORIGIN, old, bytes(32), "")
    with pytest.raises(verify.Broken):
        verified(tmp_path / "log", false)


def test_a_part_that_was_not_made_against_it_says_so(tmp_path: Path) -> None:
    write(tmp_path / "log", Filters(user=999))
    with pytest.raises(verify.Broken, match="--against"):
        verified(tmp_path / "log", opened(OLD))


def test_personal_values_are_in_it_only_where_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "plain")
    made = write(tmp_path / "opened", openings=True)
    part = write(tmp_path / "part", Filters(user=100), openings=True)
    assert b"opening" not in (tmp_path / "plain").read_bytes()
    assert [verified(tmp_path / name).openings for name in ("plain", "opened", "part")] == [0, 2, 2]
    assert (made.openings, part.openings) == (2, 2)


def test_what_is_erased_is_withheld_and_the_rest_shown(tmp_path: Path) -> None:
    Private.objects.filter(seq=0).delete()
    write(tmp_path / "log", openings=True)
    assert verified(tmp_path / "log").openings == 1
    PrivateKey.objects.update(wrapped=None, destroyed_at=START)
    write(tmp_path / "log", openings=True)
    assert verified(tmp_path / "log").openings == 0


def test_a_personal_part_that_was_altered_is_not_shown(tmp_path: Path) -> None:
    Private.objects.filter(seq=0).update(ciphertext=bytes(60))
    with pytest.raises(private.Damaged, match="event 0"):
        write(tmp_path / "log", openings=True)
    moved = Private.objects.get(seq=6)
    Private.objects.filter(seq=0).update(ciphertext=moved.ciphertext)
    with pytest.raises(private.Damaged, match="event 0"):
        write(tmp_path / "log", openings=True)
    assert list(tmp_path.iterdir()) == []


def test_a_packed_export_verifies_and_is_smaller(tmp_path: Path) -> None:
    write(tmp_path / "log")
    made = write(tmp_path / "log.gz", packed=True)
    assert verified(tmp_path / "log.gz").events == SIZE
    assert gzip.decompress((tmp_path / "log.gz").read_bytes()) == (tmp_path / "log").read_bytes()
    assert (tmp_path / "log.gz").stat().st_size < (tmp_path / "log").stat().st_size / 3
    assert made.sha256 == hashlib.sha256((tmp_path / "log.gz").read_bytes()).hexdigest()


@pytest.mark.parametrize("lost", [1, 2, 200, 50_000])
def test_an_export_that_is_cut_off_is_refused(tmp_path: Path, lost: int) -> None:
    write(tmp_path / "log")
    whole = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(whole[:-lost])
    if lost == 1:  # the last line's end, after which nothing is missing
        assert verified(tmp_path / "log").events == SIZE
        return
    with pytest.raises(verify.Broken):
        verified(tmp_path / "log")


def test_a_packed_export_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "log.gz", packed=True)
    whole = (tmp_path / "log.gz").read_bytes()
    (tmp_path / "log.gz").write_bytes(whole[:-10])
    with pytest.raises((verify.Broken, EOFError)):
        verified(tmp_path / "log.gz")


def test_a_table_is_read_by_a_spreadsheet(tmp_path: Path) -> None:
    made = write(tmp_path / "log.csv", Filters(user=100), form="csv")
    with (tmp_path / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == made.events == 6
    assert (rows[0]["seq"], rows[0]["action"], rows[0]["object"]) == ("0", "version.available", "version:v0")
    assert json.loads(rows[0]["facts"]) == {"document": DOCUMENT}
    assert "leaf" not in rows[0]


@pytest.mark.parametrize("begins", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_table_holds_no_formula(begins: str) -> None:
    file = io.StringIO()
    csv.writer(file).writerow([spreadsheet.defused(begins), spreadsheet.defused("a=b")])
    assert next(csv.reader(io.StringIO(file.getvalue(), newline=""))) == [f"'{begins}", "a=b"]


def test_the_file_is_its_owners_and_its_event_has_its_digest_and_nobodys_name(tmp_path: Path) -> None:
    made = write(tmp_path / "log", Filters(user=100, since=START), openings=True)
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["log"]
    leaf = json.loads(Outbox.objects.get().leaf)
    assert (leaf["action"], leaf["actor"]) == ("log.exported", OPERATOR.values())
    assert leaf["object"] == {"kind": "log", "uid": bucketed.ORIGIN}
    assert leaf["facts"] == {
        "filters": {"user": "100", "since": "2026-11-24T12:00:00.000000Z"},
        "format": "jsonl",
        "events": made.events,
        "openings": made.openings,
        "size": SIZE,
        "sha256": hashlib.sha256((tmp_path / "log").read_bytes()).hexdigest(),
    }


def test_there_is_no_file_before_its_event_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_text("the one before")

    def refuse(*_: object, **__: object) -> None:
        assert (tmp_path / "log").read_text() == "the one before"
        raise RuntimeError

    monkeypatch.setattr(trail, "record", refuse)
    with pytest.raises(RuntimeError):
        write(tmp_path / "log")
    assert [each.name for each in tmp_path.iterdir()] == ["log"]
    assert (tmp_path / "log").read_text() == "the one before"


def test_where_nothing_can_be_written_nothing_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "nowhere" / "log")
    assert not Outbox.objects.exists()


def test_what_comes_while_it_is_written_is_not_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_PAGE", 50)
    seen: list[int] = []

    def meanwhile(place: int) -> None:
        seen.append(place)
        bucketed.grow(5)

    write(tmp_path / "log", progress=meanwhile)
    assert verified(tmp_path / "log").events == SIZE
    assert seen == [*range(50, SIZE + 1, 50), SIZE]
    assert Event.objects.count() > SIZE


def test_a_log_with_a_hole_is_not_exported(tmp_path: Path) -> None:
    published = Checkpoint.objects.order_by("-size")[0]
    with bypassed():
        Event.objects.filter(seq=77).delete()
        Tile.objects.filter(number=0).delete()
    for asked, words in ((Filters(), "event 77 is missing"), (Filters(user=999), "the tree has a hole")):
        with pytest.raises(export.Hole, match=words):
            export.write(tmp_path / "log", published, asked, actor=OPERATOR, now=START)
    assert list(tmp_path.iterdir()) == []
