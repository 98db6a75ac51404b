"""The proof of one event as a file, and the opening of its personal part."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import verify
from tests.audit import exports
from tests.audit.exports import KEY, OPENING

LOG = exports.leaves(37)
PROOF = exports.proof(LOG, 12)


def check(text: str, leaf: str) -> verify.Proof:
    """What the command does."""
    proof = verify.parse_proof(text)
    under = verify.open_checkpoint(proof.note, [KEY])
    verify.check_inclusion(verify.leaf_hash(leaf.encode()), proof.index, under.size, under.root, proof.hashes)
    return proof


@pytest.mark.parametrize("seq", [0, 12, 31, 32, 36])
def test_a_proof_proves_its_event_and_no_other(seq: int) -> None:
    text = exports.proof(LOG, seq)
    assert check(text, LOG[seq]).extra == b""
    for other in {0, seq - 1, seq + 1, 36} - {seq, -1, 37}:
        with pytest.raises(verify.Broken, match=f"event {seq}: the proof does not lead from this leaf"):
            check(text, LOG[other])


def test_the_only_event_of_a_log_needs_no_hashes() -> None:
    assert check(exports.proof(LOG[:1], 0), LOG[0]).hashes == ()


def test_extra_data_are_read_and_prove_nothing() -> None:
    assert check(exports.proof(LOG, 12, extra=b"more"), LOG[12]).extra == b"more"


def test_the_published_example_is_read() -> None:
    """C2SP tlog-proof's, with a whole hash in each line; its signatures are abridged there."""
    hashes = ["gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=", "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA="]
    text = "\n".join(["c2sp.org/tlog-proof@v1", "index 73894", *hashes, "", "example.com/fancylog", "109482", ""])
    proof = verify.parse_proof(text)
    assert (proof.index, len(proof.hashes), proof.note) == (73894, 2, "example.com/fancylog\n109482\n")


HASH = PROOF.split("\n")[2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\n\n",
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("\n", "\r\n"),
        PROOF.replace("index", "Index"),
        PROOF.replace("index 12\n", ""),
        PROOF.replace("index 12", "index"),
        PROOF.replace("index 12", "index 012"),
        PROOF.replace("index 12", "index -12"),
        PROOF.replace("index 12", "index 12 "),
        PROOF.replace("index 12", "index \u0661\u0662"),
        PROOF.replace("index 12", "index " + "9" * 5000),
        PROOF.replace("index 12", "index 13"),
        PROOF.replace("index 12", "index 99"),
        PROOF.replace("index 12", "extra\nindex 12"),
        PROOF.replace("index 12", "extra *\nindex 12"),
        PROOF.replace("index 12", "index 12\nextra AAAA"),
        PROOF.replace(HASH, HASH[:-2] + "=="),
        PROOF.replace(HASH, HASH[:-1]),
        PROOF.replace(HASH, HASH + " "),
        PROOF.replace(HASH, "AAAA"),
        PROOF.replace(f"{HASH}\n", ""),
        PROOF.replace(HASH, f"{HASH}\n{HASH}"),
        PROOF.replace(HASH, f"{HASH}\n" * 100 + HASH),
        PROOF.replace(HASH, ""),
        PROOF.replace("\n37\n", "\n36\n"),
        "\ufeff" + PROOF,
    ],
)
def test_what_is_no_proof_of_this_event_is_refused(text: str) -> None:
    with pytest.raises(verify.Broken):
        check(text, LOG[12])


@settings(max_examples=60)
@given(st.text(max_size=60), st.integers(0, len(PROOF)), st.integers(0, len(PROOF)))
def test_no_text_in_any_place_makes_it_stumble(text: str, low: int, high: int) -> None:
    other = PROOF[:low] + text + PROOF[high:]
    try:
        proof = check(other, LOG[12])
    except verify.Broken:
        return
    assert proof.index == 12


# --- the personal part ------------------------------------------------------------------------------------------------
def test_an_opening_shows_the_personal_values_that_the_event_commits_to() -> None:
    assert json.loads(verify.check_opening(LOG[12], OPENING, "event 12")) == {"ip": "192.0.2.1", "name": "Ren\u00e9"}


@pytest.mark.parametrize("opening", [b"", bytes(31), OPENING[32:], OPENING + b" ", b"\x01" + OPENING[1:]])
def test_another_opening_is_refused(opening: bytes) -> None:
    with pytest.raises(verify.Broken, match="event 12: the personal part"):
        verify.check_opening(LOG[12], opening, "event 12")


@pytest.mark.parametrize(
    "leaf", ["", "{}", "[]", '{"private":null}', '{"private":["x"]}', "\ud800", b"\xff", "[" * 9999]
)
def test_an_event_that_commits_to_nothing_has_no_opening(leaf: str | bytes) -> None:
    with pytest.raises(verify.Broken, match="event 12"):
        verify.check_opening(leaf, OPENING, "event 12")
