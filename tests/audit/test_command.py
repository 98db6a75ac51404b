"""`manage.py audit`, as an operator types it; what it writes is verified by the program that stands alone."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from pytest_django import DjangoDbBlocker, Settings

from audit import actions, checkpoint, erasure, private, sequencer, trail
from audit.models import Checkpoint, Event, Private, Tile
from audit.trail import Ref
from devstack.places import ROOT
from tests.audit import attacks, bucketed
from tests.audit.bucketed import START, bypassed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("log", "signing")]
Out = pytest.CaptureFixture[str]

SIZE = 300
ALICE = Ref("user", "7")


@pytest.fixture(scope="module")
def log(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Three hundred events under a checkpoint; the first, alice's, has personal values."""
    with attacks.log(django_db_blocker, SIZE, first=alice_reads):
        yield


def alice_reads() -> None:
    """An event with an address."""
    with transaction.atomic():
        trail.record(actions.DOCUMENT_READ, actor=ALICE, object=Ref("document", "1"), private={"ip": "192.0.2.7"})
    sequencer.sequence()


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
    """The checkpoint in a file."""
    (tmp_path / "kept").write_text(Checkpoint.objects.get().note)
    return tmp_path / "kept"


def audit(*words: object) -> None:
    """Run the command."""
    call_command("audit", *map(str, words))


def key(capsys: Out) -> str:
    """The verification key, as the command prints it."""
    capsys.readouterr()
    audit("key")
    return capsys.readouterr().out.strip()


