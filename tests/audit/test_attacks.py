"""An operator who has the database, the signing key and the bucket, against somebody who kept a checkpoint.

Each attack is made twice: bluntly, and with everything made anew around it, signed and published under the true key.
`manage.py audit verify` tells what was done and where; `audit/verify.py`, run alone, refuses the export.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import DjangoDbBlocker, Settings

from audit import checkpoint, note
from audit.models import Checkpoint, Event, Outbox, Tile
from devstack.places import ROOT
from tests.audit import attacks, bucketed
from tests.audit.bucketed import START, bypassed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("log", "signing")]

KEPT, SIZE = 300, 400
Out = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def log(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Four hundred events; the checkpoint over the first three hundred has left the house."""
    with attacks.log(django_db_blocker, KEPT, SIZE):
        yield


@pytest.fixture
def signing(settings: Settings) -> None:
    """The log's name and key."""
    for name, value in attacks.SIGNING.items():
        setattr(settings, name, value)


@pytest.fixture
def bucket_kept() -> Iterator[None]:
    """The bucket is put back afterwards."""
    with attacks.bucket_kept():
        yield


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The checkpoint that an auditor has."""
    (tmp_path / "kept").write_text(Checkpoint.objects.get(size=KEPT).note)
    return tmp_path / "kept"


def examined(capsys: Out, *words: object) -> str:
    """What `audit verify` says, which must be that something is wrong; the exit code is 1."""
    capsys.readouterr()
    with pytest.raises(CommandError) as refused:
        call_command("audit", "verify", *map(str, words))
    assert refused.value.returncode == 1
    return f"{capsys.readouterr().err}{refused.value}"


def exported(folder: Path, *words: object) -> Path:
    """A whole export of the log as it is now."""
    call_command("audit", "export", "--output", str(folder / "export"), *map(str, words))
    return folder / "export"


def verified(export: Path, *words: object) -> tuple[int, str]:
    """What the auditor's program says, on its own."""
    (key,) = note.signers(bucketed.ORIGIN)
    argv = [sys.executable, "-I", ROOT / "audit" / "verify.py", export, "--key", key.vkey, *words]
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


