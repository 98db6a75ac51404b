"""Ordinary documents, as people's own programs make them: none of them may be turned away.

Each function takes a random generator, which decides what this document holds, and returns its bytes.
"""

import csv
import io
from collections.abc import Callable
from datetime import date
from random import Random
from typing import Any

import pikepdf
from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_BREAK
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Inches, Pt, RGBColor
from odf import draw, style, table, text
from odf.opendocument import OpenDocumentPresentation, OpenDocumentSpreadsheet, OpenDocumentText
from openpyxl import Workbook
from openpyxl.chart import BarChart, LineChart, PieChart, Reference
from openpyxl.comments import Comment
from openpyxl.drawing.image import Image as SheetImage
from openpyxl.formatting.rule import ColorScaleRule
from openpyxl.styles import Font, PatternFill
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.table import Table as SheetTable
from pikepdf import Array, Dictionary, Encryption, Name, ObjectStreamMode, OutlineItem, Page, Pdf, Permissions, Stream
from PIL import Image, ImageDraw, TiffImagePlugin
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches as SlideInches
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, LETTER, landscape
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen import canvas
from reportlab.platypus import Image as PageImage
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

WORDS = "fund capital commitment notice investor partner account balance Grüße señor déjà quarter <note> R&D 100%"
WORDS += " distribution harbour lane 契約 договор Ελλάδα \u201cquoted\u201d it's - on=time a < b > c javascript script"

CHART_DATA: Any = CategoryChartData  # python-pptx has no types here
Maker = Callable[[Random], bytes]


def words(random: Random, least: int = 3, most: int = 12) -> str:
    """A few words."""
    return " ".join(random.choices(WORDS.split(), k=random.randint(least, most)))


def amount(random: Random) -> float:
    """An amount of money."""
    return round(random.uniform(-500_000, 500_000), 2)


def picture(random: Random, kind: str = "PNG", mode: str = "RGB") -> io.BytesIO:
    """A small drawing."""
    drawn = Image.new("RGB", (random.randint(8, 240), random.randint(8, 160)), random.choice(("white", "navy", "#eee")))
    pen = ImageDraw.Draw(drawn)
    for _ in range(random.randint(1, 6)):
        corners = sorted(random.randint(0, 200) for _ in range(2))
        pen.rectangle((corners[0], corners[0], corners[1], corners[1]), outline=random.choice(("red", "teal")))
    body = io.BytesIO()
    drawn.convert(mode).save(body, kind)
    body.seek(0)
    return body


# --- Word, Excel, PowerPoint ---------------------------------------------------------------------
def docx(random: Random) -> bytes:
    """A letter with headings, lists, tables, pictures, links, fields, header and footer, comments."""
    letter = Document()
    letter.core_properties.author = words(random, 1, 2)
    letter.add_heading(words(random), level=random.randint(0, 3))
    for _ in range(random.randint(1, 8)):
        kind = random.choice((None, "List Bullet", "Quote", "List Number"))
        paragraph = letter.add_paragraph(words(random), style=kind)
        run = paragraph.add_run(words(random))
        run.bold, run.italic = random.random() < 0.3, random.random() < 0.3
        run.font.size, run.font.color.rgb = Pt(random.randint(8, 20)), RGBColor(random.randrange(255), 0, 0)
    if random.random() < 0.7:
        grid = letter.add_table(random.randint(1, 6), random.randint(1, 4), style="Table Grid")
        for cell in grid._cells:
            cell.text = words(random, 1, 3)
    if random.random() < 0.6:
        kind = random.choice(("PNG", "JPEG", "GIF", "BMP", "TIFF"))
        letter.add_picture(picture(random, kind), width=Inches(1.5))
    if random.random() < 0.6:
        _link(letter.add_paragraph("See "), random.choice(("https://example.com/a?b=c&d", "mailto:ir@example.com")))
    if random.random() < 0.6:
        code = random.choice((" PAGE ", ' TOC \\o "1-3" \\h ', " DATE \\@ yyyy "))
        _field(letter.sections[0].footer.paragraphs[0], code)
    if random.random() < 0.5:
        letter.sections[0].header.paragraphs[0].text = words(random)
    if random.random() < 0.4:
        letter.add_comment(letter.paragraphs[-1].runs or letter.paragraphs[1].runs, text=words(random), author="A")
    if random.random() < 0.3:
        letter.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
        letter.add_section().orientation = WD_ORIENT.LANDSCAPE
    return _saved(letter)


