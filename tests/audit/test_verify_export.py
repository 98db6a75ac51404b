"""What the verifier says of an export: whole, in part, cut off, altered anywhere, and of what is none."""

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import verify
from tests.audit import exports
from tests.audit.exports import KEY, OPENING, ORIGIN

LOG = exports.leaves(150)
WHOLE = exports.export(LOG)
SMALL = exports.leaves(7)
PART = exports.export(SMALL, shown=[1, 2], openings={2: OPENING})


def refused(lines: list[bytes], old: verify.Checkpoint | None = None) -> str:
    """Why."""
    with pytest.raises(verify.Broken) as reason:
        verify.verify_export(lines, [KEY], old)
    return str(reason.value)


def changed(lines: list[bytes], place: int, **values: Any) -> list[bytes]:
    """The export with other values in a line; None takes one away."""
    told = {**json.loads(lines[place]), **values}
    mended = exports.line({name: value for name, value in told.items() if value is not None})
    return [*lines[:place], mended, *lines[place:][1:]]


# --- what is right ----------------------------------------------------------------------------------------------------
def test_a_whole_export_is_verified_and_what_it_covers_is_reported() -> None:
    report = verify.verify_export(WHOLE, [KEY])
    assert report == verify.Report(ORIGIN, 150, 150, 0)
    assert (report.root, report.openings) == (exports.checkpoint(LOG).root, 0)
    assert (report.first, report.last) == ("2026-11-24T12:00:00.000000Z", "2026-11-24T12:00:00.000149Z")


def test_an_export_of_an_empty_log_is_verified() -> None:
    assert verify.verify_export(exports.export([]), [KEY]) == verify.Report(ORIGIN, 0, 0, 0)
    assert verify.verify_export(exports.export([]), [KEY], exports.checkpoint([])).size == 0


@given(st.sets(st.integers(0, 149), max_size=40), st.integers(0, 150))
@settings(max_examples=40)
def test_any_part_is_verified_also_against_any_older_checkpoint(shown: set[int], size: int) -> None:
    lines = exports.export(LOG, shown=shown, against=size)
    report = verify.verify_export(lines, [KEY], exports.checkpoint(LOG[:size]))
    assert report == verify.Report(ORIGIN, 150, len(shown), 150 - len(shown))


def test_nothing_but_hashes_is_verified_too() -> None:
    assert verify.verify_export(exports.export(LOG, shown=[]), [KEY]) == verify.Report(ORIGIN, 150, 0, 150)


def test_openings_are_checked_and_counted() -> None:
    assert verify.verify_export(PART, [KEY]).openings == 1
    for opening in (b"", OPENING[:-1], OPENING + b" ", bytes(32)):
        lines = exports.export(SMALL, openings={2: opening})
        assert refused(lines) == "event 2: the personal part shown is not the one that the event commits to"


def test_an_export_is_read_line_by_line() -> None:
    """It may be larger than memory: no line is asked for before the one before it was looked at."""
    asked = []

    def lines() -> Iterator[bytes]:
        for line in (*WHOLE[:3], b"{}", *WHOLE[3:]):
            asked.append(line)
            yield line

    with pytest.raises(verify.Broken):
        verify.verify_export(lines(), [KEY])
    assert asked == [*WHOLE[:3], b"{}"]


# --- what is wrong, and where -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kept", [1, 2, 77, 150])
def test_an_export_that_is_cut_off_between_two_lines_says_after_which_event(kept: int) -> None:
    last = f"event {kept - 2}" if kept > 1 else "the first line"
    assert refused(WHOLE[:kept]) == f"the export ends after {last}; 150 events were announced: it is cut off"
    assert refused([*WHOLE[:kept], exports.line(exports.end(kept - 1, []))]).startswith(
        f"the export ends after {last};"
    )


def test_an_export_that_is_cut_off_within_a_line_says_after_which_event() -> None:
    for length in range(1, len(WHOLE[50]) - 1, 9):
        assert "the line after event 48 is not one JSON object: it is cut off" in refused(
            [*WHOLE[:50], WHOLE[50][:length]]
        )


