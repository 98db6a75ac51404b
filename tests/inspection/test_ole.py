"""doc, xls and ppt: what acts, what is embedded, what is encrypted, and what is broken."""

import struct

import pytest

from tests.inspection import makers
from tests.inspection.looking import kinds, looked
from tests.inspection.makers import doc, ppt, slide_record, xls

INTERACTION = 0x0FF3


def click(action: int) -> bytes:
    """What a click in a presentation does."""
    return slide_record(INTERACTION, struct.pack("<2I8B", 0, 0, action, *([0] * 7)))


@pytest.mark.parametrize(
    ("extension", "body", "kind"),
    [
        ("doc", doc({"Macros/VBA/dir": b"x" * 90}), "macro"),
        ("doc", doc({"Macros/VBA/_VBA_PROJECT": b"x" * 90}), "macro"),
        ("xls", xls(streams={"_VBA_PROJECT_CUR/VBA/dir": b"x"}), "macro"),
        ("xls", xls(sheet=1), "macro"),
        ("xls", xls(makers.biff(0x809, struct.pack("<4H2I", 0x600, 0x40, 0, 0, 0, 6))), "macro"),
        ("xls", xls(makers.DDE_LINK), "macro"),
        ("xls", xls(makers.OTHER_WORKBOOK), "external_link"),
        ("doc", doc(text=b'\x13 DDEAUTO c:\\cmd.exe "/c calc"\x14\x15'), "macro"),
        ("doc", doc(text="\x13 dde excel a\x14\x15".encode("utf-16-le")), "macro"),
        ("ppt", ppt(slide_record(0x0400, struct.pack("<3I", 1, 1, 2))), "macro"),
        ("ppt", ppt(slide_record(0x03FF, slide_record(0x0400, struct.pack("<3I", 1, 1, 2)), 0xF)), "macro"),
        ("ppt", ppt(click(1)), "macro"),
        ("ppt", ppt(click(2)), "launch_action"),
        ("ppt", ppt(slide_record(0x1011, b"x" * 40)), "embedded_ole"),
        ("ppt", ppt(slide_record(0x0FCE, b"", 0xF)), "external_link"),
        ("doc", doc({"ObjectPool/_123/\x01Ole10Native": makers.native(b"payload")}), "embedded_ole"),
        ("doc", doc({"ObjectPool/_123/\x01CompObj": b"x"}), "embedded_ole"),
        ("xls", xls(streams={"MBD0018D4CE/Workbook": b"x"}), "embedded_ole"),
        ("xls", xls(streams={"LNK0018D4CE/\x01Ole": b"x"}), "embedded_ole"),
        ("doc", doc({"\x01Ole10Native": makers.native(b"payload")}), "embedded_ole"),
        ("doc", doc({"Workbook": b"x"}), "polyglot"),
        ("doc", doc(encrypted=True), "encrypted"),
        ("xls", xls(makers.FILEPASS), "encrypted"),
        ("xls", xls(makers.biff(0x2F, b"\x07\0")), "encrypted"),
        ("ppt", ppt(encrypted=True), "encrypted"),
        ("doc", doc({"EncryptedPackage": b"x"}), "encrypted"),
        ("doc", doc({"\x09DRMContent": b"x"}), "encrypted"),
    ],
)
def test_what_a_document_holds_is_found(extension: str, body: bytes, kind: str) -> None:
    assert kind in kinds(body, f"a.{extension}")


@pytest.mark.parametrize(
    ("extension", "body"),
    [
        ("doc", doc({"\x05SummaryInformation": b"x" * 300, "\x01CompObj": b"x" * 90, "1Table": bytes(5000)})),
        ("doc", doc({"MsoDataStore/ABC/Item": b"<a/>", "MsoDataStore/ABC/Properties": b"<a/>"})),
        ("doc", doc(text=b"The word DDEAUTO, and \x13 PAGE \x14 1\x15")),
        ("xls", xls(makers.biff(0x1AE, b"\x01\0\x01\x04"))),
        ("xls", xls(sheet=2)),
        ("ppt", ppt(click(4), slide_record(0x0400, struct.pack("<3I", 1, 0, 2)))),
    ],
)
def test_ordinary_documents_have_no_finding(extension: str, body: bytes) -> None:
    assert looked(body, f"a.{extension}").findings == ()


def test_a_document_of_before_word_97_is_not_taken() -> None:
    old = makers.compound({"WordDocument": struct.pack("<2H", 0xA5DC, 0x68).ljust(5000, b"\0")})
    assert kinds(old, "a.doc") == {"type_not_allowed"}


@pytest.mark.parametrize(
    "body",
    [
        makers.looping_compound(),
        makers.looping_sectors(),
        makers.deep_compound(),
        makers.compound({"WordDocument": b""}),
        makers.compound({"Workbook": bytes(5000)}),
        makers.compound({"PowerPoint Document": b"x" * 5000}),
        doc()[:-600],
        doc().replace(struct.pack("<I", 4096), struct.pack("<I", 4095)),
    ],
)
def test_what_cannot_be_read_is_damaged(body: bytes) -> None:
    extension = "xls" if b"W\0o\0r\0k\0b" in body else "ppt" if b"P\0o\0w\0e" in body else "doc"
    assert kinds(body, f"a.{extension}") & {"damaged", "type_not_allowed"}


def test_bytes_behind_the_last_sector_are_found_and_padding_is_not() -> None:
    assert kinds(doc() + bytes(512), "a.doc") == set()
    assert kinds(doc() + b"\xff" * 512, "a.doc") == set()
    assert kinds(doc() + makers.PE, "a.doc") == {"polyglot"}


def test_a_compound_file_of_another_program_is_a_mismatch() -> None:
    assert kinds(makers.compound({"__properties_version1.0": b"x"}), "a.doc") == {"type_mismatch"}
