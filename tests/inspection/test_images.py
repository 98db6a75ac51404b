"""Pictures end where their format says, unpack to the last pixel, and are not too large to."""

import io
import struct
import zlib

import pytest
from PIL import Image

from tests.inspection import makers
from tests.inspection.looking import kinds
from tests.inspection.makers import picture, png_chunk


def noise(kind: str, **options: object) -> bytes:
    """A picture that does not pack well, so that a cut falls into its pixels."""
    body = io.BytesIO()
    Image.effect_noise((200, 150), 90).convert("RGB").save(body, kind, **options)
    return body.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png_is_ordinary(mode: str) -> None:
    assert kinds(picture(mode=mode), "a.png") == set()


@pytest.mark.parametrize(
    ("kind", "extension"),
    [("PNG", "png"), ("JPEG", "jpg"), ("TIFF", "tif")],
)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_picture_is_damaged(kind: str, extension: str, part: float) -> None:
    whole = noise(kind)
    assert kinds(whole, f"a.{extension}") == set()
    assert kinds(whole[: int(len(whole) * part)], f"a.{extension}") == {"damaged"}


@pytest.mark.parametrize("place", [40, 60, 1000])
def test_a_png_with_a_changed_byte_is_damaged(place: int) -> None:
    whole = bytearray(noise("PNG"))
    whole[place] ^= 0xFF
    assert kinds(bytes(whole), "a.png") == {"damaged"}


def test_a_png_with_too_few_pixels_is_damaged() -> None:
    head = png_chunk(b"IHDR", struct.pack(">2I5B", 100, 100, 8, 2, 0, 0, 0))
    few = png_chunk(b"IDAT", zlib.compress(bytes(500)))
    assert kinds(b"\x89PNG\r\n\x1a\n" + head + few + png_chunk(b"IEND", b""), "a.png") == {"damaged"}


def test_an_animated_png_is_unpacked_frame_by_frame() -> None:
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("red", "green", "blue")]
    body = io.BytesIO()
    frames[0].save(body, "PNG", save_all=True, append_images=frames[1:])
    assert kinds(body.getvalue(), "a.png") == set()


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True}, {"subsampling": 2}, {"comment": b"x"}]
)
def test_every_way_of_jpeg_is_ordinary(options: dict[str, object]) -> None:
    assert kinds(noise("JPEG", **options), "a.jpg") == set()


def test_zeros_and_pictures_behind_a_jpeg_are_ordinary_and_anything_else_is_not() -> None:
    whole = noise("JPEG")
    assert kinds(whole + bytes(3000), "a.jpg") == set()
    assert kinds(whole + whole, "a.jpg") == set()
    assert kinds(whole + b"\0\0" + whole, "a.jpg") == set()
    assert kinds(whole + whole[:500], "a.jpg") == {"damaged"}
    assert kinds(whole + b"SEFT", "a.jpg") == {"polyglot"}
    assert kinds(whole + makers.PE + whole, "a.jpg") == {"polyglot"}
    assert kinds(whole + b"\0\0\0\x18ftypmp42" + bytes(12), "a.jpg") == set()
    assert kinds(whole + b"\0\0\0\x18ftypmp42" + bytes(12) + makers.PE, "a.jpg") == {"polyglot"}
    assert kinds(whole + b"\0\1\0\x18ftypmp42" + bytes(12), "a.jpg") == {"damaged"}


@pytest.mark.parametrize("packed", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group3", "group4"])
@pytest.mark.parametrize("pages", [1, 3])
def test_every_way_of_tiff_is_ordinary(packed: str | None, pages: int) -> None:
    mode = "1" if packed in ("group3", "group4") else "RGB"
    made = [Image.effect_noise((120, 90), 90).convert(mode) for _ in range(pages)]
    body = io.BytesIO()
    made[0].save(body, "TIFF", compression=packed, save_all=True, append_images=made[1:])
    assert kinds(body.getvalue(), "a.tif") == set()
    assert kinds(body.getvalue() + b"\0", "a.tif") == set()
    assert kinds(body.getvalue() + b"word", "a.tif") == {"polyglot"}


def test_a_tiff_with_exif_and_a_big_tiff_are_ordinary() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"a comment that does not fit into its entry"
    assert kinds(picture("TIFF", exif=exif), "a.tif") == set()
    assert kinds(picture("TIFF", big_tiff=True), "a.tif") == set()


BASE = {256: 10, 257: 10, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 10, 279: 100}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (makers.tiff(BASE | {259: 50000}), "compression_not_readable"),
        (makers.tiff(BASE | {273: 10_000_000}), "damaged"),
        (makers.tiff(BASE | {279: 10_000_000}), "damaged"),
        (makers.tiff(BASE | {34665: 10_000_000}), "damaged"),
        (makers.tiff(BASE, BASE, loop=True), "damaged"),
        (makers.tiff(BASE | {256: 20_000, 257: 20_000}), "pixel_flood"),
        (makers.tiff(*[BASE] * 2100), "pixel_flood"),
        (makers.flood_tiff(), "pixel_flood"),
        (makers.flood_png(), "pixel_flood"),
        (makers.large_png(9_900), "pixel_flood"),
    ],
)
def test_a_picture_that_lies_about_itself_is_found(body: bytes, kind: str) -> None:
    assert kind in kinds(body, "a.png" if body[:4] == b"\x89PNG" else "a.tif")


def test_a_tiff_that_does_not_say_how_long_its_strips_are_is_taken() -> None:
    body = bytearray(makers.tiff({**BASE, 273: 122}) + bytes(100))
    assert kinds(bytes(body), "a.tif") == set()
    place = body.index(struct.pack("<HH", 279, 4))
    body[place : place + 2] = struct.pack("<H", 65000)  # a tag that nobody knows
    assert kinds(bytes(body), "a.tif") == set()


def test_a_jpeg_that_says_to_be_huge_is_not_unpacked() -> None:
    whole = bytearray(noise("JPEG"))
    place = whole.index(b"\xff\xc0")
    whole[place + 5 : place + 9] = struct.pack(">2H", 65000, 65000)
    assert kinds(bytes(whole), "a.jpg") == {"pixel_flood"}


def test_a_large_scan_is_taken() -> None:
    assert kinds(picture("JPEG", (9000, 9000)), "a.jpg") == set()
    assert kinds(picture("TIFF", (9921, 7016), compression="tiff_lzw"), "a.tif") == set()
    assert kinds(makers.large_png(), "a.png") == set()