NAMED = {
    "event 7 is missing: in its place stands event 8": WHOLE[:8] + WHOLE[9:],
    "event 8 is missing: in its place stands event 7": [*WHOLE[:9], *WHOLE[8:]],
    "event 7 is missing: in its place stands event '7'": changed(WHOLE, 8, seq="7"),
    "event 7 is missing: in its place stands event None": changed(WHOLE, 8, seq=None),
    "event 1 is missing: in its place stands event True": changed(WHOLE, 2, seq=True),
    "event 1 is missing: in its place stands event 1.0": changed(WHOLE, 2, seq=1.0),
    "events 0 to 149 are not what was signed": changed(WHOLE, 9, leaf="{}"),
    "event 8: its leaf is not the text of a JSON object": changed(WHOLE, 9, leaf="[]"),
    "event 8: its line does not have what": changed(WHOLE, 9, note="this is fine"),
    "event 9: its line does not have what": changed(WHOLE, 10, sequenced_at=None),
    "event 8: the personal part": changed(WHOLE, 9, opening="AAAA"),
    "the opening of event 8 is not base64": changed(WHOLE, 9, opening=["AAAA"]),
    "the line after event 7 has half of a surrogate": [*WHOLE[:9], WHOLE[9].replace(b"2026", b"\\ud800"), *WHOLE[10:]],
    "event 150 is not covered by the checkpoint": [*WHOLE[:-1], exports.line(exports.event(150, "{}")), WHOLE[-1]],
    "says that 149 events are shown; 150 are": changed(WHOLE, -1 % len(WHOLE), events=149),
    "the export ends after event 149; 150": changed(WHOLE, -1 % len(WHOLE), end=149),
    "the line after event 149 is no line of an export": changed(WHOLE, -1 % len(WHOLE), more=1),
    "something follows the export's last line": [*WHOLE, b"\n"],
    "something follows the export's last line: b'{": [*WHOLE, WHOLE[-1]],
    "the line after event 20 is not one JSON object": [*WHOLE[:22], b"\n", *WHOLE[22:]],
    "the line after event 19 is not one JSON object": [*WHOLE[:21], WHOLE[21] + WHOLE[22], *WHOLE[23:]],
    "the first line says another origin or size": changed(WHOLE, 0, size=149),
    "the first line says another origin": changed(WHOLE, 0, origin="other"),
    "the first line does not have what": changed(WHOLE, 0, filters=None),
    "the first line does not have": changed(WHOLE, 0, checkpoint=5),
    "not a Strongroom export of version 1": changed(WHOLE, 0, strongroom_export=2),
    "not a Strongroom export of version": changed(WHOLE, 0, strongroom_export=True),
    "the first line is not one JSON object": [],
}


@pytest.mark.parametrize("reason", NAMED)
def test_the_reason_names_what_is_wrong_and_where(reason: str) -> None:
    assert reason in refused(NAMED[reason])


GAP = exports.withheld(exports.reader(SMALL), 0, 0)
NO_GAP: dict[str, dict[str, Any]] = {
    "event 1 is missing: {'skip': [0, 2]": {"skip": [0, 2]},
    "event 1 is missing: {'skip': [1, 0]": {"skip": [1, 0]},
    "event 1 is missing: {'skip': [63, 0]": {"skip": [63, 0]},
    "event 1 is missing: {'skip': [-1, 2]": {"skip": [-1, 2]},
    "event 1 is missing: {'skip': [0, -1]": {"skip": [0, -1]},
    "the line after event 0 is neither": {"skip": [0, True]},
    "the line after event 0 is neither an": {"skip": [0, 1.0]},
    "the line after event 0 is neither an event": {"skip": [0]},
    "the line after event 0 is neither an event nor": {"skip": "01"},
    "the line after event 0 is neither an event nor says": {"skip": [0, 1], "hash": None},
    "the line after event 0 is neither an event nor says what": {"skip": [0, 1], "seq": 1},
    "the hash over event 1 is not base64": {"skip": [0, 1], "hash": "*"},
    "the hash over event 1 is not base": {"skip": [0, 1], "hash": [1]},
    "a hash is not 32 bytes": {"skip": [0, 1], "hash": "AAAA"},
}


@pytest.mark.parametrize("reason", NO_GAP)
def test_what_is_withheld_is_a_subtree_that_begins_where_the_events_before_it_end(reason: str) -> None:
    told = {name: value for name, value in {**GAP, **NO_GAP[reason]}.items() if value is not None}
    assert reason in refused([PART[0], exports.line(GAP), exports.line(told), *PART[2:]])


def test_nothing_is_withheld_beyond_what_the_checkpoint_covers() -> None:
    lines = [PART[0], exports.line({**GAP, "skip": [3, 0]})]
    assert refused(lines) == "events 0 to 7 are withheld, but the checkpoint is of 7 events"


# --- older checkpoints ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 2, 64, 149, 150])
def test_the_events_that_an_older_checkpoint_covers_are_compared_with_it(size: int) -> None:
    other = verify.Checkpoint(ORIGIN, size, bytes(32), "")
    assert f"0 to {size - 1} are not what they were" in refused(WHOLE, other).replace(
        "event 0 are", "events 0 to 0 are"
    )