def _link(paragraph, target: str) -> None:  # type: ignore[no-untyped-def] # python-docx has no types
    made = OxmlElement("w:hyperlink")
    made.set(qn("r:id"), paragraph.part.relate_to(target, RELATIONSHIP_TYPE.HYPERLINK, is_external=True))
    run = OxmlElement("w:r")
    shown = OxmlElement("w:t")
    shown.text = target
    run.append(shown)
    made.append(run)
    paragraph._p.append(made)


def _field(paragraph, code: str) -> None:  # type: ignore[no-untyped-def] # python-docx has no types
    for kind in ("begin", code, "separate", "end"):
        run = paragraph.add_run()
        if kind == code:
            piece = OxmlElement("w:instrText")
            piece.text = code
        else:
            piece = OxmlElement("w:fldChar")
            piece.set(qn("w:fldCharType"), kind)
        run._r.append(piece)


def xlsx(random: Random) -> bytes:
    """A workbook with formulas, formats, charts, comments, links, validation, pictures."""
    book = Workbook()
    for number in range(random.randint(1, 4)):
        sheet = book.active if number == 0 else book.create_sheet(f"Sheet {number}")
        sheet.append(["Date", "Text", "Amount", "Sum"])
        rows = random.randint(3, 60)
        for row in range(2, rows + 2):
            sheet.append([date(2026, 1 + row % 12, 1), words(random, 1, 4), amount(random), f"=SUM(C2:C{row})"])
        sheet["A1"].font, sheet["B1"].fill = Font(bold=True, name="Calibri"), PatternFill("solid", fgColor="FFFF00")
        if random.random() < 0.5:
            chart = random.choice((BarChart, LineChart, PieChart))()
            chart.add_data(Reference(sheet, min_col=3, min_row=1, max_row=rows + 1), titles_from_data=True)
            sheet.add_chart(chart, "F2")
        if random.random() < 0.5:
            sheet["B2"].comment = Comment(words(random), "A")
        if random.random() < 0.5:
            sheet["B3"].hyperlink = random.choice(("https://example.com/x", "mailto:a@example.com", "#Sheet!A1"))
        if random.random() < 0.3:
            sheet.add_data_validation(DataValidation(type="list", formula1='"a,b"', sqref="E2:E9"))
        if random.random() < 0.3:
            scale = ColorScaleRule("min", start_color="FF0000", end_type="max", end_color="00FF00")
            sheet.conditional_formatting.add("C2:C9", scale)
        if random.random() < 0.3:
            sheet.add_image(SheetImage(picture(random)), "H2")
        if random.random() < 0.2:
            sheet.add_table(SheetTable(displayName=f"T{number}", ref=f"A1:D{rows}"))
        if random.random() < 0.2:
            sheet.protection.set_password("only the sheet")  # protects from typing, encrypts nothing
    return _saved(book)


