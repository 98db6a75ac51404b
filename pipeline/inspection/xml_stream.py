"""XML read once, in constant memory, by expat: is it well-formed, does it declare what it should not.

`defusedxml` reads the small parts that are wanted whole; what is large is never made a tree of. Document
type declarations and entities are where XML hides bombs and files of the machine (billion laughs, XXE):
OOXML knows neither (ECMA-376 part 2, 8.1.4), OpenDocument has declarations of old, but no entities.
"""

from collections.abc import Callable, Iterable
from typing import Final
from xml.parsers import expat

from pipeline.inspection import findings
from pipeline.inspection.report import Unsound

_CARRY: Final = 64  # longer than any name that is watched for
_LARGEST_ENTITY: Final = 256
_MOST_ENTITIES: Final = 64


class Watch:
    """What to look at while reading: subclasses are told of elements, at least of those in `near`.

    Calls from expat to Python cost ten times the reading itself, so they are made only around bytes that
    contain one of `near` (everywhere if None). Names are `namespace name`, or `name` where there is no namespace.
    """

    near: tuple[bytes, ...] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, text: str) -> None:
        """Characters, asked for by `listening`."""

    @property
    def listening(self) -> bool:
        """Whether text is wanted now."""
        return False


def read(
    chunks: Iterable[bytes], watch: Watch | None = None, *, declaration: bool = False, entities: bool = False
) -> None:
    """Read the XML to its end. Raises Unsound where it is not well-formed or declares too much.

    `declaration`: a document type may be declared; `entities`: and short entities of plain text, as
    drawing programs put into SVG.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _allowed if declaration or entities else _forbidden
    parser.EntityDeclHandler = _Entities().declared if entities else _forbidden
    try:
        for chunk in _watched(parser, chunks, watch):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError):
        raise Unsound(findings.DAMAGED, "a part is not well-formed XML") from None


def _watched(parser: expat.XMLParserType, chunks: Iterable[bytes], watch: Watch | None) -> Iterable[bytes]:
    """Connect `watch` to the parser before each chunk near which there is something for it."""
    if watch is None:
        yield from chunks
        return
    carry, wide = b"", None
    for chunk in chunks:
        if wide is None:  # UTF-16: patterns of bytes do not match, so everything is looked at
            wide = b"\0" in chunk[:4] or chunk[:2] in (b"\xff\xfe", b"\xfe\xff")
        window = carry + chunk
        near = wide or watch.near is None or watch.listening or any(each in window for each in watch.near)
        _connect(parser, watch if near else None)
        yield chunk
        carry = chunk[-_CARRY:]


def _connect(parser: expat.XMLParserType, watch: Watch | None) -> None:
    parser.StartElementHandler = _starter(parser, watch) if watch else None
    parser.EndElementHandler = _ender(parser, watch) if watch else None
    parser.CharacterDataHandler = watch.text if watch and watch.listening else None


def _starter(parser: expat.XMLParserType, watch: Watch) -> Callable[[str, dict[str, str]], None]:
    def started(name: str, attributes: dict[str, str]) -> None:
        watch.start(name, attributes)
        parser.CharacterDataHandler = watch.text if watch.listening else None

    return started


def _ender(parser: expat.XMLParserType, watch: Watch) -> Callable[[str], None]:
    def ended(name: str) -> None:
        watch.end(name)
        parser.CharacterDataHandler = watch.text if watch.listening else None

    return ended


def _allowed(*_: object) -> None:
    pass


def _forbidden(*_: object) -> None:
    raise Unsound(findings.DAMAGED, "a part declares a document type or entities")


class _Entities:
    """Lets a few short ones of plain text pass: none that refers to another, or to something outside."""

    def __init__(self) -> None:
        self.count = 0

    def declared(self, _: str, parameter: bool, value: str | None, *__: object) -> None:
        self.count += 1
        plain = value is not None and len(value) <= _LARGEST_ENTITY and not {"&", "%", "<"} & set(value)
        if parameter or not plain or self.count > _MOST_ENTITIES:
            _forbidden()
