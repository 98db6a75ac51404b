"""Verifies what a Strongroom audit log has given out. One file, Python 3.9 or newer, nothing to install, no network.

    python -I verify.py log.jsonl[.gz]   --key VKEY [--checkpoint OLD]          an export, whole or in part
    python -I verify.py 4711.tlog-proof  --key VKEY --leaf LEAF [--opening O]   one event
    python -I verify.py checkpoint       --key VKEY                             a checkpoint by itself

VKEY is the log's verification key (`manage.py audit key` prints it); get it from somebody you trust, once. Where the
log's keys have changed give each that you trust: --key OLD --key NEW. OLD is a checkpoint that you kept: the events
that it covers must be, in the export, what they were then. Write -I, so that no file beside this one is run.

Exit code 0: verified, and what was proven is printed. 1: NOT VERIFIED, and the reason. 2: called in a wrong way.

Covered by the proof is each event's text (`leaf`), its place (`seq`), the number of events, and the personal parts
that are shown. NOT covered: `sequenced_at`, `filters`, `made_at`, and whether an event that is withheld is one that
you asked for. Signatures by keys that you did not name are not looked at.

In the order of need: the tree (RFC 6962), Ed25519 (RFC 8032), notes and checkpoints (C2SP signed-note and
tlog-checkpoint), the proof of one event (C2SP tlog-proof), the export, the command. docs/audit-formats.md has the
formats in words.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import io
import itertools
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn


class Broken(Exception):
    """It does not verify. The text says what is wrong, and with which event or range."""


# === The tree (RFC 6962 §2.1) =========================================================================================
#
# A leaf is an event, a node binds two children, the root binds everything. What is hashed begins with a zero byte for
# a leaf and with a one byte for a node, so that neither can be taken for the other. A tree of n leaves has on its left
# the perfect tree of k leaves, k the largest power of two below n, and on its right the tree of the rest.

EMPTY_ROOT = hashlib.sha256().digest()


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of an event: SHA-256 of a zero byte and the leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees: SHA-256 of a one byte and both of theirs."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf_hash: bytes, seq: int, size: int, root: bytes, path: Sequence[bytes]) -> None:
    """Check that the leaf at place `seq` of the tree of `size` leaves has this hash (RFC 6962 §2.1.1).

    `path` has the hashes beside the way from the leaf to the root, the leaf's sibling first. Raises Broken.
    """
    _are_hashes(leaf_hash, root, *path)
    if not 0 <= seq < size:
        raise Broken(f"event {seq} is not among the {size} events that the checkpoint covers")
    rest = list(path)
    found = _climb(leaf_hash, seq, size, rest)
    if rest or found != root:
        raise Broken(f"event {seq}: the proof does not lead from this leaf to the root over {size} events")


def check_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `old_size` leaves is the beginning of the tree of `new_size` (RFC 6962 §2.1.2).

    Raises Broken; so it does for an empty old tree, of which every tree is the continuation and which proves nothing.
    """
    _are_hashes(old_root, new_root, *proof)
    if not 1 <= old_size <= new_size:
        raise Broken(f"a log of {old_size} events is not the beginning of one of {new_size}")
    rest = list(proof)
    old, new = _both(old_size, new_size, rest, old_root)
    if rest or (old, new) != (old_root, new_root):
        raise Broken(f"the log of {new_size} events does not continue that of {old_size} events")


def _climb(node: bytes, seq: int, size: int, path: list[bytes]) -> bytes:
    """The root that follows from the leaf `node`; takes from the end of `path`, where the highest sibling is."""
    if size == 1:
        return node
    left, sibling = _left(size), _taken(path)
    if seq < left:
        return node_hash(_climb(node, seq, left, path), sibling)
    return node_hash(sibling, _climb(node, seq - left, size - left, path))