def pptx(random: Random) -> bytes:
    """Slides with text, tables, pictures, charts (each with a workbook inside), notes and links."""
    deck = Presentation()
    for _ in range(random.randint(1, 3)):
        slide = deck.slides.add_slide(deck.slide_layouts[random.choice((0, 1, 5, 6))])
        for shape in slide.placeholders:
            shape.text_frame.text = words(random)
        if random.random() < 0.5:
            places = [SlideInches(place) for place in (1, 2, 4, 1.5)]
            grid = slide.shapes.add_table(2, 3, *places).table
            grid.cell(0, 0).text = words(random, 1, 2)
        if random.random() < 0.5:
            slide.shapes.add_picture(picture(random, random.choice(("PNG", "JPEG"))), SlideInches(1), SlideInches(1))
        if random.random() < 0.5:
            data: Any = CHART_DATA()
            data.categories = ["Q1", "Q2"]
            data.add_series("S", (amount(random), amount(random)))
            kind = random.choice((XL_CHART_TYPE.COLUMN_CLUSTERED, XL_CHART_TYPE.PIE, XL_CHART_TYPE.LINE))
            slide.shapes.add_chart(kind, *(SlideInches(place) for place in (2, 2, 4, 3)), data)
        if random.random() < 0.4:
            slide.notes_slide.notes_text_frame.text = words(random)
        if random.random() < 0.4:
            box = slide.shapes.add_textbox(*(SlideInches(place) for place in (1, 1, 2, 1)))
            run = box.text_frame.paragraphs[0].add_run()
            run.text, run.hyperlink.address = "link", "https://example.com"
    return _saved(deck)


# --- OpenDocument --------------------------------------------------------------------------------
def odt(random: Random) -> bytes:
    """A text with headings, styles, lists, a table, a link, a picture."""
    letter = OpenDocumentText()
    bold = style.Style(name="Bold", family="text")
    bold.addElement(style.TextProperties(fontweight="bold"))
    letter.styles.addElement(bold)
    letter.text.addElement(text.H(outlinelevel=1, text=words(random)))
    for _ in range(random.randint(1, 9)):
        paragraph = text.P(text=words(random))
        paragraph.addElement(text.Span(stylename=bold, text=words(random)))
        letter.text.addElement(paragraph)
    if random.random() < 0.5:
        linked = text.P()
        linked.addElement(text.A(href="https://example.com/?a=1&b=2", text="link"))
        letter.text.addElement(linked)
    if random.random() < 0.5:
        letter.text.addElement(_odf_table(random, table.Table(name="T")))
    if random.random() < 0.5:
        _odf_picture(random, letter, letter.text)
    return _saved(letter)


def ods(random: Random) -> bytes:
    """A spreadsheet."""
    book = OpenDocumentSpreadsheet()
    for number in range(random.randint(1, 3)):
        book.spreadsheet.addElement(_odf_table(random, table.Table(name=f"Sheet{number}")))
    return _saved(book)


def odp(random: Random) -> bytes:
    """Slides."""
    deck = OpenDocumentPresentation()
    layout = style.PageLayout(name="L")
    deck.automaticstyles.addElement(layout)
    master = style.MasterPage(name="M", pagelayoutname=layout)
    deck.masterstyles.addElement(master)
    for _ in range(random.randint(1, 4)):
        page = draw.Page(masterpagename=master)
        deck.presentation.addElement(page)
        frame = draw.Frame(width="20cm", height="3cm", x="1cm", y="1cm")
        box = draw.TextBox()
        box.addElement(text.P(text=words(random)))
        frame.addElement(box)
        page.addElement(frame)
        if random.random() < 0.5:
            _odf_picture(random, deck, page)
    return _saved(deck)


def _odf_table(random: Random, made: table.Table) -> table.Table:
    for _ in range(random.randint(1, 30)):
        row = table.TableRow()
        for _ in range(random.randint(1, 5)):
            cell = table.TableCell(valuetype="float", value=str(amount(random)))
            cell.addElement(text.P(text=words(random, 1, 3)))
            row.addElement(cell)
        made.addElement(row)
    return made


