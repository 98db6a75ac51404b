"""PDF: what acts, what is attached, and what is no part of it.

Every object is looked at, not only what the page tree reaches: a reader may come by another way. Nothing
is repaired: where a reader would have to guess, two readers may guess differently (ISO 32000-2, 7.5).
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, Final, cast

import pikepdf
from pikepdf import AccessMode, Array, Dictionary, Name, Object, Pdf, Stream, String

from pipeline.inspection import findings, limits, members
from pipeline.inspection.members import Inside, Kind
from pipeline.inspection.report import Finding, Unsound

MEDIA_TYPE: Final = "application/pdf"
MARK: Final = b"%PDF-"
HEADER_WITHIN: Final = 1024  # where readers look for the mark
_WHITE: Final = b"\0\t\n\f\r "
_ATTACHED: Final = frozenset(
    {
        Kind.NOTHING,
        Kind.XML,
        Kind.PICTURE,
        Kind.DRAWING,
        Kind.MEDIA,
        Kind.TEXT,
        Kind.PACKAGE,
        Kind.PDF,
        Kind.OLE,
    }
)
_FOREIGN: Final = {Kind.PROGRAM, Kind.SCRIPT, Kind.HTML, Kind.PACKAGE, Kind.OLE, Kind.PICTURE, Kind.MEDIA}

# An object whose text names none of these needs no closer look. qpdf writes names plainly, however they
# were written in the file.
_NEAR: Final = re.compile(
    rb"/(?:JS|JavaScript|Launch|GoToR|GoToE|SubmitForm|ImportData|URI|Ref|EF|EmbeddedFile|XFA|RichMedia(?:Execute)?|3D"
    rb"|GoTo3DView|Movie|Sound|Screen|Rendition)(?![A-Za-z0-9])"
)
_OUTSIDE: Final = b"/F "  # of a stream: its data are in another file
_ACTIONS: Final = {
    "/JavaScript": findings.JAVASCRIPT,
    "/Launch": findings.LAUNCH_ACTION,
    "/GoToR": findings.EXTERNAL_LINK,
    "/GoToE": findings.EXTERNAL_LINK,
    "/SubmitForm": findings.EXTERNAL_LINK,
    "/ImportData": findings.EXTERNAL_LINK,
    "/RichMediaExecute": findings.RICH_MEDIA,
    "/GoTo3DView": findings.RICH_MEDIA,
    "/Movie": findings.RICH_MEDIA,
    "/Sound": findings.RICH_MEDIA,
    "/Rendition": findings.RICH_MEDIA,
}
_SUBTYPES: Final = {"/RichMedia", "/3D", "/Movie", "/Sound", "/Screen"}
_KEYS: Final = {
    "/JS": findings.JAVASCRIPT,
    "/JavaScript": findings.JAVASCRIPT,
    "/XFA": findings.XFA,
    "/Ref": findings.EXTERNAL_LINK,
}
_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")
_ORDINARY_SCHEMES: Final = {"http", "https", "mailto", "tel"}
_HARMLESS: Final = ("repairing", "duplicated key")  # in qpdf's warnings


def look(file: IO[bytes]) -> Iterator[Finding | Inside]:
    """Yield what is found in the PDF, and the files attached to it. Raises Unsound."""
    yield from _frame(file)
    with _opened(file) as pdf:
        found: Counter[str] = Counter()
        attached: dict[tuple[int, int], Stream] = {}
        for thing in _telling(pdf):
            found.update(_acts(thing))
            attached.update({stream.objgen: stream for stream in _attachments(thing)})
        yield from (Finding(kind, count) for kind, count in found.items())
        if attached:
            yield Finding(findings.ATTACHMENT, len(attached))
        for stream in attached.values():
            yield from members.judged(_content(stream), allowed=_ATTACHED, declaration=True)


def attachments(file: IO[bytes]) -> Iterator[Iterator[bytes]]:
    """Yield the content of each attached file. Raises Unsound."""
    with _opened(file) as pdf:
        attached = {stream.objgen: stream for thing in _telling(pdf) for stream in _attachments(thing)}
        for stream in attached.values():
            yield _content(stream)


def attached_bytes(file: IO[bytes], wanted: bytes) -> bool:
    """Whether these bytes stand, as they are in the file, in what is attached to it. Raises Unsound."""
    with _opened(file) as pdf:
        streams = (stream for thing in _telling(pdf) for stream in _attachments(thing))
        return any(wanted in _packed(stream) for stream in streams)


@contextmanager
def _opened(file: IO[bytes]) -> Iterator[Pdf]:
    """The PDF as qpdf reads it without guessing; an owner's password alone forbids nothing to a reader."""
    file.seek(0)
    try:
        with Pdf.open(
            cast("BinaryIO", file), access_mode=AccessMode.stream, attempt_recovery=False, suppress_warnings=True
        ) as pdf:
            yield pdf
    except pikepdf.PasswordError:
        raise Unsound(findings.ENCRYPTED, "a password opens it") from None
    except pikepdf.PdfError as error:
        if "encryption" in str(error):
            raise Unsound(findings.ENCRYPTED, "by a method that is not known") from None
        raise Unsound(findings.DAMAGED, "its objects cannot be read") from None


