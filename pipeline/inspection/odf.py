"""OpenDocument: the type is the content of the `mimetype` entry (ODF 1.3 part 2, 3.3)."""

import zipfile
from typing import IO

_TYPES = {f"application/vnd.oasis.opendocument.{kind}" for kind in ("text", "spreadsheet", "presentation")}


def media_type(file: IO[bytes]) -> str | None:
    """Return the media type of an odt, ods or odp, or None if the file is not one of them."""
    try:
        with zipfile.ZipFile(file) as package:
            first = package.infolist()[0]
            if first.filename != "mimetype" or first.file_size > 100:
                return None
            said = package.read(first).decode("ascii").strip()
            whole = {"META-INF/manifest.xml", "content.xml"} <= set(package.namelist())
    except (zipfile.BadZipFile, IndexError, ValueError, NotImplementedError, RuntimeError, OSError):
        return None
    return said if said in _TYPES and whole else None
