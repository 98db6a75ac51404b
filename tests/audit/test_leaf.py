"""The leaf is canonical JSON, byte for byte what an independent encoder writes."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit import leaf

keys = st.text(st.characters(max_codepoint=127), max_size=10)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
scalars = text | st.booleans() | st.integers(-leaf.MAX_INTEGER, leaf.MAX_INTEGER)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(keys, values, max_size=6))
def test_a_leaf_is_byte_for_byte_rfc_8785(value: dict[str, leaf.JSON]) -> None:
    assert leaf.canonical(value).encode() == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        '\x00\x1f\x7f\x80 \u2028\u2029 \U0001f600 \ufeff \u20ac \\ " / \n\r\t\b\f',
        leaf.MAX_INTEGER,
        -leaf.MAX_INTEGER,
        [],
        {},
        [True, False, 0, "0"],
    ],
)
def test_awkward_values_are_written_as_rfc_8785_writes_them(value: leaf.JSON) -> None:
    assert leaf.canonical({"value": value}).encode() == rfc8785.dumps({"value": value})


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        None,
        2**53,
        -(2**53),
        b"bytes",
        {"k\u00e9y": 1},
        {1: "one"},
        [None],
        "\ud800",
        {"a", "b"},
    ],
)
def test_what_has_no_single_written_form_is_refused(value: object) -> None:
    with pytest.raises(leaf.NotCanonical):
        leaf.canonical({"value": value})  # type: ignore[dict-item]  # the wrong type is the test


def test_a_leaf_of_exactly_the_limit_passes_and_one_byte_more_is_refused() -> None:
    frame = len(leaf.canonical({"value": ""}))
    assert leaf.canonical({"value": "x" * (leaf.MAX_BYTES - frame)})
    with pytest.raises(leaf.TooLong):
        leaf.canonical({"value": "x" * (leaf.MAX_BYTES - frame + 1)})


def test_the_limit_counts_bytes_and_not_characters() -> None:
    with pytest.raises(leaf.TooLong):
        leaf.canonical({"value": "\u20ac" * (leaf.MAX_BYTES // 2)})


def test_a_time_is_utc_with_six_digits_wherever_it_was_taken() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert leaf.timestamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000000Z"
    assert leaf.timestamp(datetime(2026, 1, 2, 3, 4, 5, 6, east)) == "2026-01-01T21:34:05.000006Z"
    with pytest.raises(leaf.NotCanonical):
        leaf.timestamp(datetime(2026, 1, 2))  # noqa: DTZ001 - a time without a zone is the test


def test_the_leaf_hash_is_that_of_rfc_6962() -> None:
    # The first leaf of the published Certificate Transparency vectors is empty.
    empty = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf.leaf_hash("").hex() == empty
    assert leaf.leaf_hash("{}") == hashlib.sha256(b"\x00{}").digest()
