"""Pictures: PNG, JPEG and TIFF that end where their format says, and of which every pixel unpacks.

Pillow unpacks; where a picture ends, and how large it says to be, is read here first, because Pillow
stops reading at the end of the picture and would never see what follows. (OWASP ASVS 5.2.6: pixel flood.)
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, Final

from PIL import Image, ImageFile, UnidentifiedImageError

from pipeline.inspection import active, findings, limits
from pipeline.inspection.report import Finding, Unsound

PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
TIFF: Final = "image/tiff"
_PILLOW: Final = {PNG: ("PNG",), JPEG: ("JPEG",), TIFF: ("TIFF",)}
_OUTLINES: Final = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")
_BYTES_PER_PIXEL: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # as Pillow holds them
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_WHITE: Final = b"\0\t\n\r "
_PADDED: Final = tuple(bytes((each,)) for each in _WHITE)

Image.init()  # all formats, because Pillow would load the rarer ones only when it meets them
Image.MAX_IMAGE_PIXELS = None  # our own limits, which hold for all pages and know of memory
ImageFile.LOAD_TRUNCATED_IMAGES = False


def look(file: IO[bytes], media_type: str) -> Iterator[Finding]:
    """Unpack every pixel of a PNG, JPEG or TIFF and yield what is found. Raises Unsound."""
    if media_type == PNG:
        beside = _whole_png(file)
    elif media_type == JPEG:
        beside = _whole_jpeg(file)
    else:
        beside = _whole_tiff(file)
    if _any_markup(file):
        yield Finding(findings.ACTIVE_MARKUP, 1, "in a picture")
    file.seek(0)
    try:
        with Image.open(file, formats=_PILLOW[media_type]) as picture:
            _unpack(picture, beside)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        raise Unsound(findings.DAMAGED, "the picture cannot be unpacked") from None


def outline(file: BinaryIO) -> Iterator[Finding]:
    """Yield what is found in a picture that is a member of something else; its pixels are only counted."""
    file.seek(0)
    try:
        with Image.open(file, formats=_OUTLINES) as picture:
            if picture.width * picture.height > limits.PIXELS:
                yield Finding(findings.PIXEL_FLOOD, 1, "a picture in the file")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        yield Finding(findings.DAMAGED, 1, "a picture in the file")


def _unpack(picture: Image.Image, beside: int) -> None:
    """Unpack each page. `beside`: bytes of memory that the codec needs besides the pixels. Raises Unsound."""
    total = 0
    for page in range(getattr(picture, "n_frames", 1)):
        picture.seek(page)
        pixels = picture.width * picture.height
        total += pixels
        _affordable(pixels, total, page)
        if picture.format == "JPEG":  # every coefficient is read, but an eighth of the size is made
            picture.draft(None, (max(1, picture.width // 8), max(1, picture.height // 8)))
            pixels = picture.width * picture.height
        if pixels * _BYTES_PER_PIXEL.get(picture.mode, 4) + beside > limits.PIXEL_BYTES:
            raise Unsound(findings.PIXEL_FLOOD, f"more than {limits.PIXEL_BYTES // limits.MIB} MiB unpacked")
        picture.load()


def _affordable(pixels: int, total: int, page: int) -> None:
    if pixels > limits.PIXELS:
        raise Unsound(findings.PIXEL_FLOOD, f"more than {limits.PIXELS // 1_000_000} megapixels")
    if total > limits.ALL_PIXELS or page >= limits.FRAMES:
        raise Unsound(findings.PIXEL_FLOOD, "too many pages")


def _any_markup(file: IO[bytes]) -> bool:
    file.seek(0)
    before = b""
    while chunk := file.read(limits.CHUNK):
        if active.in_picture(before + chunk):
            return True
        before = chunk[-active.OVERLAP :]
    return False


# --- PNG -----------------------------------------------------------------------------------------
def _whole_png(file: IO[bytes]) -> int:
    """Walk the chunks up to the last; return the memory that animation takes (PNG 3rd edition, 5). Raises Unsound."""
    place, pixels, animated = len(_PNG_SIGNATURE), 0, False
    while True:
        length, kind = struct.unpack(">I4s", _at(file, place, 8))
        if kind == b"IHDR":
            width, height = struct.unpack(">2I", _at(file, place + 8, 8))
            pixels = width * height
            _affordable(pixels, 0, 0)
        animated = animated or kind == b"acTL"
        _checked(file, place + 4, length + 4)
        place += 12 + length
        if kind == b"IEND":
            break
    _nothing_but_padding(file, place)
    return 8 * pixels if animated else 0  # two more canvases


def _checked(file: IO[bytes], place: int, length: int) -> None:
    """Make sure of a chunk's CRC, which stands after it. Raises Unsound."""
    crc = 0
    file.seek(place)
    while length > 0:
        piece = file.read(min(length, limits.CHUNK))
        if not piece:
            raise Unsound(findings.DAMAGED, "the picture is cut")
        crc = zlib.crc32(piece, crc)
        length -= len(piece)
    if file.read(4) != crc.to_bytes(4, "big"):
        raise Unsound(findings.DAMAGED, "the picture is not what its checksum says")


