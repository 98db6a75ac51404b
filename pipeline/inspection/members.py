"""What is packed inside a file, judged each by its own content, whatever it is called.

One pass over a member's bytes, in constant memory. Pictures and files that have a checker of their own
are kept (`limits.NESTED_BYTES`) to be looked at.
"""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import BinaryIO, Final

from pipeline.inspection import active, findings, images, limits, magic, strict_zip, text, xml_stream
from pipeline.inspection.report import Finding


class Kind(Enum):
    """What a member is."""

    NOTHING = "nothing but zeros"
    XML = "xml"
    PICTURE = "picture"
    DRAWING = "drawing"
    FONT = "font"
    MEDIA = "film or sound"
    MODEL = "3D model"
    TEXT = "text"
    PACKAGE = "zip"
    PDF = "pdf"
    OLE = "ole2"
    PROGRAM = "program"
    SCRIPT = "script"
    HTML = "html"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Inside:
    """A file inside a file that has a checker of its own."""

    file: BinaryIO


_STARTS: Final = (
    (b"\x7fELF", Kind.PROGRAM),
    (b"\xfe\xed\xfa\xce", Kind.PROGRAM),  # Mach-O, then the same for other machines
    (b"\xfe\xed\xfa\xcf", Kind.PROGRAM),
    (b"\xce\xfa\xed\xfe", Kind.PROGRAM),
    (b"\xcf\xfa\xed\xfe", Kind.PROGRAM),
    (b"\xca\xfe\xba\xbe", Kind.PROGRAM),  # Java class, Mach-O for several machines
    (b"dex\n", Kind.PROGRAM),
    (b"\0asm", Kind.PROGRAM),
    (b"L\0\0\0\x01\x14\x02\0", Kind.PROGRAM),  # Windows shortcut
    (b"ITSF", Kind.PROGRAM),  # compiled help, which runs what it holds
    (b"#!", Kind.SCRIPT),
    (b"PK\x03\x04", Kind.PACKAGE),
    (b"PK\x05\x06", Kind.PACKAGE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind.OLE),
    (b"%PDF-", Kind.PDF),
    (b"\x89PNG\r\n\x1a\n", Kind.PICTURE),
    (b"\xff\xd8\xff", Kind.PICTURE),
    (b"GIF87a", Kind.PICTURE),
    (b"GIF89a", Kind.PICTURE),
    (b"II*\0", Kind.PICTURE),
    (b"MM\0*", Kind.PICTURE),
    (b"\xd7\xcd\xc6\x9a", Kind.DRAWING),  # WMF
    (b"\x01\0\x09\0\0\x03", Kind.DRAWING),
    (b"\x02\0\x09\0\0\x03", Kind.DRAWING),
    (b"VCLMTF", Kind.DRAWING),
    (b"II\xbc\x01", Kind.DRAWING),  # JPEG XR
    (b"\0\0\x01\0", Kind.DRAWING),  # icon
    (b"OTTO\0", Kind.FONT),
    (b"true\0", Kind.FONT),
    (b"ttcf", Kind.FONT),
    (b"wOFF", Kind.FONT),
    (b"wOF2", Kind.FONT),
    (b"\0\x01\0\0\0", Kind.FONT),
    (b"ID3\x02", Kind.MEDIA),
    (b"ID3\x03", Kind.MEDIA),
    (b"ID3\x04", Kind.MEDIA),
    (b"OggS", Kind.MEDIA),
    (b"fLaC", Kind.MEDIA),
    (b"MThd\0\0\0\x06", Kind.MEDIA),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind.MEDIA),  # ASF
    (b"\0\0\x01\xba", Kind.MEDIA),
    (b"\0\0\x01\xb3", Kind.MEDIA),
    (b"\x1aE\xdf\xa3", Kind.MEDIA),
    (b"glTF", Kind.MODEL),
)
_INNER: Final = (  # signatures that do not stand at the start
    (40, b" EMF", Kind.DRAWING),
    (8, b"WEBP", Kind.PICTURE),
    (8, b"WAVE", Kind.MEDIA),
    (8, b"AVI ", Kind.MEDIA),
    (4, b"ftyp", Kind.MEDIA),
    (34, b"LP", Kind.FONT),  # embedded OpenType
)
_HTML: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body|script|iframe)\b", re.IGNORECASE)
_DOS_HEADER: Final = 64
_GZIP: Final = b"\x1f\x8b\x08"
_FINDINGS: Final = {
    Kind.PROGRAM: findings.EXECUTABLE,
    Kind.SCRIPT: findings.EXECUTABLE,
    Kind.HTML: findings.ACTIVE_MARKUP,
    Kind.OLE: findings.EMBEDDED_OLE,
    Kind.MODEL: findings.RICH_MEDIA,
}
_CHECKED: Final = (Kind.PACKAGE, Kind.PDF, Kind.OLE)


