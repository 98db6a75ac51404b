"""What the log's columns repeat of a leaf, to be searched by; read strictly, by who writes and who checks them."""

import json
import re
from datetime import datetime
from typing import Any, Final, NamedTuple, NoReturn

_NAME, _ACTION, _OUTCOME = 200, 100, 20  # as wide as audit.models has them
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


class NotALeaf(ValueError):
    """This text is no leaf."""


class Columns(NamedTuple):
    """One leaf's columns, in the order in which `audit_event` has them."""

    occurred_at: datetime
    actor: str
    action: str
    object: str
    subject: str
    outcome: str


def read(text: str) -> Columns:
    """Return the columns of a leaf.

    Raises NotALeaf for what `trail.record` never writes: another text than the canonical one (audit.leaf), a field
    that is missing or of another type, a name that would not fit its column.
    """
    try:
        values, _ = _DECODER.raw_decode(text)
        if _ENCODER.encode(values) != text:  # which nothing but the whole text can be
            raise NotALeaf("the text is not canonical")
        return _columns(values)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotALeaf(f"{type(error).__name__}: {error}"[:200]) from error


def _columns(values: dict[str, Any]) -> Columns:
    if not isinstance(values["details"], str):
        raise TypeError("the details are no text")
    return Columns(
        _moment(values["time"]),
        _name(values["actor"]),
        _text(values["action"], _ACTION),
        _name(values["object"]),
        _name(values["subject"]) if "subject" in values else "",
        _text(values["outcome"], _OUTCOME),
    )


def _moment(text: str) -> datetime:
    if not _TIME.fullmatch(text):
        raise ValueError("the time has not the form of one")
    return datetime.fromisoformat(text)


def _name(ref: dict[str, object]) -> str:
    kind, uid = ref["kind"], ref["uid"]
    if not isinstance(kind, str) or not isinstance(uid, str):
        raise TypeError("a name is no text")
    return _text(f"{kind}:{uid}", _NAME)


def _text(value: object, width: int) -> str:
    if not isinstance(value, str) or len(value) > width or "\0" in value:  # PostgreSQL keeps no NUL
        raise ValueError(f"{value!r:.50} is no text for a column {width} wide")
    return value


def _no_fraction(text: str) -> NoReturn:
    raise ValueError(f"{text:.50} is no whole number")


_DECODER: Final = json.JSONDecoder(parse_float=_no_fraction, parse_constant=_no_fraction)
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False)
