"""Looks at a file: what is it, is it what its name says, and what was found in it.

A pure function of the file's bytes, its name and its declared type. It never raises for what the bytes
are: whatever a parser stumbles over is the finding `damaged`.
"""

import codecs
import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, Final

import pikepdf
from PIL import Image

from pipeline.inspection import (
    findings,
    formats,
    images,
    limits,
    magic,
    members,
    odf,
    ole,
    ooxml,
    pdf,
    strict_zip,
    text,
)
from pipeline.inspection.members import Inside
from pipeline.inspection.report import UNKNOWN, Finding, Report, Unsound

EMPTY: Final = "application/x-empty"
ZIP: Final = "application/zip"
_PICTURES: Final = (images.PNG, images.JPEG, images.TIFF)
_NOT_DOCUMENTS: Final = (ZIP, ole.UNKNOWN, UNKNOWN)
_LOCKS: Final = (
    pikepdf.Encryption(owner="x", R=3, aes=False, metadata=False),
    pikepdf.Encryption(owner="x", R=4),
    pikepdf.Encryption(owner="x", R=6),
)
_CHARSETS: Final = (  # those of names in packages, of text, and those that XML declares
    *("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp437", "latin-1", "koi8-r"),
    *(f"cp125{number}" for number in range(9)),
    *(f"iso8859-{number}" for number in range(1, 17) if number != 12),
)
WHOLE: Final = "cannot be read to its end"

Outcomes = Iterator[Finding | Inside]


def look(file: IO[bytes], *, filename: str, content_type: str) -> Report:
    """Return what the file is and what was found. `file` is seekable and stands anywhere.

    OWASP ASVS 5.2.2: the extension, the declared type and the content agree, also of what is inside.
    """
    declared = formats.of(filename)
    media_type, found = UNKNOWN, _Found()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is found anyway
        try:
            media_type, outcomes = _examined(file, declared)
            found.take(outcomes)
        except Unsound as unsound:
            found.add(unsound.finding)
        except Exception:  # noqa: BLE001 (whatever a parser stumbles over: MemoryError and RecursionError too)
            found.add(Finding(findings.DAMAGED, 1, WHOLE))
    return _reported(found, media_type, declared, content_type)


def preload() -> None:
    """Have every parser load what it loads at its first use, before the files of the machine go out of sight."""
    for charset in _CHARSETS:
        codecs.lookup(charset)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        package.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        package.writestr("META-INF/manifest.xml", "<a/>")
        package.writestr("content.xml", "<a/>")
    papers = [_paper(lock) for lock in (None, *_LOCKS)]
    pictures = [io.BytesIO() for _ in ("PNG", "JPEG", "TIFF")]
    for picture, kind in zip(pictures, ("PNG", "JPEG", "TIFF"), strict=True):
        Image.new("RGB", (16, 16)).save(picture, kind)
    texts = [io.BytesIO(words.encode(charset)) for words, charset in (("a;b\n", "utf-8-sig"), ("a\n", "utf-16"))]
    broken = io.BytesIO(ole.SIGNATURE + bytes(1024))
    for file in (made, *papers, *pictures, *texts, broken):
        look(file, filename="a.txt", content_type=formats.GENERIC)


def _paper(lock: pikepdf.Encryption | None) -> io.BytesIO:
    """A PDF, of which the owner may have a password: ciphers too are loaded at their first use."""
    body = io.BytesIO()
    with pikepdf.Pdf.new() as pages:
        pages.add_blank_page()
        pages.Root.Held = pages.make_indirect(pikepdf.String("words"))
        pages.save(body, encryption=lock or False)
    return body


# --- what is found -----------------------------------------------------------------------------
class _Found:
    """Each kind of finding once, with how often it was found and the words of the first."""

    def __init__(self) -> None:
        self._kinds: dict[str, Finding] = {}

    def add(self, finding: Finding) -> None:
        """Count a finding."""
        before = self._kinds.get(finding.kind)
        self._kinds[finding.kind] = (
            Finding(finding.kind, before.count + finding.count, before.detail) if before else finding
        )

    def take(self, outcomes: Outcomes, depth: int = 0) -> None:
        """Count what is found in a file and in the files inside it. Raises Unsound."""
        for outcome in outcomes:
            if isinstance(outcome, Finding):
                self.add(outcome)
            elif depth == limits.DEPTH:
                self.add(Finding(findings.NESTED_TOO_DEEP, 1, f"more than {limits.DEPTH} deep"))
            else:
                media_type, inner = _examined(outcome.file, None)
                if media_type in _NOT_DOCUMENTS:
                    self.add(Finding(findings.MEMBER_NOT_ALLOWED, 1, media_type))
                self.take(inner, depth + 1)

    def any(self) -> bool:
        """Whether anything was found."""
        return bool(self._kinds)

    def all(self) -> tuple[Finding, ...]:
        """Return what was found, in the order in which it was."""
        return tuple(self._kinds.values())


