"""Zip packages of which every reader sees the same members, and nothing else.

Readers disagree over zips: some go by the central directory, some by the local headers, some search for
either. What one shows, another (a scanner) may never see. So a package is taken only if there is nothing
to disagree over: members stand one after the other from the first byte to the central directory, which
stands right before the end record, which ends the file; both say the same of every member.
(PKWARE APPNOTE 6.3.10; OWASP ASVS 5.2.3, 5.2.5.)
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from pipeline.inspection import findings, limits
from pipeline.inspection.report import Unsound

SIGNATURE: Final = b"PK\x03\x04"
END_SIGNATURE: Final = b"PK\x05\x06"
TAIL: Final = 66 * limits.KIB  # of a file: an end record with the longest comment
STORED: Final = 0
DEFLATED: Final = 8

_END: Final = struct.Struct("<4s4H2IH")
_LOCATOR: Final = struct.Struct("<4sIQI")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_ENTRY: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_SAID64: Final = 0xFFFFFFFF
_UNIX: Final = 3
_FLAG_ENCRYPTED, _FLAG_SIZES_FOLLOW, _FLAG_STRONG, _FLAG_UTF8, _FLAG_HIDDEN = 0x1, 0x8, 0x40, 0x800, 0x2000
_METHOD_AES: Final = 99
_EXTRA_ZIP64: Final = 1


@dataclass(frozen=True)
class Member:
    """A member as both its headers describe it. `offset` is that of its local header, `end` where it ends."""

    name: str
    method: int
    packed: int
    size: int
    crc: int
    offset: int
    data: int
    end: int

    @property
    def folder(self) -> bool:
        """Whether it only names a folder."""
        return self.name.endswith("/")


@dataclass(frozen=True)
class _Said:
    """What the central directory says of a member."""

    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def members(file: IO[bytes]) -> list[Member]:
    """Return the package's members in the order in which they stand in the file.

    Nothing has been unpacked yet, but all that is declared is within `limits`. Raises Unsound.
    """
    end = file.seek(0, 2)
    count, start, size, tail = _end_record(file, end)
    if count > limits.MEMBERS:
        raise Unsound(findings.TOO_MANY_MEMBERS, f"{count} members")
    if start + size != tail:
        raise Unsound(findings.POLYGLOT, "bytes outside the package's members")
    said = sorted(_directory(_at(file, start, size), count), key=lambda member: member.offset)
    _declared(said)
    return _contiguous(file, said, start)


def unpacked(file: IO[bytes], member: Member) -> Iterator[bytes]:
    """Yield the member's content, and make sure of its size and CRC. Raises Unsound."""
    crc = size = 0
    for chunk in _inflated(file, member) if member.method == DEFLATED else _raw(file, member):
        size += len(chunk)
        if size > member.size:
            raise Unsound(findings.DAMAGED, "a member is larger than declared")
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if (size, crc) != (member.size, member.crc):
        raise Unsound(findings.DAMAGED, "a member is not what its checksum says")


def read(file: IO[bytes], member: Member, most: int) -> bytes:
    """Return the whole content of a member that declares no more than `most` bytes. Raises Unsound."""
    if member.size > most:
        raise Unsound(findings.UNPACKED_TOO_LARGE, "a part that describes the package")
    return b"".join(unpacked(file, member))


def end_record(tail: bytes, *, size: int) -> bytes:
    """Return the end record that a lenient reader would find in the last bytes of a file of `size` bytes, or b""."""
    place = tail.rfind(END_SIGNATURE)
    while place >= 0:
        if len(tail) - place >= _END.size and _plausible(tail, place, size):
            return tail[place : place + _END.size]
        place = tail.rfind(END_SIGNATURE, 0, place)
    return b""


def _plausible(tail: bytes, place: int, size: int) -> bool:
    """An end record is one if its directory can stand before it; four bytes alone may be chance."""
    _, disk, first_disk, here, count, length, _, _ = _END.unpack_from(tail, place)
    if tail[max(0, place - _LOCATOR.size) : place].startswith(b"PK\x06\x07"):
        return True
    if (disk, first_disk, here) != (0, 0, count) or length < count * _ENTRY.size:
        return False
    start = place - length
    if start >= 0:
        return length == 0 or tail.startswith(b"PK\x01\x02", start)
    return bool(length <= size - len(tail) + place)