# --- JPEG ----------------------------------------------------------------------------------------
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FRAMES: Final = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_MOST_PICTURES: Final = 32
_BOXES: Final = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"mpvd", b"moof", b"mfra"}


def _whole_jpeg(file: IO[bytes]) -> int:
    """Walk to the end of the picture and what phones put behind it; return the memory of its coefficients.

    Behind it may stand: further pictures (CIPA DC-007, also of HDR photos), Samsung's list of extras, and
    the film of a motion photo. Raises Unsound.
    """
    end = file.seek(0, 2)
    place, beside = _jpeg_end(file, 0)
    for _ in range(_MOST_PICTURES):
        start = _at(file, place, 12, short=True)
        if not start:
            return beside
        if start.startswith(b"\xff\xd8\xff"):
            place, more = _jpeg_end(file, place)
            beside = max(beside, more)
        elif start[4:8] == b"ftyp":
            place = _film_end(file, place, end)
        elif _is_samsung_list(file, place, end):
            return beside
        elif not start.startswith(_PADDED):
            break
        else:
            place = _after_padding(file, place)
    raise Unsound(findings.POLYGLOT, "bytes after the end of the picture")


def _jpeg_end(file: IO[bytes], place: int) -> tuple[int, int]:
    """Return where the picture that starts at `place` ends, and the memory of its coefficients (T.81 annex B)."""
    beside = 0
    place += 2
    while True:
        place, marker = _marker(file, place)
        if marker == _EOI:
            return place, beside
        if marker == _SOI:
            raise Unsound(findings.DAMAGED, "the picture is cut")
        if 0xD0 <= marker < _SOI or marker == 0x01:
            continue
        (length,) = struct.unpack(">H", _at(file, place, 2))
        if marker in _FRAMES:
            beside = _coefficients(marker, _at(file, place, length))
        place += max(2, length)
        if marker == _SOS:
            place = _after_scan(file, place)


def _marker(file: IO[bytes], place: int) -> tuple[int, int]:
    found = _at(file, place, 2)
    if found[0] != 0xFF:
        raise Unsound(findings.DAMAGED, "the picture's segments do not join")
    while found[1] == 0xFF:  # fill bytes
        place += 1
        found = _at(file, place, 2)
    return place + 2, found[1]


def _coefficients(marker: int, frame: bytes) -> int:
    """Return what a progressive picture needs while it is unpacked: all coefficients at once, 16 bits each."""
    if len(frame) < 8:
        raise Unsound(findings.DAMAGED, "the picture's segments do not join")
    height, width, count = struct.unpack(">HHB", frame[3:8])
    _affordable(width * height, 0, 0)
    sampling = [frame[9 + 3 * index] for index in range(count) if 9 + 3 * index < len(frame)]
    areas = [(each >> 4) * (each & 15) for each in sampling]
    largest = max(areas, default=0) or 1
    return 2 * width * height * sum(areas) // largest if marker in (0xC2, 0xC6, 0xCA, 0xCE) else 0


