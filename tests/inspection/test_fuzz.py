"""Whatever the bytes are, looking at them ends in a report: each checker is fed with changed good files.

Here a few hundred of each; docs/inspection.md tells how to let it run for longer (INSPECTION_FUZZ_SECONDS).
"""

import io
import os
import time
from itertools import count
from random import Random

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from pipeline.inspection import formats
from pipeline.inspection.look import look
from pipeline.inspection.parts import parts
from pipeline.inspection.report import Report, Unsound
from tests.inspection import cases, makers, ordinary

SECONDS = float(os.environ.get("INSPECTION_FUZZ_SECONDS", "0"))
GOOD: dict[str, list[bytes]] = {
    "zip": [make() for make in (cases.SAMPLES["docx"], cases.SAMPLES["xlsx"], cases.SAMPLES["odt"])],
    "ooxml": [ordinary.docx(Random(1)), ordinary.pptx(Random(2)), makers.zipped(makers.word("<w:p/>"), 0)],
    "odf": [ordinary.odt(Random(1)), makers.odf(makers.open_document(parts={"a": makers.picture()}))],
    "ole": [
        makers.doc({"A/B": b"x" * 200}),
        makers.xls(makers.DDE_LINK),
        makers.ppt(),
        makers.encrypted_office("docx"),
    ],
    "pdf": [makers.pdf(b"<</S/URI/URI(http://a)>>"), makers.pdf_with(b"words"), ordinary.form(Random(1))],
    "png": [ordinary.png(Random(seed)) for seed in range(3)],
    "jpeg": [ordinary.jpeg(Random(seed)) for seed in range(3)] + [ordinary.phone(Random(3))],
    "tiff": [ordinary.tiff(Random(seed)) for seed in range(4)] + [ordinary.big_tiff(Random(1))],
    "text": [ordinary.letter(Random(1)), ordinary.table_of_values(Random(2)), "words".encode("utf-16")],
}
EXTENSIONS = {
    "zip": ("docx", "odt"),
    "ooxml": ("docx", "pptx"),
    "odf": ("odt",),
    "ole": ("doc", "xls", "ppt"),
    "pdf": ("pdf",),
    "png": ("png",),
    "jpeg": ("jpg",),
    "tiff": ("tif",),
    "text": ("txt", "csv"),
}
TELLING = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x7f\xff\xff\xff",
    b"%%EOF",
    b"obj",
    b"/Length 9999999999",
    b"PK\x01\x02",
    b"<x>",
]


@st.composite
def changed(draw: st.DrawFn, family: str) -> bytes:
    """A good file of the family with a few bytes changed, cut out, doubled, or put in from elsewhere."""
    body = bytearray(draw(st.sampled_from(GOOD[family])))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(body)))
        how = draw(st.sampled_from(("flip", "set", "cut", "put", "double", "end")))
        length = draw(st.integers(1, 40))
        if how == "flip" and place < len(body):
            body[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "set":
            body[place : place + 4] = draw(st.sampled_from(TELLING))
        elif how == "cut":
            del body[place : place + length]
        elif how == "put":
            body[place:place] = draw(st.binary(min_size=1, max_size=40))
        elif how == "double":
            body[place:place] = body[place : place + length]
        else:
            del body[max(1, place) :]
    return bytes(body)


def reported(body: bytes, extension: str) -> None:
    """Look at the body and take what is in it; only what a checker says may come of it."""
    report = look(io.BytesIO(body), filename=f"a.{extension}", content_type=formats.GENERIC)
    assert Report.of(report.values()) == report
    if report.findings:
        return
    try:
        for part in parts(io.BytesIO(body)):
            for _ in part.chunks:
                pass
    except Unsound:
        pass


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("family", GOOD)
def test_a_changed_file_ends_in_a_report(family: str) -> None:
    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(body=changed(family), extension=st.sampled_from(EXTENSIONS[family]))
    def run(body: bytes, extension: str) -> None:
        reported(body, extension)

    until = time.monotonic() + SECONDS / len(GOOD)
    for number in count():
        seed(number if SECONDS else 5)(run)()
        if time.monotonic() >= until:
            break


@given(body=st.binary(max_size=3000), extension=st.sampled_from(formats.EXTENSIONS), start=st.sampled_from(list(GOOD)))
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_any_bytes_end_in_a_report(body: bytes, extension: str, start: str) -> None:
    reported(body, extension)
    reported(GOOD[start][0][:20] + body, extension)