def _telling(pdf: Pdf) -> Iterator[Object]:
    """Yield every object whose text names anything that is looked for. Raises Unsound."""
    declared = pdf.trailer.get("/Size", 0)
    if not isinstance(declared, int) or declared > limits.PDF_OBJECTS:
        raise Unsound(findings.UNPACKED_TOO_LARGE, f"more than {limits.PDF_OBJECTS} objects")
    missing = False
    things: Iterable[object] = pdf.objects  # some of which pikepdf turns into numbers and None
    for count, thing in enumerate(things):
        if count > limits.PDF_OBJECTS:
            raise Unsound(findings.UNPACKED_TOO_LARGE, f"more than {limits.PDF_OBJECTS} objects")
        if thing is None:
            missing = True
        elif isinstance(thing, Stream):
            text = thing.stream_dict.unparse(resolved=True)
            if _NEAR.search(text) or _OUTSIDE in text:
                yield thing
        elif isinstance(thing, Object) and _NEAR.search(thing.unparse(resolved=True)):
            yield thing
    if missing and any(not any(word in warning for word in _HARMLESS) for warning in pdf.get_warnings()):
        raise Unsound(findings.DAMAGED, "some of its objects cannot be read")


# --- what acts -------------------------------------------------------------------------------------
def _acts(thing: Object) -> Iterator[str]:
    """Yield the kind of each finding in an object, without what it only refers to."""
    if isinstance(thing, Name):  # an action's type may stand by itself and be referred to
        if kind := _ACTIONS.get(str(thing)):
            yield kind
        return
    if isinstance(thing, Stream) and "/F" in thing.stream_dict:
        yield findings.EXTERNAL_LINK
    for dictionary in _dictionaries(thing):
        action, subtype = _name(dictionary, "/S"), _name(dictionary, "/Subtype")
        kinds = {_KEYS[key] for key in _KEYS if key in dictionary}
        kinds |= {_ACTIONS[action]} if action in _ACTIONS else set()
        kinds |= {findings.RICH_MEDIA} if subtype in _SUBTYPES or _name(dictionary, "/Type") == "/3D" else set()
        kinds |= _address(dictionary)
        yield from kinds


def _dictionaries(thing: Object) -> Iterator[Object]:
    """Yield the dictionaries that an object is made of, without those that it only refers to."""
    waiting: list[Object] = [thing.stream_dict if isinstance(thing, Stream) else thing]
    while waiting:
        here = waiting.pop()
        if isinstance(here, Dictionary):
            yield here
        inner = here.values() if isinstance(here, Dictionary) else list(here) if isinstance(here, Array) else ()
        waiting += [each for each in inner if isinstance(each, (Dictionary, Array)) and not each.is_indirect]


def _name(dictionary: Object, key: str) -> str:
    value = dictionary.get(key)
    return str(value) if isinstance(value, Name) else ""


def _address(dictionary: Object) -> set[str]:
    """A link to the web or to a mailbox is ordinary; one to anything else is not."""
    target = dictionary.get("/URI")
    if isinstance(target, Dictionary):  # the catalog's: what all relative ones are relative to
        target = target.get("/Base")
    if not isinstance(target, String):
        return set()
    scheme = _SCHEME.match(str(target))
    named = scheme[1].lower() if scheme else ""
    if named == "javascript":
        return {findings.JAVASCRIPT}
    outside = (named and named not in _ORDINARY_SCHEMES) or str(target).lstrip().startswith("\\\\")
    return {findings.EXTERNAL_LINK} if outside else set()


