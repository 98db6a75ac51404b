"""Text and CSV: any charset that people use, no control characters, nothing that runs."""

import pytest

from tests.inspection.looking import kinds, looked

WORDS = "Grüße, señor: 1.234,00 “quoted” a < b\n"


@pytest.mark.parametrize(
    "charset", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1", "cp1250", "cp437", "mac-roman"]
)
@pytest.mark.parametrize("extension", ["txt", "csv"])
@pytest.mark.parametrize("times", [1, 40_000])
def test_text_in_a_usual_charset_is_ordinary(charset: str, extension: str, times: int) -> None:
    assert looked((WORDS * times).encode(charset, "replace"), f"a.{extension}").findings == ()


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"\n",
        b"a\r\nb\x0c\x1a",
        b"=SUM(A1:A9)\n-1\n+1\n@a|b\n",
        b"- Hello|World! is a title\n",
        b"<Alice> hello\n<Bob> hi\n",
        b"if a<b and once = 3 then",
        b"the script of the play; javascript is a language",
        b"{'json': 1}\n",
        b"From: Alice\nSubject: the meeting\n\nDear all,\n",
        b"MZ;Name\n1;2\n",
        b"IN THIS README is what the printer would take for a plot;PU;PD\n",
        b"1\n00:00:01,000 --> 00:00:02,000\nwords\n",
        b"the %PDF of this statement",
        b"Dear all,\nfrom China import duties are due.\nimport taxes too\n",
    ],
)
def test_ordinary_text_has_no_finding(body: bytes) -> None:
    assert looked(body, "a.csv").findings == looked(body, "a.txt").findings == ()


@pytest.mark.parametrize("body", [b"a\0b", b"a\x01b", b"\x1b[31mred", b"a\x7fb", b"a\x1ab"])
@pytest.mark.parametrize("front", [b"", b"words\n" * 60_000])
def test_control_characters_are_not_text(body: bytes, front: bytes) -> None:
    assert kinds(front + body, "a.txt") == {"not_text"}


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbfcaf\xe9\n",
        b"\xff\xfea\0b\0\0",
        b"\xff\xfea\0\x00\xd8b\0",
        b"\xff\xfe\0\0a\0\0\0",
        "a\0b".encode("utf-16"),
    ],
)
def test_a_charset_that_a_text_does_not_keep_to_is_not_text(body: bytes) -> None:
    assert "not_text" in kinds(body, "a.txt")


@pytest.mark.parametrize(
    "body",
    [
        b"<script>x()</script>",
        b"<SCRIPT src=x>",
        b"<html>",
        b"<svg onload=x()>",
        b"<iframe src=x>",
        b"<img src=x onerror=x()>",
        b"<a href='x' onClick = 'x()'>",
        b"<b/onmouseover=x()>",
        b"<object data=x>",
        b"javascript:x()",
        b"JaVaScRiPt:x()",
        b"vbscript:x()",
        b"data:text/html,x",
        b"<?php x(); ?>",
        b"<?= x ?>",
        b"<!doctype html>",
    ],
)
@pytest.mark.parametrize("front", ["", "words\n", "words\n" * 60_000])
def test_markup_that_a_browser_would_run_is_found_anywhere(body: bytes, front: str) -> None:
    assert "active_markup" in kinds(front.encode() + body, "a.txt")
    assert "active_markup" in kinds((front + body.decode()).encode("utf-16"), "a.txt")


def test_nothing_hides_on_the_border_between_two_chunks() -> None:
    for length in range(256 * 1024 - 12, 256 * 1024 + 2):
        assert kinds(b"x" * length + b"<script>x", "a.txt") == {"active_markup"}


@pytest.mark.parametrize(
    "formula",
    [
        b"=cmd|'/C calc'!A0",
        b"+cmd|' /C calc'!A0",
        b"\"=cmd|'/C calc'!A0\"",
        b"@SUM(1+1)*cmd|' /C calc'!A0",
        rb"=MSEXCEL|'\..\..\..\Windows\System32\cmd.exe /c calc.exe'!''",
        b"=DDE|server!item",
    ],
)
def test_a_formula_that_starts_a_program_is_a_macro_in_csv_only(formula: bytes) -> None:
    assert "macro" in kinds(b"a,b\n1," + formula + b"\n", "a.csv")
    assert "macro" not in kinds(b"a,b\n1," + formula + b"\n", "a.txt")


@pytest.mark.parametrize(
    "body",
    [
        b"MIME-Version: 1.0\nContent-Type: text/html\n\n<b>",
        b"{\\rtf1 x}",
        b"%!PS-Adobe-3.0\n",
        b"[InternetShortcut]\nURL=file://x\n",
        b"%PDF-1.7\n",
    ],
)
def test_texts_that_are_another_format_are_a_mismatch(body: bytes) -> None:
    assert "type_mismatch" in kinds(body, "a.txt")
