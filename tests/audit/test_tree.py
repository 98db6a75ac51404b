"""The tree against published vectors, against somebody else's tree, and its proofs against the verifier."""

import random
from collections.abc import Callable, Iterator

import pytest
from pymerkle import ConsistencyProof, InmemoryTree

from audit import tree, verify

# The eight leaves with which Certificate Transparency's implementations are tested, the roots over the first one, two,
# ... of them, and proofs (transparency-dev/merkle, proof/verify_test.go). The proofs are written as spans of leaves.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
NODES = {
    (0, 1): "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    (1, 2): "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    (4, 5): "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    (6, 7): "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
    (0, 2): "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    (2, 4): "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    (4, 6): "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    (6, 8): "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    (0, 4): "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    (4, 8): "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
}
INCLUSION = [
    (0, 8, [(1, 2), (2, 4), (4, 8)]),
    (5, 8, [(4, 5), (6, 8), (0, 4)]),
    (2, 3, [(0, 2)]),
    (1, 5, [(0, 1), (2, 4), (4, 5)]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [(1, 2), (2, 4), (4, 8)]),
    (6, 8, [(4, 6), (6, 8), (0, 4)]),
    (2, 5, [(2, 4), (4, 5)]),
    (6, 7, [(4, 6), (6, 7), (0, 4)]),
]

SIZE = 600
LARGEST = 130  # up to here every proof is tried,
SPOILED = [*range(1, 50), 63, 64, 65, 128, 129]  # and of these every one is spoiled in every way
ENTRIES = [b"%d" % number for number in range(SIZE)]
HASHES = [verify.leaf_hash(each) for each in ENTRIES]
_nodes: dict[tuple[int, int], bytes] = {}


def read(height: int, place: int) -> bytes:
    """The tree over ENTRIES."""
    if not height:
        return HASHES[place]
    if (height, place) not in _nodes:
        _nodes[height, place] = tree.node_hash(read(height - 1, 2 * place), read(height - 1, 2 * place + 1))
    return _nodes[height, place]


ALL_ROOTS = [tree.root(size, read) for size in range(SIZE + 1)]


def published(height: int, place: int) -> bytes:
    """The tree over the published leaves."""
    hashes = [verify.leaf_hash(bytes.fromhex(each)) for each in LEAVES]
    return tree.fold(hashes[place << height : (place + 1) << height])


@pytest.fixture(scope="module")
def theirs() -> InmemoryTree:
    """The same tree, as pymerkle builds it."""
    return InmemoryTree.init_from_entries(ENTRIES, algorithm="sha256")


def test_the_published_roots_come_out() -> None:
    assert [tree.root(size, published).hex() for size in range(1, 9)] == ROOTS
    assert tree.root(0, published).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("seq", "size", "path"), INCLUSION)
def test_the_published_proofs_of_a_leaf_come_out_and_verify(seq: int, size: int, path: list[tuple[int, int]]) -> None:
    hashes = [bytes.fromhex(NODES[span]) for span in path]
    assert tree.inclusion(seq, size, published) == hashes
    leaf_hash = verify.leaf_hash(bytes.fromhex(LEAVES[seq]))
    verify.check_inclusion(leaf_hash, seq, size, bytes.fromhex(ROOTS[size - 1]), hashes)


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_the_published_proofs_of_continuation_come_out_and_verify(
    old: int, new: int, proof: list[tuple[int, int]]
) -> None:
    hashes = [bytes.fromhex(NODES[span]) for span in proof]
    assert tree.consistency(old, new, published) == hashes
    roots = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
    verify.check_consistency(old, roots[0], new, roots[1], hashes)


def test_somebody_elses_tree_has_the_same_roots(theirs: InmemoryTree) -> None:
    assert [theirs.get_root(size) for size in range(SIZE + 1)] == ALL_ROOTS


