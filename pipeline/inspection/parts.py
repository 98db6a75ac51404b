"""What is packed inside a file, to be scanned piece by piece: a scanner does not open everything itself.

clamd misses PDF attachments as qpdf writes them, and the second engine opens nothing at all. Only what
`look` accepted comes here, so what cannot be unpacked raises; the caller takes it for unreadable.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Final

from pipeline.inspection import findings, limits, magic, ole, pdf, strict_zip
from pipeline.inspection.report import Unsound

ATTACHMENT: Final = "attachment"
MEMBER: Final = "member"
OBJECT: Final = "object"


@dataclass(frozen=True)
class Part:
    """One thing packed inside: what kind it is, and its bytes, to be read before the next part."""

    kind: str
    chunks: Iterator[bytes]


def parts(file: IO[bytes]) -> Iterator[Part]:
    """Yield the attachments of a PDF, the members of a zip, the packaged files in an OLE2 file. Raises Unsound."""
    most = limits.UNPACKED
    for part in _parts(file):
        counted = _Counted(part.chunks, most)
        yield Part(part.kind, counted.read())
        for _ in counted.chunks:  # whoever took it may have left some
            pass
        most -= counted.size


class _Counted:
    """Counts what passes, up to what may."""

    def __init__(self, chunks: Iterator[bytes], most: int) -> None:
        self.chunks, self.most, self.size = chunks, most, 0

    def read(self) -> Iterator[bytes]:
        """Yield the chunks. Raises Unsound."""
        for chunk in self.chunks:
            self.size += len(chunk)
            if self.size > self.most:
                raise Unsound(findings.UNPACKED_TOO_LARGE, "all parts together")
            yield chunk


def _parts(file: IO[bytes], depth: int = 0) -> Iterator[Part]:
    """Yield what is packed in the file, and after each document among it what is packed in that in turn."""
    for part in _direct(file):
        first = next(part.chunks, b"")
        if depth == limits.DEPTH or not _opens(first):
            yield Part(part.kind, chain((first,), part.chunks))
            continue
        inner = _held(first, part.chunks)
        yield Part(part.kind, iter((inner.getvalue(),)))
        yield from _parts(inner, depth + 1)


def _opens(first: bytes) -> bool:
    """Whether something can be packed in what begins so."""
    return first.startswith((strict_zip.SIGNATURE, ole.SIGNATURE)) or pdf.MARK in first[: pdf.HEADER_WITHIN]


def _held(first: bytes, chunks: Iterator[bytes]) -> io.BytesIO:
    """A document inside another, in memory: `look` has held it to the same limit."""
    inner = io.BytesIO()
    for chunk in chain((first,), chunks):
        if inner.tell() + len(chunk) > limits.NESTED_BYTES:
            raise Unsound(findings.UNPACKED_TOO_LARGE, "a file inside another")
        inner.write(chunk)
    return inner


def _direct(file: IO[bytes]) -> Iterator[Part]:
    file.seek(0)
    head = file.read(limits.HEAD)
    if head.startswith(strict_zip.SIGNATURE):
        for member in strict_zip.members(file):
            if not member.folder:
                yield Part(MEMBER, strict_zip.unpacked(file, member))
    elif head.startswith(ole.SIGNATURE):
        for payload in ole.native_payloads(ole.Compound(file)):
            yield Part(OBJECT, iter((payload,)))
    elif magic.media_type(head) == pdf.MEDIA_TYPE:
        for attachment in pdf.attachments(file):
            yield Part(ATTACHMENT, attachment)
