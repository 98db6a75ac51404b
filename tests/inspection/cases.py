"""What must not become available, case by case; docs/inspection.md has the same table in words.

The first list is everything that ClamAV 1.4.6 was seen to call OK with malware inside, in a format that is
taken; the second is disguises. What stands for malware is the EICAR test file or a program's header.
"""

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from tests.inspection import makers
from tests.inspection.makers import EICAR, Entry, assembled, entries, odf, office, open_document, zipped


@dataclass(frozen=True)
class Case:
    """A file that must not pass: what it is called in the docs, its extension, its bytes, what must be found."""

    name: str
    extension: str
    make: Callable[[], bytes]
    finding: str


def _packed_by(method: int) -> bytes:
    """A docx with a member that says to be packed by this method."""
    return assembled([*entries(office()), Entry("word/media/a.png", EICAR, method=method, packed=bytes(50))])


def _python_packed_by(method: int) -> bytes:
    return zipped(office() | {"word/media/a.bin": EICAR * 20}, method)


def _cut_member() -> bytes:
    members = entries(office())
    members[-1].packed = members[-1].body[:-4]
    return assembled(members)


def _said_twice(**changes: object) -> bytes:
    """A docx whose last member is another thing in its local header than in the directory."""
    members = entries(office())
    for name, value in changes.items():
        setattr(members[-1], name, value)
    return assembled(members)


def _mail() -> bytes:
    part = b"--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nWDVP\r\n"
    return (
        b'From: a\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="x"\r\n\r\n'
        + part * 1300
        + b"--x--\r\n"
    )


def _pdf_stream_behind(front: bytes) -> bytes:
    return front + makers.pdf()


def _signed_tail(body: bytes) -> bytes:
    """A zip behind another file, its offsets as they are in the whole."""
    package = io.BytesIO(body)
    with zipfile.ZipFile(package, "a") as appended:
        appended.writestr("a.exe", makers.PE)
    return package.getvalue()


