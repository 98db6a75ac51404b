"""Files that must not pass, made from bytes by our own code, and the small sound ones that they are made from.

Nothing here is malware: what stands for it is the EICAR test file.
"""

import bz2
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pikepdf
from msoffcrypto.format.ooxml import OOXMLFile
from pikepdf import AttachedFileSpec, Dictionary, Encryption, Name, Object, Pdf, Stream
from PIL import Image

from devstack import papers

EICAR = papers.eicar()
ELF = papers.program()
PE = b"MZ\x90\0" + bytes(56) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0\x64\x86" + bytes(300)
MACH_O = b"\xcf\xfa\xed\xfe\x07\0\0\x01" + bytes(200)
JAVA = b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(200)
SHORTCUT = b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F" + bytes(100)
RAR = b"Rar!\x1a\x07\x01\0" + bytes(100)
SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c\0\x04" + bytes(100)
ZSTD = b"\x28\xb5\x2f\xfd\x24\x04" + bytes(60)
PGP = b"\x85\x01\x0c\x03" + bytes(range(256)) * 2
BZIP2 = bz2.compress(EICAR)
LZMA_ALONE = lzma.compress(EICAR, lzma.FORMAT_ALONE)
XZ = lzma.compress(EICAR)
ZLIB = zlib.compress(EICAR)
GZIP = zlib.compress(EICAR, wbits=31)

OOXML = "application/vnd.openxmlformats-officedocument"
_RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"

Parts = dict[str, bytes]


# --- zip -----------------------------------------------------------------------------------------
@dataclass
class Entry:
    """A member as its headers describe it; what is not given is computed and true."""

    name: str
    content: bytes
    method: int = 8
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    packed: bytes | None = None
    local_name: str | None = None
    local_method: int | None = None
    mode: int = 0

    @property
    def body(self) -> bytes:
        """The packed bytes."""
        if self.packed is not None:
            return self.packed
        return self.content if self.method == 0 else deflated(self.content)

    def header(self) -> bytes:
        """The local header."""
        name = (self.local_name or self.name).encode()
        method = self.method if self.local_method is None else self.local_method
        return (
            struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, self.flags, method, 0, 33, *self._sizes(), len(name), 0) + name
        )

    def listed(self, offset: int) -> bytes:
        """The entry in the central directory."""
        name = self.name.encode()
        head = struct.pack("<4s6H3I", b"PK\x01\x02", 3 << 8 | 20, 20, self.flags, self.method, 0, 33, *self._sizes())
        return head + struct.pack("<5H2I", len(name), 0, 0, 0, 0, self.mode << 16, offset) + name

    def _sizes(self) -> tuple[int, int, int]:
        crc = zlib.crc32(self.content) if self.crc is None else self.crc
        return crc, len(self.body), len(self.content) if self.size is None else self.size


