"""What a file is, is told by its content; name and declared type must agree with it."""

import io
import zipfile

import pytest

from pipeline import inspection
from pipeline.inspection import formats
from tests import factories

OOXML = "application/vnd.openxmlformats-officedocument"
ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 200
MZ = b"MZ\x90\0" + b"\0" * 60 + b"PE\0\0" + b"\0" * 200
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89"


def look(body: bytes, filename: str, content_type: str = formats.GENERIC) -> inspection.Finding:
    """Inspect a body under a name and declared type."""
    return inspection.inspect(io.BytesIO(body), filename=filename, content_type=content_type)


def zipped(**entries: str) -> bytes:
    """A zip with these entries (double underscores stand for slashes and dots are as they are)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        for name, content in entries.items():
            package.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("body", "filename"),
    [
        (factories.PDF, "a.pdf"),
        (factories.PDF, "A.PDF"),
        (PNG, "a.png"),
        (b"name,amount\nalice,1\nbob,2\n", "a.csv"),
        ("Gr\u00fc\u00dfe aus M\u00fcnchen\n".encode(), "a.txt"),
        (b"II*\0\x08\0\0\0\0\0", "a.tiff"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0", "a.jpeg"),
    ],
)
def test_a_file_that_is_what_it_says_is_accepted(body: bytes, filename: str) -> None:
    assert look(body, filename).accepted


@pytest.mark.parametrize("body", [ELF, MZ, b"#!/bin/sh\nrm -rf /\n", PNG, b"<html><script>x</script></html>"])
def test_anything_else_under_the_name_of_a_pdf_is_a_mismatch(body: bytes) -> None:
    assert look(body, "report.pdf").reason_code == "type_mismatch"


def test_an_empty_file_is_empty() -> None:
    assert look(b"", "a.pdf").reason_code == "empty"


@pytest.mark.parametrize("filename", ["a.exe", "a.zip", "a.html", "a.svg", "a", "a.pdf.js", ".pdf"])
def test_an_extension_that_is_not_on_the_list_is_not_taken(filename: str) -> None:
    assert look(factories.PDF, filename).reason_code == "type_not_allowed"


def test_a_declared_type_that_says_otherwise_is_a_mismatch() -> None:
    assert look(factories.PDF, "a.pdf", "text/html").reason_code == "type_mismatch"
    assert look(factories.PDF, "a.pdf", "application/pdf").accepted


def test_a_zip_that_only_smells_of_word_is_not_a_docx() -> None:
    assert look(zipped(**{"word/x": "x"}), "a.docx").reason_code == "type_mismatch"
    rels = '<Relationships><Relationship Type="http://x/officeDocument" Target="word/evil.exe"/></Relationships>'
    types = '<Types><Override PartName="/word/evil.exe" ContentType="application/x-msdownload"/></Types>'
    fake = zipped(**{"_rels/.rels": rels, "[Content_Types].xml": types, "word/evil.exe": "MZ"})
    assert look(fake, "a.docx").reason_code == "type_mismatch"


def test_a_macro_document_under_a_plain_name_is_a_mismatch() -> None:
    rels = '<Relationships><Relationship Type="http://x/officeDocument" Target="word/document.xml"/></Relationships>'
    types = (
        '<Types><Override PartName="/word/document.xml" '
        'ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/></Types>'
    )
    docm = zipped(**{"_rels/.rels": rels, "[Content_Types].xml": types, "word/document.xml": "<x/>"})
    assert look(docm, "a.docx").reason_code == "type_mismatch"


def test_damaged_containers_are_a_mismatch_not_a_crash() -> None:
    whole = zipped(**{"mimetype": "application/vnd.oasis.opendocument.text"})
    for body in (
        whole[: len(whole) // 2],
        b"PK\x03\x04" + b"\0" * 100,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
    ):
        for filename in ("a.docx", "a.odt", "a.doc"):
            assert look(body, filename).reason_code == "type_mismatch"
