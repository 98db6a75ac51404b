"""PDF: what acts, what is attached, what opens only with a password; and what is ordinary."""

import io
import zlib
from typing import Any

import pikepdf
import pytest
from pikepdf import Encryption, Name, ObjectStreamMode, Pdf

from tests.inspection import makers
from tests.inspection.looking import kinds, looked
from tests.inspection.makers import pdf, pdf_saying, pdf_with

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "object streams": {"object_stream_mode": ObjectStreamMode.generate},
    "linearised": {"linearize": True},
    "owner's password": {"encryption": Encryption(owner="secret", user="")},
    "owner's password, RC4": {"encryption": Encryption(owner="secret", user="", R=3, aes=False, metadata=False)},
}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"<</S/JavaScript/JS(app.alert(1))>>", "javascript"),
        (b"<</S/J#61vaScript/J#53(app.alert(1))>>", "javascript"),
        (b"<</JavaScript<</Names[]>>>>", "javascript"),
        (b"<</A<</B[<</C<</S/JavaScript/JS()>>>>]>>>>", "javascript"),
        (b"[<</S/Rendition/JS(x)>>]", "javascript"),
        (b"<</S/URI/URI(javascript:x)>>", "javascript"),
        (b"<</S/Launch/F(cmd.exe)>>", "launch_action"),
        (b"<</S/Launch/Win<</F(cmd.exe)>>>>", "launch_action"),
        (b"<</S/GoToR/F(other.pdf)>>", "external_link"),
        (b"<</S/GoToE>>", "external_link"),
        (b"<</S/SubmitForm/F(http://example.com)>>", "external_link"),
        (b"<</S/ImportData/F(a.fdf)>>", "external_link"),
        (b"<</S/URI/URI(file:///C:/a.exe)>>", "external_link"),
        (b"<</S/URI/URI(\\\\\\\\server\\\\a.exe)>>", "external_link"),
        (b"<</URI<</Base(smb://server/)>>>>", "external_link"),
        (b"<</Ref<</F(other.pdf)/Page 1>>>>", "external_link"),
        (b"<</Subtype/RichMedia>>", "rich_media"),
        (b"<</Subtype/3D>>", "rich_media"),
        (b"<</Subtype/Movie>>", "rich_media"),
        (b"<</Subtype/Sound>>", "rich_media"),
        (b"<</Subtype/Screen>>", "rich_media"),
        (b"<</S/Rendition>>", "rich_media"),
        (b"<</S/Movie>>", "rich_media"),
        (b"<</XFA[]>>", "xfa"),
        (b"/JavaScript", "javascript"),  # a name that stands alone, for an action to refer to
    ],
)
def test_what_a_pdf_does_is_found_however_it_is_written(text: bytes, kind: str, how: str) -> None:
    assert kind in kinds(pdf_saying(text, **WAYS[how]), "a.pdf")


@pytest.mark.parametrize(
    "text",
    [
        b"<</S/URI/URI(https://example.com)>>",
        b"<</S/URI/URI(mailto:a@b)>>",
        b"<</S/URI/URI(www.example.com)>>",
        b"<</S/URI/URI(/page)>>",
        b"<</S/Named/N/NextPage>>",
        b"<</T(/JS and /JavaScript and /Launch)>>",
        b"<</Names<</EmbeddedFiles<</Names[]>>>>>>",
        b"<</F 4/Subtype/Link>>",
        b"<</Font<</F1<<>>>>>>",
    ],
)
def test_ordinary_objects_have_no_finding(text: bytes) -> None:
    assert looked(pdf_saying(text), "a.pdf").findings == ()


@pytest.mark.parametrize("text", [b"<</S/GoTo/D[3 0 R/Fit]>>", b"null", b"12", b"(text)", b"[99 0 R]"])
def test_objects_of_every_kind_are_ordinary(text: bytes) -> None:
    assert looked(pdf(text), "a.pdf").findings == ()


def test_an_action_is_found_wherever_a_reader_starts_one() -> None:
    action = b"<</S/JavaScript/JS(x)>>"
    for body in (
        pdf(catalog=b"/OpenAction" + action),
        pdf(catalog=b"/AA<</WC %b>>" % action),
        pdf(catalog=b"/Names<</JavaScript<</Names[(a)%b]>>>>" % action),
        pdf(catalog=b"/AcroForm<</Fields[<</AA<</K %b>>>>]>>" % action),
        pdf(page=b"/AA<</O %b>>" % action),
        pdf(page=b"/Annots[<</Subtype/Link/A %b>>]" % action),
        pdf(b"<</Length 0/Held %b>>stream\n\nendstream" % action),
        pdf(action),  # that nothing refers to
    ):
        assert kinds(body, "a.pdf") == {"javascript"}


