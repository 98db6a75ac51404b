"""What is a leaf: whatever can be recorded, and nothing else."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from audit import actions, columns, leaf, sequencer, trail
from audit.models import Event, Outbox, Unreadable
from audit.trail import Ref

GOOD: dict[str, Any] = {
    "v": 1,
    "id": "6f1d3e0a-0000-4000-8000-000000000001",
    "nonce": "0" * 32,
    "time": "2026-11-24T12:00:00.000000Z",
    "action": "document.read",
    "outcome": "success",
    "actor": {"kind": "user", "uid": "12"},
    "object": {"kind": "document", "uid": "d"},
    "details": "",
    "facts": {},
}


def without(name: str) -> dict[str, Any]:
    """A leaf that lacks a field."""
    return {key: value for key, value in GOOD.items() if key != name}


CHANGED: list[dict[str, Any]] = [
    {"time": "2026-11-24T12:00:00.000000"},
    {"time": "2026-11-24T12:00:00Z"},
    {"time": "2026-11-24T12:00:00,000000Z"},
    {"time": "2026-W48-2T12:00:00.000000Z"},
    {"time": "2026-11-24T13:00:00.000000+01:00"},
    {"time": "2026-02-30T12:00:00.000000Z"},
    {"actor": {"kind": "user"}},
    {"actor": {"kind": "user", "uid": 12}},
    {"actor": {"kind": "user", "uid": "9" * 200}},
    {"actor": {"kind": "user", "uid": "a\0"}},
    {"subject": "user:12"},
    {"action": "a" * 101},
    {"action": "document\0.read"},
    {"outcome": "s" * 21},
]
BAD = [
    "",
    "nonsense",
    "null",
    "[]",
    "1",
    "[" * 10_000,
    " " + leaf.canonical(GOOD),
    json.dumps(GOOD),
    leaf.canonical(GOOD).replace('"v":1', '"v":1,"v":1'),
    leaf.canonical(GOOD).replace('"v":1', '"v":1.0'),
    leaf.canonical(GOOD).replace('"v":1', '"v":NaN'),
    leaf.canonical(GOOD).replace('"nonce":"0', r'"nonce":"\ud800'),
    *[leaf.canonical(without(name)) for name in ("time", "action", "outcome", "actor", "object", "details")],
    *[leaf.canonical({**GOOD, name: 1}) for name in ("time", "action", "outcome", "actor", "object", "details")],
    *[leaf.canonical({**GOOD, **changed}) for changed in CHANGED],
]


def test_the_columns_are_those_of_the_leaf() -> None:
    assert columns.read(leaf.canonical(GOOD)) == columns.Columns(
        datetime(2026, 11, 24, 12, tzinfo=UTC), "user:12", "document.read", "document:d", "", "success"
    )
    told = leaf.canonical({**GOOD, "subject": {"kind": "user", "uid": "7"}})
    assert columns.read(told).subject == "user:7"


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_leaf_has_no_columns(text: str) -> None:
    with pytest.raises(columns.NotALeaf):
        columns.read(text)


ODD = ["a\tb\\n\r\n", "\\.", r"\N", "\u2028 \U0001f600 \u20ac", '"{}', "\x7f\x01", "x" * 190, " "]


@pytest.mark.django_db
@pytest.mark.parametrize("odd", [*ODD, "\0"])
def test_whatever_can_be_recorded_gets_its_place_word_for_word(odd: str) -> None:
    name = odd if "\0" not in odd else "d"
    facts: dict[str, leaf.JSON] = {"odd": odd, "list": [True, {"deep": -(2**53) + 1}], "empty": {}}
    trail.record(actions.DOCUMENT_READ, actor=Ref("user", name), object=Ref("document", name), details=odd, facts=facts)
    exact = Outbox.objects.get().leaf
    sequencer.sequence()
    event = Event.objects.get()
    assert (event.leaf, event.actor, event.object) == (exact, f"user:{name}", f"document:{name}")
    assert bytes(event.leaf_hash) == leaf.leaf_hash(exact)
    assert not Unreadable.objects.exists()
