"""OpenDocument: its type is the content of the first entry, `mimetype` (ODF 1.3 part 2, 3.3)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from pipeline.inspection import findings, limits, members, strict_zip, xml_stream
from pipeline.inspection.members import Inside, Kind
from pipeline.inspection.report import Finding, Unsound
from pipeline.inspection.strict_zip import Member

_KNOWN: Final = re.compile(r"application/vnd\.oasis\.opendocument\.[a-z]+(?:-[a-z]+)*")
_LONGEST_TYPE: Final = 100
_MANIFEST: Final = "META-INF/manifest.xml"
_CONTENT: Final = "content.xml"
_ENCRYPTED: Final = re.compile(r"encryption-data|encrypted-key")
_ALLOWED: Final = frozenset(
    {Kind.NOTHING, Kind.XML, Kind.PICTURE, Kind.DRAWING, Kind.FONT, Kind.MEDIA, Kind.PACKAGE, Kind.PDF}
)
_MACROS: Final = re.compile(r"(?:.*/)?(?:Basic|Scripts|Dialogs)/.+")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):")
_SCRIPTS: Final = "urn:oasis:names:tc:opendocument:xmlns:script:1.0"
_PRESENTATION: Final = "urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"
_OPAQUE: Final = ("layout-cache", "ObjectReplacements/")  # LibreOffice's own; pictures of embedded objects


@dataclass(frozen=True)
class Package:
    """An OpenDocument package's members, and the type that it says to have."""

    file: IO[bytes]
    members: list[Member]
    media_type: str


def opened(file: IO[bytes], found: list[Member]) -> Package | None:
    """Return the package that these members make, or None if they are no OpenDocument. Raises Unsound."""
    first = found[0] if found else None
    if first is None or first.name != "mimetype" or first.method != strict_zip.STORED or first.size > _LONGEST_TYPE:
        return None
    said = strict_zip.read(file, first, _LONGEST_TYPE).decode("ascii", "replace").strip()
    named = {member.name for member in found}
    if not _KNOWN.fullmatch(said) or _MANIFEST not in named:
        return None
    return Package(file, found, said)


def look(package: Package) -> Iterator[Finding | Inside]:
    """Yield what is found in the package, and the packages in it. Raises Unsound."""
    named = {member.name: member for member in package.members}
    manifest = strict_zip.read(package.file, named[_MANIFEST], limits.XML_BYTES)
    if _is_encrypted(manifest):
        raise Unsound(findings.ENCRYPTED, "a password opens it")
    if _CONTENT not in named:
        raise Unsound(findings.DAMAGED, "it has no content")
    for member in package.members[1:]:
        if member.folder:
            continue
        if _MACROS.fullmatch(member.name):
            yield Finding(findings.MACRO, 1, "a library of macros")
        yield from _member(package, member)


def _is_encrypted(manifest: bytes) -> bool:
    try:
        tree = fromstring(manifest)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise Unsound(findings.DAMAGED, "the manifest cannot be read") from None
    return any(
        _ENCRYPTED.search(element.tag) or "encrypted-package" in element.attrib.values() for element in tree.iter()
    )


def _member(package: Package, member: Member) -> Iterator[Finding | Inside]:
    watch = _Acts()
    yield from members.judged(
        strict_zip.unpacked(package.file, member),
        allowed=_ALLOWED,
        opaque=member.name.startswith(_OPAQUE),
        declaration=True,
        watch=watch,
    )
    yield from watch.found


class _Acts(xml_stream.Watch):
    """Finds what a document would run or load by itself."""

    near = (b"href", b"dde-", b"script", b"plugin", b"applet", b"action")

    def __init__(self) -> None:
        self._kinds: dict[str, Finding] = {}

    @property
    def found(self) -> list[Finding]:
        """Each kind once."""
        return list(self._kinds.values())

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Look at an element's name and at what it refers to."""
        namespace, _, plain = name.rpartition(" ")
        if (namespace == _SCRIPTS and plain == "event-listener") or plain == "script":
            self._add(findings.MACRO, "an event that starts a macro")
        elif plain.startswith("dde-"):
            self._add(findings.MACRO, "a link that starts a program")
        elif plain in ("plugin", "applet"):
            self._add(findings.EMBEDDED_OLE, "a plug-in or applet")
        for key, value in attributes.items():
            if key.rpartition(" ")[2] == "href":
                self._refers(plain, value.strip().lower())
            if key == f"{_PRESENTATION} action" and value == "execute":
                self._add(findings.LAUNCH_ACTION, "a click that starts a program")

    def _refers(self, plain: str, target: str) -> None:
        scheme = _SCHEME.match(target)
        named = scheme[1] if scheme else ""
        if named in ("vnd.sun.star.script", "macro", "script", "javascript"):
            self._add(findings.MACRO, "a link that starts a macro")
        elif (named in ("http", "https", "mailto", "tel") and plain == "a") or (
            named in ("", "file") and plain == "template"
        ):
            return  # a link for people; the template that it was begun from
        elif named or target.startswith(("//", "\\\\")) or (plain != "a" and target.startswith(("/", "../"))):
            self._add(
                findings.EXTERNAL_LINK, "something that it loads" if plain != "a" else "a link that is not to the web"
            )

    def _add(self, kind: str, detail: str) -> None:
        self._kinds.setdefault(kind, Finding(kind, 1, detail))
