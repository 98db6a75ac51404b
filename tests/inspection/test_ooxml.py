"""Word, Excel and PowerPoint: what acts, what is embedded, what is loaded; and what is ordinary."""

import gzip
import io

import pytest
from PIL import Image

from tests.inspection import makers
from tests.inspection.looking import kinds, looked
from tests.inspection.makers import OOXML, linked, office, with_type, word, zipped

OLE = makers.doc()
_DRAWING = b"<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'>%b</svg>"


def found(parts: dict[str, bytes], extension: str = "docx") -> set[str]:
    """What is found in a package of these parts."""
    return kinds(zipped(parts), f"a.{extension}")


def field(*pieces: str) -> str:
    """A complex field whose code is written in these pieces."""
    code = "".join(f"<w:r><w:instrText>{piece}</w:instrText></w:r>" for piece in pieces)
    mark = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    return mark.format("begin") + code + mark.format("separate") + mark.format("end")


# --- macros --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "name", "content_type"),
    [
        ("docx", "word/vbaProject.bin", "application/vnd.ms-office.vbaProject"),
        ("docx", "word/anything.bin", "application/vnd.ms-office.vbaProject"),
        ("docx", "word/vbaProject.bin", ""),
        ("docx", "word/vbaData.xml", "application/vnd.ms-word.vbaData+xml"),
        ("xlsx", "xl/macrosheets/sheet1.xml", "application/vnd.ms-excel.macrosheet+xml"),
        ("xlsx", "xl/macrosheets/sheet1.xml", "application/vnd.ms-excel.intlmacrosheet+xml"),
        ("xlsx", "xl/dialogsheets/sheet1.xml", f"{OOXML}.spreadsheetml.dialogsheet+xml"),
    ],
)
def test_macros_are_found_by_their_type_and_by_their_name(kind: str, name: str, content_type: str) -> None:
    content = b"<a/>" if name.endswith("xml") else OLE
    assert found(with_type(name, content, content_type, kind), kind) == {"macro"}


@pytest.mark.parametrize("kind", ["http://schemas.microsoft.com/office/2006/relationships/vbaProject", "xlMacrosheet"])
def test_a_relationship_to_macros_is_enough(kind: str) -> None:
    assert found(linked(kind, "x.xml", external=False)) == {"macro"}


def test_a_macro_in_an_embedded_workbook_is_a_macro() -> None:
    inner = zipped(with_type("xl/vbaProject.bin", OLE, "application/vnd.ms-office.vbaProject", "xlsx"))
    assert found(office() | {"word/embeddings/book.xlsx": inner}) == {"macro"}


@pytest.mark.parametrize(
    "body",
    [
        field('DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe "/k calc"'),
        field(" dde excel a b"),
        field("D", "D", "E", "AUTO cmd"),
        '<w:fldSimple w:instr=" DDEAUTO cmd /c calc"/>',
        # the name of the field is itself made by a field
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r>' + field(" QUOTE 68 68 69 ") + field(" PAGE "),
    ],
)
def test_a_field_that_starts_a_program_is_a_macro(body: str) -> None:
    assert found(word(body)) == {"macro"}


def test_a_field_that_starts_a_program_is_found_in_utf_16() -> None:
    parts = word(field("DDEAUTO cmd"))
    text = parts["word/document.xml"].decode().replace('version="1.0"', 'version="1.0" encoding="UTF-16"')
    assert found(parts | {"word/document.xml": text.encode("utf-16")}) == {"macro"}


@pytest.mark.parametrize(
    "body",
    [
        field(" PAGE "),
        field(' HYPERLINK "https://example.com" '),
        field(" IF ") + field(" DATE "),
        '<w:r><w:fldChar w:fldCharType="begin"/><w:instrText> IF </w:instrText></w:r>'
        + field(" MERGEFIELD x ")
        + '<w:r><w:instrText> = 1 "a" "b" </w:instrText><w:fldChar w:fldCharType="end"/></w:r>',
        "<w:r><w:t>DDEAUTO is the name of a field</w:t></w:r>",
    ],
)
def test_other_fields_are_ordinary(body: str) -> None:
    assert found(word(body)) == set()


def test_a_link_of_excel_that_starts_a_program_is_a_macro() -> None:
    link = b'<externalLink><ddeLink ddeService="cmd" ddeTopic="/c calc"/></externalLink>'
    kind = f"{OOXML}.spreadsheetml.externalLink+xml"
    assert found(with_type("xl/externalLinks/externalLink1.xml", link, kind, "xlsx"), "xlsx") == {"macro"}