def _after_scan(file: IO[bytes], place: int) -> int:
    """Return the place of the marker that ends the scan."""
    while chunk := _at(file, place, limits.CHUNK, short=True):
        if found := _MARKER.search(chunk):
            return place + found.start()
        if len(chunk) < limits.CHUNK:
            break
        place += len(chunk) - 1  # a marker may stand across the border
    raise Unsound(findings.DAMAGED, "the picture is cut")


def _film_end(file: IO[bytes], place: int, end: int) -> int:
    """Walk the boxes of an ISO base media file (ISO 14496-12, 4.2). Raises Unsound."""
    while place < end:
        head = _at(file, place, 16, short=True).ljust(16, b"\0")
        length, kind, wide = struct.unpack(">I4sQ", head)
        if kind not in _BOXES:
            return place
        length = {0: end - place, 1: wide}.get(length, length)
        if length < 8 or place + length > end:
            raise Unsound(findings.DAMAGED, "the film behind the picture is cut")
        place += length
    return place


def _is_samsung_list(file: IO[bytes], place: int, end: int) -> bool:
    """Whether the rest is a list of extras as Samsung's phones append it: entries, then SEFH, its length, SEFT."""
    length, name = struct.unpack("<I4s", _at(file, end - 8, 8))
    start: int = end - 8 - length
    if name != b"SEFT" or not 24 <= length <= 4 * limits.KIB or start < place:
        return False
    header = _at(file, start, length)
    count = int.from_bytes(header[8:12], "little")
    if not header.startswith(b"SEFH") or count == 0 or len(header) < 12 + 12 * count:
        return False
    backs: list[int] = [struct.unpack_from("<4xI", header, 12 + 12 * index)[0] for index in range(count)]
    return place == start - max(backs)


# --- TIFF ----------------------------------------------------------------------------------------
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS: Final = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_COMPRESSIONS: Final = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946}
_MOST_STRIPS: Final = 1_000_000
_MOST_DIRECTORIES: Final = 4 * limits.FRAMES
_SUBDIRECTORIES: Final = (330, 34665, 34853, 40965)
_PLACES: Final = ((273, 279), (324, 325), (513, 514))


@dataclass
class _Layout:
    """How a TIFF writes numbers: its byte order, and whether it is a BigTIFF."""

    order: str
    big: bool

    def number(self, field: bytes, letter: str) -> int:
        return int(struct.unpack(self.order + letter, field)[0])


def _whole_tiff(file: IO[bytes]) -> int:
    """Walk every directory; return the memory of the largest strip (TIFF 6.0, section 2; BigTIFF). Raises Unsound."""
    end = file.seek(0, 2)
    header = _at(file, 0, 8)
    layout = _Layout("<" if header.startswith(b"II") else ">", header[2:4] in (b"+\0", b"\0+"))
    first = layout.number(_at(file, 8, 8), "Q") if layout.big else layout.number(header[4:8], "I")
    waiting, seen, reached, beside, pages = [(first, True)], set[int](), 8, 0, 0
    while waiting:
        place, page = waiting.pop()
        if place in seen:
            raise Unsound(findings.DAMAGED, "the picture's pages go round in a circle")
        seen.add(place)
        pages += page
        if pages > limits.FRAMES or len(seen) > _MOST_DIRECTORIES:
            raise Unsound(findings.PIXEL_FLOOD, "too many pages")
        tags, following, reach = _tags(file, layout, place)
        reached = max(reached, reach, *_reaches(file, layout, tags))
        beside = max(beside, _strip(file, layout, tags))
        waiting += [(each, False) for tag in _SUBDIRECTORIES for each in _values(file, layout, tags.get(tag))]
        if page and following:
            waiting.append((following, True))
    if reached > end:
        raise Unsound(findings.DAMAGED, "the picture is cut")
    _nothing_but_padding(file, reached)
    return beside


