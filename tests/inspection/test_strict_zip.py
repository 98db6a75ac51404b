"""A package is taken only if no two readers could disagree over it."""

import io
import random
import stat
import struct
import zipfile

import pytest

from pipeline.inspection import strict_zip
from pipeline.inspection.report import Unsound
from tests.inspection import makers
from tests.inspection.makers import Entry, assembled, entries, zipped

PARTS = {"a.xml": b"<a/>" * 100, "folder/b.bin": bytes(range(256)) * 300, "empty": b""}


def contents(body: bytes) -> dict[str, bytes]:
    """Read a package whole."""
    file = io.BytesIO(body)
    return {member.name: b"".join(strict_zip.unpacked(file, member)) for member in strict_zip.members(file)}


def refusal(body: bytes) -> str:
    """Why a package is refused."""
    with pytest.raises(Unsound) as unsound:
        contents(body)
    return unsound.value.finding.kind


class _NoSeek(io.RawIOBase):
    """A pipe: Python then writes sizes behind the members."""

    def __init__(self) -> None:
        self.body = b""

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        self.body += bytes(content)  # type: ignore[call-overload] # whatever has bytes
        return len(bytes(content))  # type: ignore[call-overload] # whatever has bytes


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_sound_package_is_read(method: int) -> None:
    assert contents(zipped(PARTS, method)) == PARTS
    assert contents(assembled(entries(PARTS, method=method))) == PARTS


@pytest.mark.parametrize("wide", [False, True])
def test_sizes_behind_the_members_and_wide_sizes_are_read(wide: bool) -> None:
    pipe = _NoSeek()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in PARTS.items():
            with package.open(name, "w", force_zip64=wide) as part:
                part.write(content)
    assert contents(pipe.body) == PARTS


def test_members_may_be_listed_in_another_order_and_in_folders() -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as package:
        package.mkdir("folder")
        package.writestr("folder/Grüße.xml", b"<a/>")
        package.filelist.reverse()
    assert set(contents(body.getvalue())) == {"folder/", "folder/Grüße.xml"}


@pytest.mark.parametrize("name", ["/a", "../a", "a/../../b", "a\\b", "C:/a", "a//b", "./a", "a\0b", ""])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    assert refusal(assembled([Entry(name, b"x")])) == "member_not_allowed"


def test_a_link_is_refused() -> None:
    assert refusal(assembled([Entry("a", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)])) == "member_not_allowed"


def test_two_members_of_one_name_are_refused() -> None:
    assert refusal(assembled([Entry("a.xml", b"x"), Entry("A.xml", b"y")])) == "damaged"


@pytest.mark.parametrize(
    "change",
    [{"crc": 1}, {"size": 5}, {"size": 500}, {"packed": b"\x03\0junk"}, {"packed": b"junk"}, {"packed": b""}],
)
@pytest.mark.parametrize("method", [0, 8])
def test_a_member_that_is_not_what_it_says_is_refused(change: dict[str, object], method: int) -> None:
    entry = Entry("a", b"words and more", method=method)
    for name, value in change.items():
        setattr(entry, name, value)
    assert refusal(assembled([entry])) in {"damaged", "polyglot"}


def test_bytes_behind_a_member_s_own_end_are_refused() -> None:
    content = b"words" * 100
    packed = makers.deflated(content) + makers.PE
    assert refusal(assembled([Entry("a", content, packed=packed)])) == "polyglot"


@pytest.mark.parametrize("flags", [0x1, 0x40, 0x2000])
def test_any_flag_of_encryption_is_encryption(flags: int) -> None:
    assert refusal(assembled(entries(PARTS, flags=flags))) == "encrypted"


def test_limits_hold_before_anything_is_unpacked() -> None:
    assert refusal(assembled(entries(PARTS), count=60_000)) == "too_many_members"
    assert refusal(assembled([Entry("a", b"x", size=0xFFFFFFF0)])) == "unpacked_too_large"
    many = [Entry(str(number), b"x" * 10, method=0, size=10_000_000) for number in range(500)]
    assert refusal(assembled(many)) == "unpacked_too_large"


@pytest.mark.parametrize("seed", range(200))
def test_a_changed_byte_never_gives_other_content(seed: int) -> None:
    pick = random.Random(seed)
    body = bytearray(zipped(PARTS))
    body[pick.randrange(len(body))] ^= 1 << pick.randrange(8)
    try:
        read = contents(bytes(body))
    except Unsound:
        return
    assert list(read.values()) == list(PARTS.values())


def test_an_end_record_is_found_behind_anything() -> None:
    tail = b"x" * 500 + zipped(PARTS)
    assert strict_zip.end_record(tail, size=len(tail))
    assert strict_zip.end_record(tail + b"more" * 50, size=len(tail) + 200)
    assert strict_zip.end_record(tail[-60:], size=len(tail))
    for harmless in (b"PK\x05\x06", b"PK\x05\x06" + b"words and words and words", tail[:-22], bytes(100)):
        assert not strict_zip.end_record(harmless, size=len(harmless))


def test_a_wide_end_record_is_read_and_must_agree() -> None:
    body = assembled(entries(PARTS))
    start = len(body) - 22
    count, size, offset = struct.unpack("<10xHII2x", body[start:])
    wide = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start, 1)
    assert contents(body[:start] + wide + locator + body[start:]) == PARTS
    lies = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, offset)
    assert refusal(body[:start] + lies + locator + body[start:]) == "damaged"