# --- what it loads ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("image", "https://example.com/pixel.png"),
        ("frame", "http://example.com/"),
        ("subDocument", "file:///C:/other.docx"),
        ("externalLinkPath", "file:///C:/other.xlsx"),
        ("externalLinkPath", "other.xlsx"),
        ("attachedTemplate", "file:///C:/Users/a/Normal.dotm"),
        ("hyperlink", "file:///C:/a.exe"),
        ("hyperlink", "\\\\server\\share\\a.exe"),
        ("hyperlink", "ms-msdt:/id PCWDiagnostic"),
        ("anything", "https://example.com/"),
    ],
)
def test_what_is_loaded_from_outside_is_an_external_link(kind: str, target: str) -> None:
    assert found(linked(kind, target)) == {"external_link"}


@pytest.mark.parametrize("target", ["https://example.com/a?b=c&amp;d", "HTTP://x", "mailto:a@b", "#top", "other.docx"])
def test_a_link_for_people_is_ordinary(target: str) -> None:
    assert found(linked("hyperlink", target)) == set()


def test_a_target_outside_is_one_even_if_it_says_to_be_inside() -> None:
    assert found(linked("image", "https://example.com/pixel.png", external=False)) == {"external_link"}


@pytest.mark.parametrize(
    "target", ["https://example.com/t.dotm", "//server/t.dotm", "file://server/t.dotm", "http%3A//x/t"]
)
def test_a_template_from_elsewhere_brings_its_macros(target: str) -> None:
    assert found(linked("attachedTemplate", target)) == {"external_link", "macro"}


def test_a_linked_ole_object_is_both() -> None:
    assert found(linked("oleObject", "mhtml:http://example.com/x.html!x-usc:http://x")) == {
        "external_link",
        "embedded_ole",
    }


def test_a_data_connection_is_an_external_link() -> None:
    kind = f"{OOXML}.spreadsheetml.connections+xml"
    assert found(with_type("xl/connections.xml", b"<connections/>", kind, "xlsx"), "xlsx") == {"external_link"}


# --- what is embedded ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "content", "content_type"),
    [
        ("word/embeddings/oleObject1.bin", OLE, f"{OOXML}.oleObject"),
        ("word/embeddings/oleObject1.bin", OLE, ""),
        ("word/embeddings/old.doc", makers.doc(), "application/msword"),
        ("word/media/image1.png", OLE, "image/png"),
        ("word/activeX/activeX1.bin", OLE, "application/vnd.ms-office.activeX"),
        ("word/activeX/activeX1.xml", b"<a/>", "application/vnd.ms-office.activeX+xml"),
    ],
)
def test_objects_of_other_programs_are_embedded_ole(name: str, content: bytes, content_type: str) -> None:
    assert found(with_type(name, content, content_type)) == {"embedded_ole"}


@pytest.mark.parametrize(
    "content", [makers.PE, makers.ELF, makers.MACH_O, makers.JAVA, makers.SHORTCUT, b"#!/bin/sh\n"]
)
@pytest.mark.parametrize("name", ["word/media/image1.png", "word/a.exe", "word/document2.xml"])
def test_a_program_inside_is_one_whatever_it_is_called(name: str, content: bytes) -> None:
    assert found(office() | {name: content}) == {"executable"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (makers.RAR, "member_not_allowed"),
        (makers.SEVEN_ZIP, "member_not_allowed"),
        (makers.ZSTD, "member_not_allowed"),
        (makers.GZIP, "member_not_allowed"),
        (b"just words\n", "member_not_allowed"),
        (makers.pdf_locked(), "encrypted"),
        (makers.pdf(catalog=b"/OpenAction<</S/Launch/F(x)>>"), "launch_action"),
        (bytes(range(256)) * 9, "member_not_allowed"),
        (zipped({"a.txt": b"a"}), "member_not_allowed"),
        (b"<html><body/></html>", "active_markup"),
        (b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'/>", "active_markup"),
        (b"<?xml version='1.0'?><html/>", "active_markup"),
        (b"glTF" + bytes(50), "rich_media"),
    ],
)
def test_a_member_of_another_kind_is_not_taken(content: bytes, kind: str) -> None:
    assert found(office() | {"word/media/a": content}) == {kind}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("docProps/thumbnail.jpeg", makers.picture("JPEG")),
        ("word/media/a.gif", makers.picture("GIF", mode="L")),
        ("word/media/a.bmp", makers.picture("BMP")),
        ("word/media/a.tif", makers.picture("TIFF")),
        ("word/media/a.webp", makers.picture("WEBP")),
        ("word/media/a.emf", b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(90)),
        ("word/media/a.wmf", b"\xd7\xcd\xc6\x9a" + bytes(90)),
        ("word/media/a.emz", gzip.compress(b"\xd7\xcd\xc6\x9a" + bytes(90))),
        ("word/media/a.svg", _DRAWING % b"<path d='M0 0'/><a xlink:href='https://example.com'/>"),
        (
            "word/media/b.svg",
            b"<!DOCTYPE svg PUBLIC 'x' 'y.dtd' [<!ENTITY ns 'http://ns.adobe.com/'>]>" + _DRAWING % b"<g id='&ns;'/>",
        ),
        ("word/media/a.pdf", makers.pdf()),
        ("word/media/a.mp3", b"ID3\x03" + bytes(90)),
        ("word/media/a.mp4", b"\0\0\0\x18ftypmp42" + bytes(90)),
        ("word/fonts/a.fntdata", bytes(34) + b"LP" + bytes(90)),
        ("word/fonts/a.ttf", b"\0\x01\0\0\0\x0a" + bytes(90)),
        ("[trash]/0000.dat", bytes(500)),
        ("_xmlsignatures/origin.sigs", b""),
        ("word/drawing.vml", b"<xml><br><v:shape/></xml>"),
        ("word/document2.xml", "\ufeff<?xml version='1.0'?><a/>".encode()),
    ],
)
def test_what_such_documents_hold_is_ordinary(name: str, content: bytes) -> None:
    assert found(office() | {name: content}) == set()