def _odf_picture(random: Random, paper, place) -> None:  # type: ignore[no-untyped-def] # odfpy has no types
    kind = random.choice(("PNG", "JPEG"))
    stored = (f"p{random.randrange(10**6)}.{kind.lower()}", f"image/{kind.lower()}", picture(random, kind).read())
    name = paper.addPicture(*stored)
    frame = draw.Frame(width="5cm", height="3cm")
    frame.addElement(draw.Image(href=name, type="simple", show="embed", actuate="onLoad"))
    if place.qname == (text.TEXTNS, "text") or place.tagName == "office:text":
        paragraph = text.P()
        paragraph.addElement(frame)
        frame = paragraph
    place.addElement(frame)


# --- PDF -----------------------------------------------------------------------------------------
def report(random: Random) -> bytes:
    """Pages by reportlab: text, tables, pictures, links to the web and to a mailbox."""
    body = io.BytesIO()
    page = random.choice((A4, LETTER, landscape(A4)))
    paper = SimpleDocTemplate(body, pagesize=page, title=words(random), pageCompression=random.randint(0, 1))
    sheet = getSampleStyleSheet()
    story: list[object] = [Paragraph("Statement", sheet["Title"])]
    for _ in range(random.randint(1, 6)):
        link = '<a href="https://example.com/x">web</a> <a href="mailto:a@example.com">mail</a>'
        story += [Paragraph(f"Some words, {link}", sheet["BodyText"]), Spacer(1, 12)]
    if random.random() < 0.6:
        rows = [[f"{amount(random)}" for _ in range(4)] for _ in range(random.randint(1, 40))]
        story.append(Table(rows, style=TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.grey)])))
    if random.random() < 0.6:
        story.append(PageImage(picture(random, random.choice(("PNG", "JPEG"))), 80, 60))
    if random.random() < 0.5:
        story += [PageBreak(), Paragraph("Annex", sheet["Heading1"])]
    paper.build(story)
    return body.getvalue()


def form(random: Random) -> bytes:
    """A form by reportlab: fields, bookmarks, jumps inside the document, shapes."""
    body = io.BytesIO()
    paper = canvas.Canvas(body, pagesize=A4, pageCompression=random.randint(0, 1))
    for number in range(random.randint(1, 4)):
        paper.bookmarkPage(f"p{number}")
        paper.addOutlineEntry(f"Page {number}", f"p{number}")
        paper.setFont(random.choice(("Helvetica", "Times-Roman", "Courier")), 12)
        paper.drawString(72, 760, "Name (script)")
        paper.acroForm.textfield(name=f"f{number}", x=72, y=700, width=200, height=20)
        paper.acroForm.checkbox(name=f"c{number}", x=72, y=660)
        paper.linkRect("jump", "p0", (72, 600, 200, 620))
        paper.linkURL("https://example.com", (72, 560, 200, 580))
        paper.circle(200, 400, random.randint(10, 90), fill=random.randint(0, 1))
        paper.showPage()
    paper.save()
    return body.getvalue()


def pages(random: Random) -> bytes:
    """Pages by pikepdf, saved in the ways that producers do."""
    with Pdf.new() as paper:
        font = paper.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
        for _ in range(random.randint(1, 12)):
            shown = f"BT /F1 12 Tf 72 760 Td (Amount {amount(random)}) Tj ET".encode()
            sheet = Dictionary(
                Type=Name.Page,
                MediaBox=Array([0, 0, 595, 842]),
                Resources=Dictionary(Font=Dictionary(F1=font)),
                Contents=Stream(paper, shown),
            )
            paper.pages.append(Page(paper.make_indirect(sheet)))
        paper.Root.OpenAction = Array([paper.pages[0].obj, Name.Fit])
        paper.Root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=Array([])))  # as some producers leave it, empty
        with paper.open_outline() as outline:
            outline.root.append(OutlineItem(words(random), 0))
        return _pdf_saved(random, paper)


def again(random: Random) -> bytes:
    """Another program's PDF, saved again: linearised, with object streams, or protected by an owner's password."""
    with Pdf.open(io.BytesIO(random.choice((report, form, pages))(random))) as paper:
        return _pdf_saved(random, paper)


