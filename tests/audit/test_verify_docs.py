"""The example in docs/audit-formats.md is what it says."""

import re

from audit import verify
from devstack.places import ROOT

PAGE = (ROOT / "docs" / "audit-formats.md").read_text()


def block(name: str) -> str:
    """The block of the page that is marked with this name."""
    found = re.search(rf"```{name}\n(.*?\n)```", PAGE, re.DOTALL)
    assert found
    return found[1]


KEYS = [verify.VerifierKey.parse(block("key"))]
LEAVES = block("leaves").splitlines()
OLD = verify.open_checkpoint(block("checkpoint"), KEYS)


def test_the_hashes_and_roots_are_those_of_the_leaves() -> None:
    edge = verify.Edge()
    for place, leaf in enumerate(LEAVES):
        hashed = verify.leaf_hash(leaf.encode())
        edge.append(hashed)
        assert f"`{hashed.hex()}`" in PAGE
        assert place == 0 or f"`{edge.root().hex()}`" in PAGE


def test_the_checkpoint_and_the_proof_verify() -> None:
    assert OLD.size == 2
    proof = verify.parse_proof(block("proof"))
    now = verify.open_checkpoint(proof.note, KEYS)
    verify.check_inclusion(verify.leaf_hash(LEAVES[0].encode()), proof.index, now.size, now.root, proof.hashes)


def test_the_export_verifies_and_continues_the_checkpoint() -> None:
    report = verify.verify_export(block("export").encode().splitlines(keepends=True), KEYS, OLD)
    assert (report, report.openings) == (verify.Report(OLD.origin, 3, 2, 1), 1)
