"""Clean is said only for a complete, exact OK about the right bytes with fresh signatures."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import scanner
from tests import factories
from tests.pipeline import clamds

BODY = b"an ordinary text"


def scan(body: bytes = BODY, **expected: Any) -> scanner.Verdict:
    """Scan in small chunks, expecting just these bytes unless told otherwise."""
    chunks = [body[i : i + 5] for i in range(0, len(body), 5)]
    return scanner.scan(chunks, **{"size": len(body), "sha256": factories.sha256(body), **expected})


def dated(days: int) -> bytes:
    """A VERSION answer whose signatures are so many days old."""
    moment = datetime.now(UTC) - timedelta(days=days)
    return f"ClamAV 1.4.6/27800/{moment:%a %b %d %H:%M:%S %Y}".encode()


def test_the_real_clamd_calls_text_clean_and_eicar_infected() -> None:
    assert scan().code == "clean"
    found = scan(factories.EICAR)
    assert found.code == "infected"
    assert "Eicar" in found.signature


def test_an_exact_ok_is_clean(settings: Any) -> None:
    with clamds.answering(b"stream: OK\0") as settings.CLAMD_ADDRESS:
        verdict = scan()
    assert verdict.clean
    assert (verdict.size, verdict.sha256) == (len(BODY), factories.sha256(BODY))


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"stream: OK",
        b"stream: ",
        b"stream: OK\n\0x",
        b"stream: OK!",
        b"OK\0",
        b"stream: OKAY\0",
        b"stream: ERROR\0",
        b"stream: Can't write to file ERROR\0",
        b"COMMAND READ TIMED OUT\n",
        b"\0",
        b"PONG\0",
    ],
)
def test_anything_but_a_complete_answer_says_nothing_about_the_file(settings: Any, reply: bytes) -> None:
    with clamds.answering(reply) as settings.CLAMD_ADDRESS, pytest.raises(scanner.Unavailable):
        scan()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Win.Test.EICAR_HDB-1", "infected"),
        ("Heuristics.Limits.Exceeded.MaxFileSize", "unscannable"),
        ("Heuristics.Encrypted.PDF", "encrypted"),
        ("Heuristics.OLE2.ContainsMacros.VBA", "macro"),
        ("Heuristics.Broken.Media.JPEG", "malformed"),
        ("Heuristics.Phishing.Email", "infected"),
    ],
)
def test_what_stopped_the_engine_from_looking_is_not_called_malware(settings: Any, name: str, code: str) -> None:
    with clamds.answering(f"stream: {name} FOUND\0".encode()) as settings.CLAMD_ADDRESS:
        assert scan().code == code


def test_the_limit_error_is_read_after_the_line_was_closed(settings: Any, tmp_path: Path) -> None:
    reply = b"INSTREAM size limit exceeded. ERROR\0"
    chunks = [b"x" * 1_000_000] * 8
    with clamds.refusing_to_read(reply, tmp_path / "c") as settings.CLAMD_ADDRESS:
        assert scanner.scan(chunks, size=8_000_000, sha256="").code == "unscannable"


def test_ok_about_other_bytes_than_were_validated_is_not_clean(settings: Any) -> None:
    with clamds.answering(b"stream: OK\0") as settings.CLAMD_ADDRESS:
        with pytest.raises(scanner.Unavailable):
            scan(size=len(BODY) + 1)
        with pytest.raises(scanner.Unavailable):
            scan(sha256="0" * 64)


def test_nobody_there_is_unavailable(settings: Any) -> None:
    settings.CLAMD_ADDRESS = "tcp://127.0.0.1:9"
    with pytest.raises(scanner.Unavailable):
        scan()


@pytest.mark.parametrize("version", [dated(10), b"ClamAV 1.4.6", b"ClamAV 1.4.6/27800/soon"])
def test_old_or_undated_signatures_make_nothing_clean(settings: Any, version: bytes) -> None:
    settings.SCANNER_TEST_SIGNATURES = False
    with clamds.answering(b"stream: OK\0", version=version) as settings.CLAMD_ADDRESS, pytest.raises(scanner.Stale):
        scan()


def test_fresh_signatures_do(settings: Any) -> None:
    settings.SCANNER_TEST_SIGNATURES = False
    with clamds.answering(b"stream: OK\0", version=dated(1)) as settings.CLAMD_ADDRESS:
        verdict = scan()
    assert (verdict.engine.version, verdict.engine.signatures) == ("1.4.6", "27800")


def test_the_stand_in_finds_eicar_across_a_border_between_chunks(settings: Any) -> None:
    settings.SCANNER = "builtin"
    body = b"x" * 1000 + factories.EICAR
    cut = 1000 + 40
    verdict = scanner.scan([body[:cut], body[cut:]], size=len(body), sha256=factories.sha256(body))
    assert (verdict.code, verdict.engine.name) == ("infected", "builtin")
    assert scan().clean