ATTACKS: dict[str, tuple[Callable[[], object], str]] = {
    "edit": (partial(attacks.edit, 100), "event 100: not the one that the tree was grown over"),
    "edit the first": (partial(attacks.edit, 0), "event 0: not the one that the tree was grown over"),
    "delete and renumber": (
        partial(attacks.remove, 100),
        "events 100 to 255: not the one that the tree was grown over|event 399: missing",
    ),
    "insert": (
        partial(attacks.insert, 100),
        "events 100 to 255: not the one that the tree was grown over|event 400: beyond the log's end",
    ),
    "swap": (
        partial(attacks.swap, 100, 200),
        "event 100: not the one that the tree was grown over|event 200: not the one that the tree was grown over",
    ),
    "swap neighbours": (
        partial(attacks.swap, 100, 101),
        "events 100 to 101: not the one that the tree was grown over",
    ),
    "cut off": (partial(attacks.cut, 250), "events 250 to 399: missing"),
    "edit past the last full tile": (
        partial(attacks.edit, 280),
        "events 0 to 299: not those that checkpoint|events 0 to 399: not those that the checkpoint in the bucket",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_done_bluntly_is_told_with_its_place(attack: str, capsys: Out) -> None:
    act, words = ATTACKS[attack]
    act()
    said = examined(capsys)
    assert all(each in said for each in words.split("|")), said


SHORT = {"delete and renumber", "cut off"}
"""There are fewer events then than the checkpoint says."""


@pytest.mark.parametrize("attack", sorted(set(ATTACKS) - SHORT))
def test_an_export_of_it_is_refused(attack: str, tmp_path: Path, kept: Path) -> None:
    ATTACKS[attack][0]()
    export = exported(tmp_path)
    for words in ((), ("--checkpoint", kept)):
        code, said = verified(export, *words)
        assert (code, "NOT VERIFIED" in said) == (1, True), said


@pytest.mark.parametrize("attack", sorted(SHORT))
def test_of_a_log_that_is_too_short_no_export_is_made(attack: str, tmp_path: Path) -> None:
    ATTACKS[attack][0]()
    with pytest.raises(CommandError, match=r"event (250|399) is missing"):
        exported(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("bucket_kept")
@pytest.mark.parametrize("attack", ATTACKS)
def test_made_anew_and_signed_it_is_found_by_who_kept_a_checkpoint(
    attack: str, tmp_path: Path, kept: Path, capsys: Out
) -> None:
    ATTACKS[attack][0]()
    attacks.made_anew()
    call_command("audit", "verify")  # from inside, with what is inside, nothing shows any more
    said = examined(capsys, "--checkpoint", kept)
    assert "events 0 to 299" in said or "is of 300 events, the log has 250" in said
    export = exported(tmp_path)
    assert verified(export)[0] == 0
    code, said = verified(export, "--checkpoint", kept)
    assert (code, "NOT VERIFIED" in said) == (1, True)
    assert "300" in said


@pytest.mark.usefixtures("bucket_kept")
@pytest.mark.parametrize("act", [attacks.edit, attacks.remove, attacks.insert, attacks.cut])
def test_what_is_newer_than_every_checkpoint_that_was_kept_is_not_found(
    act: Callable[[int], object], tmp_path: Path, kept: Path
) -> None:
    act(350)
    attacks.made_anew()
    assert verified(exported(tmp_path), "--checkpoint", kept)[0] == 0
    call_command("audit", "verify", "--checkpoint", str(kept))


@pytest.mark.usefixtures("bucket_kept")
def test_another_history_from_an_old_backup_is_found(tmp_path: Path, kept: Path, capsys: Out) -> None:
    bucketed.put_back(200)
    bucketed.grow(250)
    with pytest.raises(checkpoint.Forked):
        checkpoint.publish(now=START)
    assert "events 0 to 399: not those that the checkpoint in the bucket was signed over" in examined(capsys)
    attacks.resigned()
    assert "events 0 to 299: not those that the checkpoint that you gave" in examined(capsys, "--checkpoint", kept)
    code, said = verified(exported(tmp_path), "--checkpoint", kept)
    assert (code, "NOT VERIFIED" in said) == (1, True)


@pytest.mark.usefixtures("bucket_kept")
def test_a_part_of_another_history_is_refused_as_the_whole_is(tmp_path: Path, kept: Path) -> None:
    attacks.edit(100)
    attacks.made_anew()
    part = exported(tmp_path, "--user", 3, "--against", kept)
    assert verified(part)[0] == 0
    assert verified(part, "--checkpoint", kept)[0] == 1


@pytest.mark.usefixtures("bucket_kept")
def test_another_key_does_not_help(settings: Settings, tmp_path: Path, kept: Path) -> None:
    (true,) = note.signers(bucketed.ORIGIN)
    attacks.edit(350)
    settings.AUDIT_SIGNING_KEYS = bucketed.KEYS[1:2]
    attacks.made_anew()
    export = exported(tmp_path)
    assert verified(export)[0] == 0
    settings.AUDIT_SIGNING_KEYS = bucketed.KEYS[:1]
    assert note.signers(bucketed.ORIGIN) == [true]
    code, said = verified(export, "--checkpoint", kept)
    assert (code, "not signed by" in said) == (1, True)


def test_a_column_that_hides_an_event_is_told_and_the_export_does_not_follow_it(
    tmp_path: Path, kept: Path, capsys: Out
) -> None:
    whole = exported(tmp_path).read_text().splitlines()[1:]
    attacks.columns(100, actor="user:9", subject="user:9")
    assert "event 100: beside its text stands another actor and subject" in examined(capsys)
    assert exported(tmp_path).read_text().splitlines()[1:] == whole
    assert verified(tmp_path / "export", "--checkpoint", kept)[0] == 0


def test_a_lost_tile_is_told_and_the_export_does_without(tmp_path: Path, kept: Path, capsys: Out) -> None:
    with bypassed():
        Tile.objects.filter(number=0).delete()
    assert "events 0 to 255: tile 0/0 is missing" in examined(capsys)
    assert verified(exported(tmp_path, "--user", 3, "--against", kept), "--checkpoint", kept)[0] == 0


def test_that_something_was_found_is_on_the_record(capsys: Out) -> None:
    attacks.columns(100, actor="user:9")
    examined(capsys)
    leaf = Event(leaf=Outbox.objects.get().leaf).leaf_values()
    assert (leaf["action"], leaf["outcome"], leaf["facts"]["problems"]) == ("log.verified", "failure", 1)
    assert leaf["facts"]["found"] == ["event 100: beside its text stands another actor"]