def _jpeg_with_comment(comment: bytes) -> bytes:
    plain = makers.picture("JPEG")
    return plain[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + plain[2:]


def _png_with_chunk(content: bytes) -> bytes:
    plain = makers.picture("PNG")
    return plain[:33] + makers.png_chunk(b"tEXt", b"Comment\0" + content) + plain[33:]


SAMPLES: dict[str, Callable[[], bytes]] = {
    "docx": lambda: zipped(office("docx")),
    "xlsx": lambda: zipped(office("xlsx")),
    "pptx": lambda: zipped(office("pptx")),
    "odt": lambda: odf(open_document()),
    "doc": makers.doc,
    "xls": makers.xls,
    "ppt": makers.ppt,
    "pdf": makers.pdf,
    "png": makers.picture,
    "jpg": lambda: makers.picture("JPEG"),
    "tif": lambda: makers.picture("TIFF"),
}
MACROS = "application/vnd.ms-"

MISSED_BY_CLAMAV = [
    Case("a member that unpacks to gigabytes", "docx", makers.bomb, "unpacked_too_large"),
    Case("a member that unpacks to more than it says", "docx", makers.lying_bomb, "damaged"),
    Case("all members together over the limit", "docx", makers.overlapping_bomb, "unpacked_too_large"),
    Case("more than 10,000 members", "docx", makers.many_members, "too_many_members"),
    Case("documents in documents, too deep", "docx", lambda: makers.nested(3), "nested_too_deep"),
    Case("an encrypted member (ZipCrypto, AES)", "docx", lambda: assembled(entries(office(), flags=1)), "encrypted"),
    Case("an encrypted member (ZipCrypto, AES)", "docx", lambda: _packed_by(99), "encrypted"),
    Case(
        "an encrypted zip inside",
        "docx",
        lambda: zipped(office() | {"word/embeddings/a.docx": assembled(entries(office(), flags=1))}),
        "encrypted",
    ),
    Case("a document behind a password", "docx", lambda: makers.encrypted_office("docx"), "encrypted"),
    Case("a document behind a password", "xlsx", lambda: makers.encrypted_office("xlsx"), "encrypted"),
    Case("a document behind a password", "pptx", lambda: makers.encrypted_office("pptx"), "encrypted"),
    Case("a document behind a password", "doc", lambda: makers.doc(encrypted=True), "encrypted"),
    Case("a document behind a password", "xls", lambda: makers.xls(makers.FILEPASS), "encrypted"),
    Case("a document behind a password", "xls", lambda: makers.xls(makers.FILEPASS, main="Book"), "encrypted"),
    Case("a document behind a password", "ppt", lambda: makers.ppt(encrypted=True), "encrypted"),
    Case("a document behind a password", "odt", makers.encrypted_odf, "encrypted"),
    Case("a document behind a password", "pdf", makers.pdf_locked, "encrypted"),
    Case(
        "PGP, 7z, RAR, zstd, bzip2, gzip, xz, lzma or zlib under another name",
        "docx",
        lambda: makers.PGP,
        "type_mismatch",
    ),
    Case(
        "PGP, 7z, RAR, zstd, bzip2, gzip, xz, lzma or zlib under another name",
        "docx",
        lambda: makers.SEVEN_ZIP,
        "type_mismatch",
    ),
    Case(
        "PGP, 7z, RAR, zstd, bzip2, gzip, xz, lzma or zlib under another name",
        "docx",
        lambda: makers.RAR,
        "type_mismatch",
    ),
    Case(
        "RAR inside or attached",
        "docx",
        lambda: zipped(office() | {"word/media/a.rar": makers.RAR}),
        "member_not_allowed",
    ),
    Case("RAR inside or attached", "pdf", lambda: makers.pdf_with(makers.RAR), "member_not_allowed"),
    Case(
        "a member packed by LZMA, BZip2, PPMd, XZ, zstd or Deflate64",
        "docx",
        lambda: _python_packed_by(zipfile.ZIP_LZMA),
        "compression_not_readable",
    ),
    Case(
        "a member packed by LZMA, BZip2, PPMd, XZ, zstd or Deflate64",
        "docx",
        lambda: _python_packed_by(zipfile.ZIP_BZIP2),
        "compression_not_readable",
    ),
    Case(
        "a member packed by LZMA, BZip2, PPMd, XZ, zstd or Deflate64",
        "docx",
        lambda: _packed_by(98),
        "compression_not_readable",
    ),
    Case(
        "a member packed by LZMA, BZip2, PPMd, XZ, zstd or Deflate64",
        "docx",
        lambda: _packed_by(95),
        "compression_not_readable",
    ),
    Case(
        "a member packed by LZMA, BZip2, PPMd, XZ, zstd or Deflate64",
        "docx",
        lambda: _packed_by(93),
        "compression_not_readable",
    ),
    Case(
        "a member packed by LZMA, BZip2, PPMd, XZ, zstd or Deflate64",
        "docx",
        lambda: _packed_by(9),
        "compression_not_readable",
    ),
    Case("a member whose directory entry says something else", "docx", lambda: _said_twice(local_method=14), "damaged"),
    Case(
        "a member whose directory entry says something else",
        "docx",
        lambda: _said_twice(local_name="word/document.exe"),
        "damaged",
    ),
    Case(
        "a zip without its directory, without its end, with half of it",
        "docx",
        lambda: SAMPLES["docx"]().partition(b"PK\x01\x02")[0],
        "damaged",
    ),
    Case(
        "a zip without its directory, without its end, with half of it",
        "docx",
        lambda: SAMPLES["docx"]()[:-22],
        "damaged",
    ),
    Case(
        "a zip without its directory, without its end, with half of it",
        "docx",
        lambda: SAMPLES["docx"]()[:-9],
        "damaged",
    ),
    Case("a cut member", "docx", _cut_member, "damaged"),
    Case(
        "two zips in one file, in both orders",
        "docx",
        lambda: SAMPLES["docx"]() + zipped({"a.exe": makers.PE}),
        "polyglot",
    ),
    Case(
        "two zips in one file, in both orders",
        "docx",
        lambda: zipped({"a.exe": makers.PE}) + SAMPLES["docx"](),
        "polyglot",
    ),
    Case(
        "a member that the directory does not list",
        "docx",
        lambda: assembled(entries(office()), hidden=[Entry("word/a.exe", makers.PE)]),
        "polyglot",
    ),
    Case("bytes between members and directory", "docx", lambda: assembled(entries(office()), gap=EICAR), "polyglot"),
    Case("a comment behind the zip", "docx", lambda: assembled(entries(office()), comment=EICAR), "polyglot"),
    Case("a zip behind bytes", "docx", lambda: assembled(entries(office()), before=makers.ELF), "type_mismatch"),
    Case("a PDF attachment as qpdf writes it", "pdf", lambda: makers.pdf_with(EICAR), "attachment"),
    Case(
        "PGP, 7z, RAR, zstd, bzip2, gzip, xz, lzma or zlib under another name",
        "pdf",
        lambda: makers.ZSTD,
        "type_mismatch",
    ),
    Case(
        "PGP, 7z, RAR, zstd, bzip2, gzip, xz, lzma or zlib under another name",
        "pdf",
        lambda: makers.BZIP2,
        "type_mismatch",
    ),
    Case(
        "PGP, 7z, RAR, zstd, bzip2, gzip, xz, lzma or zlib under another name",
        "txt",
        lambda: makers.GZIP,
        "type_mismatch",
    ),
    Case(
        "PGP, 7z, RAR, zstd, bzip2, gzip, xz, lzma or zlib under another name",
        "txt",
        lambda: makers.XZ,
        "type_mismatch",
    ),
    Case(
        "PGP, 7z, RAR, zstd, bzip2, gzip, xz, lzma or zlib under another name",
        "txt",
        lambda: makers.LZMA_ALONE,
        "type_mismatch",
    ),
    Case(
        "PGP, 7z, RAR, zstd, bzip2, gzip, xz, lzma or zlib under another name",
        "txt",
        lambda: makers.ZLIB,
        "type_mismatch",
    ),
    Case("brotli, which has no signature, as text", "txt", lambda: b"\x0b\x02\x80" + EICAR + b"\x03", "not_text"),
    Case("a mail of 1,300 parts as text", "txt", _mail, "type_mismatch"),
    Case("UTF-16 without its mark", "txt", lambda: EICAR.decode().encode("utf-16-le"), "not_text"),
    Case("a zip behind another file", "pdf", lambda: _signed_tail(makers.pdf()), "polyglot"),
    Case("a zip behind another file", "jpg", lambda: _signed_tail(makers.picture("JPEG")), "polyglot"),
    Case("a zip behind another file", "doc", lambda: _signed_tail(makers.doc()), "polyglot"),
]

DISGUISES = [
    *(
        Case("a program of Windows, Linux, macOS or Java", extension, lambda body=body: body, "executable")  # type: ignore[misc] # bound at once
        for body in (makers.PE, makers.ELF, makers.MACH_O, makers.JAVA)
        for extension in ("pdf", "docx", "png", "txt", "csv")
    ),
    Case("a Windows shortcut as a document", "docx", lambda: makers.SHORTCUT, "executable"),
    Case(
        "a shell, batch, PowerShell, Windows, JScript or Python script as text",
        "txt",
        lambda: b"#!/bin/sh\nrm -rf /\n",
        "executable",
    ),
    Case(
        "a shell, batch, PowerShell, Windows, JScript or Python script as text",
        "txt",
        lambda: b"@echo off\r\ndel /q C:\\*\r\n",
        "executable",
    ),
    Case(
        "a shell, batch, PowerShell, Windows, JScript or Python script as text",
        "txt",
        lambda: b"$x = 1\nInvoke-Expression $x\n",
        "executable",
    ),
    Case(
        "a shell, batch, PowerShell, Windows, JScript or Python script as text",
        "txt",
        lambda: b'Set o = CreateObject("WScript.Shell")\r\n',
        "executable",
    ),
    Case(
        "a shell, batch, PowerShell, Windows, JScript or Python script as text",
        "csv",
        lambda: b"var o = new ActiveXObject('WScript.Shell');\r\n",
        "executable",
    ),
    Case(
        "a shell, batch, PowerShell, Windows, JScript or Python script as text",
        "txt",
        lambda: b"import os\nos.system('id')\n",
        "executable",
    ),
    Case("PHP as text", "txt", lambda: b"<?php system($_GET['x']); ?>", "type_mismatch"),
    Case(
        "a web page or SVG as text", "txt", lambda: b"<!DOCTYPE html><html><script>x</script></html>", "active_markup"
    ),
    Case(
        "a web page or SVG as text",
        "txt",
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>",
        "active_markup",
    ),
    Case(
        "a web page or SVG as text",
        "txt",
        lambda: b"<!--" + b"x" * 600 + b"--><svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>",
        "active_markup",
    ),
    Case(
        "script in the middle of a text, also in UTF-16",
        "txt",
        lambda: b"Dear all,\n" * 40000 + b"<script>x()</script>",
        "active_markup",
    ),
    Case(
        "script in the middle of a text, also in UTF-16",
        "txt",
        lambda: "hello <script>x()</script>".encode("utf-16"),
        "active_markup",
    ),
    Case("a link that runs script", "csv", lambda: b"name,link\na,javascript:alert(1)\n", "active_markup"),
    Case("a link that runs script", "csv", lambda: b"name,link\na,data:text/html;base64;xx\n", "active_markup"),
    Case("a formula that starts a program", "csv", lambda: b"a,b\n=cmd|'/C calc'!A0,1\n", "macro"),
    Case("RTF as doc, HTML as xls", "doc", lambda: rb"{\rtf1 x}", "type_mismatch"),
    Case("RTF as doc, HTML as xls", "xls", lambda: b"<html><table/></html>", "type_mismatch"),
    Case(
        "a docm, xlsm or pptm under a plain name",
        "docx",
        lambda: zipped(office(main_type=f"{MACROS}word.document.macroEnabled.main+xml")),
        "macro",
    ),
    Case(
        "a docm, xlsm or pptm under a plain name",
        "xlsx",
        lambda: zipped(office("xlsx", main_type=f"{MACROS}excel.sheet.macroEnabled.main+xml")),
        "macro",
    ),
    Case(
        "a docm, xlsm or pptm under a plain name",
        "pptx",
        lambda: zipped(office("pptx", main_type=f"{MACROS}powerpoint.presentation.macroEnabled.main+xml")),
        "macro",
    ),
    Case(
        "a binary workbook as an xlsx",
        "xlsx",
        lambda: zipped(office("xlsx", main_type=f"{MACROS}excel.sheet.binary.macroEnabled.main")),
        "type_mismatch",
    ),
    Case("a zip that only smells of Word", "docx", lambda: zipped({"word/x": b"x"}), "type_mismatch"),
    Case("a PDF behind other bytes", "pdf", lambda: _pdf_stream_behind(b"<script>x()</script>" * 10), "polyglot"),
    Case("a PDF behind other bytes", "pdf", lambda: _pdf_stream_behind(b"junk junk\n" * 95), "polyglot"),
    Case("a PDF behind a program", "pdf", lambda: _pdf_stream_behind(makers.PE), "executable"),
    Case("a PDF inside a picture", "jpg", lambda: _jpeg_with_comment(makers.pdf()), "polyglot"),
    Case("bytes behind the end of a file", "pdf", lambda: makers.pdf() + EICAR, "polyglot"),
    Case("a program between two revisions", "pdf", lambda: makers.pdf() + makers.PE + makers.pdf(), "polyglot"),
    Case(
        "a page or PHP in a picture's comment",
        "jpg",
        lambda: _jpeg_with_comment(b"<script>x()</script>"),
        "active_markup",
    ),
    Case(
        "a page or PHP in a picture's comment", "png", lambda: _png_with_chunk(b"<?php system(1); ?>"), "active_markup"
    ),
    Case("bytes behind the end of a file", "png", lambda: makers.picture("PNG") + EICAR, "polyglot"),
    Case("bytes behind the end of a file", "jpg", lambda: makers.picture("JPEG") + EICAR, "polyglot"),
    Case("bytes behind the end of a file", "tif", lambda: makers.picture("TIFF") + EICAR, "polyglot"),
    Case("script that begins as a GIF", "png", lambda: b"GIF89a/*x*/=1;alert(1)//", "type_mismatch"),
    Case("bytes behind the end of a file", "xls", lambda: makers.xls() + EICAR, "polyglot"),
    *(
        Case("half a file", extension, lambda make=make: make()[: len(make()) // 2], "damaged")  # type: ignore[misc] # bound at once
        for extension, make in SAMPLES.items()
    ),
    *(
        Case("a file without its last bytes", extension, lambda make=make: make()[:-7], "damaged")  # type: ignore[misc] # bound at once
        for extension, make in SAMPLES.items()
        if extension not in ("doc", "xls", "ppt")
    ),
]