def judged(
    chunks: Iterator[bytes],
    *,
    allowed: frozenset[Kind],
    opaque: bool = False,
    loose: bool = False,
    declaration: bool = False,
    watch: xml_stream.Watch | None = None,
) -> Iterator[Finding | Inside]:
    """Read the member to its end and yield what is found, and the file that it is, if it has a checker.

    `opaque`: a kind nobody can tell is taken, if it is small. `loose`: XML need not be well-formed.
    `declaration`: XML may declare a document type. `watch` is told of the XML. Raises Unsound.
    """
    head, chunks = _ahead(chunks)
    kind = kind_of(head)
    if kind is Kind.XML and not loose:
        yield from _xml(chunks, declaration=declaration, watch=watch)
        return
    keeps = kind is Kind.PICTURE or (kind in _CHECKED and kind in allowed)
    body, tail, size = io.BytesIO(), b"", 0
    marked = False
    for chunk in chunks:
        size += len(chunk)
        marked = marked or (kind in (Kind.PICTURE, Kind.XML) and active.in_picture(tail[-active.OVERLAP :] + chunk))
        tail = (tail + chunk)[-strict_zip.TAIL :]
        if keeps and body.tell() + len(chunk) <= limits.NESTED_BYTES:
            body.write(chunk)
    if marked:
        yield Finding(findings.ACTIVE_MARKUP, 1, "in a picture or drawing")
    if kind not in _CHECKED and strict_zip.end_record(tail, size=size):
        yield Finding(findings.POLYGLOT, 1, "a zip behind something else")
    if kind is Kind.UNKNOWN and opaque and size <= limits.OPAQUE_BYTES:
        return
    if kind not in allowed:
        yield _refused(kind, head)
    elif kind is Kind.PICTURE:
        yield from images.outline(body)  # of a very large one the start, which says how large
    elif kind in _CHECKED and body.tell() < size:
        yield Finding(findings.UNPACKED_TOO_LARGE, 1, f"a part of more than {limits.NESTED_BYTES // limits.MIB} MiB")
    elif kind in _CHECKED:
        yield Inside(body)


def kind_of(head: bytes) -> Kind:
    """Tell what a member is from its first bytes (`limits.HEAD`)."""
    if _is_dos_program(head):
        return Kind.PROGRAM
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    for place, inner, kind in _INNER:
        if head[place : place + len(inner)] == inner:
            return kind
    if not head.strip(b"\0"):
        return Kind.NOTHING
    if head.startswith(_GZIP):
        return _packed_drawing(head)
    if _narrow(head).lstrip().startswith(b"<"):
        return Kind.HTML if _HTML.match(_narrow(head).lstrip()) else Kind.XML
    return _guessed(head)


def _is_dos_program(head: bytes) -> bool:
    """Whether it begins as programs for DOS and Windows do; a text whose first word is MZ holds no zeros."""
    return head.startswith(b"MZ") and b"\0" in head[:_DOS_HEADER]


