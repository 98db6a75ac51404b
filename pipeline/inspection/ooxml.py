"""Office Open XML: what the main part says it is, and what its parts and relationships would do.

A package is told from a mere zip by its relationship to a main part and that part's content type, not by
what its entries are called (ECMA-376 part 2). Every member is judged by its own content, and must be of
a kind that such documents hold.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import unquote

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from pipeline.inspection import findings, limits, members, strict_zip, xml_stream
from pipeline.inspection.members import Inside, Kind
from pipeline.inspection.report import Finding, Unsound
from pipeline.inspection.strict_zip import Member

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

TYPES: Final = "[Content_Types].xml"
_ROOT: Final = "_rels/.rels"
FAMILY: Final = "application/vnd.openxmlformats-officedocument"
_MAIN: Final = {
    f"{FAMILY}.{kind}.main+xml": f"{FAMILY}.{kind}"
    for kind in (
        "wordprocessingml.document",
        "wordprocessingml.template",
        "spreadsheetml.sheet",
        "spreadsheetml.template",
        "presentationml.presentation",
        "presentationml.slideshow",
        "presentationml.template",
    )
} | {
    f"application/vnd.ms-{program}.main+xml": f"application/vnd.ms-{program}.12"
    for program in (
        "word.document.macroEnabled",
        "word.template.macroEnabledTemplate",
        "excel.sheet.macroEnabled",
        "excel.template.macroEnabled",
        "excel.addin.macroEnabled",
        "powerpoint.presentation.macroEnabled",
        "powerpoint.slideshow.macroEnabled",
        "powerpoint.template.macroEnabled",
        "powerpoint.addin.macroEnabled",
    )
}
_BINARY_WORKBOOK: Final = "application/vnd.ms-excel.sheet.binary.macroenabled.main"
_ALLOWED: Final = frozenset(
    {
        Kind.NOTHING,  # also what Word leaves in [trash]
        Kind.XML,
        Kind.PICTURE,
        Kind.DRAWING,
        Kind.FONT,
        Kind.MEDIA,
        Kind.PACKAGE,
        Kind.PDF,  # a picture, to Office on a Mac
    }
)
_OPAQUE: Final = (  # content types of members that nobody but Office can read
    "printersettings",
    "customproperty",
    "attachedtoolbars",
    "obfuscatedfont",
    "x-fontdata",
    "x-font-ttf",
    "legacydiagramtext",
    "legacydoctextinfo",
    "ms-office.drawingml.diagramtext",
)

# What a part's content type gives away, in lower case.
_TELLING: Final = (
    ("vbaproject", findings.MACRO, "a VBA project"),
    ("vbadata", findings.MACRO, "a VBA project"),
    ("macrosheet", findings.MACRO, "a macro sheet"),
    ("dialogsheet", findings.MACRO, "a dialog sheet"),
    ("macroenabled", findings.MACRO, "a document with macros"),
    ("activex", findings.EMBEDDED_OLE, "an ActiveX control"),
    ("oleobject", findings.EMBEDDED_OLE, "an OLE object"),
    ("spreadsheetml.connections", findings.EXTERNAL_LINK, "a data connection"),
    ("webextension", findings.EXTERNAL_LINK, "an add-in from the web"),
)
_LINKS: Final = {  # relationships to something outside, by the last step of their type
    "attachedtemplate": "a template",
    "oleobject": "an OLE object",
    "frame": "a frame",
    "subdocument": "a subdocument",
    "externallinkpath": "a workbook",
    "externallink": "a workbook",
    "image": "a picture",
    "audio": "film or sound",
    "video": "film or sound",
    "media": "film or sound",
    "hyperlink": "a link that is not to the web",
}
_ORDINARY: Final = re.compile(r"(?:https?://|mailto:|tel:|#)", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:|[\\/]{2}", re.IGNORECASE)
_REMOTE: Final = re.compile(r"(?:https?|ftp|mhtml|its|ms-its):|file:(?:/{2}[^/]|/{5})|[\\/]{2}", re.IGNORECASE)
_NOT_XML: Final = ".vml"  # drawings of old, in which Excel writes HTML that is never closed


@dataclass(frozen=True)
class Package:
    """An OOXML package's members, and what it says of their types (lower case)."""

    file: IO[bytes]
    members: list[Member]
    types: dict[str, str]
    defaults: dict[str, str]
    main: str

    @property
    def media_type(self) -> str:
        """The type of the document that its main part is."""
        return _MAIN.get(self.main, f"{_BINARY_WORKBOOK.removesuffix('.main')}.12")

    def type_of(self, member: Member) -> str:
        """Return the content type that the package gives a member, in lower case; "" if none."""
        extension = member.name.rpartition(".")[2].lower()
        return self.types.get(f"/{member.name}".lower(), self.defaults.get(extension, ""))


def opened(file: IO[bytes], found: list[Member]) -> Package | None:
    """Return the package that these members make, or None if they are no OOXML document. Raises Unsound."""
    named = {member.name: member for member in found}
    if TYPES not in named or _ROOT not in named:
        return None
    types, defaults = _types(strict_zip.read(file, named[TYPES], limits.XML_BYTES))
    links = list(_relationships(strict_zip.read(file, named[_ROOT], limits.XML_BYTES)))
    targets = [link.target.lstrip("/") for link in links if link.kind == "officedocument" and not link.external]
    if len(targets) != 1 or targets[0] not in named:
        return None
    main = types.get(f"/{targets[0]}".lower(), defaults.get(targets[0].rpartition(".")[2].lower(), ""))
    known = next((each for each in _MAIN if each.lower() == main), "")
    return Package(file, found, types, defaults, known or main) if known or main == _BINARY_WORKBOOK else None