def deflated(content: bytes) -> bytes:
    """Raw deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def zeros(count: int) -> tuple[bytes, int]:
    """So many zeros (in tens of millions) in raw deflate, and their CRC, without waiting for the packer."""
    piece, crc = bytes(10**7), 0
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)  # stands alone, so it may be repeated
    for _ in range(count // 10**7):
        crc = zlib.crc32(piece, crc)
    return block * (count // 10**7) + b"\x03\0", crc


def entries(parts: Mapping[str, bytes], **changes: Any) -> list[Entry]:
    """The parts as members, each with the same changes."""
    return [Entry(name, content, **changes) for name, content in parts.items()]


def assembled(
    members: Iterable[Entry],
    *,
    before: bytes = b"",
    hidden: Iterable[Entry] = (),
    gap: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
) -> bytes:
    """A zip of these members; `hidden` ones stand among them but not in the directory."""
    body, directory, number = before, b"", 0
    for member in members:
        directory += member.listed(len(body))
        body += member.header() + member.body
        number += 1
    for member in hidden:
        body += member.header() + member.body
    body += gap
    number = number if count is None else count
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, number, number, len(directory), len(body), len(comment))
    return body + directory + end + comment


def zipped(parts: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip as Python writes it."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return body.getvalue()


# --- OOXML ---------------------------------------------------------------------------------------
MAIN = {
    "docx": ("word/document.xml", "wordprocessingml.document"),
    "xlsx": ("xl/workbook.xml", "spreadsheetml.sheet"),
    "pptx": ("ppt/presentation.xml", "presentationml.presentation"),
}


def relationships(*links: tuple[str, str, bool]) -> bytes:
    """A relationships part of (last step of the type or whole type, target, external)."""
    made = ""
    for number, (kind, target, external) in enumerate(links):
        whole = kind if ":" in kind else f"{OFFICE}/{kind}"
        mode = "External" if external else "Internal"
        made += f'<Relationship Id="r{number}" Type="{whole}" Target="{target}" TargetMode="{mode}"/>'
    return f'<?xml version="1.0"?><Relationships xmlns="{_RELATIONSHIPS}">{made}</Relationships>'.encode()


def content_types(overrides: Mapping[str, str], **defaults: str) -> bytes:
    """A content types part."""
    known = {"rels": "application/vnd.openxmlformats-package.relationships+xml", "xml": "application/xml"} | defaults
    made = "".join(f'<Default Extension="{extension}" ContentType="{kind}"/>' for extension, kind in known.items())
    made += "".join(f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in overrides.items())
    types = "http://schemas.openxmlformats.org/package/2006/content-types"
    return f'<?xml version="1.0"?><Types xmlns="{types}">{made}</Types>'.encode()


def office(
    kind: str = "docx", *, types: Mapping[str, str] | None = None, main_type: str = "", **defaults: str
) -> Parts:
    """The parts of the smallest sound docx, xlsx or pptx. `types`: of further parts, by name."""
    name, subtype = MAIN[kind]
    overrides = {name: main_type or f"{OOXML}.{subtype}.main+xml"} | dict(types or {})
    root = {"docx": "w:document", "xlsx": "w:workbook", "pptx": "w:presentation"}[kind]
    return {
        "[Content_Types].xml": content_types(overrides, **defaults),
        "_rels/.rels": relationships(("officeDocument", name, False)),
        name: f'<?xml version="1.0"?><{root} xmlns:w="{_W}"><w:body/></{root}>'.encode(),
    }


def word(body: str) -> Parts:
    """A docx whose document holds this WordprocessingML."""
    made = f'<?xml version="1.0"?><w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>'
    return office() | {"word/document.xml": made.encode()}


def linked(kind: str, target: str, *, external: bool = True) -> Parts:
    """A docx whose document has this relationship."""
    return office() | {"word/_rels/document.xml.rels": relationships((kind, target, external))}


def with_type(name: str, content: bytes, content_type: str, kind: str = "docx") -> Parts:
    """A document with one more part of this type."""
    return office(kind, types={name: content_type}) | {name: content}


def nested(depth: int) -> bytes:
    """A docx in a docx, and so on."""
    inner = zipped(office())
    for _ in range(depth):
        inner = zipped(office() | {"word/embeddings/inner.docx": inner})
    return inner


def encrypted_office(kind: str) -> bytes:
    """A docx, xlsx or pptx behind a password, as Office writes it (agile encryption)."""
    body = io.BytesIO()
    OOXMLFile(io.BytesIO(zipped(office(kind)))).encrypt("secret", body)
    return body.getvalue()


# --- OpenDocument ----------------------------------------------------------------------------------
ODF = "application/vnd.oasis.opendocument"
_MANIFEST = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
_NAMES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:script="urn:oasis:names:tc:opendocument:xmlns:script:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"'
)


def open_document(
    body: str = "", *, kind: str = "text", manifest: str = "", parts: Mapping[str, bytes] | None = None
) -> Parts:
    """The parts of the smallest sound OpenDocument, and further ones."""
    listed = (
        f'<manifest:manifest xmlns:manifest="{_MANIFEST}">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{ODF}.{kind}"/>'
    )
    return {
        "mimetype": f"{ODF}.{kind}".encode(),
        "META-INF/manifest.xml": f"{listed}{manifest}</manifest:manifest>".encode(),
        "content.xml": f"<office:document-content {_NAMES}>{body}</office:document-content>".encode(),
    } | dict(parts or {})


def odf(parts: Parts) -> bytes:
    """The parts as an OpenDocument package: the type first, and not packed."""
    first, *rest = entries(parts)
    first.method = 0
    return assembled([first, *rest])


def encrypted_odf() -> bytes:
    """An odt behind a password: its manifest says how each part is encrypted."""
    said = (
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml" manifest:size="9">'
        '<manifest:encryption-data manifest:checksum="x"/></manifest:file-entry>'
    )
    parts = open_document(manifest=said)
    return odf(parts | {"content.xml": bytes(range(256))})


# --- OLE2 ----------------------------------------------------------------------------------------
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_SECTOR, _MINI, _CUTOFF = 512, 64, 4096


def compound(streams: Mapping[str, bytes]) -> bytes:
    """A compound file of these streams, by path with slashes ([MS-CFB], version 3)."""
    tree = _tree(streams)
    fat: list[int] = []
    body = mini_body = b""
    mini_fat: list[int] = []
    places: dict[int, int] = {}
    for number, (_, _, content, _) in enumerate(tree):
        if content is None or not content:
            places[number] = _END
        elif len(content) < _CUTOFF:
            places[number] = _chained(mini_fat, len(content), _MINI)
            mini_body += content.ljust(-(-len(content) // _MINI) * _MINI, b"\0")
        else:
            places[number] = _chained(fat, len(content), _SECTOR)
            body += _padded(content)
    mini_start = _chained(fat, len(mini_body), _SECTOR) if mini_body else _END
    body += _padded(mini_body)
    mini_table = b"".join(struct.pack("<I", each) for each in mini_fat)
    table_start = _chained(fat, len(mini_table), _SECTOR) if mini_table else _END
    body += mini_table.ljust(-(-len(mini_table) // _SECTOR) * _SECTOR, b"\xff")
    directory = _directory(tree, places, mini_start, len(mini_body))
    directory_start = _chained(fat, len(directory), _SECTOR)
    body += directory
    count = 1
    while count * 128 < len(fat) + count:
        count += 1
    fat_start = len(fat)
    fat += [_FAT] * count
    fat += [_FREE] * (count * 128 - len(fat))
    table = b"".join(struct.pack("<I", each) for each in fat)
    header = struct.pack(
        "<8s16s5H6x3I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6, 0, count, directory_start
    )
    header += struct.pack("<5I", 0, _CUTOFF, table_start, len(mini_table) and -(-len(mini_table) // _SECTOR), _END)
    header += struct.pack("<I", 0) + b"".join(struct.pack("<I", fat_start + each) for each in range(count))
    return header.ljust(_SECTOR, b"\xff") + body + table


_Node = tuple[str, int, bytes | None, int]  # name, kind (1 storage, 2 stream, 5 root), content, parent


def _tree(streams: Mapping[str, bytes]) -> list[_Node]:
    nodes: list[_Node] = [("Root Entry", 5, None, -1)]
    known = {"": 0}
    for path, content in streams.items():
        *folders, name = path.split("/")
        parent = ""
        for folder in folders:
            here = f"{parent}/{folder}"
            if here not in known:
                known[here] = len(nodes)
                nodes.append((folder, 1, None, known[parent]))
            parent = here
        nodes.append((name, 2, content, known[parent]))
    return nodes


def _directory(tree: list[_Node], places: Mapping[int, int], mini_start: int, mini_size: int) -> bytes:
    """Children hang as a list, each the right neighbour of the one before."""
    body = b""
    families: dict[int, list[int]] = {}
    for number, node in enumerate(tree):
        families.setdefault(node[3], []).append(number)
    for number, (name, kind, content, parent) in enumerate(tree):
        children = families.get(number, [])
        siblings = [index for index in families[parent] if index > number]
        start = mini_start if kind == 5 else places[number] if kind == 2 else 0
        size = mini_size if kind == 5 else len(content or b"")
        written = name.encode("utf-16-le")
        body += struct.pack(
            "<64sHBBIII16sIQQIII",
            written,
            len(written) + 2,
            kind,
            1,
            _FREE,
            siblings[0] if siblings and kind != 5 else _FREE,
            children[0] if children else _FREE,
            bytes(16),
            0,
            0,
            0,
            start,
            size,
            0,
        )
    empty = struct.pack("<64sHBBIII16sIQQIII", b"", 0, 0, 0, _FREE, _FREE, _FREE, bytes(16), 0, 0, 0, 0, 0, 0)
    return body + empty * (-len(tree) % 4)


def _chained(fat: list[int], length: int, sector: int) -> int:
    start, count = len(fat), -(-length // sector)
    fat += [*range(start + 1, start + count), _END]
    return start


def _padded(content: bytes) -> bytes:
    return content.ljust(-(-len(content) // _SECTOR) * _SECTOR, b"\0")


def doc(streams: Mapping[str, bytes] | None = None, *, encrypted: bool = False, text: bytes = b"") -> bytes:
    """A Word 97 document: the start of its FIB, some text, and further streams."""
    fib = struct.pack(
        "<7HI2B5H6I", 0xA5EC, 0xC1, 0, 0x407, 0, 0x0100 if encrypted else 0, 0xBF, 0, 0, 0, *([0] * 5), *([0] * 6)
    )
    return compound(
        {"WordDocument": (fib + text).ljust(_CUTOFF, b"\0"), "0Table": bytes(_CUTOFF)} | dict(streams or {})
    )


def xls(*records: bytes, sheet: int = 0, main: str = "Workbook", streams: Mapping[str, bytes] | None = None) -> bytes:
    """An Excel 97 workbook of one sheet of this kind (1: macros). `records`: more among its globals."""
    body = biff(0x809, struct.pack("<4H2I", 0x600, 5, 0, 0x07CC, 0, 6)) + b"".join(records)
    body += biff(0x85, struct.pack("<IBBBB", len(body) + 20, 0, sheet, 6, 0) + b"Sheet1") + biff(0x0A, b"")
    body += biff(0x809, struct.pack("<4H2I", 0x600, 0x10, 0, 0x07CC, 0, 6)) + biff(0x0A, b"")
    return compound({main: body.ljust(_CUTOFF, b"\0")} | dict(streams or {}))


def biff(kind: int, body: bytes) -> bytes:
    """A record of a workbook."""
    return struct.pack("<2H", kind, len(body)) + body


FILEPASS = biff(0x2F, struct.pack("<3H", 1, 1, 1) + bytes(48))
DDE_LINK = biff(0x1AE, struct.pack("<HHB", 1, 9, 0) + b"cmd\x03/c x")
OTHER_WORKBOOK = biff(0x1AE, struct.pack("<HHB", 1, 8, 0) + b"\x01other.xls")


def ppt(*records: bytes, encrypted: bool = False) -> bytes:
    """A PowerPoint 97 presentation: who edited it last, and these records."""
    body = b"".join(records)
    edit = len(body)
    body += slide_record(0x0FF5, bytes(0x20 if encrypted else 0x1C))
    user = slide_record(
        0x0FF6, struct.pack("<3I2H2BH", 0x14, 0xE391C05F, edit, 0, 0x03F4, 3, 0, 0) + struct.pack("<I", 8)
    )
    body += slide_record(0x0FB1, bytes(_CUTOFF))
    return compound({"PowerPoint Document": body, "Current User": user})


def slide_record(kind: int, body: bytes, version: int = 0) -> bytes:
    """A record of a presentation."""
    return struct.pack("<HHI", version, kind, len(body)) + body


def native(content: bytes) -> bytes:
    """An Ole10Native stream: a file dropped into a document."""
    names = b"\x02\0a.txt\0C:\\a.txt\0" + b"\0\0\x03\0" + struct.pack("<I", 9) + b"C:\\a.txt\0"
    inner = names + struct.pack("<I", len(content)) + content
    return struct.pack("<I", len(inner)) + inner


def looping_compound() -> bytes:
    """A directory in which a storage is its own child."""
    body = bytearray(doc({"A/b": b"x"}))
    place = body.index("A".encode("utf-16-le") + bytes(62))
    own = (place - body.index("Root Entry".encode("utf-16-le"))) // 128
    body[place + 76 : place + 80] = struct.pack("<I", own)
    return bytes(body)


def deep_compound(depth: int = 5000) -> bytes:
    """Storages in storages."""
    return doc({"/".join(["S", *map(str, range(depth))]): b"x"})


def looping_sectors() -> bytes:
    """A stream whose last sector leads back to its first."""
    body = bytearray(doc())
    table = body.rindex(struct.pack("<I", _FAT)) // _SECTOR * _SECTOR
    place = body.index(struct.pack("<I", _END), table)
    body[place : place + 4] = struct.pack("<I", 0)
    return bytes(body)


# --- PDF -----------------------------------------------------------------------------------------
def pdf(*objects: bytes, catalog: bytes = b"", page: bytes = b"", trailer: bytes = b"") -> bytes:
    """A PDF of one page, written by hand: objects from number 4 on, more for the catalog, the page, the trailer."""
    made = [
        b"<</Type/Catalog/Pages 2 0 R %b>>" % catalog,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<<>>%b>>" % page,
        *objects,
    ]
    return written(made, trailer)


def written(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, the first of which is its catalog."""
    body = io.BytesIO()
    body.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(body.tell())
        body.write(b"%d 0 obj\n%b\nendobj\n" % (number, content))
    table = body.tell()
    body.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    body.writelines(b"%010d 00000 n \n" % place for place in places)
    body.write(b"trailer\n<</Size %d/Root 1 0 R %b>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, table))
    return body.getvalue()


def pdf_saying(text: bytes, **options: Any) -> bytes:
    """A PDF by pikepdf whose catalog holds `text`, in PDF's own words."""
    with Pdf.new() as paper:
        paper.add_blank_page()
        paper.Root.Held = paper.make_indirect(Object.parse(text))
        return _saved(paper, **options)


def pdf_with(*attached: bytes, filter_last: bool = True, **options: Any) -> bytes:
    """A PDF by pikepdf with these files attached, as every qpdf attachment is: clamd does not see into them."""
    with Pdf.new() as paper:
        paper.add_blank_page()
        for number, content in enumerate(attached):
            paper.attachments[f"{number}.bin"] = AttachedFileSpec(paper, content)
        return _saved(paper, **options)


def pdf_locked() -> bytes:
    """A PDF that only a password opens."""
    return pdf_with(encryption=Encryption(owner="secret", user="secret"))


def pdf_attachment_bomb() -> bytes:
    """A PDF with an attachment of 500 MB of zeros in half a megabyte."""
    with Pdf.new() as paper:
        paper.add_blank_page()
        packed = b"\x78\xda" + zeros(500_000_000)[0]
        stream = Stream(paper, packed, Filter=Name.FlateDecode, Type=Name.EmbeddedFile)
        paper.Root.Held = paper.make_indirect(Dictionary(Type=Name.Filespec, EF=Dictionary(F=stream)))
        return _saved(paper, compress_streams=False)


def many_pages(count: int = 100_000) -> bytes:
    """A PDF of this many pages, in a tree of two levels."""
    groups = -(-count // 1000)
    objects = [b"<</Type/Catalog/Pages 2 0 R>>"]
    objects.append(
        b"<</Type/Pages/Count %d/Kids[%b]>>" % (count, b" ".join(b"%d 0 R" % (3 + each) for each in range(groups)))
    )
    first = 3 + groups
    for group in range(groups):
        numbers = range(first + 1000 * group, min(first + count, first + 1000 * (group + 1)))
        kids = b" ".join(b"%d 0 R" % number for number in numbers)
        objects.append(b"<</Type/Pages/Parent 2 0 R/Count %d/Kids[%b]>>" % (len(numbers), kids))
    objects += [
        b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 9 9]/Resources<<>>>>" % (3 + number // 1000)
        for number in range(count)
    ]
    return written(objects)


def deep_pdf(depth: int = 1_000_000) -> bytes:
    """A PDF with arrays in arrays."""
    return pdf(b"[" * depth + b"]" * depth)


def _saved(paper: Pdf, **options: Any) -> bytes:
    body = io.BytesIO()
    paper.save(body, **({"object_stream_mode": pikepdf.ObjectStreamMode.disable} | options))
    return body.getvalue()


# --- pictures --------------------------------------------------------------------------------------
def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any) -> bytes:
    """A picture by Pillow."""
    body = io.BytesIO()
    Image.new(mode, size, "navy" if mode == "RGB" else 1).save(body, kind, **options)
    return body.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def flood_png(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG that says to be huge, in a few hundred bytes."""
    head = png_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(bytes(10**6))) + png_chunk(b"IEND", b"")


def large_png(side: int = 9_000) -> bytes:
    """A PNG of about as many pixels as are taken, of which every one is there: it unpacks to 320 MB."""
    count = -(-side * (1 + 3 * side) // 10**7) * 10**7
    adler = 1
    for _ in range(count // 10**7):
        adler = zlib.adler32(bytes(10**7), adler)
    packed = b"\x78\xda" + zeros(count)[0] + adler.to_bytes(4, "big")
    head = png_chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def tiff(*directories: dict[int, int], loop: bool = False) -> bytes:
    """A TIFF of these directories of tags with 32-bit values; `loop`: the last leads to the first."""
    body = b"II*\0\x08\0\0\0"
    first = len(body)
    for number, tags in enumerate(directories):
        last = number == len(directories) - 1
        body += struct.pack("<H", len(tags))
        body += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
        body += struct.pack("<I", (first if loop else 0) if last else len(body) + 4)
    return body


def flood_tiff() -> bytes:
    """A TIFF that says to be huge."""
    return tiff({256: 200_000, 257: 200_000, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 200_000, 279: 10})


def flood_pages() -> bytes:
    """A TIFF of very many pages, each of which is the same strip."""
    tags = {256: 5000, 257: 5000, 258: 1, 259: 5, 262: 1, 273: 8, 277: 1, 278: 5000, 279: 100}
    return tiff(*([tags] * 3000))


# --- bombs -----------------------------------------------------------------------------------------
_LAUGHS = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10))
LAUGHS = f'<!DOCTYPE x [<!ENTITY l0 "ha">{_LAUGHS}]>'


def laughing_docx(name: str = "word/document.xml") -> bytes:
    """A docx of which one part declares entities that become 2 GB."""
    return zipped(office() | {name: f'<?xml version="1.0"?>{LAUGHS}<x>&l9;</x>'.encode()})


def laughing_odt(name: str = "content.xml") -> bytes:
    """The same in an odt."""
    return odf(open_document() | {name: f'<?xml version="1.0"?>{LAUGHS}<x>&l9;</x>'.encode()})


def bomb(kind: str = "docx", size: int = 3_000_000_000) -> bytes:
    """A document with a part that says truly that it unpacks to gigabytes of zeros."""
    packed, crc = zeros(size)
    return assembled([*entries(office(kind)), Entry("word/media/a.bmp", b"", packed=packed, crc=crc, size=size)])


def lying_bomb() -> bytes:
    """A document with a part that says to be small and unpacks to 300 MB."""
    packed, crc = zeros(300_000_000)
    return assembled([*entries(office()), Entry("word/media/a.bmp", b"", packed=packed, crc=crc, size=1000)])


def overlapping_bomb(count: int = 2000) -> bytes:
    """A document of parts that all are the same packed bytes (David Fifield's better zip bomb, in its simple form)."""
    body, directory = b"", b""
    for entry in entries(office()):
        directory += entry.listed(len(body))
        body += entry.header() + entry.body
    packed, crc = zeros(10_000_000)
    kernel = Entry("word/media/00000.bmp", b"", packed=packed, crc=crc, size=10_000_000)
    for number in range(count):
        kernel.name = f"word/media/{number:05}.bmp"
        directory += kernel.listed(len(body))
    body += kernel.header() + kernel.body
    total = count + len(office())
    return body + directory + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, total, total, len(directory), len(body), 0)


def nested_bomb(levels: int = 5, width: int = 16) -> bytes:
    """A document with a zip of zips of zips, as 42.zip is."""
    inner = zipped({"0.dll": bytes(50_000_000)})
    for _ in range(levels):
        inner = zipped({f"{number}.zip": inner for number in range(width)})
    return zipped(office() | {"word/embeddings/lib.zip": inner})


def many_members(count: int = 10_001) -> bytes:
    """A document of more parts than clamd would look at."""
    return zipped(office() | {f"customXml/item{number}.xml": b"<a/>" for number in range(count)})


def hostile() -> dict[str, tuple[str, bytes]]:
    """Every file of the hostile set: extension and bytes. Each must end in a finding, soon and in little memory."""
    return {
        "bomb": ("docx", bomb()),
        "lying bomb": ("docx", lying_bomb()),
        "overlapping bomb": ("docx", overlapping_bomb()),
        "nested bomb": ("docx", nested_bomb()),
        "documents 12 deep": ("docx", nested(12)),
        "10,001 members": ("docx", many_members()),
        "deeply nested PDF": ("pdf", deep_pdf()),
        "PDF attachment bomb": ("pdf", pdf_attachment_bomb()),
        "pixel flood PNG": ("png", flood_png()),
        "pixel flood TIFF": ("tif", flood_tiff()),
        "TIFF of 3,000 large pages": ("tif", flood_pages()),
        "TIFF in a circle": ("tif", tiff({256: 1, 257: 1}, {256: 1, 257: 1}, loop=True)),
        "billion laughs docx": ("docx", laughing_docx()),
        "billion laughs in the types": ("docx", laughing_docx("[Content_Types].xml")),
        "billion laughs odt": ("odt", laughing_odt()),
        "billion laughs in the manifest": ("odt", laughing_odt("META-INF/manifest.xml")),
        "recursive OLE directory": ("doc", looping_compound()),
        "deep OLE directory": ("doc", deep_compound()),
        "pixel flood PNG that is true": ("png", large_png(9_900)),
        "OLE sectors in a circle": ("doc", looping_sectors()),
    }


_PARAGRAPH = "<w:p><w:r><w:t>%d</w:t></w:r><w:r/><w:r/></w:p>"


def heavy() -> dict[str, tuple[str, bytes]]:
    """Files that are in order and cost as much as a file can: extension and bytes. Each must end as soon, too."""
    return {
        "100,000 pages": ("pdf", many_pages()),
        "81 megapixels": ("png", large_png()),
        "progressive JPEG": ("jpg", picture("JPEG", (9000, 9000), progressive=True)),
        "50 MB of XML": ("docx", zipped(word("".join(_PARAGRAPH % (each * 7919 % 99991) for each in range(900_000))))),
        "60 MB of CSV": ("csv", b"2026-01-01;some words;1,234.00\n" * 2_000_000),
    }