def revised(random: Random) -> bytes:
    """A PDF with a second revision behind the first, as a reader that saves a note appends it."""
    first = pages(Random(random.random()))
    while not first.startswith(b"%PDF") or any(each in first for each in (b"/XRef", b"/Encrypt", b"/Linearized")):
        first = pages(Random(random.random()))
    size, start = len(pikepdf.open(io.BytesIO(first)).objects) + 1, first.rindex(b"startxref\n") + 10
    before, root = first[start:].split()[0], first[first.rindex(b"/Root ") :].split()[1]
    added = b"%d 0 obj\n<< /Note (%d) >>\nendobj\n" % (size, random.randrange(10**6))
    table = b"xref\n%d 1\n%010d 00000 n \n" % (size, len(first))
    end = b"trailer\n<< /Size %d /Root %b 0 R /Prev %b >>\nstartxref\n%d\n%%%%EOF\n"
    return first + added + table + end % (size + 1, root, before, len(first) + len(added))


def _pdf_saved(random: Random, paper: Pdf) -> bytes:
    how = random.choice(("plain", "linear", "streams", "owner", "owner-old", "uncompressed", "padded", "marked"))
    body = io.BytesIO()
    no_copying = Permissions(extract=False, modify_other=False)
    if how == "linear":
        paper.save(body, linearize=True)
    elif how == "streams":
        paper.save(body, object_stream_mode=ObjectStreamMode.generate)
    elif how == "owner":
        paper.save(body, encryption=Encryption(owner="secret", user="", R=6, allow=no_copying))
    elif how == "owner-old":
        rc4 = Encryption(owner="secret", user="", R=3, aes=False, metadata=False, allow=no_copying)
        paper.save(body, encryption=rc4)
    else:
        paper.save(body, compress_streams=how != "uncompressed", object_stream_mode=ObjectStreamMode.disable)
    before, behind = {"marked": (b"\xef\xbb\xbf", b""), "padded": (b"", b"\r\n\0\0")}.get(how, (b"", b""))
    return before + body.getvalue() + behind


# --- pictures ------------------------------------------------------------------------------------
def png(random: Random) -> bytes:
    """PNG of every mode, interlaced by none that Pillow writes, with text and density."""
    made = Image.open(picture(random)).convert(random.choice(("1", "L", "LA", "P", "RGB", "RGBA", "I;16")))
    body = io.BytesIO()
    made.save(body, "PNG", dpi=(300, 300), optimize=random.random() < 0.3)
    return body.getvalue()


def jpeg(random: Random) -> bytes:
    """JPEG: baseline and progressive, grey, colour and CMYK, with EXIF, comment and ICC profile."""
    made = Image.open(picture(random)).convert(random.choice(("L", "RGB", "CMYK")))
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "A passport", random.randint(1, 8)
    body = io.BytesIO()
    made.save(
        body,
        "JPEG",
        quality=random.randint(40, 95),
        progressive=random.random() < 0.5,
        exif=exif if random.random() < 0.5 else b"",
        comment="A comment" if random.random() < 0.5 else None,
        icc_profile=bytes(random.randrange(256) for _ in range(300)) if random.random() < 0.3 else None,
        subsampling=random.choice((0, 1, 2)) if made.mode == "RGB" else -1,
    )
    return body.getvalue()


def phone(random: Random) -> bytes:
    """A photo with what phones put behind it: another picture (MPO), Samsung's list, a motion photo's film."""
    body = io.BytesIO()
    made = [Image.open(picture(random)) for _ in range(random.randint(2, 3))]
    how = random.choice(("mpo", "samsung", "film", "zeros"))
    if how == "mpo":
        made[0].save(body, "MPO", save_all=True, append_images=made[1:])
        return body.getvalue()
    made[0].save(body, "JPEG")
    if how == "samsung":
        entry = b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data1700000000000"
        listed = b"SEFH" + (106).to_bytes(4, "little") + (1).to_bytes(4, "little")
        listed += b"\0\0\x01\x0a" + len(entry).to_bytes(4, "little") + len(entry).to_bytes(4, "little")
        return body.getvalue() + entry + listed + len(listed).to_bytes(4, "little") + b"SEFT"
    if how == "film":
        film = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + b"\0\0\0\x10mdat" + bytes(8) + b"\0\0\0\x08moov"
        return body.getvalue() + film
    return body.getvalue() + bytes(random.randint(1, 5000))


