"""Logs in memory and what is given out of them, written by hand: what a verifier gets, without the product's writer."""

import base64
import functools
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from audit import leaf, note, tree, verify

ORIGIN = "rooms.example/log"
SIGNER = note.Signer(ORIGIN, bytes(range(32)))
KEY = verify.VerifierKey.parse(SIGNER.vkey)
OTHER = note.Signer(ORIGIN, bytes(range(1, 33)))  # the same name, another key
OPENING = bytes(32) + leaf.canonical({"ip": "192.0.2.1", "name": "Ren\u00e9"}).encode()


def leaves(count: int, *, first: int = 0) -> list[str]:
    """So many events; every one commits to OPENING."""
    return [_leaf(number) for number in range(first, first + count)]


def reader(log: Sequence[str]) -> tree.Read:
    """The tree over these events."""
    hashes = [verify.leaf_hash(each.encode()) for each in log]
    return functools.cache(lambda height, place: tree.fold(hashes[place << height : (place + 1) << height]))


def checkpoint(log: Sequence[str], *signers: note.Signer) -> verify.Checkpoint:
    """What the log's keeper signs of it."""
    root = tree.root(len(log), reader(log))
    name = signers[0].name if signers else ORIGIN
    text = note.signed(note.body(name, len(log), root), signers or [SIGNER])
    return verify.Checkpoint(name, len(log), root, text)


def export(
    log: Sequence[str],
    *,
    under: verify.Checkpoint | None = None,
    shown: Collection[int] | None = None,
    against: int = 0,
    openings: Mapping[int, bytes] = {},
) -> list[bytes]:
    """The lines of an export of these events, or of those `shown`; what is withheld does not span `against`."""
    chosen = sorted(range(len(log)) if shown is None else shown)
    return [line(head(under or checkpoint(log))), *_body(log, chosen, against, openings), line(end(len(log), chosen))]


def head(under: verify.Checkpoint) -> dict[str, Any]:
    """The first line."""
    known = {"strongroom_export": 1, "origin": under.origin, "size": under.size, "checkpoint": under.note}
    return {**known, "filters": {"action": "document."}, "made_at": "2026-11-24T12:00:00.000000Z"}


def event(seq: int, text: str, opening: bytes | None = None) -> dict[str, Any]:
    """The line of an event."""
    known = {"seq": seq, "leaf": text, "sequenced_at": "2026-11-24T12:00:00.000000Z"}
    return known if opening is None else {**known, "opening": base64.b64encode(opening).decode()}


def withheld(read: tree.Read, height: int, place: int) -> dict[str, Any]:
    """The line of a perfect subtree whose events are not shown."""
    return {"skip": [height, place], "hash": base64.b64encode(read(height, place)).decode()}


def end(size: int, shown: Collection[int]) -> dict[str, Any]:
    """The last line."""
    return {"end": size, "events": len(shown)}


def line(value: object) -> bytes:
    """A line of the file."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def proof(log: Sequence[str], seq: int, *, extra: bytes | None = None) -> str:
    """The .tlog-proof of an event."""
    hashes = [base64.b64encode(each).decode() for each in tree.inclusion(seq, len(log), reader(log))]
    told = [] if extra is None else [f"extra {base64.b64encode(extra).decode()}"]
    return "\n".join(["c2sp.org/tlog-proof@v1", *told, f"index {seq}", *hashes, "", checkpoint(log).note])


def _leaf(number: int) -> str:
    return leaf.canonical(
        {
            "v": 1,
            "nonce": f"{number:032x}",
            "time": f"2026-11-24T12:00:00.{number:06}Z",
            "action": "document.read",
            "details": f'Read \u2018{number}\u2019 "again"\n',
            "private": hashlib.sha256(b"audit-priv-v1\x00" + OPENING).hexdigest(),
        }
    )


def _body(log: Sequence[str], chosen: Iterable[int], against: int, openings: Mapping[int, bytes]) -> Iterator[bytes]:
    read, place = reader(log), 0
    for seq in chosen:
        yield from _gap(read, place, seq, against)
        yield line(event(seq, log[seq], openings.get(seq)))
        place = seq + 1
    yield from _gap(read, place, len(log), against)


def _gap(read: tree.Read, low: int, high: int, against: int) -> Iterator[bytes]:
    middle = against if low < against < high else high
    for height, place in [*tree.cover(low, middle), *tree.cover(middle, high)]:
        yield line(withheld(read, height, place))