def look(package: Package) -> Iterator[Finding | Inside]:
    """Yield what is found in the package, and the packages in it. Raises Unsound."""
    if package.main == _BINARY_WORKBOOK:
        yield Finding(findings.MEMBER_NOT_ALLOWED, 1, "a binary workbook")
    for member in package.members:
        if member.folder:
            continue
        yield from _member(package, member)
        if member.name.lower().endswith(".rels"):
            for link in _relationships(strict_zip.read(package.file, member, limits.XML_BYTES)):
                yield from _acts(link)


def _member(package: Package, member: Member) -> Iterator[Finding | Inside]:
    said = package.type_of(member)
    watch = _Fields() if "wordprocessingml" in said or "externallink" in said else None
    if member.name.lower().endswith("vbaproject.bin"):
        said += "vbaproject"
    told = next((Finding(kind, 1, detail) for word, kind, detail in _TELLING if word in said), None)
    if told:
        yield told
    judged = members.judged(
        strict_zip.unpacked(package.file, member),
        allowed=_ALLOWED,
        opaque=any(word in said for word in _OPAQUE),
        loose=member.name.lower().endswith(_NOT_XML),
        watch=watch,
    )
    for outcome in judged:
        known = isinstance(outcome, Finding) and outcome.kind in (findings.EMBEDDED_OLE, findings.MEMBER_NOT_ALLOWED)
        if not (known and told):  # the type has told it already, and better
            yield outcome
    if watch:
        yield from watch.found


# --- relationships ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Link:
    """A relationship: the last step of its type in lower case, and what it leads to."""

    kind: str
    target: str
    external: bool


def _relationships(xml: bytes) -> Iterator[_Link]:
    for element in _tree(xml):
        target = element.get("Target", "")
        external = element.get("TargetMode", "").strip().lower() == "external" or bool(_SCHEME.match(target.strip()))
        yield _Link(element.get("Type", "").strip().rpartition("/")[2].lower(), target.strip(), external)


def _acts(link: _Link) -> Iterator[Finding]:
    if link.kind in ("vbaproject", "wordvbadata", "xlmacrosheet", "xlintlmacrosheet"):
        yield Finding(findings.MACRO, 1, "a VBA project or macro sheet")
    if not link.external:
        return
    if link.kind == "hyperlink" and (_ORDINARY.match(link.target) or not _SCHEME.match(link.target)):
        return
    yield Finding(findings.EXTERNAL_LINK, 1, _LINKS.get(link.kind, "a part"))
    if link.kind == "oleobject":
        yield Finding(findings.EMBEDDED_OLE, 1, "a linked OLE object")
    if link.kind == "attachedtemplate" and _REMOTE.match(unquote(link.target)):  # its macros would run
        yield Finding(findings.MACRO, 1, "a template loaded from elsewhere")


def _types(xml: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Return the content types by part and by extension, all in lower case."""
    types: dict[str, str] = {}
    defaults: dict[str, str] = {}
    for element in _tree(xml):
        said = element.get("ContentType", "").strip().lower()
        if element.tag.endswith("}Override") or element.tag == "Override":
            types[element.get("PartName", "").lower()] = said
        else:
            defaults[element.get("Extension", "").lower()] = said
    return types, defaults


def _tree(xml: bytes) -> "Element":
    try:
        tree: Element = fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise Unsound(findings.DAMAGED, "a part that describes the package cannot be read") from None
    return tree


# --- fields that start programs ----------------------------------------------------------------
class _Fields(xml_stream.Watch):
    """Finds DDE, by which a field of Word or a link of Excel starts a program.

    A field's code may be cut into as many runs as its writer likes, so it is put together first. One whose
    very name is made by another field hides it.
    """

    near = (b"instrText", b"fldChar", b"fldSimple", b"ddeLink")

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self._codes: list[str] = []  # of the fields that are open, innermost last
        self._reading = False

    @property
    def listening(self) -> bool:
        """Within the code of a field."""
        return self._reading

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """A field begins, or more of its code does."""
        plain = name.rpartition(" ")[2]
        if plain == "ddeLink":
            self._add()
        elif plain == "fldSimple":
            self._judge(_attribute(attributes, "instr"))
        elif plain == "instrText":
            self._reading = True
        elif plain == "fldChar":
            self._turn(_attribute(attributes, "fldCharType"))

    def end(self, name: str) -> None:
        """A piece of code ends."""
        if name.rpartition(" ")[2] == "instrText":
            self._reading = False

    def text(self, text: str) -> None:
        """More of the innermost field's code."""
        if not self._codes:
            self._codes.append("")
        self._codes[-1] = (self._codes[-1] + text)[:64]

    def _turn(self, kind: str) -> None:
        if kind == "begin":
            if self._codes and not self._codes[-1].strip():
                self._add()  # its name is still to be made, by the field that begins here
            self._codes.append("")
        elif self._codes and kind in ("separate", "end"):
            self._judge(self._codes[-1])
            if kind == "end":
                self._codes.pop()

    def _judge(self, code: str) -> None:
        if code.lstrip().upper().startswith("DDE"):
            self._add()

    def _add(self) -> None:
        if not self.found:
            self.found.append(Finding(findings.MACRO, 1, "a field or link that starts a program"))


def _attribute(attributes: dict[str, str], plain: str) -> str:
    return next((value for key, value in attributes.items() if key.rpartition(" ")[2] == plain), "")