def test_somebody_elses_tree_gives_the_same_proofs_of_a_leaf(theirs: InmemoryTree) -> None:
    for size in range(1, SIZE + 1):
        for seq in {0, size // 2, size - 1, random.randrange(size)}:
            path = theirs.prove_inclusion(seq + 1, size).path  # theirs begins with the leaf itself
            assert path == [HASHES[seq], *tree.inclusion(seq, size, read)]


def test_somebody_elses_tree_gives_the_same_proofs_of_continuation(theirs: InmemoryTree) -> None:
    for new in range(1, SIZE + 1):
        for old in {1, new // 2 or 1, new, random.randint(1, new)}:
            proof = theirs.prove_consistency(old, new)
            proof.verify(ALL_ROOTS[old], ALL_ROOTS[new], prior_size=old, later_size=new)
            assert shortened(proof) == tree.consistency(old, new, read)


def shortened(proof: ConsistencyProof) -> list[bytes]:
    """Their proof as RFC 6962 has it.

    Where the old tree ends with a subtree theirs goes on to the first leaf behind it, so that the hash of what follows
    has to be put together; and theirs has the old root itself where the RFC leaves it out.
    """
    inside = proof.subset.index(1)  # the first hash that is part of the old tree
    behind: list[bytes] = list(proof.path[:1] if inside else [])
    for right, node in zip(proof.rule, proof.path[1:inside], strict=False):
        behind = [tree.node_hash(node, behind[0]) if right else tree.node_hash(behind[0], node)]
    own = [proof.path[inside]] if any(proof.subset[inside + 1 :]) else []
    return [*own, *behind, *proof.path[inside + 1 :]]


def test_every_event_is_proven_in_every_tree() -> None:
    for size in range(1, LARGEST + 1):
        for seq in range(size):
            verify.check_inclusion(HASHES[seq], seq, size, ALL_ROOTS[size], tree.inclusion(seq, size, read))


def test_every_tree_is_proven_to_continue_every_earlier_one() -> None:
    for new in range(1, LARGEST + 1):
        for old in range(1, new + 1):
            proof = tree.consistency(old, new, read)
            verify.check_consistency(old, ALL_ROOTS[old], new, ALL_ROOTS[new], proof)


def damaged(proof: list[bytes], *roots: bytes) -> Iterator[list[bytes]]:
    """Proofs that are nearly this one: hashes more, less, in another order, and with a bit turned."""
    for more in (b"", bytes(32), *roots, *proof[:1]):
        yield [*proof, more]
        yield [more, *proof]
    for place, each in enumerate(proof):
        bit = random.randrange(256)
        turned = (int.from_bytes(each, "big") ^ 1 << bit).to_bytes(32, "big")
        yield [*proof[:place], *proof[place + 1 :]]
        yield [*proof[:place], turned, *proof[place + 1 :]]
        yield [*proof[:place], each[:-1], *proof[place + 1 :]]
        yield [*proof[:place], bytes(32), *proof[place:]]
    if len(set(proof)) > 1:
        yield [*proof[1:], proof[0]]


def wrong_inclusions(seq: int, size: int) -> Iterator[tuple[bytes, int, int, bytes, list[bytes]]]:
    """The families of wrong proofs of transparency-dev/merkle's test data, and some more."""
    leaf_hash, root, path = HASHES[seq], ALL_ROOTS[size], tree.inclusion(seq, size, read)
    for other in {seq - 1, seq + 1, seq ^ 2, seq + size, -seq - 1}:
        yield leaf_hash, other, size, root, path
    for other in {0, size // 2, 2 * size, -size}:
        yield leaf_hash, seq, other, root, path
    for other_root in (b"", bytes(32), verify.EMPTY_ROOT, root[:-1], *([leaf_hash] if size > 1 else [])):
        yield leaf_hash, seq, size, other_root, path
    for other_leaf in (b"", b"WrongLeaf", bytes(32), verify.EMPTY_ROOT, *([root] if size > 1 else [])):
        yield other_leaf, seq, size, root, path
    yield b"", seq, size, b"", path
    for wrong in damaged(path, root):
        yield leaf_hash, seq, size, root, wrong


def wrong_consistencies(old: int, new: int) -> Iterator[tuple[int, bytes, int, bytes, list[bytes]]]:
    """As above, of one tree being the beginning of another."""
    before, after, proof = ALL_ROOTS[old], ALL_ROOTS[new], tree.consistency(old, new, read)
    for other in {0, old - 1, old + 1, old ^ 2, new + 1, -old} - {old}:
        yield other, before, new, after, proof
    for other in {0, old - 1, new // 2, 2 * new, -new} - {new}:
        yield old, before, other, after, proof
    for wrong in (b"", b"WrongRoot", bytes(32), verify.EMPTY_ROOT):
        yield old, wrong, new, after, proof
        yield old, before, new, wrong, proof
    yield old, b"", new, b"", proof
    if old != new:
        yield old, after, new, before, proof
        yield old, after, new, after, proof
        yield old, before, new, before, proof
        yield old, before, new, after, []
    for path in damaged(proof, before, after):
        yield old, before, new, after, path


def taken(check: Callable[..., None], case: tuple[object, ...]) -> bool:
    """Whether a check lets this pass. (`pytest.raises` takes longer than the check, and there are 180,000.)"""
    try:
        check(*case)
    except verify.Broken:
        return False
    return True


def test_no_wrong_proof_of_an_event_is_taken() -> None:
    for size in SPOILED:
        for seq in range(size):
            assert not [case for case in wrong_inclusions(seq, size) if taken(verify.check_inclusion, case)]


def test_no_wrong_proof_of_continuation_is_taken() -> None:
    for new in SPOILED:
        for old in range(1, new + 1):
            assert not [case for case in wrong_consistencies(old, new) if taken(verify.check_consistency, case)]


@pytest.mark.parametrize("root", [b"", b"placeholder", bytes(32), verify.EMPTY_ROOT])
def test_an_empty_tree_proves_nothing(root: bytes) -> None:
    for size in (0, 1):
        with pytest.raises(verify.Broken):
            verify.check_consistency(0, root, size, root, [])
        with pytest.raises(verify.Broken):
            verify.check_inclusion(root, 0, 0, root, [])


def test_no_proof_is_made_of_what_is_not_there() -> None:
    for seq, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="no leaf"):
            tree.inclusion(seq, size, read)
    for old, new in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="not the beginning"):
            tree.consistency(old, new, read)


def test_the_growing_edge_has_the_same_root_and_can_be_stored_at_every_size() -> None:
    edge = tree.Frontier()
    for size in range(SIZE):
        assert edge.root() == ALL_ROOTS[size]
        assert bytes(edge) == b"".join(read(*each) for each in tree.cover(0, size))
        edge = tree.Frontier(size, bytes(edge))
        edge.extend([HASHES[size]])


def test_the_verifiers_own_edge_grows_by_subtrees_of_any_height() -> None:
    for _ in range(200):
        low, high = sorted(random.sample(range(SIZE + 1), 2))
        edge = verify.Edge()
        for height, place in [*tree.cover(0, low), *tree.cover(low, high)]:
            edge.append(read(height, place), height)
        assert (edge.size, edge.root()) == (high, ALL_ROOTS[high])


def test_an_edge_that_does_not_fit_its_size_is_refused() -> None:
    with pytest.raises(ValueError, match="edge"):
        tree.Frontier(3, bytes(32))


def test_what_covers_a_span_is_aligned_without_gap_and_the_fewest() -> None:
    for low in range(40):
        for high in range(low, 40):
            place, heights = low, []
            for height, at in tree.cover(low, high):
                assert at << height == place
                place += 1 << height
                heights.append(height)
            assert place == high
            peak = heights.index(max(heights)) if heights else 0
            assert heights[:peak] == sorted(set(heights[:peak]))  # it rises, and then falls
            assert heights[peak:][::-1] == sorted(heights[peak:])