# --- the end record ------------------------------------------------------------------------------
def _end_record(file: IO[bytes], end: int) -> tuple[int, int, int, int]:
    """Return how many members there are, where their directory starts, its size, and what stands after it."""
    record = _at(file, max(0, end - _END.size), _END.size)
    if not record.startswith(END_SIGNATURE):
        raise _without_end(file, end)
    _, disk, first_disk, here, count, size, start, comment = _END.unpack(record)
    if comment or disk or first_disk or here != count:
        raise Unsound(findings.DAMAGED, "the package's end record is odd")
    tail = end - _END.size
    locator = _at(file, max(0, tail - _LOCATOR.size), _LOCATOR.size)
    if locator.startswith(b"PK\x06\x07"):
        return _end_record64(file, locator, tail - _LOCATOR.size, (count, size, start))
    return count, start, size, tail


def _end_record64(file: IO[bytes], locator: bytes, tail: int, small: tuple[int, int, int]) -> tuple[int, int, int, int]:
    _, disk, place, disks = _LOCATOR.unpack(locator)
    record = _at(file, place, _END64.size)
    signature, length, _, _, here_disk, first_disk, here, count, size, start = _END64.unpack(record)
    whole = signature == b"PK\x06\x06" and length == _END64.size - 12 and place + _END64.size == tail
    if not whole or disk or disks > 1 or here_disk or first_disk or here != count:
        raise Unsound(findings.DAMAGED, "the package's end record is odd")
    for said, wide, none in zip(small, (count, size, start), (0xFFFF, _SAID64, _SAID64), strict=True):
        if said not in (wide, none):
            raise Unsound(findings.DAMAGED, "the package's end records differ")
    return count, start, size, place


def _without_end(file: IO[bytes], end: int) -> Unsound:
    """Tell a package that was cut off from one that something follows."""
    length = min(end, 0xFFFF + _END.size)
    if end_record(_at(file, end - length, length), size=end):
        return Unsound(findings.POLYGLOT, "bytes after the end of the package")
    return Unsound(findings.DAMAGED, "the package has no end")


# --- the central directory -------------------------------------------------------------------------
def _directory(directory: bytes, count: int) -> Iterator[_Said]:
    place = 0
    for _ in range(count):
        if len(directory) - place < _ENTRY.size or directory[place : place + 4] != b"PK\x01\x02":
            raise Unsound(findings.DAMAGED, "the package's directory is cut")
        said, place = _entry(directory, place)
        yield said
    if place != len(directory):
        raise Unsound(findings.POLYGLOT, "bytes after the package's directory")


def _entry(directory: bytes, place: int) -> tuple[_Said, int]:
    (
        _,
        by,
        _,
        flags,
        method,
        _,
        _,
        crc,
        packed,
        size,
        name_length,
        extra_length,
        comment_length,
        disk,
        _,
        mode,
        offset,
    ) = _ENTRY.unpack_from(directory, place)
    names = place + _ENTRY.size
    extras = names + name_length
    raw_name = directory[names:extras]
    extra = directory[extras : extras + extra_length]
    size, packed, offset = _wide(extra, [size, packed, offset])
    if by >> 8 == _UNIX and stat.S_ISLNK(mode >> 16):
        raise Unsound(findings.MEMBER_NOT_ALLOWED, "a link")
    if disk:
        raise Unsound(findings.DAMAGED, "a member in another file")
    said = _Said(raw_name, _name(raw_name, flags), flags, method, crc, packed, size, offset)
    return said, extras + extra_length + comment_length


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """Replace what did not fit into 32 bits by what the zip64 field says, in its order."""
    if _SAID64 not in values:
        return values
    wide = _extra(extra, _EXTRA_ZIP64)
    place = 0
    for index, value in enumerate(values):
        if value == _SAID64 and place + 8 <= len(wide):
            values[index] = int.from_bytes(wide[place : place + 8], "little")
            place += 8
    return values


def _extra(extra: bytes, wanted: int) -> bytes:
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        if kind == wanted:
            return extra[place + 4 : place + 4 + length]
        place += 4 + length
    return b""


def _name(raw: bytes, flags: int) -> str:
    """Decode the name and make sure that it stays inside the package. Raises Unsound."""
    try:
        name = raw.decode("utf-8" if flags & _FLAG_UTF8 else "cp437")
    except UnicodeDecodeError:
        raise Unsound(findings.DAMAGED, "a member's name is not text") from None
    steps = name.removesuffix("/").split("/")
    if not name or "\\" in name or "\0" in name or ":" in steps[0] or {"", ".", ".."} & set(steps):
        raise Unsound(findings.MEMBER_NOT_ALLOWED, "a name that leads out of the package")
    return name


