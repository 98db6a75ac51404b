"""Legacy Office (OLE2 compound files): the stream that the program itself would open decides what it is.

The directory may stand anywhere in the file, so its first bytes cannot tell a doc from an xls. Macros and
embedded objects are told by streams and storages, and by the records of the main stream ([MS-CFB],
[MS-DOC], [MS-XLS], [MS-PPT]).
"""

import re
import struct
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, Final

import olefile
from msoffcrypto.format.doc97 import Doc97File
from msoffcrypto.format.ppt97 import Ppt97File
from msoffcrypto.format.xls97 import Xls97File

from pipeline.inspection import findings, limits
from pipeline.inspection.report import Finding, Unsound

SIGNATURE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
UNKNOWN: Final = "application/x-ole-storage"
WORD: Final = "application/msword"
EXCEL: Final = "application/vnd.ms-excel"
POWERPOINT: Final = "application/vnd.ms-powerpoint"
ENCRYPTED: Final = "application/encrypted"  # an OOXML document of any kind, in an envelope
_MAIN: Final = {
    "worddocument": WORD,
    "workbook": EXCEL,
    "book": EXCEL,
    "powerpoint document": POWERPOINT,
}
_OFFICE: Final = {WORD: Doc97File, EXCEL: Xls97File, POWERPOINT: Ppt97File}
_ENVELOPE: Final = {"encryptedpackage", "encryptioninfo", "\x09drmcontent"}
_MACROS: Final = {"vba", "_vba_project", "_vba_project_cur"}
_NATIVE: Final = "\x01ole10native"
_OBJECT: Final = {"\x01ole", "\x01compobj", "\x03objinfo", "\x03ocxname", "package", "contents"}
_OBJECT_STORAGE: Final = re.compile(r"(?:mbd|lnk)[0-9a-f]{8}")
_WHITE: Final = b"\0\xff"


class Compound:
    """An open compound file: its streams and storages by path, in lower case."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read its tables and directory. Raises Unsound."""
        self.file = file
        try:
            self._read(olefile.DEFECT_FATAL)
            if self.media_type != ENCRYPTED:  # the envelopes that others than Office make are odd, but say enough
                self._read(olefile.DEFECT_INCORRECT)
        except (OSError, ValueError, IndexError, TypeError, AttributeError, struct.error, RecursionError):
            raise Unsound(findings.DAMAGED, "its tables cannot be read") from None

    def _read(self, strictness: int) -> None:
        self.file.seek(0)
        self.ole = olefile.OleFileIO(self.file, raise_defects=strictness)
        if len(self.ole.direntries) > 4 * limits.OLE_ENTRIES:
            raise Unsound(findings.TOO_MANY_MEMBERS, "streams and storages")
        self.streams = {_lower(path): path for path in self.ole.listdir()}
        self.storages = {_lower(path) for path in self.ole.listdir(streams=False, storages=True)}

    @property
    def media_type(self) -> str:
        """What the program that opens its main stream calls it."""
        roots = {path[0] for path in self.streams if len(path) == 1}
        if roots & _ENVELOPE:
            return ENCRYPTED
        return next((kind for name, kind in _MAIN.items() if name in roots), UNKNOWN)

    def read(self, *path: str) -> bytes:
        """Return a stream's content. Raises Unsound."""
        try:
            if self.ole.get_size(self.streams[path]) > limits.STREAM_BYTES:
                raise Unsound(
                    findings.UNPACKED_TOO_LARGE, f"a stream of more than {limits.STREAM_BYTES // limits.MIB} MiB"
                )
            return bytes(self.ole.openstream(self.streams[path]).getvalue())
        except (OSError, IndexError, TypeError, AttributeError):
            raise Unsound(findings.DAMAGED, "a stream is cut") from None


def look(compound: Compound) -> Iterator[Finding]:
    """Yield what is found in the compound file. Raises Unsound."""
    kind = compound.media_type
    if kind == ENCRYPTED:
        raise Unsound(findings.ENCRYPTED, "a password opens it")
    roots = [name for name in _MAIN if (name,) in compound.streams]
    if len({_MAIN[name] for name in roots}) > 1:
        yield Finding(findings.POLYGLOT, 1, "documents of two programs in one")
    _whole(compound)
    yield from _behind(compound)
    if roots and kind != UNKNOWN:
        main = compound.read(roots[0])
        if kind == WORD and _FIB.unpack_from(main.ljust(_FIB.size, b"\0"))[0] != _WORD_97:
            raise Unsound(findings.TYPE_NOT_ALLOWED, "written before Word 97")  # macros where nobody looks any more
        _readable(compound, kind)
        yield from {WORD: _word, EXCEL: _excel, POWERPOINT: _powerpoint}[kind](main)
    yield from _stored(compound)


