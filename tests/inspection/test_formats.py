"""What a file is, is told by its content; name and declared type must agree with it."""

import pytest

from pipeline.inspection import formats
from tests import factories
from tests.inspection import makers
from tests.inspection.looking import kinds, looked

EXAMPLES = {
    "pdf": makers.pdf(),
    "docx": makers.zipped(makers.office("docx")),
    "xlsx": makers.zipped(makers.office("xlsx")),
    "pptx": makers.zipped(makers.office("pptx")),
    "odt": makers.odf(makers.open_document()),
    "ods": makers.odf(makers.open_document(kind="spreadsheet")),
    "odp": makers.odf(makers.open_document(kind="presentation")),
    "doc": makers.doc(),
    "xls": makers.xls(),
    "ppt": makers.ppt(),
    "csv": b"name,amount\nalice,1\nbob,2\n",
    "txt": "Gr\u00fc\u00dfe aus M\u00fcnchen\n".encode(),
    "png": makers.picture("PNG"),
    "jpg": makers.picture("JPEG"),
    "jpeg": makers.picture("JPEG"),
    "tif": makers.picture("TIFF"),
    "tiff": makers.picture("TIFF"),
}


@pytest.mark.parametrize("extension", sorted(EXAMPLES))
def test_a_file_that_is_what_it_says_has_no_finding(extension: str) -> None:
    said = formats.of(f"a.{extension}")
    assert said is not None
    for filename in (f"a.{extension}", f"A.{extension.upper()}"):
        report = looked(EXAMPLES[extension], filename)
        assert (report.findings, report.format, report.media_type) == ((), said.name, said.media_type)


def test_every_format_that_can_be_taken_has_an_example_here() -> None:
    assert set(EXAMPLES) == set(formats.EXTENSIONS)


def test_the_example_of_the_other_tests_is_in_order() -> None:
    assert kinds(factories.PDF, "a.pdf") == set()


@pytest.mark.parametrize("content", sorted(EXAMPLES))
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_one_format_under_the_name_of_another_is_a_mismatch(content: str, name: str) -> None:
    same = formats.of(f"a.{content}") is formats.of(f"a.{name}") or {content, name} == {"csv", "txt"}
    assert ("type_mismatch" in kinds(EXAMPLES[content], f"a.{name}")) is not same


def test_an_empty_file_is_empty() -> None:
    assert kinds(b"", "a.pdf") == {"empty"}


@pytest.mark.parametrize("filename", ["a.exe", "a.zip", "a.html", "a.svg", "a", "a.pdf.js", ".pdf", "a.docm", "a.rtf"])
def test_an_extension_that_is_not_on_the_list_is_not_taken(filename: str) -> None:
    report = looked(factories.PDF, filename)
    assert report.kinds == {"type_not_allowed"}
    assert report.format == ""


def test_a_declared_type_that_says_otherwise_is_a_mismatch() -> None:
    assert kinds(factories.PDF, "a.pdf", "text/html") == {"type_mismatch"}
    assert kinds(factories.PDF, "a.pdf", "application/pdf; charset=binary") == set()


def test_a_file_is_looked_at_even_where_its_name_lies() -> None:
    assert kinds(makers.pdf(catalog=b"/OpenAction<</S/JavaScript/JS(app.alert(1))>>"), "a.docx") == {
        "type_mismatch",
        "javascript",
    }


def test_a_zip_that_only_smells_of_word_is_not_a_docx() -> None:
    assert kinds(makers.zipped({"word/x": b"x"}), "a.docx") == {"type_mismatch"}
    rels = makers.relationships(("officeDocument", "word/evil.exe", False))
    types = makers.content_types({"word/evil.exe": "application/x-msdownload"})
    fake = {"_rels/.rels": rels, "[Content_Types].xml": types, "word/evil.exe": makers.PE}
    assert "type_mismatch" in kinds(makers.zipped(fake), "a.docx")


@pytest.mark.parametrize(
    ("extension", "body"),
    [
        ("docx", EXAMPLES["docx"][:-30]),
        ("odt", b"PK\x03\x04" + b"\0" * 100),
        ("doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600),
        ("xls", EXAMPLES["xls"][:2000]),
    ],
)
def test_a_broken_container_is_damaged_and_not_a_mismatch(extension: str, body: bytes) -> None:
    assert kinds(body, f"a.{extension}") == {"damaged"}
