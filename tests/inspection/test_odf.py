"""OpenDocument: what acts, what is loaded, what is encrypted; and what is ordinary."""

import pytest

from tests.inspection import makers
from tests.inspection.looking import kinds, looked
from tests.inspection.makers import ODF, odf, open_document


def found(parts: dict[str, bytes]) -> set[str]:
    """What is found in an odt of these parts."""
    return kinds(odf(parts), "a.odt")


@pytest.mark.parametrize(
    "name", ["Basic/Standard/Module1.xml", "Scripts/python/a.xml", "Dialogs/D.xml", "Object 1/Basic/A/B.xml"]
)
def test_a_library_of_macros_is_a_macro(name: str) -> None:
    assert found(open_document(parts={name: b"<a/>"})) == {"macro"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('<script:event-listener xlink:href="vnd.sun.star.script:a"/>', "macro"),
        ('<script:event-listener script:event-name="dom:load"/>', "macro"),
        ('<text:a xlink:href="vnd.sun.star.script:Standard.M.x?language=Basic"/>', "macro"),
        ('<text:a xlink:href="javascript:x()"/>', "macro"),
        ('<text:script script:language="JavaScript">x()</text:script>', "macro"),
        ('<office:dde-source office:dde-application="cmd"/>', "macro"),
        ("<text:dde-connection/>", "macro"),
        ('<presentation:event-listener presentation:action="execute" xlink:href="../a.exe"/>', "launch_action"),
        ("<draw:plugin/>", "embedded_ole"),
        ("<draw:applet/>", "embedded_ole"),
        ('<draw:image xlink:href="https://example.com/pixel.png"/>', "external_link"),
        ('<draw:image xlink:href="../../etc/passwd"/>', "external_link"),
        ('<draw:image xlink:href="//server/share/a.png"/>', "external_link"),
        ('<text:section-source xlink:href="file:///etc/passwd"/>', "external_link"),
        ('<text:a xlink:href="file:///C:/a.exe"/>', "external_link"),
    ],
)
def test_what_a_document_does_by_itself_is_found(body: str, kind: str) -> None:
    assert kind in found(open_document(body))


@pytest.mark.parametrize(
    "body",
    [
        '<text:a xlink:href="https://example.com/?a=1&amp;b=2"/>',
        '<text:a xlink:href="mailto:a@b"/>',
        '<text:a xlink:href="#top"/>',
        '<text:a xlink:href="../other.odt"/>',
        '<draw:image xlink:href="Pictures/a.png"/>',
        '<draw:object xlink:href="./Object 1"/>',
        '<presentation:event-listener presentation:action="next-page"/>',
        "<office:scripts/>",
        "<text:p>vnd.sun.star.script: and https://example.com are only words</text:p>",
    ],
)
def test_ordinary_content_has_no_finding(body: str) -> None:
    assert found(open_document(body)) == set()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Thumbnails/thumbnail.png", makers.picture()),
        ("Thumbnails/thumbnail.pdf", makers.pdf()),
        ("Pictures/a.svm", b"VCLMTF" + bytes(90)),
        ("ObjectReplacements/Object 1", bytes(range(1, 200))),
        ("layout-cache", bytes(range(1, 200))),
        ("meta.xml", b"<a xmlns:x='http://www.w3.org/1999/xlink'><template x:href='file:///C:/letter.ott'/></a>"),
        ("Object 1/content.xml", b"<!DOCTYPE math PUBLIC 'a' 'math.dtd'><math/>"),
        ("Object 2", odf(open_document())),
        ("Configurations2/accelerator/current.xml", b""),
        ("Fonts/a.ttf", b"\0\x01\0\0\0\x0a" + bytes(90)),
    ],
)
def test_what_such_documents_hold_is_ordinary(name: str, content: bytes) -> None:
    assert found(open_document(parts={name: content})) == set()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (makers.doc(), "embedded_ole"),
        (makers.PE, "executable"),
        (b"@echo off\r\ndel x\r\n", "executable"),
        (makers.RAR, "member_not_allowed"),
        (makers.zipped({"a": b"a"}), "member_not_allowed"),
        (b"<html/>", "active_markup"),
        (makers.LAUGHS.encode() + b"<x>&l9;</x>", "damaged"),
        (b"<a>", "damaged"),
        (makers.encrypted_odf(), "encrypted"),
        (makers.zipped(makers.office(main_type="application/vnd.ms-word.document.macroEnabled.main+xml")), "macro"),
    ],
)
def test_what_does_not_belong_inside_is_found(content: bytes, kind: str) -> None:
    assert found(open_document(parts={"Object 1": content})) == {kind}


@pytest.mark.parametrize(
    "said",
    [
        '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/></manifest:file-entry>',
        '<manifest:file-entry manifest:full-path="encrypted-package"/>',
        "<manifest:keyinfo><manifest:encrypted-key/></manifest:keyinfo>",
    ],
)
def test_a_manifest_that_tells_of_encryption_means_a_password(said: str) -> None:
    assert found(open_document(manifest=said)) == {"encrypted"}


def test_the_type_is_the_first_entry_not_packed_or_it_is_no_open_document() -> None:
    parts = open_document()
    assert kinds(makers.zipped(parts), "a.odt") == {"type_mismatch"}  # packed
    last = {name: parts[name] for name in ("content.xml", "META-INF/manifest.xml", "mimetype")}
    assert kinds(makers.zipped(last, 0), "a.odt") == {"type_mismatch"}
    assert kinds(odf(parts | {"mimetype": b"application/epub+zip"}), "a.odt") == {"type_mismatch"}


def test_a_package_without_content_is_damaged() -> None:
    parts = open_document()
    del parts["content.xml"]
    assert found(parts) == {"damaged"}


def test_a_template_is_told_from_a_document() -> None:
    report = looked(odf(open_document(kind="text-template")), "a.odt")
    assert report.media_type == f"{ODF}.text-template"
    assert report.kinds == {"type_mismatch"}