def native_payloads(compound: Compound) -> Iterator[bytes]:
    """Yield the content of each object of the kind Package, without its names ([MS-OLEDS] 2.3.6). Raises Unsound."""
    for path in compound.streams:
        if path[-1] == _NATIVE:
            yield _payload(compound.read(*path))


def _payload(native: bytes) -> bytes:
    """Three names that end in zero stand before the content; where they do not fit, all of it is given."""
    place = 6
    for _ in range(2):  # label, file name
        place = native.find(b"\0", place) + 1
        if not place:
            return native
    length = int.from_bytes(native[place + 4 : place + 8], "little")
    place += 8 + length
    size = int.from_bytes(native[place : place + 4], "little")
    content = native[place + 4 : place + 4 + size]
    return content if size and len(content) == size else native


# --- the container -------------------------------------------------------------------------------
def _lower(path: list[str]) -> tuple[str, ...]:
    return tuple(step.lower() for step in path)


def _whole(compound: Compound) -> None:
    """Follow the sectors of every stream to their end. Raises Unsound."""
    ole = compound.ole
    if compound.streams:
        ole.loadminifat()
    for entry in filter(None, ole.direntries):
        if entry.entry_type not in (olefile.STGTY_STREAM, olefile.STGTY_ROOT) or not entry.size:
            continue
        table, sector = (ole.minifat, ole.minisectorsize) if entry.is_minifat else (ole.fat, ole.sectorsize)
        _followed(table, entry.isectStart, -(-entry.size // sector))


def _followed(table: Any, here: int, count: int) -> None:
    if count > len(table):
        raise Unsound(findings.DAMAGED, "a stream is cut")
    for _ in range(count):
        if here >= len(table):
            raise Unsound(findings.DAMAGED, "a stream is cut")
        here = table[here]
    if here < len(table):
        raise Unsound(findings.DAMAGED, "a stream goes round in a circle or is longer than it says")


def _behind(compound: Compound) -> Iterator[Finding]:
    """Look at what stands behind the last sector in use."""
    ole = compound.ole
    last = max((place for place, following in enumerate(ole.fat) if following != olefile.FREESECT), default=-1)
    compound.file.seek(ole.sectorsize * (last + 2))
    while behind := compound.file.read(limits.CHUNK):
        if behind.strip(_WHITE):
            yield Finding(findings.POLYGLOT, 1, "bytes after the last sector")
            return


def _stored(compound: Compound) -> Iterator[Finding]:
    """Look at what the names of streams and storages say."""
    paths = compound.storages | compound.streams.keys()
    if any(_MACROS & set(path) for path in paths):
        yield Finding(findings.MACRO, 1, "a VBA project")
    objects = {
        path[:-1]
        for path in compound.streams
        if path[-1] == _NATIVE or (len(path) > 1 and path[-1] in _OBJECT and not _MACROS & set(path))
    }
    objects |= {
        path for path in compound.storages if _OBJECT_STORAGE.fullmatch(path[-1]) or path[:-1] == ("objectpool",)
    }
    if objects:
        yield Finding(findings.EMBEDDED_OLE, len(objects), "objects of other programs")


def _readable(compound: Compound, kind: str) -> None:
    """Make sure that no password is needed. Raises Unsound."""
    if ("book",) in compound.streams:  # Excel 5: its own record says it
        return
    try:
        encrypted = _OFFICE[kind](compound.file).is_encrypted()
    except Exception:  # noqa: BLE001 (it raises whatever its many parsers stumble over)
        raise Unsound(findings.DAMAGED, "its main stream cannot be read") from None
    if encrypted:
        raise Unsound(findings.ENCRYPTED, "a password opens it")


# --- Word ----------------------------------------------------------------------------------------
_FIB: Final = struct.Struct("<2H6xH")
_WORD_97: Final = 0xA5EC
_FIB_ENCRYPTED: Final = 0x0100
_DDE: Final = re.compile(rb"\x13\s*DDE(?:AUTO)?\b|\x13\0(?:\s\0)*D\0D\0E\0", re.IGNORECASE)


def _word(main: bytes) -> Iterator[Finding]:
    if _FIB.unpack_from(main)[2] & _FIB_ENCRYPTED:
        raise Unsound(findings.ENCRYPTED, "a password opens it")
    if _DDE.search(main):
        yield Finding(findings.MACRO, 1, "a field that starts a program")


# --- Excel ---------------------------------------------------------------------------------------
_BOF, _EOF, _FILEPASS, _BOUNDSHEET, _SUPBOOK = 0x0809, 0x000A, 0x002F, 0x0085, 0x01AE
_MACRO_SHEET: Final = 1
_MACRO_SUBSTREAM: Final = 0x0040
_OWN_SHEETS: Final = (b"\x01\x04", b"\x01\x3a")


def _excel(main: bytes) -> Iterator[Finding]:
    """Read the records: sheets of old macros, links to other workbooks and programs."""
    macros = programs = workbooks = 0
    for kind, body in _records(main):
        if kind == _FILEPASS:
            raise Unsound(findings.ENCRYPTED, "a password opens it")
        if kind == _BOUNDSHEET:
            macros += body[5:6] == bytes((_MACRO_SHEET,))
        elif kind == _BOF:
            macros += int.from_bytes(body[2:4], "little") == _MACRO_SUBSTREAM
        elif kind == _SUPBOOK and body[2:4] not in _OWN_SHEETS:
            path = body[4:].replace(b"\0", b"")
            programs += b"\x03" in path
            workbooks += path.strip(b"\x01 ") != b""
    if macros:
        yield Finding(findings.MACRO, macros, "a macro sheet")
    if programs:
        yield Finding(findings.MACRO, programs, "a link that starts a program")
    if workbooks:
        yield Finding(findings.EXTERNAL_LINK, workbooks, "a workbook")


def _records(main: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each record's kind and body. Raises Unsound where the first part is cut."""
    place, ended = 0, False
    while place + 4 <= len(main):
        kind, length = struct.unpack_from("<2H", main, place)
        body = main[place + 4 : place + 4 + length]
        if place == 0 and kind != _BOF:
            break
        if len(body) != length or (ended and kind == 0):
            break
        ended = ended or kind == _EOF
        yield kind, body
        place += 4 + length
    if not ended:
        raise Unsound(findings.DAMAGED, "its main stream cannot be read")


# --- PowerPoint ------------------------------------------------------------------------------------
_CONTAINER: Final = 0xF
_VBA_INFO, _OLE_OBJECT, _OLE_LINK, _INTERACTION = 0x0400, 0x1011, 0x0FCE, 0x0FF3
_STARTS_MACRO, _STARTS_PROGRAM = 1, 2


def _powerpoint(main: bytes) -> Iterator[Finding]:
    """Read the records: macros, embedded objects, and what a click starts."""
    found: Counter[tuple[str, str]] = Counter()
    place = 0
    while place + 8 <= len(main):
        version, kind, length = struct.unpack_from("<HHI", main, place)
        place += 8
        found.update(_slide_record(kind, main[place : place + 12]))
        place += 0 if version & 0xF == _CONTAINER else length
    if place > len(main):
        raise Unsound(findings.DAMAGED, "its main stream cannot be read")
    yield from (Finding(kind, count, detail) for (kind, detail), count in found.items())


def _slide_record(kind: int, start: bytes) -> Iterator[tuple[str, str]]:
    if kind == _VBA_INFO and start[4:8].strip(b"\0"):
        yield findings.MACRO, "a VBA project"
    elif kind == _OLE_OBJECT:
        yield findings.EMBEDDED_OLE, "objects of other programs"
    elif kind == _OLE_LINK:
        yield findings.EXTERNAL_LINK, "an OLE object"
    elif kind == _INTERACTION and start[8:9] == bytes((_STARTS_MACRO,)):
        yield findings.MACRO, "a click that starts a macro"
    elif kind == _INTERACTION and start[8:9] == bytes((_STARTS_PROGRAM,)):
        yield findings.LAUNCH_ACTION, "a click that starts a program"