def _reported(found: _Found, media_type: str, declared: formats.Format | None, content_type: str) -> Report:
    """Compare the file with its name and declared type; what cannot be read need not show what it is."""
    if media_type == EMPTY:
        return Report(EMPTY, (Finding(findings.EMPTY),))
    if declared is None:
        return Report(media_type, (Finding(findings.TYPE_NOT_ALLOWED), *found.all()))
    sealed = media_type == ole.ENCRYPTED and declared.media_type.startswith(ooxml.FAMILY)
    agrees = (sealed or media_type in declared.detected) and declared.named(content_type)
    if agrees:
        return Report(declared.media_type, found.all(), declared.name)
    unread = media_type in _NOT_DOCUMENTS and found.any() and _family(media_type, declared)
    if unread and declared.named(content_type):
        return Report(media_type, found.all())
    return Report(media_type, (Finding(findings.TYPE_MISMATCH), *found.all()))


def _family(media_type: str, declared: formats.Format) -> bool:
    """Whether the file begins as the declared format does: the container was broken, not another one."""
    if media_type == ZIP:
        return "openxmlformats" in declared.media_type or "opendocument" in declared.media_type
    if media_type == ole.UNKNOWN:
        return declared.media_type in (ole.WORD, ole.EXCEL, ole.POWERPOINT) or "openxmlformats" in declared.media_type
    return declared.media_type in (text.PLAIN, text.TABLE)


# --- which checker -----------------------------------------------------------------------------
def _examined(file: IO[bytes], declared: formats.Format | None) -> tuple[str, Outcomes]:
    """Return what a file is, and what is found in it, which is looked for while it is taken."""
    file.seek(0)
    head = file.read(limits.HEAD)
    if not head:
        return EMPTY, iter(())
    if head.startswith(strict_zip.SIGNATURE):
        return _zip(file)
    if head.startswith(ole.SIGNATURE):
        return _compound(file)
    guess = magic.media_type(head)
    if guess == pdf.MEDIA_TYPE:
        return guess, chain(pdf.look(file), _behind(file, pdf.attached_bytes))
    beside = chain(_before(head), _behind(file))
    if guess in _PICTURES:
        return guess, chain(images.look(file, guess), beside)
    if declared and declared.media_type in (text.PLAIN, text.TABLE):
        told = text.media_type(head, guess)
        if told in (text.PLAIN, text.TABLE, "application/csv", UNKNOWN) or text.readable(head):
            return told, chain(text.look(file, table=declared.media_type == text.TABLE), beside)
        return told, beside
    return guess, beside


def _zip(file: IO[bytes]) -> tuple[str, Outcomes]:
    try:
        found = strict_zip.members(file)
        if odt := odf.opened(file, found):
            return odt.media_type, odf.look(odt)
        if package := ooxml.opened(file, found):
            return package.media_type, ooxml.look(package)
    except Unsound as unsound:
        return ZIP, iter((unsound.finding,))
    return ZIP, iter(())


def _compound(file: IO[bytes]) -> tuple[str, Outcomes]:
    try:
        compound = ole.Compound(file)
    except Unsound as unsound:
        return ole.UNKNOWN, iter((unsound.finding,))
    return compound.media_type, ole.look(compound)


def _before(head: bytes) -> Outcomes:
    """Look at the first bytes as other programs would."""
    kind = members.kind_of(head)
    if kind in (members.Kind.PROGRAM, members.Kind.SCRIPT):
        yield Finding(findings.EXECUTABLE, 1, "the file itself")
    elif kind is members.Kind.HTML:
        yield Finding(findings.ACTIVE_MARKUP, 1, "a page for browsers")
    if pdf.MARK in head[: pdf.HEADER_WITHIN]:
        yield Finding(findings.POLYGLOT, 1, "a PDF in something else")


def _behind(file: IO[bytes], belongs: Callable[[IO[bytes], bytes], bool] = lambda *_: False) -> Outcomes:
    """Look at the last bytes as zip programs would. `belongs`: whether they are part of what is attached."""
    size = file.seek(0, 2)
    file.seek(max(0, size - strict_zip.TAIL))
    tail = file.read()
    record = strict_zip.end_record(tail, size=size)
    if record and not belongs(file, record):
        yield Finding(findings.POLYGLOT, 1, "a zip behind something else")