def _guessed(head: bytes) -> Kind:
    guess = magic.media_type(head)
    if guess in magic.SCRIPTS:
        return Kind.SCRIPT
    if guess in magic.MARKUP:
        return Kind.HTML
    if guess.startswith("audio/") and head[:1] == b"\xff":  # MPEG frames
        return Kind.MEDIA
    if guess == "image/bmp":
        return Kind.PICTURE
    return Kind.TEXT if text.media_type(head, guess).startswith(("text/plain", "text/csv")) else Kind.UNKNOWN


def _packed_drawing(head: bytes) -> Kind:
    """EMZ and WMZ are a gzipped EMF or WMF. Anything else in gzip is not told from the rest."""
    try:
        start = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, 64)
    except zlib.error:
        return Kind.UNKNOWN
    return Kind.UNKNOWN if start.startswith(_GZIP) or kind_of(start) is not Kind.DRAWING else Kind.DRAWING


def _narrow(head: bytes) -> bytes:
    """The head as bytes that agree with ASCII, without byte order mark."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[: len(head) & ~1].decode("utf-16", "ignore").encode("utf-8", "ignore")
    return head.removeprefix(b"\xef\xbb\xbf")


def _refused(kind: Kind, head: bytes) -> Finding:
    if kind in _FINDINGS:
        return Finding(_FINDINGS[kind], 1, "a part of the file")
    return Finding(findings.MEMBER_NOT_ALLOWED, 1, magic.media_type(head))


def _ahead(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, and all of them."""
    first: list[bytes] = []
    length = 0
    for chunk in chunks:
        first.append(chunk)
        length += len(chunk)
        if length >= limits.HEAD:
            break
    return b"".join(first)[: limits.HEAD], chain(first, chunks)


# --- XML -----------------------------------------------------------------------------------------
_SVG: Final = "http://www.w3.org/2000/svg"
_XHTML: Final = "http://www.w3.org/1999/xhtml"


class _Root(xml_stream.Watch):
    """Passes everything on, and looks for what a browser would run where the XML is a drawing or a page."""

    def __init__(self, watch: xml_stream.Watch | None) -> None:
        self.inner = watch or xml_stream.Watch()
        if watch is None or watch.near:
            self.near = (b"svg", b"html", *(watch.near or () if watch else ()))
        self.found: list[Finding] = []
        self.drawing = False
        self.first = True

    @property
    def listening(self) -> bool:
        """A drawing is looked at all over."""
        return self.drawing or self.inner.listening

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Look at the element if it is of SVG or XHTML."""
        namespace, _, plain = name.rpartition(" ")
        if namespace == _SVG and plain == "svg":
            self.drawing = True
        if namespace in (_SVG, _XHTML) or (self.first and plain == "html"):
            self._look(plain, attributes)
        self.first = False
        self.inner.start(name, attributes)

    def end(self, name: str) -> None:
        """Pass on."""
        self.inner.end(name)

    def text(self, text: str) -> None:
        """Pass on."""
        self.inner.text(text)

    def _look(self, plain: str, attributes: dict[str, str]) -> None:
        runs = plain.lower() in {"script", "iframe", "object", "embed", "html", "handler"}
        for key, value in attributes.items():
            target = value.strip().lower()
            runs = runs or key.lower().startswith("on") or target.startswith(("javascript:", "data:text/html"))
            if key.endswith("href") and target.startswith(("http:", "https:", "file:", "//", "\\\\")) and plain != "a":
                self.found.append(Finding(findings.EXTERNAL_LINK, 1, "a drawing that loads something"))
        if runs:
            self.found.append(Finding(findings.ACTIVE_MARKUP, 1, "in a picture or drawing"))


def _xml(chunks: Iterator[bytes], *, declaration: bool, watch: xml_stream.Watch | None) -> Iterator[Finding]:
    head, chunks = _ahead(chunks)
    drawing = b"<svg" in _narrow(head)
    root = _Root(watch)
    root.drawing = drawing
    xml_stream.read(chunks, root, declaration=declaration, entities=drawing)
    yield from root.found
