"""Legacy Office (OLE2 compound files): the stream that the program itself would open decides.

The directory may stand anywhere in the file, so its first bytes cannot tell a doc from an xls.
"""

from typing import IO

import olefile

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STREAMS = {
    "WordDocument": "application/msword",
    "Workbook": "application/vnd.ms-excel",
    "Book": "application/vnd.ms-excel",
    "PowerPoint Document": "application/vnd.ms-powerpoint",
}


def media_type(file: IO[bytes]) -> str | None:
    """Return the media type of a doc, xls or ppt, or None if the file is not one of them."""
    try:
        file.seek(0)
        with olefile.OleFileIO(file) as compound:
            return next((kind for name, kind in _STREAMS.items() if compound.exists(name)), None)
    except (OSError, ValueError, IndexError, TypeError):
        return None