# --- what is attached ------------------------------------------------------------------------------
def _attachments(thing: Object) -> Iterator[Stream]:
    if isinstance(thing, Stream) and _name(thing.stream_dict, "/Type") == "/EmbeddedFile":
        yield thing
    for dictionary in _dictionaries(thing):
        embedded = dictionary.get("/EF")
        if isinstance(embedded, Dictionary):
            yield from (stream for stream in embedded.values() if isinstance(stream, Stream))


def _content(stream: Stream) -> Iterator[bytes]:
    """Yield an attachment unpacked. Raises Unsound."""
    packed = _packed(stream)
    filters = stream.get("/Filter", Array())
    if isinstance(filters, Name):
        filters = Array([filters])
    if not packed or not len(filters):
        yield from (packed[start : start + limits.CHUNK] for start in range(0, len(packed), limits.CHUNK))
    elif list(filters) == [Name.FlateDecode] and "/DecodeParms" not in stream:
        yield from _inflated(packed)
    else:
        content = stream.read_bytes()
        yield from (content[start : start + limits.CHUNK] for start in range(0, len(content), limits.CHUNK))


def _packed(stream: Stream) -> bytes:
    length = stream.get("/Length", 0)
    if not isinstance(length, int) or length > limits.ATTACHMENT_BYTES:
        raise Unsound(
            findings.UNPACKED_TOO_LARGE, f"an attachment of more than {limits.ATTACHMENT_BYTES // limits.MIB} MiB"
        )
    return stream.read_raw_bytes()


def _inflated(packed: bytes) -> Iterator[bytes]:
    inflate = zlib.decompressobj()
    total, rest = 0, packed
    try:
        while not inflate.eof:
            chunk = inflate.decompress(rest, limits.CHUNK)
            rest = inflate.unconsumed_tail
            total += len(chunk)
            if not chunk and not inflate.eof:
                raise Unsound(findings.DAMAGED, "an attachment is cut")
            if total > max(limits.RATIO_FROM, len(packed) * limits.RATIO):
                raise Unsound(findings.UNPACKED_TOO_LARGE, f"an attachment of more than {limits.RATIO} times its size")
            yield chunk
    except zlib.error:
        raise Unsound(findings.DAMAGED, "an attachment cannot be unpacked") from None


# --- what stands around it -------------------------------------------------------------------------
_END: Final = b"%%EOF"
_COMMENTS: Final = re.compile(rb"[\0\s]*(?:%[\t -~]{0,200}[\0\s]+){0,20}")  # still PDF, though nobody reads it


def _frame(file: IO[bytes]) -> Iterator[Finding]:
    """Look at what stands before the header, behind the end, and between the ends of its revisions."""
    file.seek(0)
    before = file.read(HEADER_WITHIN).partition(MARK)[0].removeprefix(b"\xef\xbb\xbf")
    if len(before) > limits.FRONT or before.strip(_WHITE):
        yield Finding(findings.POLYGLOT, 1, "bytes before the header")
    size = file.seek(0, 2)
    file.seek(max(0, size - limits.PADDING))
    _, end, behind = file.read().rpartition(_END)
    if not end:
        yield Finding(findings.DAMAGED, 1, "it has no end")
    elif not _COMMENTS.fullmatch(behind):
        yield Finding(findings.POLYGLOT, 1, "bytes after the end")
    if any(members.kind_of(behind) in _FOREIGN for behind in _behind_ends(file)):
        yield Finding(findings.POLYGLOT, 1, "another file between its revisions")


def _behind_ends(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what begins after each end of a revision."""
    file.seek(0)
    place, before = 0, b""
    while chunk := file.read(limits.CHUNK):
        window = before + chunk
        found = window.find(_END)
        while found >= 0:
            if found + len(_END) > len(before):
                yield _read(file, place - len(before) + found + len(_END)).lstrip(_WHITE)
            found = window.find(_END, found + len(_END))
        place += len(chunk)
        before = window[-len(_END) + 1 :]
        file.seek(place)


def _read(file: IO[bytes], place: int) -> bytes:
    file.seek(place)
    return file.read(256)