def verified(*words: object) -> tuple[int, str]:
    """The stand-alone verifier's answer."""
    command = [sys.executable, "-I", str(ROOT / "audit" / "verify.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def recorded(action: str) -> Event:
    """The newest event of that action."""
    while sequencer.sequence():
        pass
    return Event.objects.filter(action=action).order_by("-seq")[0]


def test_the_key_is_all_that_is_printed(capsys: Out) -> None:
    assert re.fullmatch(r"rooms\.example/api/audit/log\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+", key(capsys))


def test_each_key_has_a_line_while_they_are_changed(settings: Settings, capsys: Out) -> None:
    settings.AUDIT_SIGNING_KEYS = bucketed.KEYS[:2]
    assert len(set(key(capsys).splitlines())) == 2


def test_verify_says_that_all_is_well_and_is_recorded(capsys: Out) -> None:
    audit("verify")
    said = capsys.readouterr()
    assert re.match(r"VERIFIED: 300 events, root [0-9a-f]{64}; 300 were read, [0-9,]+ a second\n", said.out)
    assert said.err == ""
    event = recorded(actions.LOG_VERIFIED)
    assert (event.outcome, event.actor, event.object) == ("success", "system:manage", f"log:{bucketed.ORIGIN}")
    root = bytes(Checkpoint.objects.get().root).hex()
    expected = {"size": 300, "root": root, "from": 0, "bucket": True, "problems": 0}
    assert event.leaf_values()["facts"] == expected


def test_verify_says_what_is_wrong_and_is_recorded(capsys: Out) -> None:
    attacks.columns(42, actor="user:9")
    attacks.columns(43, leaf="{}")
    with pytest.raises(CommandError, match="NOT VERIFIED: 3 wrong among 300 events"):
        audit("verify")
    said = capsys.readouterr().err.splitlines()
    assert "event 42: beside its text stands another actor" in said
    assert "event 43: its text is not the one that its hash was made of" in said
    event = recorded(actions.LOG_VERIFIED)
    assert (event.outcome, event.leaf_values()["facts"]["problems"]) == ("failure", 3)


def test_verify_goes_on_from_a_checkpoint_and_compares_with_one(kept: Path, capsys: Out) -> None:
    bucketed.grow(20)
    audit("verify", "--from", kept, "--checkpoint", kept, "--no-bucket")
    assert "VERIFIED: 320 events" in capsys.readouterr().out
    facts = recorded(actions.LOG_VERIFIED).leaf_values()["facts"]
    assert (facts["from"], facts["bucket"]) == (300, False)


def test_a_bar_is_for_a_terminal_alone(monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    audit("verify", "--no-progress")
    assert capsys.readouterr().err == ""
    audit("verify")
    assert "300/300" in capsys.readouterr().err


@pytest.mark.usefixtures("bucket_kept")
def test_an_export_is_verified_by_the_program_that_stands_alone(tmp_path: Path, kept: Path, capsys: Out) -> None:
    bucketed.grow(50)
    checkpoint.publish(now=START)
    bucketed.grow(3)
    audit("export", "--output", tmp_path / "log.jsonl.gz", "--gzip")
    assert "Not in it: the 3 events that are newer than the last checkpoint." in capsys.readouterr().out
    vkey = key(capsys)
    code, said = verified(tmp_path / "log.jsonl.gz", "--key", vkey, "--checkpoint", kept)
    assert (code, "350" in said) == (0, True), said
    part = tmp_path / "part.jsonl"
    audit("export", "--output", part, "--user", "3", "--against", kept, "--until", "2027-01-01T00:00:00Z")
    assert verified(part, "--key", vkey, "--checkpoint", kept)[0] == 0
    part.write_text(part.read_text().replace("Read it.", "Kept it.", 1))
    assert verified(part, "--key", vkey)[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--action", "document."),
        ("--object", "document:1"),
        ("--document", str(uuid4())),
        ("--since", "2026-11-24T12:00:00+01:00", "--until", "2026-11-24T23:00:00Z"),
        ("--format", "csv", "--user", "3"),
        ("--openings",),
    ],
)
def test_everything_that_can_be_asked_for_is_exported(tmp_path: Path, words: tuple[str, ...], capsys: Out) -> None:
    audit("export", "--output", tmp_path / "out", *words)
    assert (tmp_path / "out").stat().st_size > 0
    if "csv" not in words:
        assert verified(tmp_path / "out", "--key", key(capsys))[0] == 0


def test_one_event_is_proven_with_its_personal_part(tmp_path: Path, capsys: Out) -> None:
    audit("prove", "0", "--output", tmp_path, "--opening")
    assert "--opening" in capsys.readouterr().out
    files = (tmp_path / "0.tlog-proof", "--leaf", tmp_path / "0.leaf", "--opening", tmp_path / "0.opening")
    code, said = verified(*files, "--key", key(capsys))
    assert (code, "192.0.2.7" in said) == (0, True), said
    assert stat.S_IMODE((tmp_path / "0.opening").stat().st_mode) == 0o600
    assert (tmp_path / "0.tlog-proof").stat().st_size <= 1500
    event = recorded(actions.LOG_REVEALED)
    assert (event.object, event.subject) == ("event:0", "user:7")


def test_a_proof_alone_reveals_nothing_and_the_way_to_check_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    monkeypatch.chdir(tmp_path)
    audit("prove", "17")
    *_, line = capsys.readouterr().out.splitlines()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["17.leaf", "17.tlog-proof"]
    words = line.replace("python -I audit/verify.py ", "").replace("VKEY", key(capsys)).split()
    assert verified(*words)[0] == 0
    while sequencer.sequence():
        pass
    assert not Event.objects.filter(action=actions.LOG_REVEALED).exists()


def test_an_event_that_no_checkpoint_covers_yet_is_not_proven(tmp_path: Path) -> None:
    bucketed.grow(1)
    with pytest.raises(CommandError, match="No checkpoint covers this event yet"):
        audit("prove", SIZE, "--output", tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("prove", "abc"), "SEQ"),
        (("prove", "-1"), "-1"),
        (("export", "--output", "x", "--action", "made.up"), "--action"),
        (("export", "--output", "x", "--action", ""), "--action"),
        (("export", "--output", "x", "--object", "version"), "--object"),
        (("export", "--output", "x", "--since", "yesterday"), "--since"),
        (("export", "--output", "x", "--since", "2026-01-01T00:00:00"), "--since"),
        (("export", "--output", "x", "--since", "2026-13-01T00:00:00Z"), "--since"),
        (("export", "--output", "x", "--user", "abc"), "--user"),
        (("export", "--output", "x", "--user", "-5"), "--user"),
        (("export", "--output", "x", "--user", "9" * 30), "--user"),
        (("export", "--output", "x", "--document", "abc"), "--document"),
        (("export", "--output", "x", "--format", "xml"), "--format"),
        (("export", "--output", "x", "--format", "csv", "--openings"), "--openings"),
        (("export", "--output", "x", "--since", "2027-01-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"), "--since"),
        (("export",), "--output"),
        (("verify", "--key", "nonsense"), "--key"),
        (("restart", "--yes"), "--reason"),
        (("erase", "abc"), "ID"),
        ((), "subcommand"),
    ],
)
def test_a_wrong_call_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match=re.escape(says)):
        audit(*words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("prove", "999"), "there is no event 999"),
        (("prove", "5", "--opening"), "event 5 has no personal part"),
        (("export", "--output", "/nowhere/x"), "/nowhere"),
        (("export", "--output", "x", "--against", "/nowhere"), "/nowhere"),
        (("export", "--output", "x", "--against", "nonsense"), "is not a checkpoint"),
        (("export", "--output", "x", "--against", "longer"), "is of 301 events"),
        (("export", "--output", "x", "--against", "strange"), "they cannot be compared"),
        (("verify", "--checkpoint", "/nowhere"), "/nowhere"),
        (("verify", "--checkpoint", "nonsense"), "nonsense: "),
        (("verify", "--from", "longer"), "longer: "),
        (("verify", "--from", "strange"), "strange: "),
        (("restart", "--reason", "x", "--yes"), "can go on"),
        (("restart", "--reason", "x"), "say --yes"),
        (("erase", str(uuid4())), "There is no such request"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    Path("nonsense").write_bytes(b"\xff\0 nonsense +\n\n")
    Path("longer").write_text(Checkpoint.objects.get().note.replace("\n300\n", "\n301\n"))
    Path("strange").write_text(Checkpoint.objects.get().note.replace(bucketed.ORIGIN, "other.example/log"))
    with pytest.raises(CommandError, match=re.escape(says)) as refused:
        audit(*words)
    assert refused.value.returncode == 1
    assert "\n" not in str(refused.value)
    assert len(list(tmp_path.iterdir())) == 3


def test_without_a_key_it_says_so_and_reading_goes_on(settings: Settings, tmp_path: Path, capsys: Out) -> None:
    vkey = key(capsys)
    settings.AUDIT_SIGNING_KEYS = []
    for words in (("key",), ("verify",), ("restart", "--reason", "x", "--yes")):
        with pytest.raises(CommandError, match="AUDIT_SIGNING_KEYS is empty"):
            audit(*words)
    audit("verify", "--key", vkey)
    audit("prove", "3", "--output", tmp_path)
    audit("export", "--output", tmp_path / "log")
    assert verified(tmp_path / "log", "--key", vkey)[0] == 0


def test_without_the_bucket_it_says_so(settings: Settings) -> None:
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="the bucket does not answer"):
        audit("verify")
    audit("verify", "--no-bucket")