def tiff(random: Random) -> bytes:
    """TIFF as scanners write it: fax, LZW, deflate, JPEG or nothing; one page or several."""
    packed = random.choice((None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4", "group3"))
    mode = "1" if packed in ("group4", "group3") else random.choice(("L", "RGB"))
    made = [Image.open(picture(random)).convert(mode) for _ in range(random.randint(1, 4))]
    body = io.BytesIO()
    made[0].save(body, "TIFF", compression=packed, save_all=True, append_images=made[1:], dpi=(300, 300))
    return body.getvalue()


def big_tiff(random: Random) -> bytes:
    """A BigTIFF, with a description."""
    body = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = words(random)
    Image.open(picture(random)).save(body, "TIFF", big_tiff=True, tiffinfo=tags)
    return body.getvalue()


# --- text ----------------------------------------------------------------------------------------
CHARSETS = ("utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1", "cp1250", "cp437", "mac-roman")


def table_of_values(random: Random) -> bytes:
    """CSV with any of the usual separators, line ends and charsets."""
    body = io.StringIO()
    rows = csv.writer(body, delimiter=random.choice(",;\t|"), lineterminator=random.choice(("\n", "\r\n")))
    rows.writerow(["Date", "Text", "Amount", "Formula"])
    for row in range(random.randint(0, 80)):
        formula = random.choice(("", "=A1+B1", "-5", "@a"))
        rows.writerow([date(2026, 1, 1 + row % 28), words(random), amount(random), formula])
    return body.getvalue().encode(random.choice(CHARSETS), "replace")


def letter(random: Random) -> bytes:
    """Plain text, of any beginning."""
    first = random.choice(
        (
            "Dear Ms Adler,",
            "Subject: the annual meeting",
            "From: the general partner",
            "Date: 3 May 2026",
            "import duties and taxes",
            "- a list",
            "# Notes",
            '{"json": true, "list": [1, 2]}',
            "[section]\nkey=value",
            "REM a remark",
            "MZ;Name\n1;2",
            "x",
            "if (a < b) then on time = 3",
            "",
        )
    )
    lines = [first, *(words(random) for _ in range(random.randint(0, 40)))]
    return random.choice(("\n", "\r\n")).join([*lines, ""]).encode(random.choice(CHARSETS), "replace")


MAKERS: dict[str, tuple[str, Maker, int]] = {  # what it shows: extension, maker, how many
    "docx": ("docx", docx, 60),
    "xlsx": ("xlsx", xlsx, 60),
    "pptx": ("pptx", pptx, 30),
    "odt": ("odt", odt, 30),
    "ods": ("ods", ods, 25),
    "odp": ("odp", odp, 20),
    "report": ("pdf", report, 40),
    "form": ("pdf", form, 25),
    "pages": ("pdf", pages, 40),
    "again": ("pdf", again, 40),
    "revised": ("pdf", revised, 15),
    "png": ("png", png, 30),
    "jpeg": ("jpg", jpeg, 40),
    "phone": ("jpeg", phone, 15),
    "tiff": ("tif", tiff, 30),
    "big_tiff": ("tiff", big_tiff, 5),
    "csv": ("csv", table_of_values, 40),
    "letter": ("txt", letter, 40),
}


def _saved(paper) -> bytes:  # type: ignore[no-untyped-def] # whatever has `save`
    body = io.BytesIO()
    paper.save(body)
    return body.getvalue()
