"""What is packed inside a file comes out whole, one part after the other, and never more than is allowed."""

import io

import pytest

from devstack import papers
from pipeline.inspection import limits
from pipeline.inspection import parts as unpacking
from pipeline.inspection.report import Unsound
from tests.inspection import makers
from tests.inspection.makers import EICAR, native, odf, office, open_document, pdf_with, zipped
from tests.inspection.test_pdf import WAYS


def parts(body: bytes) -> list[tuple[str, bytes]]:
    """Each part's kind and bytes."""
    return [(part.kind, b"".join(part.chunks)) for part in unpacking.parts(io.BytesIO(body))]


@pytest.mark.parametrize("how", WAYS)
def test_every_attachment_of_a_pdf_comes_out(how: str) -> None:
    assert sorted(parts(pdf_with(EICAR, b"", b"words", **WAYS[how]))) == [
        ("attachment", b""),
        ("attachment", EICAR),
        ("attachment", b"words"),
    ]


@pytest.mark.parametrize("method", [0, 8])
def test_every_member_of_a_package_comes_out(method: int) -> None:
    members = office() | {"word/media/a.bin": EICAR}
    assert parts(zipped(members, method)) == [("member", content) for content in members.values()]
    assert ("member", EICAR) in parts(odf(open_document(parts={"a": EICAR})))


def test_a_file_dropped_into_a_legacy_document_comes_out() -> None:
    streams = {
        "ObjectPool/_1/\x01Ole10Native": native(EICAR),
        "ObjectPool/_2/\x01Ole10Native": native(b"words" * 2000),
    }
    assert sorted(parts(makers.doc(streams))) == [("object", EICAR), ("object", b"words" * 2000)]
    assert parts(makers.doc({"ObjectPool/_1/\x01Ole10Native": b"odd"})) == [("object", b"odd")]


@pytest.mark.parametrize("body", [papers.text("words"), makers.picture(), makers.pdf(), makers.doc()])
def test_other_files_have_no_parts(body: bytes) -> None:
    assert parts(body) == []


def test_parts_may_be_left_unread() -> None:
    members = {"a": b"a" * 10**6, "b": b"b" * 10**6, "c": b"c"}
    taken = [next(part.chunks)[:1] for part in unpacking.parts(io.BytesIO(zipped(members)))]
    assert taken == [b"a", b"b", b"c"]


def test_a_large_part_comes_in_pieces() -> None:
    stored = zipped({"a": b"a" * 10**7})
    pieces = [len(chunk) for part in unpacking.parts(io.BytesIO(stored)) for chunk in part.chunks]
    assert sum(pieces) == 10**7
    assert max(pieces) <= limits.CHUNK


@pytest.mark.parametrize(
    "body", [makers.lying_bomb(), makers.pdf_attachment_bomb(), makers.overlapping_bomb(), zipped(office())[:-5]]
)
def test_what_cannot_be_unpacked_within_the_limits_raises(body: bytes) -> None:
    with pytest.raises(Unsound):
        parts(body)


def test_all_parts_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNPACKED", 1000)
    with pytest.raises(Unsound, match="all parts together"):
        parts(pdf_with(b"a" * 600, b"b" * 600))