def test_a_part_that_cannot_be_compared_says_how_to_get_one_that_can() -> None:
    reason = refused(exports.export(LOG, shown=[3]), exports.checkpoint(LOG[:70]))
    assert reason.startswith("events 64 to 127 are withheld in one piece")
    assert "--against" in reason


def test_an_export_that_ends_before_the_older_checkpoint_is_truncated() -> None:
    reason = refused(exports.export(LOG[:90]), exports.checkpoint(LOG))
    assert reason == "the log had 150 events, this has 90: truncated, or older than your checkpoint"


def test_a_checkpoint_of_another_log_is_not_compared() -> None:
    assert "log.restarted" in refused(WHOLE, verify.Checkpoint("rooms.example/log-2", 10, bytes(32), ""))


# --- any input --------------------------------------------------------------------------------------------------------
def committed(lines: list[bytes]) -> list[object]:
    """What the proof covers, of each line."""
    free = {"filters", "made_at", "sequenced_at"}
    return [{name: value for name, value in json.loads(each).items() if name not in free} for each in lines]


def library_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """In place of the verifier's own, which takes forty times as long; that they agree is test_verify_ed25519's."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_no_bit_can_be_turned_where_something_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "ed25519_verify", library_verifies)
    whole, free = b"".join(PART), set()
    for place, bit in itertools.product(range(len(whole)), {0, 5, random.randrange(8)}):  # 5: a letter's case
        turned = bytearray(whole)
        turned[place] ^= 1 << bit
        lines = bytes(turned).splitlines(keepends=True)
        try:
            verify.verify_export(lines, [KEY])
        except verify.Broken:
            continue
        assert committed(lines) == committed(PART)
        free.add(place)
    for place in free:  # and it did not pass anywhere else
        assert any(name in whole[max(0, place - 50) : place] for name in (b"filters", b"made_at", b"sequenced_at"))
    assert len(free) > 3 * 20  # so the proof's edge is where the docs say


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=9)
    | st.sampled_from([-(2**63), 2**63, "\ud800", PART[2].decode(), [0, 0], [0, 1], "{}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from([*json.loads(PART[0]), *json.loads(PART[3]), "skip", "hash", "end", "events", "other"])


@given(st.integers(0, len(PART) - 1), names, anything, st.booleans())
@settings(max_examples=60)
def test_no_value_in_any_place_makes_it_stumble(place: int, name: str, value: object, added: bool) -> None:
    told = json.loads(PART[place])
    if not added:
        name = random.choice(list(told))
    line = b"{" + b",".join(
        json.dumps(each).encode() + b":" + json.dumps(value if each == name else known).encode()
        for each, known in {**told, name: value}.items()
    )
    lines = [*PART[:place], line + b"}\n", *PART[place + 1 :]]
    try:
        verify.verify_export(lines, [KEY])
    except verify.Broken:
        return
    assert committed(lines) == committed(PART)


@given(st.lists(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()), max_size=4))
@settings(max_examples=60)
def test_no_line_makes_it_stumble(garbage: list[bytes]) -> None:
    with pytest.raises(verify.Broken):
        verify.verify_export(garbage, [KEY])
    with pytest.raises(verify.Broken):
        verify.verify_export([*PART[:2], *garbage], [KEY])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"skip":' + b"[" * 600 + b"]" * 600 + b',"hash":""}',
        b'{"leaf":"{}","seq":' + b"9" * 5000 + b"}",
        b'{"skip":[1,' + b"9" * 4000 + b'],"hash":""}',
        b'{"skip":[99999999999999999999,0],"hash":""}',
        b'{"leaf":"{}","seq":NaN,"sequenced_at":""}',
        b'{"leaf":"{}","seq":0,"sequenced_at":Infinity}',
        b'{"leaf":"\\ud800","seq":0,"sequenced_at":""}',
        b'{"leaf":"{\\ud800}","seq":0,"sequenced_at":""}',
        b'{"leaf":"{}","seq":1,"seq":0,"sequenced_at":""}',
        b'{"leaf":"{\xff}","seq":0,"sequenced_at":""}',
        b'\xef\xbb\xbf{"leaf":"{}","seq":0,"sequenced_at":""}',
        b' {"leaf":"{}","seq":0,"sequenced_at":""}',
        b'{"leaf":"{}","seq":0,"sequenced_at":""} {}',
        '{"leaf":"{}","seq":0,"sequenced_at":""}'.encode("utf-16"),
        b"\x00",
        b"null",
        b'"leaf"',
        b"{}",
        b'{"leaf":{},"seq":0,"sequenced_at":""}',
    ],
)
def test_what_is_no_line_of_an_export_is_refused(line: bytes) -> None:
    for lines in ([line], [PART[0], line]):
        with pytest.raises(verify.Broken):
            verify.verify_export(lines, [KEY])
