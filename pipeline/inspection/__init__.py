"""What a file really is, whatever its name says.

`inspect` asks in order: is it empty, is its kind one that we take, do content, extension and declared
type agree. One module per family answers what the first bytes cannot (`ooxml`, `odf`, `ole`). Each is a
function from a readable file to a media type or None; checks of structure join them here.
"""

from dataclasses import dataclass
from typing import IO

from pipeline import reasons
from pipeline.inspection import formats, magic, odf, ole, ooxml

HEAD = 8 * 1024  # libmagic tells as much from 8 KiB as from the whole file


@dataclass(frozen=True)
class Finding:
    """What a file is: its media type, and the reason code why it is not taken ("" if it is)."""

    media_type: str
    reason_code: str = ""

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against the file."""
        return not self.reason_code


def inspect(file: IO[bytes], *, filename: str, content_type: str) -> Finding:
    """Tell what the file is and whether that is what its name and declared type say.

    `file` is seekable and stands anywhere. OWASP ASVS 5.2.2: the extension and the content agree.
    """
    head = _head(file)
    if not head:
        return Finding("application/x-empty", reasons.EMPTY)
    detected = _media_type(file, head)
    declared = formats.of(filename)
    if declared is None:
        return Finding(detected, reasons.TYPE_NOT_ALLOWED)
    if detected not in declared.detected or not declared.named(content_type):
        return Finding(detected, reasons.TYPE_MISMATCH)
    return Finding(declared.media_type)


def _head(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(HEAD)


def _media_type(file: IO[bytes], head: bytes) -> str:
    if head.startswith(b"PK\x03\x04"):
        return odf.media_type(file) or ooxml.media_type(file) or "application/zip"
    if head.startswith(ole.SIGNATURE):
        return ole.media_type(file) or "application/x-ole-storage"
    return magic.media_type(head)