def _both(old: int, new: int, proof: list[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """The roots over the first `old` and over all `new` leaves of a subtree that the proof leads to.

    `known` is the old root, as long as the subtree begins where the tree does: it may be the whole old tree.
    """
    if old == new:
        node = known or _taken(proof)
        return node, node
    left, sibling = _left(new), _taken(proof)
    if old <= left:
        below = _both(old, left, proof, known)
        return below[0], node_hash(below[1], sibling)
    below = _both(old - left, new - left, proof, None)
    return node_hash(sibling, below[0]), node_hash(sibling, below[1])


def _left(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def _taken(hashes: list[bytes]) -> bytes:
    if not hashes:
        raise Broken("the proof has too few hashes")
    return hashes.pop()


def _are_hashes(*hashes: bytes) -> None:
    if any(len(each) != 32 for each in hashes):
        raise Broken("a hash is not 32 bytes long")


class Edge:
    """The right edge of a tree that is read from left to right: its perfect subtrees so far, the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[bytes] = []

    def append(self, node: bytes, height: int = 0) -> None:
        """Append the perfect subtree of 2^height leaves with this hash. `size` must be a multiple of 2^height."""
        place = self.size >> height
        while place & 1:  # a subtree of this height waits for its sibling
            node = node_hash(self._nodes.pop(), node)
            place >>= 1
        self._nodes.append(node)
        self.size += 1 << height

    def root(self) -> bytes:
        """The root over what was appended."""
        if not self._nodes:
            return EMPTY_ROOT
        *rest, root = self._nodes
        for node in reversed(rest):
            root = node_hash(node, root)
        return root


# === Ed25519 (RFC 8032 §5.1), verification alone ======================================================================
#
# Only public values are handled, so nothing here has to take the same time for all of them.

_P = 2**255 - 19  # the field
_L = 2**252 + 27742317777372353535851937790883648493  # the order of the base point
_D = -121665 * pow(121666, -1, _P) % _P  # the curve: y² - x² = 1 + d x² y²
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]
"""X, Y, Z and T of §5.1.4: x = X/Z, y = Y/Z, x y = T/Z."""


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is the one of `message` by the key `public`.

    Strict where implementations differ: S is below the group's order, the points have their one encoding, the key is
    not of small order (for such a key there are signatures that fit many messages), and the equation is the one
    without cofactor.
    """
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= _L:
        return False
    try:
        x, y, z, t = _key(public)
    except ValueError:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % _L
    r = _add(_times(s, _BASE), _times(k, (-x % _P, y, z, -t % _P)))  # R = S B - k A
    return _encoded(r) == signature[:32]


def _key(public: bytes) -> _Point:
    """The point of a public key. Raises ValueError for what is none, and for one of small order."""
    point = _decoded(public)
    x, y, z, _ = _times(8, point)
    if x == 0 and y == z:
        raise ValueError("a point of small order")
    return point


def _add(one: _Point, two: _Point) -> _Point:
    """§5.1.4; on this curve right for every pair of points, also for a point and itself."""
    a = (one[1] - one[0]) * (two[1] - two[0])
    b = (one[1] + one[0]) * (two[1] + two[0])
    c = 2 * _D * one[3] * two[3]
    d = 2 * one[2] * two[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(number: int, point: _Point) -> _Point:
    product = (0, 1, 1, 0)
    for bit in f"{number:b}":
        product = _add(product, product)
        if bit == "1":
            product = _add(product, point)
    return product


def _encoded(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decoded(text: bytes) -> _Point:
    """§5.1.3. Raises ValueError for what is not the encoding of a point."""
    number = int.from_bytes(text, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if len(text) != 32 or y >= _P:
        raise ValueError("not an encoded point")
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _ROOT_OF_MINUS_1 % _P
    if x * x % _P != square or (x == 0 and sign):
        raise ValueError("not on the curve")
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


_BASE = _decoded(b"\x58" + b"\x66" * 31)  # y = 4/5


# === Notes and checkpoints (C2SP signed-note, tlog-checkpoint) ========================================================
#
# A note is a text, an empty line, and signature lines: "— NAME base64(key id || signature)". A checkpoint is a note
# whose text is three lines: the log's name (its origin), how many events it has, and the root over them.

_ED25519 = b"\x01"  # the kind of key
_NUMBER = "0|[1-9][0-9]{0,18}"
_SIGNATURES = 100  # more lines than that nobody needs to read


@dataclass(frozen=True)
class VerifierKey:
    """A public key that is trusted, and the name of the log that it signs for."""

    name: str
    id: bytes  # four bytes that name the key in a signature line
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read `name+id+base64`, the form of Go's note package. Raises Broken."""
        name, _, rest = text.strip().partition("+")
        digits, _, encoded = rest.partition("+")
        raw = _base64(encoded, f"the key {_brief(text)}")
        if not is_name(name) or raw[:1] != _ED25519 or len(raw) != 33:
            raise Broken(f"{_brief(text)} is not the verification key of an Ed25519 signer: name+id+base64")
        public = raw[1:]
        if digits.lower() != key_id(name, public).hex():
            raise Broken(f"the key {_brief(text)} does not have the id that it says; a letter may have been lost")
        try:
            _key(public)
        except ValueError as error:
            raise Broken(f"the key {_brief(text)} is not a usable Ed25519 key: {error}") from error
        return cls(name, key_id(name, public), public)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says, its signature checked: the log's name, its number of events, the root over them."""

    origin: str
    size: int
    root: bytes
    note: str


def key_id(name: str, public: bytes) -> bytes:
    """The first four bytes of SHA-256(name || 0x0A || 0x01 || public key), for an Ed25519 key."""
    return hashlib.sha256(_utf8(name, "the name of a key") + b"\n" + _ED25519 + public).digest()[:4]


def open_note(note: str, keys: Sequence[VerifierKey]) -> str:
    """Return a note's text.

    Raises Broken where none of `keys` has signed it, where a signature line of any of them is wrong, and for what is
    not a note. Lines of other keys are passed over, as the specification demands.
    """
    return _opened(note, keys)[0]


def open_checkpoint(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Return what a checkpoint says. Raises Broken unless a key of the log that it names has signed it."""
    text, signed = _opened(note, keys)
    origin, *rest = text.split("\n")[:-1]
    if len(rest) < 2 or not origin or "" in rest or not re.fullmatch(_NUMBER, rest[0]):
        raise Broken("the signed note is not a checkpoint: a name, a number of events, a root")
    if origin not in {key.name for key in signed}:
        raise Broken(f"the checkpoint speaks for {_brief(origin)}, but is signed by {_named(signed)}")
    size, root = int(rest[0]), _base64(rest[1], "the checkpoint's root")
    _are_hashes(root)
    if size == 0 and root != EMPTY_ROOT:
        raise Broken("the checkpoint is of no events, but has a root over some")
    return Checkpoint(origin, size, root, note)


def _opened(note: str, keys: Sequence[VerifierKey]) -> tuple[str, set[VerifierKey]]:
    """A note's text, and which of the keys have signed it."""
    raw = _utf8(note, "the note")
    text, blank, lines = note.rpartition("\n\n")
    if any(each < 0x20 and each != 0x0A for each in raw):
        raise Broken("the signed note has control characters; were its line ends changed on the way?")
    if not blank or not lines.endswith("\n"):
        raise Broken("this is not a signed note: a text, an empty line, signature lines, each with its line end")
    text += "\n"
    signed = set()
    for line in lines[:-1].split("\n", _SIGNATURES):
        name, key, signature = _signature(line)
        for known in keys:
            if (known.name, known.id) == (name, key):
                if not ed25519_verify(known.public, text.encode(), signature):
                    raise Broken(f"the signature of {known} is wrong: the note was altered, or is not by this key")
                signed.add(known)
    if not signed:
        raise Broken(f"the note is not signed by any key that you named, which are {_named(keys)}")
    return text, signed


def _signature(line: str) -> tuple[str, bytes, bytes]:
    """The name, the key's id and the signature of a signature line."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    raw = _base64(encoded, "a signature of the note")
    if dash != "\u2014" or not is_name(name) or len(raw) <= 4:
        raise Broken(f"the note has a line that is no signature: {_brief(line)}")
    return name, raw[:4], raw[4:]


def _named(keys: Iterable[VerifierKey]) -> str:
    return ", ".join(sorted(str(key) for key in keys))


def is_name(text: str) -> bool:
    """Whether a key can have this name: not empty, without a plus or a space of any kind."""
    return bool(text) and "+" not in text and not any(each.isspace() for each in text)


def _utf8(text: str, what: object) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Broken(f"{what} has half of a surrogate pair, which is no character") from error


def _base64(text: object, what: str) -> bytes:
    """The bytes. Raises Broken for anything but their one encoding (RFC 4648 §4, no stray bits in the last letter)."""
    try:
        raw = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        raw = b""
    if base64.b64encode(raw).decode() != text:
        raise Broken(f"{what} is not base64")
    return raw


def _brief(value: object) -> str:
    try:
        text = ascii(value)
    except RecursionError:  # of JSON that is nested deeply, but not too deeply to be read
        return "..."
    return text if len(text) <= 100 else f"{text[:97]}..."


# === The proof of one event (C2SP tlog-proof) =========================================================================

_PROOF = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class Proof:
    """A proof as it is written; nothing in it is checked yet, and `extra` is not covered by anything."""

    index: int
    hashes: tuple[bytes, ...]
    note: str
    extra: bytes = b""


def parse_proof(text: str) -> Proof:
    """Read a .tlog-proof. Raises Broken."""
    head, blank, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    if first != _PROOF or not blank:
        raise Broken(f"this is not a {_PROOF}: that line, index, hashes, an empty line, a checkpoint")
    extra = _base64(lines.pop(0)[6:], "the proof's extra") if lines and lines[0].startswith("extra ") else b""
    word, _, index = (lines.pop(0) if lines else "").partition(" ")
    if word != "index" or not re.fullmatch(_NUMBER, index):
        raise Broken("the proof does not say which event it is about: a line `index` and its number")
    if len(lines) > 64:
        raise Broken("the proof has more hashes than any log needs")
    return Proof(int(index), tuple(_base64(line, "a hash of the proof") for line in lines), note, extra)


def check_opening(leaf: str | bytes, opening: bytes, where: object) -> str:
    """Return the personal values, as JSON, that `opening` shows; check that the leaf commits to them.

    An opening is a salt of 32 bytes and the values' canonical JSON; the leaf's `private` is the SHA-256, in hex, of
    "audit-priv-v1", a zero byte and the opening. Raises Broken; `where` is what its text is about.
    """
    commitment = _object(leaf, where).get("private")
    if commitment != hashlib.sha256(b"audit-priv-v1\x00" + opening).hexdigest() or len(opening) < 32:
        raise Broken(f"{where}: the personal part shown is not the one that the event commits to")
    return opening[32:].decode(errors="backslashreplace")


# === The export =======================================================================================================
#
# JSON Lines. A head; then the tree from left to right, each line an event or, for what is withheld, the hash of one
# perfect subtree; then an end line. Whatever is withheld, the root can be computed, and is compared with the signed
# one; at the size of an older checkpoint the root so far is compared with that.

_VERSION = 1
_HEAD = {"strongroom_export", "origin", "size", "checkpoint", "filters", "made_at"}
_EVENT = {"seq", "leaf", "sequenced_at"}
_OPENED = _EVENT | {"opening"}
_WITHHELD = {"skip", "hash"}
_END = {"end", "events"}


@dataclass(frozen=True)
class Report:
    """What an export proves of the log `origin`: of its `size` events it shows `events`, and withholds the others."""

    origin: str
    size: int
    events: int
    withheld: int
    root: bytes = field(default=EMPTY_ROOT, compare=False)
    openings: int = field(default=0, compare=False)  # personal parts that were shown and checked
    first: str = field(default="", compare=False)  # the time that the first event shown says
    last: str = field(default="", compare=False)  # and the last


def verify_export(lines: Iterable[bytes], keys: Sequence[VerifierKey], old: Checkpoint | None = None) -> Report:
    """Verify an export, and where `old` is given that it continues that checkpoint. Raises Broken.

    Reads one line after the other and keeps none.
    """
    rest = iter(lines)
    head = _head(next(rest, b""), keys)
    reading = _Reading(head, old)
    for line in rest:
        entry = _object(line, reading)
        if "leaf" in entry:
            reading.event(entry)
        elif "skip" in entry:
            reading.withheld(entry)
        else:
            reading.end(entry)
            break
    else:
        raise Broken(f"the export ends after {reading.last()}; {head.size} events were announced: it is cut off")
    for line in rest:
        raise Broken(f"something follows the export's last line: {_brief(line)}")
    return reading.report()


def _head(line: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint of an export's first line, opened, and the rest of that line compared with it."""
    head = _object(line, "the first line")
    if not _is(head.get("strongroom_export"), _VERSION):
        raise Broken(f"this is not a Strongroom export of version {_VERSION}, the one that this program can read")
    if head.keys() != _HEAD or not isinstance(head["checkpoint"], str):
        raise Broken(f"the first line does not have what an export's first line has: {', '.join(sorted(_HEAD))}")
    checkpoint = open_checkpoint(head["checkpoint"], keys)
    if head["origin"] != checkpoint.origin or not _is(head["size"], checkpoint.size):
        raise Broken("the first line says another origin or size than the checkpoint that it holds")
    return checkpoint


class _Reading:
    """An export that is being read: how far, and the edge of its tree there. As text: where it stands."""

    def __init__(self, head: Checkpoint, old: Checkpoint | None) -> None:
        if old:
            _comparable(head, old)
        self._head, self._old = head, old
        self._mark = old.size if old else -1
        self._edge = Edge()
        self._events = self._openings = 0
        self._first = self._last = ""

    def __str__(self) -> str:
        return f"the line after {self.last()}"

    def last(self) -> str:
        return f"event {self._edge.size - 1}" if self._edge.size else "the first line"

    def event(self, entry: dict[str, Any]) -> None:
        """Take an event. This runs for each of millions."""
        leaf, seq, size = entry["leaf"], entry.get("seq"), self._edge.size
        if type(seq) is not int or seq != size:
            raise Broken(f"event {size} is missing: in its place stands event {_brief(seq)}")
        if size >= self._head.size:
            raise Broken(f"event {size} is not covered by the checkpoint, which is of {self._head.size} events")
        if entry.keys() != _EVENT and entry.keys() != _OPENED:
            raise Broken(f"event {size}: its line does not have what an event's line has: {_brief([*entry])}")
        if type(leaf) is not str or leaf[:1] != "{" or leaf[-1:] != "}":
            raise Broken(f"event {size}: its leaf is not the text of a JSON object")
        if "opening" in entry:
            check_opening(leaf, _base64(entry["opening"], f"the opening of event {size}"), f"event {size}")
            self._openings += 1
        self._edge.append(leaf_hash(_utf8(leaf, self)))
        self._events += 1
        self._last = leaf
        if not self._first:
            self._first = leaf
        if size + 1 == self._mark:
            self._compare()

    def withheld(self, entry: dict[str, Any]) -> None:
        """Take the hash of a perfect subtree whose events are not shown."""
        low, skip = self._edge.size, entry["skip"]
        if entry.keys() != _WITHHELD or type(skip) is not list or [type(each) for each in skip] != [int, int]:
            raise Broken(f"{self} is neither an event nor says what is withheld: {_brief(entry)}")
        height, place = skip
        if not 0 <= height < 63 or place << height != low:
            raise Broken(f"event {low} is missing: {_brief(entry)} does not begin there")
        high = low + (1 << height)
        if high > self._head.size:
            raise Broken(f"{_span(low, high)} are withheld, but the checkpoint is of {self._head.size} events")
        if self._old and low < self._mark < high:
            raise Broken(
                f"{_span(low, high)} are withheld in one piece, so the export cannot be compared with your checkpoint"
                f" of {self._mark} events: ask for it again, made with --against that checkpoint"
            )
        node = _base64(entry["hash"], f"the hash over {_span(low, high)}")
        _are_hashes(node)
        self._edge.append(node, height)
        if high == self._mark:
            self._compare()

    def end(self, entry: dict[str, Any]) -> None:
        """Take the last line, and compare the whole with what was signed."""
        size = self._head.size
        if entry.keys() != _END:
            raise Broken(f"{self} is no line of an export: {_brief([*entry])}")
        if self._edge.size != size or not _is(entry["end"], size):
            raise Broken(f"the export ends after {self.last()}; {size} events were announced: it is cut off")
        if not _is(entry["events"], self._events):
            raise Broken(f"the last line says that {_brief(entry['events'])} events are shown; {self._events} are")
        if self._edge.root() != self._head.root:
            raise Broken(f"{_span(0, size)} are not what was signed: at least one event or hash among them was altered")

    def report(self) -> Report:
        size, shown = self._head.size, self._events
        times = _time(self._first), _time(self._last)
        return Report(self._head.origin, size, shown, size - shown, self._head.root, self._openings, *times)

    def _compare(self) -> None:
        if self._old and self._edge.root() != self._old.root:
            raise Broken(
                f"{_span(0, self._mark)} are not what they were when your checkpoint of {self._mark} events was"
                " signed: an event among them was edited, removed, inserted or moved"
            )


def _comparable(new: Checkpoint, old: Checkpoint) -> None:
    if new.origin != old.origin:
        raise Broken(
            f"your checkpoint is of the log {_brief(old.origin)}, this is of {_brief(new.origin)}: another log, or one"
            " that was begun anew (the event log.restarted says why)"
        )
    if new.size < old.size:
        raise Broken(f"the log had {old.size} events, this has {new.size}: truncated, or older than your checkpoint")
    if new.size == old.size and new.root != old.root:
        raise Broken(f"{_span(0, old.size)} are not what they were when your checkpoint was signed: there are two logs")


def _object(text: str | bytes, where: object) -> dict[str, Any]:
    """The JSON object of a line. Raises Broken also for what two readers may understand differently."""
    try:
        text = text if isinstance(text, str) else text.decode()
        value, end = _decode(text)
        if text[end:] not in ("", "\n"):
            raise ValueError("something stands behind it")
    except (ValueError, RecursionError) as error:
        raise Broken(f"{where} is not one JSON object: it is cut off or damaged ({_brief(str(error))})") from error
    if type(value) is not dict:
        raise Broken(f"{where} is not one JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


_decode = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number).raw_decode


def _is(value: object, number: int) -> bool:
    return type(value) is int and value == number  # in Python 1 == True == 1.0


def _span(low: int, high: int) -> str:
    return f"event {low}" if high - low == 1 else f"events {low} to {high - 1}"


def _time(leaf: str) -> str:
    if not leaf:
        return ""
    time = _object(leaf, "an event's leaf").get("time")
    return time if isinstance(time, str) else ""


# === The command ======================================================================================================

_LONGEST = 1 << 20  # bytes in a line, and in any file that is not read by lines


class _Misused(Exception):
    """The options do not fit the file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify the file that the command line names. Returns the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        proven = _verified(asked)
    except _Misused as misuse:
        parser.error(str(misuse))
    except (Broken, OSError) as reason:
        print(_printable(f"NOT VERIFIED: {reason}"))
        return 1
    print(_printable(f"VERIFIED: {proven[0]}"))
    for line in proven[1:]:
        print(_printable(f"  {line}"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", metavar="FILE", help="an export, a .tlog-proof or a checkpoint")
    parser.add_argument("--key", metavar="VKEY", action="append", required=True, help="a verification key you trust")
    parser.add_argument("--checkpoint", metavar="FILE", help="a checkpoint that you kept, which FILE must agree with")
    parser.add_argument("--leaf", metavar="FILE", help="the exact bytes of the event that a .tlog-proof is about")
    parser.add_argument("--opening", metavar="FILE", help="its personal part: the opening, as bytes or in base64")
    return parser


def _verified(asked: argparse.Namespace) -> list[str]:
    """Verify the file; return, in words, what was proven."""
    keys = [VerifierKey.parse(each) for each in asked.key]
    old = open_checkpoint(_text(_raw(asked.checkpoint)), keys) if asked.checkpoint else None
    lines = _lines(asked.file)
    first = next(lines, b"")
    lines = itertools.chain([first], lines)
    if first.rstrip(b"\n") == _PROOF.encode():
        return _one_event(parse_proof(_text(lines)), asked, keys, old)
    if asked.leaf or asked.opening:
        raise _Misused("--leaf and --opening belong to a .tlog-proof, which this file is not")
    if first.startswith(b"{"):
        return _told(verify_export(lines, keys, old), old)
    return _checkpoint(open_checkpoint(_text(lines), keys), old)


def _one_event(
    proof: Proof, asked: argparse.Namespace, keys: Sequence[VerifierKey], old: Checkpoint | None
) -> list[str]:
    if not asked.leaf:
        raise _Misused("a .tlog-proof proves an event that you have: --leaf FILE, its exact bytes")
    leaf = _without_newline(_content(_raw(asked.leaf)))
    checkpoint = open_checkpoint(proof.note, keys)
    told = _checkpoint(checkpoint, old)
    check_inclusion(leaf_hash(leaf), proof.index, checkpoint.size, checkpoint.root, proof.hashes)
    told[0] = f"the leaf is event {proof.index} of {told[0]}"
    if asked.opening:
        values = check_opening(leaf, _opening(_content(_raw(asked.opening))), f"event {proof.index}")
        told.append(f"Its personal part is: {values}")
    return told


def _checkpoint(checkpoint: Checkpoint, old: Checkpoint | None) -> list[str]:
    told = [f"the log {checkpoint.origin}, {checkpoint.size} events, root {base64.b64encode(checkpoint.root).decode()}"]
    if old:
        _comparable(checkpoint, old)
        if old.size != checkpoint.size:
            raise Broken(
                f"this alone cannot be compared with your checkpoint: that is of {old.size} events, this of"
                f" {checkpoint.size}; an export can show that one continues the other"
            )
        told.append("It is what your checkpoint says.")
    return told


def _told(report: Report, old: Checkpoint | None) -> list[str]:
    root = base64.b64encode(report.root).decode()
    told = [f"{report.events} of the {report.size} events of the log {report.origin}, root {root}"]
    kept = old.size if old else 0
    if kept:
        told.append(f"{_span(0, kept).capitalize()}: as they were when your checkpoint of {kept} events was signed.")
    if kept < report.size:
        told.append(
            f"{_span(kept, report.size).capitalize()}: as the log's key signed them now. Whoever holds that key could"
            " have changed them before; a checkpoint that you keep from now on rules that out for later."
        )
    if report.withheld:
        told.append(
            f"{report.withheld} events are withheld. That they are unchanged is proven as for the others; not that"
            " they are none of those you asked for."
        )
    if report.openings:
        told.append(f"Personal parts shown, each the one that its event commits to: {report.openings}.")
    if report.first:
        told.append(f"The first event shown says {report.first}, the last {report.last}.")
    told.append("Not covered by the proof: sequenced_at, filters, made_at.")
    return told


def _lines(name: str) -> Iterator[bytes]:
    """The lines of a file, unpacked if it is gzip. Raises Broken for one that ends too early, or a line without end."""
    number = 1
    with Path(name).open("rb") as file:
        packed = file.peek(2)[:2] == b"\x1f\x8b"
        source = io.BufferedReader(gzip.GzipFile(fileobj=file), 1 << 16) if packed else file
        try:
            while line := source.readline(_LONGEST):
                if len(line) == _LONGEST:
                    raise Broken(f"line {number} is longer than any that belongs here")
                yield line
                number += 1
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Broken(f"the packed file is cut off or damaged in line {number} ({error})") from error


def _raw(name: str) -> Iterator[bytes]:
    """A file as it is. An opening begins with random bytes, which may look like gzip's."""
    with Path(name).open("rb") as file:
        while part := file.read(1 << 16):
            yield part


def _content(parts: Iterable[bytes]) -> bytes:
    content = bytearray()
    for part in parts:
        content += part
        if len(content) > _LONGEST:
            raise Broken("the file is longer than any that belongs here")
    return bytes(content)


def _text(parts: Iterable[bytes]) -> str:
    try:
        return _content(parts).decode()
    except UnicodeDecodeError as error:
        raise Broken(f"this is neither an export nor a proof nor a checkpoint: {error}") from error


def _without_newline(content: bytes) -> bytes:
    return content[:-1] if content.endswith(b"\n") else content


def _opening(content: bytes) -> bytes:
    """The opening's bytes. They end in JSON, which has braces and so cannot be taken for base64."""
    text = _without_newline(content)
    return _base64(text.decode(), "the opening") if re.fullmatch(rb"[A-Za-z0-9+/]+=*", text) else content


def _printable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


if __name__ == "__main__":
    sys.exit(main())
