"""libmagic, for everything that is not a container. The system's where there is one, else the wheel's.

`pylibmagic` puts its own (older) library in front of the system's as soon as it is imported, so it is
imported only where the system has none, and before `magic`.
"""

import ctypes.util
from functools import cache
from typing import Final

if not ctypes.util.find_library("magic"):
    import pylibmagic  # noqa: F401

import magic

from pipeline.inspection.report import MEDIA_TYPE, UNKNOWN

# Not Python: for that, libmagic takes any text with a line like "from China import duties are due".
SCRIPTS: Final = frozenset(
    {
        "application/javascript",
        "application/x-sh",
        "text/javascript",
        "text/x-awk",
        "text/x-gawk",
        "text/x-lua",
        "text/x-msdos-batch",
        "text/x-nawk",
        "text/x-perl",
        "text/x-php",
        "text/x-powershell",
        "text/x-ruby",
        "text/x-shellscript",
        "text/x-tcl",
    }
)
MARKUP: Final = frozenset({"text/html", "text/xml", "application/xml", "image/svg+xml", "application/xhtml+xml"})


@cache
def _library() -> magic.Magic:
    return magic.Magic(mime=True)


def media_type(head: bytes) -> str:
    """Return the media type of a file that begins with `head` (8 KiB are enough)."""
    guess = str(_library().from_buffer(head))
    return guess if MEDIA_TYPE.fullmatch(guess) else UNKNOWN
