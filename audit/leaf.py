"""The leaf: the one exact text of an event, which is hashed, stored and proven.

It is canonical JSON (RFC 8785), kept to a part of it on which the standard library's encoder
already gives the same bytes: ASCII keys; text, whole numbers below 2^53, true and false; objects
and lists; no fractions and no null (a value that is not there has no key). Fields:

    v           1, the version of this format
    id          UUID of the event
    nonce       128 random bits, hex; without it a short leaf could be guessed from its hash
    time        when it happened: RFC 3339, UTC, six digits, Z
    action      one of audit.actions
    outcome     success, failure or denied
    actor       {kind, uid}: who did it
    object      {kind, uid}: what it was done to
    subject     {kind, uid}: the person concerned, if there is one
    details     one readable line without personal data
    facts       an object of plain facts: ids, sizes, digests
    request_id  the request that caused it, if one did
    private     hex commitment to the private part (audit.private), if there is one

Its place in the log is not part of it: the proof binds that. The hash is RFC 6962's.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from audit import verify

JSON = str | int | bool | Sequence["JSON"] | Mapping[str, "JSON"]

MAX_BYTES: Final = 16_384  # a tile's entry carries its length in 16 bits; this leaves room
MAX_INTEGER: Final = 2**53 - 1  # beyond it JSON readers disagree
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class TooLong(ValueError):
    """The event is longer than 16,384 bytes."""


class NotCanonical(ValueError):
    """The event holds a value that has no single written form."""


def canonical(value: Mapping[str, JSON]) -> str:
    """The canonical text of `value`.

    Raises NotCanonical for what is outside the part of JSON above (fractions, null, keys that are
    not ASCII, half surrogates) and TooLong for more than MAX_BYTES.
    """
    if not _plain(value):
        _explain(value, "$")
    text = _ENCODER.encode(value)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise NotCanonical("a half surrogate has no UTF-8 form") from error
    if size > MAX_BYTES:
        raise TooLong(f"{size} bytes; a leaf has at most {MAX_BYTES}")
    return text


def timestamp(moment: datetime) -> str:
    """`moment` as RFC 3339 in UTC with six digits and Z. It must know its time zone."""
    if moment.tzinfo is None:
        raise NotCanonical("a time without a zone is not a moment")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"


def leaf_hash(text: str) -> bytes:
    """RFC 6962 §2.1: SHA-256 of a zero byte and the leaf."""
    return verify.leaf_hash(text.encode())


def _plain(value: object) -> bool:
    """Whether `value` lies within the part of JSON above. Every recording asks, so this is written to be quick."""
    if isinstance(value, str):
        return True
    if isinstance(value, int):
        return -MAX_INTEGER <= value <= MAX_INTEGER
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii() or not _plain(item):
                return False
        return True
    return isinstance(value, list | tuple) and all(map(_plain, value))


def _explain(value: object, where: str) -> None:
    """Raise NotCanonical for the first thing in `value` that is not plain."""
    match value:
        case dict():
            for key, item in value.items():
                if not isinstance(key, str) or not key.isascii():
                    raise NotCanonical(f"the key {key!r} in {where} is not ASCII text")
                _explain(item, f"{where}.{key}")
        case list() | tuple():
            for place, item in enumerate(value):
                _explain(item, f"{where}[{place}]")
        case _ if not _plain(value):
            raise NotCanonical(f"{type(value).__name__} at {where}: leave it out or write it as text")