@pytest.mark.parametrize(("words", "code"), [("key", 1), ("export --output x --since y", 2)])
def test_without_the_database_it_says_so_and_exits_as_it_should(words: str, code: int, tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": "postgres://nobody:x@127.0.0.1:9/nothing"}
    command = [sys.executable, str(ROOT / "manage.py"), "audit", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    assert ("the database does not answer" if code == 1 else "argument --since") in done.stderr


def test_a_hole_in_the_tree_is_said(tmp_path: Path) -> None:
    with bypassed():
        Tile.objects.filter(number=0).delete()
        Event.objects.filter(seq=40).delete()
    with pytest.raises(CommandError, match="the tree has a hole"):
        audit("prove", "3", "--output", tmp_path)
    for user in range(7):  # whose events are shown, and whose are told of by the tree alone
        with pytest.raises(CommandError, match="the tree has a hole"):
            audit("export", "--output", tmp_path / "log", "--user", str(user))
    assert list(tmp_path.iterdir()) == []


def test_a_personal_part_that_opens_with_no_key_is_said(settings: Settings, tmp_path: Path) -> None:
    settings.AUDIT_ENCRYPTION_KEYS = bucketed.KEYS[2:]
    for words in (
        ("prove", "0", "--output", tmp_path, "--opening"),
        ("export", "--output", tmp_path / "x", "--openings"),
    ):
        with pytest.raises(CommandError, match="AUDIT_ENCRYPTION_KEYS"):
            audit(*words)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_exported_before_anything_is_published(tmp_path: Path) -> None:
    with bypassed():
        Checkpoint.objects.all().delete()
    with pytest.raises(CommandError, match="nothing has been published"):
        audit("export", "--output", tmp_path / "x")


@pytest.mark.usefixtures("bucket_kept")
def test_a_log_that_cannot_go_on_is_begun_anew(kept: Path, capsys: Out) -> None:
    bucketed.put_back(200)
    with pytest.raises(checkpoint.Behind):
        checkpoint.publish(now=START)
    audit("restart", "--reason", "the backup of Monday was put back", "--yes")
    assert f"{bucketed.ORIGIN}/2+" in capsys.readouterr().out
    assert recorded(actions.LOG_RESTARTED).leaf_values()["facts"]["published_size"] == 300
    checkpoint.publish(now=START)
    audit("verify")


def test_only_an_approved_erasure_is_executed(tmp_path: Path, capsys: Out) -> None:
    ada, adam = Ref("user", "1"), Ref("user", "2")
    asked = erasure.ask(ALICE, reason="asked for it", by=ada, now=START)
    audit("erase")
    assert f"{asked.pk} user:7 open" in capsys.readouterr().out
    with pytest.raises(CommandError, match="not approved") as refused:
        audit("erase", asked.pk)
    assert refused.value.returncode == 1
    with transaction.atomic():
        erasure.decide(erasure.open_request(asked.pk), approve=True, by=adam, now=START)
    audit("erase")
    assert f"{asked.pk} user:7 approved" in capsys.readouterr().out
    audit("erase", asked.pk)
    assert "executed, 1 keys destroyed" in capsys.readouterr().out
    private.forget_keys()
    with pytest.raises(CommandError, match="executed already"):
        audit("erase", asked.pk)
    assert not Private.objects.filter(seq=0).exists()
    with pytest.raises(CommandError, match="has been erased"):
        audit("prove", "0", "--opening")
    audit("prove", "0", "--output", tmp_path)
    assert verified(tmp_path / "0.tlog-proof", "--leaf", tmp_path / "0.leaf", "--key", key(capsys))[0] == 0
    audit("verify", "--no-bucket")