def test_data_outside_the_file_is_an_external_link() -> None:
    assert kinds(pdf(b"<</Length 0/F(other.bin)>>stream\n\nendstream"), "a.pdf") == {"external_link"}


def test_findings_are_counted() -> None:
    body = pdf(*[b"<</S/JavaScript/JS(x)>>"] * 3)
    assert [(finding.kind, finding.count) for finding in looked(body, "a.pdf").findings] == [("javascript", 3)]


# --- passwords -------------------------------------------------------------------------------------
LOCKS = [
    (Encryption(owner="a", user="b", R=3, aes=False, metadata=False), {"encrypted"}),
    (Encryption(owner="a", user="b", R=4), {"encrypted"}),
    (Encryption(owner="a", user="b", R=6), {"encrypted"}),
    (Encryption(owner="a", user="", R=3, aes=False, metadata=False), set()),
    (Encryption(owner="a", user="", R=4), set()),
    (Encryption(owner="a", user="", R=6), set()),
]


@pytest.mark.parametrize(("lock", "found"), LOCKS)
def test_a_password_to_open_it_is_encryption_and_an_owner_s_alone_is_not(lock: Encryption, found: set[str]) -> None:
    assert kinds(pdf_with(encryption=lock), "a.pdf") == found


@pytest.mark.parametrize("handler", [b"<</Filter/Adobe.PubSec/V 4>>", b"<</Filter/Standard/V 9/R 9/O()/U()/P 0>>"])
def test_encryption_that_is_not_known_is_encryption(handler: bytes) -> None:
    assert kinds(pdf(handler, trailer=b"/Encrypt 4 0 R/ID[<00><00>]"), "a.pdf") == {"encrypted"}


# --- attachments -----------------------------------------------------------------------------------
@pytest.mark.parametrize("how", WAYS)
def test_attachments_are_counted(how: str) -> None:
    report = looked(pdf_with(b"words\n", b"<a/>", **WAYS[how]), "a.pdf")
    assert [(finding.kind, finding.count) for finding in report.findings] == [("attachment", 2)]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (makers.PE, "executable"),
        (b"#!/bin/sh\n", "executable"),
        (makers.RAR, "member_not_allowed"),
        (makers.zipped({"a": b"a"}), "member_not_allowed"),
        (b"<html/>", "active_markup"),
        (makers.pdf_locked(), "encrypted"),
        (makers.encrypted_office("docx"), "encrypted"),
        (pdf(catalog=b"/OpenAction<</S/Launch/F(x)>>"), "launch_action"),
        (makers.zipped(makers.linked("vbaProject", "x", external=False)), "macro"),
        (makers.doc({"Macros/VBA/dir": b"x"}), "macro"),
        (makers.zipped(makers.office())[:-9], "damaged"),
        (makers.flood_png(), "pixel_flood"),
        (pdf_with(pdf_with(pdf_with(b"deep"))), "nested_too_deep"),
    ],
)
def test_what_is_attached_is_looked_at_too(content: bytes, kind: str) -> None:
    assert kind in kinds(pdf_with(content), "a.pdf")


@pytest.mark.parametrize(
    "content",
    [b"", b"words\n", b"a;b\n", b"<Invoice/>", makers.picture(), pdf(), makers.zipped(makers.office()), makers.doc()],
)
def test_ordinary_attachments_are_only_attachments(content: bytes) -> None:
    assert kinds(pdf_with(content), "a.pdf") == {"attachment"}


def test_an_attachment_is_found_by_any_of_its_names() -> None:
    stream = b"<</Length 6>>stream\nwords\n\nendstream"
    typed = b"<</Type/EmbeddedFile/Length 6>>stream\nwords\n\nendstream"
    annotation = b"/Annots[<</Subtype/FileAttachment/FS<</EF<</F 4 0 R>>>>>>]"
    assert kinds(pdf(stream, page=annotation), "a.pdf") == {"attachment"}
    assert kinds(pdf(stream, catalog=b"/AF[<</EF<</UF 4 0 R>>>>]"), "a.pdf") == {"attachment"}
    assert kinds(pdf(typed), "a.pdf") == {"attachment"}


def test_an_attachment_that_cannot_be_unpacked_is_damaged() -> None:
    whole = zlib.compress(b"words" * 100)
    for packed in (whole[:-10], b"x" * 50):
        stream = b"<</Type/EmbeddedFile/Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (len(packed), packed)
        assert kinds(pdf(stream), "a.pdf") == {"attachment", "damaged"}