_Tag = tuple[int, int, int]  # type, count, place of the values


def _tags(file: IO[bytes], layout: _Layout, place: int) -> tuple[dict[int, _Tag], int, int]:
    """Return a directory's tags, the place of the next one, and how far this one reaches."""
    head, entry, wide = (8, 20, "Q") if layout.big else (2, 12, "I")
    count = layout.number(_at(file, place, head), "Q" if layout.big else "H")
    if count > 0xFFFF:
        raise Unsound(findings.DAMAGED, "the picture's directory is odd")
    body = _at(file, place + head, count * entry)
    reach = place + head + count * entry
    following = layout.number(_at(file, reach, struct.calcsize(wide)), wide)
    reach += struct.calcsize(wide)
    tags: dict[int, _Tag] = {}
    for index in range(count):
        tag, kind, number, value = struct.unpack_from(f"{layout.order}HH{wide}{wide}", body, index * entry)
        length = _SIZES.get(kind, 1) * number
        inline = length <= struct.calcsize(wide)
        at = place + head + (index + 1) * entry - struct.calcsize(wide) if inline else value
        tags[tag] = (kind, number, at)
        reach = max(reach, 0 if inline else at + length)
    return tags, following, reach


def _values(file: IO[bytes], layout: _Layout, tag: _Tag | None) -> tuple[int, ...]:
    if tag is None or tag[0] not in _NUMBERS:
        return ()
    kind, count, place = tag
    if count > _MOST_STRIPS:
        raise Unsound(findings.DAMAGED, "the picture's directory is odd")
    return struct.unpack(f"{layout.order}{count}{_NUMBERS[kind]}", _at(file, place, count * _SIZES[kind]))


def _reaches(file: IO[bytes], layout: _Layout, tags: dict[int, _Tag]) -> Iterator[int]:
    """Yield where each strip or tile ends."""
    yield 0
    for places, lengths in _PLACES:
        starts, sizes = (_values(file, layout, tags.get(tag)) for tag in (places, lengths))
        if starts and not sizes:  # as old writers leave it: nobody knows where the strips end
            yield file.seek(0, 2)
        yield from (start + size for start, size in zip(starts, sizes, strict=False))


def _strip(file: IO[bytes], layout: _Layout, tags: dict[int, _Tag]) -> int:
    """Return the memory that one strip or tile takes unpacked, having checked the page's size and compression."""

    def said(tag: int, default: int) -> int:
        values = _values(file, layout, tags.get(tag))
        return values[0] if values else default

    width, height = said(256, 0), said(257, 0)
    _affordable(width * height, 0, 0)
    if (compression := said(259, 1)) not in _COMPRESSIONS:
        raise Unsound(findings.COMPRESSION_NOT_READABLE, f"method {compression}")
    across, down = said(322, width), min(said(323, said(278, height)), max(height, said(323, 0)))
    bits = _values(file, layout, tags.get(258)) or (1,)
    return across * down * max(said(277, 1) * bits[0], sum(bits[:16])) // 8


# --- what they share -----------------------------------------------------------------------------
def _after_padding(file: IO[bytes], place: int) -> int:
    """Return the place of the first byte after line ends and zeros."""
    padding = _at(file, place, limits.PADDING, short=True)
    return place + len(padding) - len(padding.lstrip(_WHITE))


def _nothing_but_padding(file: IO[bytes], place: int) -> None:
    if _at(file, _after_padding(file, place), 1, short=True):
        raise Unsound(findings.POLYGLOT, "bytes after the end of the picture")


def _at(file: IO[bytes], place: int, length: int, *, short: bool = False) -> bytes:
    """Read exactly `length` bytes at `place`. Raises Unsound."""
    file.seek(place)
    there = file.read(length)
    if len(there) != length and not short:
        raise Unsound(findings.DAMAGED, "the picture is cut")
    return there