def _declared(said: list[_Said]) -> None:
    """Hold what is declared against the limits, before anything is unpacked. Raises Unsound."""
    names: set[str] = set()
    total = 0
    for member in said:
        if member.flags & (_FLAG_ENCRYPTED | _FLAG_STRONG | _FLAG_HIDDEN) or member.method == _METHOD_AES:
            raise Unsound(findings.ENCRYPTED, "a member of the package")
        if member.method not in (STORED, DEFLATED):
            raise Unsound(findings.COMPRESSION_NOT_READABLE, f"method {member.method}")
        if member.name.casefold() in names:
            raise Unsound(findings.DAMAGED, "two members of one name")
        names.add(member.name.casefold())
        if member.size > max(limits.RATIO_FROM, member.packed * limits.RATIO):
            raise Unsound(findings.UNPACKED_TOO_LARGE, f"a member unpacks to more than {limits.RATIO} times its size")
        total += member.size
    if total > limits.UNPACKED:
        raise Unsound(findings.UNPACKED_TOO_LARGE, f"more than {limits.UNPACKED // limits.MIB} MiB")


# --- the members -------------------------------------------------------------------------------
def _contiguous(file: IO[bytes], said: list[_Said], directory: int) -> list[Member]:
    """Match each local header, and make sure that no byte stands between the members. Raises Unsound."""
    found: list[Member] = []
    expected = 0
    for member in said:
        if member.offset < expected:
            raise Unsound(findings.DAMAGED, "members of the package overlap")
        if member.offset > expected:
            raise Unsound(findings.POLYGLOT, "bytes outside the package's members")
        found.append(_local(file, member))
        expected = found[-1].end
    if expected != directory:
        raise Unsound(findings.DAMAGED if expected > directory else findings.POLYGLOT, "bytes before the directory")
    return found


def _local(file: IO[bytes], said: _Said) -> Member:
    header = _at(file, said.offset, _LOCAL.size)
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(header)
    names = _at(file, said.offset + _LOCAL.size, name_length + extra_length)
    size, packed = _wide(names[name_length:], [size, packed])
    sizes_follow = bool(flags & _FLAG_SIZES_FOLLOW)
    same = (
        signature == SIGNATURE
        and names[:name_length] == said.raw_name
        and method == said.method
        and not (flags ^ said.flags) & (_FLAG_ENCRYPTED | _FLAG_SIZES_FOLLOW | _FLAG_STRONG)
        and all(
            here == there or (sizes_follow and here == 0)
            for here, there in ((crc, said.crc), (packed, said.packed), (size, said.size))
        )
    )
    if not same:
        raise Unsound(findings.DAMAGED, "the package's directory and its members differ")
    data = said.offset + _LOCAL.size + name_length + extra_length
    end = data + said.packed
    end += _descriptor(file, end, said) if sizes_follow else 0
    return Member(said.name, method, said.packed, said.size, said.crc, said.offset, data, end)


def _descriptor(file: IO[bytes], place: int, said: _Said) -> int:
    """Return the length of the data descriptor: with or without signature, with narrow or wide sizes."""
    there = _at(file, place, 24, short=True)
    for signature in (b"PK\x07\x08", b""):
        for sizes in ("<I2Q", "<3I"):
            try:
                descriptor = signature + struct.pack(sizes, said.crc, said.packed, said.size)
            except struct.error:  # too large for the narrow form
                continue
            if there.startswith(descriptor):
                return len(descriptor)
    raise Unsound(findings.DAMAGED, "the package's directory and its members differ")


def _raw(file: IO[bytes], member: Member) -> Iterator[bytes]:
    place = member.data
    while place < member.data + member.packed:
        chunk = _at(file, place, min(limits.CHUNK, member.data + member.packed - place))
        yield chunk
        place += len(chunk)


def _inflated(file: IO[bytes], member: Member) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for packed in _raw(file, member):
            while packed and not inflate.eof:
                yield inflate.decompress(packed, limits.CHUNK)
                packed = inflate.unconsumed_tail
            if packed or inflate.unused_data:
                raise Unsound(findings.POLYGLOT, "bytes after the end of a member")
        while not inflate.eof:
            rest = inflate.decompress(inflate.unconsumed_tail, limits.CHUNK)
            if not rest and not inflate.eof:
                raise Unsound(findings.DAMAGED, "a member is cut")
            yield rest
    except zlib.error:
        raise Unsound(findings.DAMAGED, "a member cannot be unpacked") from None


def _at(file: IO[bytes], place: int, length: int, *, short: bool = False) -> bytes:
    """Read exactly `length` bytes at `place`. Raises Unsound."""
    file.seek(place)
    there = file.read(length)
    if len(there) != length and not short:
        raise Unsound(findings.DAMAGED, "the package is cut")
    return there
