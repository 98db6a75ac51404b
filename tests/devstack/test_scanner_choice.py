"""Which scanner and which signatures a machine gets, and that it is told."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devstack import clamav, debs, engine, jsonfile, signatures
from devstack.engine import Engine


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has no ClamAV, nor packages; `bin` is its PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(engine, "_ELSEWHERE", ())
    monkeypatch.setattr(debs, "packages", lambda name, cache: None)
    return programs


def clamd(path: Path, answer: str = "ClamAV 1.4.6") -> Path:
    """Put a program in place that says it is ClamAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {answer}\n")
    path.chmod(0o755)
    return path


def test_an_installed_clamd_is_taken_first(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debs, "packages", lambda name, cache: pytest.fail("nothing need be fetched"))
    installed = clamd(bare / "clamd")
    engine.main(tmp_path, tmp_path / "cache", "test")
    assert jsonfile.read(tmp_path / "choice.json")["program"] == str(installed)


def test_unpacked_packages_come_second(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clamd(bare / "clamd", answer="a broken one")
    root = tmp_path / "packages"
    unpacked = clamd(root / "usr/sbin/clamd")
    (root / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    monkeypatch.setattr(debs, "packages", lambda name, cache: root)
    engine.main(tmp_path, tmp_path / "cache", "test")
    chosen = jsonfile.read(tmp_path / "choice.json")
    assert chosen["program"] == str(unpacked)
    assert chosen["environment"] == {"LD_LIBRARY_PATH": str(root / "usr/lib/x86_64-linux-gnu")}


def test_the_builtin_scanner_is_the_last_resort_and_is_named_loudly(
    bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.main(tmp_path, tmp_path / "cache", "official")
    assert jsonfile.read(tmp_path / "choice.json")["engine"] == "builtin"
    assert "BUILT-IN SCANNER" in capsys.readouterr().out


def test_a_machine_without_apt_gets_no_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debs.packages("clamav-daemon", tmp_path / "cache") is None


def test_packages_that_are_there_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debs, "_fetch", lambda *_: pytest.fail("fetched again"))
    (tmp_path / "packages").mkdir()
    assert debs.packages("clamav-daemon", tmp_path) == tmp_path / "packages"


def official(folder: Path, made: datetime) -> Path:
    """Put a set into `folder` whose header says when it was made."""
    folder.mkdir(exist_ok=True)
    for name in ("main.cvd", "daily.cld"):
        (folder / name).write_bytes(f"ClamAV-VDB:{made:%d %b %Y %H-%M %z}:27:2:90:x".encode().ljust(512) + b"data")
    return folder


def test_a_set_is_fresh_for_three_days(tmp_path: Path) -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    made = official(tmp_path / "db", now - timedelta(days=2, hours=23))
    assert signatures.fresh(made, now)
    assert not signatures.fresh(made, now + timedelta(hours=2))


@pytest.mark.parametrize("content", [b"", b"no header", b"ClamAV-VDB:yesterday:1", b"\xff\xfe:\xff:"])
def test_a_set_without_a_readable_date_is_not_fresh(tmp_path: Path, content: bytes) -> None:
    for name in ("main.cvd", "daily.cvd"):
        (tmp_path / name).write_bytes(content)
    assert not signatures.fresh(tmp_path, datetime.now(UTC))


def test_a_fresh_system_set_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "SYSTEM", official(tmp_path / "system", datetime.now(UTC)))
    monkeypatch.setattr(signatures, "_MEMORY", 0)
    found = signatures.find(Engine(Path("clamd"), None), tmp_path / "cache", tmp_path / "own", official=True)
    assert (found.kind, found.folder) == ("official", tmp_path / "system")


def test_a_machine_without_mirrors_gets_the_test_set_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "SYSTEM", tmp_path / "none")
    monkeypatch.setattr(signatures, "_MEMORY", 0)
    monkeypatch.setattr(signatures, "reachable", lambda host: False)
    freshclam = Engine(Path("clamd"), Path("freshclam"))
    found = signatures.find(freshclam, tmp_path / "cache", tmp_path / "own", official=True)
    assert found.kind == "test"
    assert "TEST SIGNATURES" in found.why


def test_a_small_machine_is_spared_the_official_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "_memory", lambda: 2 * 2**30)
    found = signatures.find(Engine(Path("clamd"), None), tmp_path / "cache", tmp_path / "own", official=True)
    assert found.kind == "test"


def test_the_test_set_knows_eicar(tmp_path: Path) -> None:
    signatures.test_set(tmp_path, "why")
    known = bytes.fromhex((tmp_path / "eicar.ndb").read_text().strip().rpartition(":")[2])
    assert len(known) == 68
    assert known.endswith(b"TEST-FILE!$H+H*")


def test_a_host_that_nobody_answers_for_costs_no_more_than_three_seconds() -> None:
    code = "import time; b = time.monotonic(); from devstack import signatures;"
    code += "assert not signatures.reachable('mirror.invalid'); assert time.monotonic() - b < 3"
    subprocess.run([sys.executable, "-c", code], check=True)


CHOSEN = {"signatures": "test", "database": "/data/signatures"}


def test_our_places_replace_those_of_the_file_and_its_limits_stay(tmp_path: Path) -> None:
    text = clamav.configure(clamav.CONFIGURATION.read_text(), CHOSEN, tmp_path, tmp_path / "clamd.sock")
    lines = text.splitlines()
    assert [
        line for line in lines if line.startswith(("LocalSocket ", "TemporaryDirectory ", "DatabaseDirectory "))
    ] == [
        f"LocalSocket {tmp_path}/clamd.sock",
        f"TemporaryDirectory {tmp_path / 'tmp'}",
        "DatabaseDirectory /data/signatures",
    ]
    assert {"AlertExceedsMax yes", "MaxFileSize 1000M", "DisableCache yes"} <= set(lines)


def test_an_undated_set_is_not_asked_for_its_age_and_a_dated_one_is(tmp_path: Path) -> None:
    text = clamav.CONFIGURATION.read_text()
    asked = [
        "FailIfCvdOlderThan" in clamav.configure(text, CHOSEN | {"signatures": kind}, tmp_path, tmp_path / "s")
        for kind in ("test", "official")
    ]
    assert asked == [False, True]
