"""Office Open XML: what the main part says it is, not what the entries are called.

libmagic takes a zip whose only entry is `word/x` for a docx; here the package's relationship to its
main part and the type of that part decide (ECMA-376 part 2, "Package Relationships").
"""

import re
import zipfile
from typing import IO

_LARGEST_PART = 1024 * 1024
_MAIN_TYPES = {
    f"application/vnd.openxmlformats-officedocument.{kind}.main+xml": (
        f"application/vnd.openxmlformats-officedocument.{kind}"
    )
    for kind in (
        "wordprocessingml.document",
        "spreadsheetml.sheet",
        "presentationml.presentation",
    )
}
_MAIN = re.compile(rb"""<Relationship\b[^>]*/officeDocument["'][^>]*>""")
_TARGET = re.compile(rb"""\bTarget=["']/?([^"']+)["']""")
_OVERRIDE = re.compile(rb"<Override\b[^>]*>")


def media_type(file: IO[bytes]) -> str | None:
    """Return the media type of a docx, xlsx or pptx, or None if the file is not one of them."""
    try:
        with zipfile.ZipFile(file) as package:
            main = _main_part(_read(package, "_rels/.rels"))
            types = _read(package, "[Content_Types].xml")
            if main is None or main.decode() not in package.namelist():
                return None
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RuntimeError, OSError):
        return None
    return _type_of(main, types)


def _read(package: zipfile.ZipFile, name: str) -> bytes:
    with package.open(name) as part:
        content = part.read(_LARGEST_PART + 1)
    if len(content) > _LARGEST_PART:
        raise ValueError(name)
    return content


def _main_part(relationships: bytes) -> bytes | None:
    link = _MAIN.search(relationships)
    target = _TARGET.search(link[0]) if link else None
    return target[1] if target else None


def _type_of(main: bytes, types: bytes) -> str | None:
    for entry in _OVERRIDE.findall(types):
        if b'PartName="/%b"' % main in entry:
            said = re.search(rb'ContentType="([^"]+)"', entry)
            return _MAIN_TYPES.get(said[1].decode()) if said else None
    return None
