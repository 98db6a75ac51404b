"""Clean is said only for a complete, exact OK about the right bytes with fresh signatures."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from identity.models import User
from pipeline import lifecycle, sandbox, scanner
from pipeline.models import Status
from pipeline.sandbox import Part
from tests import factories
from tests.pipeline import clamds
from tests.pipeline.clamds import dated

BODY = b"an ordinary text"
HARMLESS = b"an ordinary attachment"


def scan(body: bytes = BODY, **expected: Any) -> scanner.Verdict:
    """Scan in small chunks, expecting just these bytes unless told otherwise."""
    chunks = [body[i : i + 5] for i in range(0, len(body), 5)]
    return scanner.scan(chunks, **{"size": len(body), "sha256": factories.sha256(body), **expected})


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


def test_an_empty_chunk_does_not_end_the_stream_early(settings: Any) -> None:
    with clamds.serving() as clamd:
        settings.CLAMD_ADDRESS = clamd.address
        scanner.scan([BODY[:5], b"", BODY[5:]], size=len(BODY), sha256=factories.sha256(BODY))
    assert clamd.streams == [BODY]


def test_an_ok_that_comes_before_everything_was_sent_is_none(settings: Any, tmp_path: Path) -> None:
    body = b"x" * 8_000_000
    expected: dict[str, Any] = {"size": len(body), "sha256": factories.sha256(body)}
    deaf = clamds.refusing_to_read(clamds.OK, tmp_path / "c")
    with deaf as settings.CLAMD_ADDRESS, pytest.raises(scanner.Unavailable, match="before it had everything"):
        scanner.scan([body], **expected)


def test_what_breaks_where_the_bytes_come_from_is_no_fault_of_clamd(settings: Any) -> None:
    def bytes_from_a_reset_connection() -> Iterator[bytes]:
        yield BODY
        raise ConnectionResetError

    with clamds.serving() as clamd:
        settings.CLAMD_ADDRESS = clamd.address
        with pytest.raises(ConnectionResetError):
            scanner.scan(bytes_from_a_reset_connection(), size=0, sha256="")
    assert clamd.streams == []


# --- parts ---------------------------------------------------------------------------------------
def pdf(attachment: bytes = b"") -> bytes:
    """A blank page, as qpdf writes it, and something attached."""
    with pikepdf.new() as made:
        made.add_blank_page()
        if attachment:
            made.attachments["notes.txt"] = pikepdf.AttachedFileSpec(made, attachment, filename="notes.txt")
        made.save(file := io.BytesIO())
    return file.getvalue()


def parts(*bodies: bytes, kind: str = "attachment") -> list[Part]:
    """Parts as the sandbox gives them, in small chunks."""
    return [Part(kind, iter([body[i : i + 5] for i in range(0, len(body), 5)])) for body in bodies]


def test_a_pdf_whose_attachment_clamd_passes_over_is_infected() -> None:
    body = pdf(attachment=factories.EICAR)
    found = scan(body, parts=parts(factories.EICAR))
    assert found.code == "infected"
    assert "Eicar" in found.signature
    assert (found.size, found.sha256) == (len(body), factories.sha256(body))


def test_the_real_clamd_is_asked_about_every_attachment() -> None:
    found = scan(parts=parts(HARMLESS, factories.EICAR, HARMLESS))
    assert found.code == "infected"
    assert "Eicar" in found.signature
    assert found.signature.endswith(" in attachment 2")
    assert found.parts == 2


def test_each_attachment_is_streamed_by_itself(settings: Any) -> None:
    with clamds.serving() as clamd:
        settings.CLAMD_ADDRESS = clamd.address
        verdict = scan(parts=lambda: iter(parts(HARMLESS, b"another one")))
    assert clamd.streams == [BODY, HARMLESS, b"another one"]
    assert (verdict.clean, verdict.parts) == (True, 2)


def test_what_clamd_unpacks_by_itself_is_not_streamed_again_but_everything_else_is(settings: Any) -> None:
    with clamds.serving() as clamd:
        settings.CLAMD_ADDRESS = clamd.address
        known = [parts(f"{kind} of it".encode(), kind=kind)[0] for kind in sorted(scanner.SEEN_BY_CLAMD)]
        verdict = scan(parts=[*known, *parts(b"something new", kind="unheard-of")])
    assert clamd.streams == [BODY, b"something new"]
    assert verdict.parts == len(known) + 1


@pytest.mark.parametrize("body", [b"", b"12345"])
def test_a_part_that_is_too_small_for_clamd_is_not_sent(settings: Any, body: bytes) -> None:
    with clamds.serving() as clamd:
        settings.CLAMD_ADDRESS = clamd.address
        assert scan(parts=parts(body, b"123456")).clean
    assert clamd.streams == [BODY, b"123456"]


@pytest.mark.parametrize("reply", [b"", b"stream: OK", b"stream: Can't write to file ERROR\0", b"PONG\0"])
def test_an_incomplete_answer_about_a_part_is_no_verdict(settings: Any, reply: bytes) -> None:
    with clamds.serving(lambda stream: reply if stream == HARMLESS else clamds.OK) as clamd:
        settings.CLAMD_ADDRESS = clamd.address
        with pytest.raises(scanner.Unavailable):
            scan(parts=parts(HARMLESS))


def test_malware_outweighs_what_only_stopped_an_engine_from_looking(settings: Any) -> None:
    names = {BODY: b"Heuristics.Encrypted.PDF", HARMLESS: b"Heuristics.Broken.Media", b"the worst": b"Worm"}
    with clamds.serving(lambda stream: b"stream: " + names[stream] + b" FOUND\0") as clamd:
        settings.CLAMD_ADDRESS = clamd.address
        infected = scan(parts=parts(HARMLESS, b"the worst"))
        encrypted = scan(parts=parts(HARMLESS))
    assert (infected.code, infected.signature) == ("infected", "Worm in attachment 2")
    assert (encrypted.code, encrypted.signature) == ("encrypted", "Heuristics.Encrypted.PDF")


def test_nobody_unpacks_a_file_that_is_infected_already(settings: Any) -> None:
    def never() -> Iterator[Part]:
        raise AssertionError("it was unpacked")

    with clamds.answering(b"stream: Worm FOUND\0") as settings.CLAMD_ADDRESS:
        assert scan(parts=never).parts == 0


def test_parts_that_cannot_be_read_to_their_end_make_the_file_malformed(settings: Any) -> None:
    def dies() -> Iterator[Part]:
        yield from parts(HARMLESS)
        raise sandbox.Unreadable

    with clamds.answering(clamds.OK) as settings.CLAMD_ADDRESS:
        assert scan(parts=dies).code == "malformed"


def test_a_sandbox_that_is_away_is_no_verdict(settings: Any) -> None:
    def away() -> Iterator[Part]:
        yield from ()
        raise sandbox.Unavailable

    with clamds.answering(clamds.OK) as settings.CLAMD_ADDRESS, pytest.raises(sandbox.Unavailable):
        scan(parts=away)


def test_the_kind_of_a_part_reaches_the_record_only_as_a_plain_word(settings: Any) -> None:
    with clamds.serving(lambda stream: clamds.OK if stream == BODY else b"stream: Worm FOUND\0") as clamd:
        settings.CLAMD_ADDRESS = clamd.address
        assert scan(parts=parts(HARMLESS, kind="<b>\n")).signature == "Worm in part 1"


# --- signatures ----------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [dated(10), dated(-3), b"ClamAV 1.4.6", b"ClamAV 1.4.6/27800/soon"])
def test_old_or_undated_signatures_make_nothing_clean(settings: Any, version: bytes) -> None:
    settings.SCANNER_TEST_SIGNATURES = False
    with clamds.answering(b"stream: OK\0", version=version) as settings.CLAMD_ADDRESS, pytest.raises(scanner.Stale):
        scan()


def test_fresh_signatures_do(settings: Any) -> None:
    settings.SCANNER_TEST_SIGNATURES = False
    with clamds.answering(b"stream: OK\0", version=dated(1.5)) as settings.CLAMD_ADDRESS:
        verdict = scan()
    assert (verdict.engine.version, verdict.engine.signatures, verdict.age_days) == ("1.4.6", "27800", 1)


def test_a_version_waits_for_fresh_signatures_and_goes_on_by_itself(alice: User, settings: Any) -> None:
    settings.SCANNER_TEST_SIGNATURES = False
    version = factories.validated(alice, pdf())
    with clamds.serving(version=dated(10)) as clamd:
        settings.CLAMD_ADDRESS = clamd.address
        with pytest.raises(scanner.Stale):
            lifecycle.scan(version.pk)
        version.refresh_from_db()
        assert (version.status, version.attempts) == (Status.VALIDATED, 0)
        assert "signatures" in version.waits_for
        clamd.version = dated(0)
        lifecycle.scan(version.pk)
    version.refresh_from_db()
    assert (version.status, version.waits_for) == (Status.CLEAN, "")


# --- the configuration ---------------------------------------------------------------------------
def test_two_verdicts_under_the_same_rules_have_the_same_configuration(settings: Any, tmp_path: Path) -> None:
    def configuration(**more: Any) -> str:
        return scan(**more).config_sha256

    with clamds.answering(clamds.OK) as settings.CLAMD_ADDRESS:
        first = configuration()
        assert configuration(body=b"another text") == first
        assert configuration(policy_sha256="1" * 64) != first
        settings.SCANNER_MAX_AGE_DAYS += 1
        later = configuration()
        assert later != first
        (tmp_path / "a.yar").write_text("rule a { condition: filesize == 1 }")
        settings.YARA_RULES = str(tmp_path)
        assert configuration() != later
        settings.SCANNER, settings.YARA_RULES = "builtin", ""
        assert configuration() not in {first, later}


# --- the second engine ---------------------------------------------------------------------------
@pytest.fixture
def forbids_zebras(settings: Any, tmp_path: Path) -> None:
    """A folder of rules with one rule."""
    (tmp_path / "zebras.yar").write_text('rule Zebra { strings: $a = "zebra" condition: $a }')
    settings.YARA_RULES = str(tmp_path)


@pytest.mark.usefixtures("forbids_zebras")
def test_a_match_of_the_operators_rules_decides_though_clamd_says_ok() -> None:
    assert scan().clean
    found = scan(b"a zebra")
    assert (found.code, found.signature, found.engine.name) == ("infected", "YARA.Zebra", "clamd")
    assert len(found.rules_sha256) == 64


@pytest.mark.usefixtures("forbids_zebras")
@pytest.mark.parametrize("kind", ["attachment", "member"])
def test_rules_look_into_every_part(kind: str) -> None:
    found = scan(parts=parts(HARMLESS, b"a zebra", kind=kind))
    assert (found.code, found.signature) == ("infected", f"YARA.Zebra in {kind} 2")


@pytest.mark.usefixtures("forbids_zebras")
def test_rules_look_into_parts_that_are_too_small_for_clamd(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "b.yar").write_text('rule Ant { strings: $a = "ant" condition: $a }')
    assert scan(parts=parts(b"ant")).signature == "YARA.Ant in attachment 1"


@pytest.mark.usefixtures("forbids_zebras")
def test_clamd_names_malware_before_the_rules_do() -> None:
    assert "Eicar" in scan(factories.EICAR + b" zebra").signature


def test_rules_that_do_not_compile_make_nothing_clean(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text("rule a { condition: $b }")
    settings.YARA_RULES = str(tmp_path)
    with pytest.raises(scanner.Unavailable, match="unknown pattern"):
        scan()
    with pytest.raises(scanner.Unavailable):
        scanner.check()


# --- the stand-in --------------------------------------------------------------------------------
def test_the_stand_in_finds_eicar_across_a_border_between_chunks(settings: Any) -> None:
    settings.SCANNER = "builtin"
    body = b"x" * 1000 + factories.EICAR
    cut = 1000 + 40
    verdict = scanner.scan([body[:cut], body[cut:]], size=len(body), sha256=factories.sha256(body))
    assert (verdict.code, verdict.engine.name) == ("infected", "builtin")
    assert scan().clean


def test_the_stand_in_looks_into_parts(settings: Any) -> None:
    settings.SCANNER = "builtin"
    found = scan(parts=parts(HARMLESS, factories.EICAR, kind="member"))
    assert (found.code, found.signature) == ("infected", "YARA.Eicar_Test_File in member 2")


@pytest.mark.usefixtures("forbids_zebras")
def test_the_stand_in_keeps_the_operators_rules(settings: Any) -> None:
    settings.SCANNER = "builtin"
    assert scan(b"a zebra").signature == "YARA.Zebra"
    assert scan(factories.EICAR).signature == "YARA.Eicar_Test_File"