@pytest.mark.parametrize(
    ("filters", "packed"),
    [
        (b"/ASCIIHexDecode", makers.PE.hex().encode() + b">"),
        (b"[/ASCIIHexDecode/FlateDecode]", zlib.compress(makers.PE).hex().encode() + b">"),
        (b"[/FlateDecode/FlateDecode]", zlib.compress(zlib.compress(makers.PE))),
    ],
)
def test_an_attachment_is_unpacked_whatever_its_filters(filters: bytes, packed: bytes) -> None:
    stream = b"<</Type/EmbeddedFile/Filter%b/Length %d>>stream\n%b\nendstream" % (filters, len(packed), packed)
    assert kinds(pdf(stream), "a.pdf") == {"attachment", "executable"}


# --- structure -------------------------------------------------------------------------------------
@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\r\n", b"\n \t\n"])
@pytest.mark.parametrize("behind", [b"", b"\r\n\r\n", bytes(300), b"\n%a comment of the producer\n"])
def test_what_producers_leave_around_a_pdf_is_ordinary(before: bytes, behind: bytes) -> None:
    assert kinds(before + pdf() + behind, "a.pdf") == set()


@pytest.mark.parametrize("before", [b"junk\n", b"\n" * 200, b"\x1b%-12345X@PJL\n"])
def test_bytes_before_a_pdf_are_no_part_of_it(before: bytes) -> None:
    assert "polyglot" in kinds(before + pdf(), "a.pdf")


@pytest.mark.parametrize("behind", [b"junk\n", b"%\x01\x02\n", b"<html>", b"%" + b"x" * 5000])
def test_bytes_behind_a_pdf_are_no_part_of_it(behind: bytes) -> None:
    assert "polyglot" in kinds(pdf() + behind, "a.pdf")


def test_a_zip_attached_is_not_a_zip_behind() -> None:
    inner = makers.zipped(makers.office(), 0)
    stream = b"<</Type/EmbeddedFile/Length %d>>stream\n%b\nendstream" % (len(inner), inner)
    assert kinds(pdf(stream), "a.pdf") == {"attachment"}
    hidden = b"<</Length %d>>stream\n%b\nendstream" % (len(inner), inner)
    assert kinds(pdf(hidden), "a.pdf") == {"polyglot"}


def test_a_revision_behind_the_first_is_ordinary_and_looked_at() -> None:
    first = pdf(b"<</Old 1>>")
    added = b"4 0 obj\n<</S/JavaScript/JS(x)>>\nendobj\n"
    end = b"xref\n4 1\n%010d 00000 n \ntrailer\n<</Size 5/Root 1 0 R/Prev %b>>\nstartxref\n%d\n%%%%EOF\n"
    before = first[first.rindex(b"startxref\n") + 10 :].split()[0]
    body = first + added + end % (len(first), before, len(first) + len(added))
    assert kinds(body, "a.pdf") == {"javascript"}


@pytest.mark.parametrize(
    "body",
    [
        b"%PDF-1.7\n",
        b"%PDF-1.7\n%%EOF\n",
        pdf()[:-7],
        pdf().replace(b"startxref\n", b"startxref\n9"),
        pdf().replace(b"/Root 1 0 R", b"/Root 9 0 R"),
        pdf(b"<</A (never closed"),
        pdf(b"<</Length 3>>stream\nlonger than it says\nendstream"),
        makers.deep_pdf(10_000),
        makers.written([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R]/Count 1>>"]),
    ],
)
def test_where_a_reader_would_have_to_guess_it_is_damaged(body: bytes) -> None:
    assert "damaged" in kinds(body, "a.pdf")


def test_too_many_objects_are_too_large() -> None:
    assert kinds(pdf().replace(b"/Size 4", b"/Size 900000"), "a.pdf") == {"unpacked_too_large"}


def test_a_pdf_of_many_pages_is_ordinary() -> None:
    assert kinds(makers.many_pages(3000), "a.pdf") == set()


def test_an_empty_form_and_metadata_are_ordinary() -> None:
    with Pdf.new() as paper:
        paper.add_blank_page()
        paper.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array())
        with paper.open_metadata() as about:
            about["dc:title"] = "Statement"
        paper.Root.Lang = pikepdf.String("en")
        paper.Root.PageMode = Name.UseNone
        body = io.BytesIO()
        paper.save(body)
    assert kinds(body.getvalue(), "a.pdf") == set()
