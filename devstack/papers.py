"""The bodies of the demo's papers, made in memory with the libraries that people's own tools use.

Each function takes what makes that paper different and returns the bytes of one file. Which papers
the demo sends, and what must become of them, is in `samples`.
"""

import csv
import io
from typing import Protocol

from docx import Document
from odf.opendocument import OpenDocumentText
from odf.text import H, P
from openpyxl import Workbook
from pikepdf import Array, Dictionary, Name, Page, Pdf, Stream
from PIL import Image, ImageDraw, ImageFont
from pptx import Presentation

INK = (28, 36, 52)
FUND = "Harbour Lane Growth Fund II LP"
TERMS = (
    "The Investor commits EUR 500,000 to the Partnership.",
    "Commitments are drawn on ten business days' notice.",
    "This is a specimen for demonstration and binds nobody.",
)
CALLS = (
    ("2026-01-15", "Capital call 4", "125000.00"),
    ("2026-04-30", "Distribution 1", "-18250.00"),
    ("2026-07-15", "Capital call 5", "90000.00"),
    ("2026-09-30", "Closing balance", "412750.00"),
)


def pdf(*lines: str) -> bytes:
    """One A4 page of text in Helvetica, as a statement printed from an accounts system."""
    paper = Pdf.new()
    font = paper.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    sheet = Dictionary(
        Type=Name.Page,
        MediaBox=Array([0, 0, 595, 842]),
        Resources=Dictionary(Font=Dictionary(F1=font)),
        Contents=Stream(paper, _drawn(lines)),
    )
    paper.pages.append(Page(paper.make_indirect(sheet)))
    return _saved(paper)


def docx(title: str, *paragraphs: str) -> bytes:
    """A Word document: a title and paragraphs."""
    letter = Document()
    letter.add_heading(title, level=1)
    for paragraph in paragraphs:
        letter.add_paragraph(paragraph)
    return _saved(letter)


def xlsx(title: str) -> bytes:
    """A workbook of one sheet with the fund's movements."""
    book = Workbook()
    sheet = book.active
    sheet.title = title
    sheet.append(["Date", "Movement", "Amount (EUR)"])
    for date, movement, amount in CALLS:
        sheet.append([date, movement, float(amount)])
    return _saved(book)


def pptx(title: str, subtitle: str) -> bytes:
    """A presentation of one title slide."""
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[0])
    for shape, words in zip(slide.placeholders, (title, subtitle), strict=False):
        shape.text_frame.text = words
    return _saved(deck)


def odt(title: str, *paragraphs: str) -> bytes:
    """An OpenDocument text: a heading and paragraphs."""
    letter = OpenDocumentText()
    letter.text.addElement(H(outlinelevel=1, text=title))
    for paragraph in paragraphs:
        letter.text.addElement(P(text=paragraph))
    return _saved(letter)


def picture(kind: str, title: str, *lines: str) -> bytes:
    """A scanned card in the format that Pillow calls `kind`: PNG, TIFF or JPEG."""
    card = Image.new("RGB", (1012, 638), (236, 240, 244))
    pen = ImageDraw.Draw(card)
    pen.rectangle((0, 0, 1012, 96), fill=INK)
    pen.text((40, 28), title, fill=(255, 255, 255), font=ImageFont.load_default(36))
    pen.rectangle((40, 150, 320, 510), fill=(198, 206, 216), outline=INK, width=2)
    for row, line in enumerate(lines):
        pen.text((370, 150 + row * 56), line, fill=INK, font=ImageFont.load_default(28))
    body = io.BytesIO()
    card.save(body, kind, dpi=(300, 300))
    return body.getvalue()


def table() -> bytes:
    """The fund's movements as comma-separated values."""
    body = io.StringIO()
    rows = csv.writer(body)
    rows.writerow(["date", "movement", "amount_eur"])
    rows.writerows(CALLS)
    return body.getvalue().encode()


def text(*lines: str) -> bytes:
    """Plain text, a line each."""
    return "\n".join((*lines, "")).encode()


def program() -> bytes:
    """The start of a 64-bit Linux program (ELF header and nothing that could run)."""
    ident = b"\x7fELF" + bytes((2, 1, 1, 0)) + bytes(8)
    header = (2).to_bytes(2, "little") + (62).to_bytes(2, "little") + (1).to_bytes(4, "little")
    return (ident + header).ljust(4096, b"\0")


def eicar() -> bytes:
    """The EICAR test file, which every scanner calls infected and which harms nobody.

    Joined while running: in one piece it would set off the scanners of whoever clones this
    repository, and a `+` of literals would be joined by the compiler and stand in the bytecode.
    """
    pieces = (r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", "STANDARD", "ANTIVIRUS", "TEST", "FILE!$H+H*")
    return "-".join(pieces).encode()


def _drawn(lines: tuple[str, ...]) -> bytes:
    """PDF operators that write the lines from the top of the page."""
    quoted = str.maketrans({"\\": r"\\", "(": r"\(", ")": r"\)"})
    shown = "\n".join(f"({line.translate(quoted)}) Tj T*" for line in lines)
    return f"BT /F1 12 Tf 18 TL 72 760 Td\n{shown}\nET".encode("latin-1")


class _Paper(Protocol):
    def save(self, stream: io.BytesIO, /) -> object: ...


def _saved(paper: _Paper) -> bytes:
    body = io.BytesIO()
    paper.save(body)
    return body.getvalue()
