"""Text and CSV: readable to its end, and nothing in it that a browser or spreadsheet would run.

UTF-8, UTF-16 with its byte order mark, or any 8-bit charset: what tells text from anything else is that
no control character stands in it. What is encoded inside the text (base64, UTF-16 under another name,
XOR) is beyond this and any scanner; see docs/inspection.md.
"""

import codecs
import re
from collections.abc import Iterator
from typing import IO, Final

from pipeline.inspection import active, findings, limits, magic
from pipeline.inspection.report import Finding

PLAIN: Final = "text/plain"
TABLE: Final = "text/csv"
_ALLOWED: Final = bytes(set(range(0x20, 0x100)) - {0x7F} | set(b"\t\n\r\f"))
_END_OF_FILE: Final = b"\x1a"  # as DOS wrote it, last
_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAIL: Final = re.compile(rb"^(?:mime-version|content-transfer-encoding):", re.IGNORECASE | re.MULTILINE)

# What stays what libmagic took it for, though it reads like text. Of other readable texts it is believed
# nothing but CSV: it guesses from words near the start (HPGL of a README that begins with "IN").
_NO_PLAIN_TEXT: Final = (
    magic.SCRIPTS
    | magic.MARKUP
    | {"application/pdf", "application/postscript", "application/x-mswinurl", "text/calendar", "text/rtf", "text/vcard"}
)
_NO_PLAIN_TEXT_FAMILIES: Final = ("audio/", "font/", "image/", "model/", "video/")

# A script that uses none of these can start no program and fetch no file.
_SCRIPT_WORDS: Final = (
    b"activexobject(",
    b"cmd /c ",
    b"cmd.exe /c",
    b"createobject(",
    b"invoke-expression",
    b"invoke-webrequest",
    b"net.webclient",
    b"os.system(",
    b"powershell -",
    b"powershell.exe",
    b"set-executionpolicy",
    b"start-process",
    b"subprocess.",
    b"wscript.",
)
# =cmd|'/c calc'!A1 and the like: DDE, by which a spreadsheet starts a program.
_PROGRAM_FORMULA: Final = re.compile(
    rb"(?:^|[,;\t\"\r\n])[ ]*[=+\-@][^\r\n|]{0,255}\|\s*(?:'[^\r\n']{1,500}'|[^\s|!'\",;]{1,100})![\w'$]"
)


def media_type(head: bytes, guessed: str) -> str:
    """Return text/plain for what begins like text, else what libmagic `guessed` of it."""
    if guessed in _NO_PLAIN_TEXT or guessed.startswith(_NO_PLAIN_TEXT_FAMILIES):
        return guessed
    if not readable(head):  # `look` will say that text is none, whatever begins like it
        return PLAIN if guessed.startswith("text/") else guessed
    if _MAIL.search(head):
        return "message/rfc822"
    return guessed if guessed in (TABLE, "application/csv") else PLAIN


def readable(head: bytes) -> bool:
    """Whether the bytes begin like text."""
    wide = head.startswith(_BYTE_ORDER_MARKS)
    try:
        text = next(_decoded(iter([head[: len(head) & ~1]])), b"") if wide else head
    except UnicodeError:
        return False
    return not text.rstrip(_END_OF_FILE).translate(None, _ALLOWED)


def look(file: IO[bytes], *, table: bool) -> Iterator[Finding]:
    """Read the text to its end and yield what is found, each kind once. `table`: spreadsheets will open it."""
    found: set[str] = set()
    before = b""
    file.seek(0)
    try:
        for text in _decoded(iter(lambda: file.read(limits.CHUNK), b"")):
            if before.endswith(_END_OF_FILE) or text.rstrip(_END_OF_FILE).translate(None, _ALLOWED):
                raise UnicodeError
            new = [finding for finding in _active(before + text, table=table) if finding.kind not in found]
            found.update(finding.kind for finding in new)
            yield from new
            before = text[-active.OVERLAP :]
    except UnicodeError:
        yield Finding(findings.NOT_TEXT, 1, "control characters, or not the charset that it begins with")


def _active(text: bytes, *, table: bool) -> Iterator[Finding]:
    lowered = text.lower()
    if lowered.startswith(b"#!") or any(word in lowered for word in _SCRIPT_WORDS):
        yield Finding(findings.EXECUTABLE, 1, "a script")
    if active.in_text(lowered):
        yield Finding(findings.ACTIVE_MARKUP)
    if table and b"|" in text and b"!" in text and _PROGRAM_FORMULA.search(lowered):
        yield Finding(findings.MACRO, 1, "a formula that starts a program")


def _decoded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the text in a charset that agrees with ASCII. Raises UnicodeError."""
    first = next(chunks, b"")
    if first.startswith(_BYTE_ORDER_MARKS):
        decoder = codecs.getincrementaldecoder("utf-16")()
        yield decoder.decode(first).removeprefix("\ufeff").encode()
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        decoder.decode(b"", final=True)
        return
    if first.startswith(codecs.BOM_UTF8):
        checker = codecs.getincrementaldecoder("utf-8")()
        checker.decode(first)
        yield first.removeprefix(codecs.BOM_UTF8)
        for chunk in chunks:
            checker.decode(chunk)
            yield chunk
        checker.decode(b"", final=True)
        return
    yield first
    yield from chunks