@pytest.mark.parametrize("kind", [f"{OOXML}.spreadsheetml.printerSettings", f"{OOXML}.obfuscatedFont"])
def test_parts_that_only_office_reads_are_taken_if_they_say_so_and_are_small(kind: str) -> None:
    name, noise = "word/a.bin", bytes(range(1, 256)) * 4
    assert found(with_type(name, noise, kind)) == set()
    assert found(with_type(name, noise, "application/octet-stream")) == {"member_not_allowed"}
    assert found(with_type(name, noise * 5000, kind)) == {"member_not_allowed"}
    assert found(with_type(name, makers.PE, kind)) == {"executable"}


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        (b"<script>x()</script>", "active_markup"),
        (b"<g onload='x()'/>", "active_markup"),
        (b"<a xlink:href=' javascript:x()'/>", "active_markup"),
        (b"<foreignObject><iframe xmlns='http://www.w3.org/1999/xhtml'/></foreignObject>", "active_markup"),
        (b"<image xlink:href='https://example.com/pixel'/>", "external_link"),
    ],
)
def test_a_drawing_that_acts_is_found(inside: bytes, kind: str) -> None:
    assert found(office() | {"word/media/a.svg": _DRAWING % inside}) == {kind}


def test_a_picture_inside_is_looked_at() -> None:
    large = io.BytesIO()
    Image.new("1", (12_000, 9_000)).save(large, "PNG")
    for content, kind in (
        (large.getvalue(), "pixel_flood"),
        (makers.flood_png(), "pixel_flood"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "damaged"),
        (makers.picture() + zipped({"a": b"a"}), "polyglot"),
        (makers.picture("JPEG") + b"<script>x()</script>", "active_markup"),
    ):
        assert found(office() | {"word/media/a.png": content}) == {kind}


# --- the package -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["word/document.xml", "[Content_Types].xml", "_rels/.rels", "word/_rels/document.xml.rels"]
)
@pytest.mark.parametrize(
    "content", [b"<a>", b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", makers.LAUGHS.encode() + b"<x/>"]
)
def test_xml_that_is_broken_or_declares_entities_is_damaged(name: str, content: bytes) -> None:
    assert found(office() | {name: content}) == {"damaged"}


def test_two_main_parts_are_none() -> None:
    links = makers.relationships(("officeDocument", "word/document.xml", False), ("officeDocument", "x.xml", False))
    assert found(office() | {"_rels/.rels": links}) == {"type_mismatch"}


def test_findings_are_counted_and_named_in_fixed_words() -> None:
    report = looked(zipped(office() | {"word/secret name.exe": makers.PE, "word/b.exe": makers.ELF}), "a.docx")
    (finding,) = report.findings
    assert (finding.count, finding.detail) == (2, "a part of the file")


def test_documents_may_stand_in_documents_but_not_forever() -> None:
    assert kinds(makers.nested(2), "a.docx") == set()
    assert kinds(makers.nested(3), "a.docx") == {"nested_too_deep"}
