"""RFC 6962 trees: the published vectors, the accumulated ones, and every tree up to 2,000."""

import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import merkle
from shared.merkle import ProofRefused
from tests.checks.small_log import SmallLog

INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
INPUTS.append("606162636465666768696a6b6c6d6e6f")
LEAF_HASHES = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
    "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
    "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
    "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
N23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
N4567 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
N67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
N45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = [
    (0, 1, []),
    (0, 8, [LEAF_HASHES[1], N23, N4567]),
    (5, 8, [LEAF_HASHES[4], N67, ROOTS[4]]),
    (2, 3, [ROOTS[2]]),
    (1, 5, [LEAF_HASHES[0], N23, LEAF_HASHES[4]]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [LEAF_HASHES[1], N23, N4567]),
    (6, 8, [N45, N67, ROOTS[4]]),
    (2, 5, [N23, LEAF_HASHES[4]]),
    (6, 7, [N45, LEAF_HASHES[6], ROOTS[4]]),
]
PUBLISHED = SmallLog.of_leaves([bytes.fromhex(text) for text in INPUTS])
BYTES = SmallLog.of_leaves([bytes([i]) for i in range(130)])
BIG = SmallLog.of_leaves([i.to_bytes(2, "big") for i in range(2_000)])


def verify_range(
    lo: int, leaves: Sequence[bytes], size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """`merkle.verify_range`, with the arguments in the order of the published corpus."""
    merkle.verify_range(lo, leaves, size, proof=proof, tree_root=root)


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """`merkle.verify_consistency`, with the arguments in the order of the published corpus."""
    merkle.verify_consistency(old, old_root, new, new_root, proof=proof)


def hexes(hashes: Sequence[bytes]) -> list[str]:
    """The hashes as texts."""
    return [item.hex() for item in hashes]


def test_hashers_are_the_published_ones():
    """Empty root, leaves and nodes of CertificateTransparency's own test."""
    assert merkle.EMPTY_ROOT.hex() == ROOTS[0]
    assert merkle.leaf_hash(b"").hex() == LEAF_HASHES[0]
    assert (
        merkle.leaf_hash(b"L123456").hex()
        == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    )
    assert (
        merkle.node_hash(b"N123", b"N456").hex()
        == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    )


def test_leaves_and_roots_are_the_published_ones():
    """Eight inputs, eight leaf hashes, the roots of sizes 0 to 8, by both ways to a root."""
    hashes = PUBLISHED.levels[0]

    assert hexes(hashes) == LEAF_HASHES
    assert hexes([PUBLISHED.root(size) for size in range(9)]) == ROOTS
    assert hexes([merkle.root_of(hashes[:size]) for size in range(9)]) == ROOTS


@pytest.mark.parametrize(("index", "size", "expected"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index, size, expected):
    """A range proof of one leaf is the RFC 6962 path."""
    proof = PUBLISHED.inclusion(index, size)

    assert hexes(proof) == expected
    verify_range(index, [PUBLISHED.node(0, index)], size, proof, PUBLISHED.root(size))


@pytest.mark.parametrize(("old", "new", "expected"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(old, new, expected):
    """Growth is proven with the published hashes."""
    proof = PUBLISHED.consistency(old, new)

    assert hexes(proof) == expected
    verify_consistency(old, PUBLISHED.root(old), new, PUBLISHED.root(new), proof)


def accumulated(lines: Callable[[], list[str]]) -> str:
    """SHA-256 over all lines, each with its line feed."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines()).encode()).hexdigest()


def is_subtree(start: int, end: int) -> bool:
    """Valid subtrees of the Merkle tree certificates draft."""
    return start in (0, end) or start % (1 << (end - start - 1).bit_length()) == 0


SUBTREES = [(a, b) for b in range(131) for a in range(b + 1) if is_subtree(a, b)]


def subtree_hashes() -> list[str]:
    """`[start, end) hex` for every valid subtree."""
    hashes = BYTES.levels[0]
    return [f"[{a}, {b}) {merkle.root_of(hashes[a:b]).hex()}" for a, b in SUBTREES]


def subtree_inclusion() -> list[str]:
    """`index [start, end) h…` for every leaf of every valid subtree."""
    lines = []
    for a, b in SUBTREES:
        tree = SmallLog(BYTES.levels[0][a:b])
        lines += [" ".join([f"{i} [{a}, {b})", *hexes(tree.inclusion(i - a))]) for i in range(a, b)]
    return lines


def roots() -> list[str]:
    """`n hex` for n = 0…130."""
    return [f"{n} {BYTES.root(n).hex()}" for n in range(131)]


def inclusion() -> list[str]:
    """`i n h…` for every leaf of every size."""
    return [
        " ".join([f"{i} {n}", *hexes(BYTES.inclusion(i, n))]) for n in range(131) for i in range(n)
    ]


def consistency() -> list[str]:
    """`m n h…` for 1 ≤ m ≤ n."""
    return [
        " ".join([f"{m} {n}", *hexes(BYTES.consistency(m, n))])
        for n in range(131)
        for m in range(1, n + 1)
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (subtree_hashes, "b82806ad4265bb151c1119c0f4db437bb4d1a1f887b3a7fba1cd4ebf552e3e81"),
        (subtree_inclusion, "ac2a8f989e44d99e399db448050ff5f19757df53cfb716aa81015d3955d8163f"),
        (roots, "9c67f07f906103b6bf201842a50ff0b8c91fca9b3e211334a6b7aa3133165dec"),
        (inclusion, "893ce6eea61adc33c22c0e3a952498b76dfa3c282e78ac659f6fcc0ea44f9983"),
        (consistency, "2498232e1aebe8d1aa8d339d897fc471f4495fe0b8a55ac08f7dae3d88bc4c2a"),
    ],
)
def test_accumulated_vectors_are_reproduced(lines, expected):
    """Every tree up to 130 leaves: the published subtree sums, and the three derived for us."""
    assert expected == accumulated(lines)


def test_every_proof_up_to_130_leaves_verifies():
    """All inclusion and consistency proofs of all small trees lead to the right root."""
    for size in range(1, 131):
        root = BYTES.root(size)
        for index in range(size):
            leaf = [BYTES.node(0, index)]
            verify_range(index, leaf, size, BYTES.inclusion(index, size), root)
        for old in range(1, size + 1):
            verify_consistency(old, BYTES.root(old), size, root, BYTES.consistency(old, size))


RANGES = st.integers(1, 2_000).flatmap(
    lambda size: st.tuples(st.integers(0, size - 1), st.integers(1, 500), st.just(size))
)


@given(RANGES, st.randoms(use_true_random=False))
def test_range_proofs_verify_and_every_change_fails(place, random):
    """Any range of any tree proves; one flipped bit, a cut, an addition or a swap does not."""
    lo, count, size = place
    hi = min(lo + count, size)
    leaves, root = BIG.levels[0][lo:hi], BIG.root(size)
    proof = BIG.range_proof(lo, hi, size)
    verify_range(lo, leaves, size, proof, root)

    for broken in changes(proof, random):
        with pytest.raises(ProofRefused):
            verify_range(lo, leaves, size, broken, root)
    for broken in changes(leaves, random):
        with pytest.raises(ProofRefused):
            verify_range(lo, broken, size, proof, root)
    for moved in (lo - 1, lo + 1, lo + size):
        with pytest.raises(ProofRefused):
            verify_range(moved, leaves, size, proof, root)


def changes(hashes: Sequence[bytes], random) -> list[list[bytes]]:
    """The same hashes changed in every kind of way, none of which gives them back."""
    items = list(hashes)
    found = [[*items, bytes(32)]]
    if items:
        at = random.randrange(len(items))
        flipped = bytearray(items[at])
        flipped[random.randrange(32)] ^= 1 << random.randrange(8)
        found += [
            items[:-1],
            items[1:],
            [*items[:at], bytes(flipped), *items[at + 1 :]],
            [*items[:at], items[at], *items[at:]],
        ]
    if len(items) > 1:
        found += [items[::-1], [items[1], items[0], *items[2:]]]
    return found


@given(
    st.integers(1, 2_000).flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new))),
    st.randoms(use_true_random=False),
)
def test_consistency_proofs_verify_and_every_change_fails(sizes, random):
    """Any growth proves; changed proofs, roots and sizes do not."""
    old, new = sizes
    proof, old_root, new_root = BIG.consistency(old, new), BIG.root(old), BIG.root(new)
    verify_consistency(old, old_root, new, new_root, proof)

    for broken in changes(proof, random):
        with pytest.raises(ProofRefused):
            verify_consistency(old, old_root, new, new_root, broken)
    for wrong in (bytes(32), merkle.EMPTY_ROOT):
        with pytest.raises(ProofRefused):
            verify_consistency(old, wrong, new, new_root, proof)
        with pytest.raises(ProofRefused):
            verify_consistency(old, old_root, new, wrong, proof)


def probe_inclusion(index: int, size: int, leaf: bytes) -> list[tuple[int, int, bytes, bytes]]:
    """The published corpus's ways to ask for something else: index, size, leaf, root."""
    root = PUBLISHED.root(size)
    return [
        *((i, size, leaf, root) for i in (index - 1, index + 1, index ^ 2) if i != index),
        *((index, n, leaf, root) for n in (size * 2, size // 2)),
        (index, size, b"WrongLeaf".ljust(32), root),
        (index, size, merkle.EMPTY_ROOT, root),
        (index, size, leaf, merkle.EMPTY_ROOT),
        (-1, size, leaf, root),
        (index, -1, leaf, root),
        (size, size, leaf, root),
    ]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_the_corpus_of_wrong_inclusions_is_refused(index, size, proof):
    """The kinds of wrong question in transparency-dev/merkle's corpus, on the same trees."""
    hashes = [bytes.fromhex(item) for item in proof]
    for at, total, leaf, root in probe_inclusion(index, size, PUBLISHED.node(0, index)):
        with pytest.raises(ProofRefused):
            verify_range(at, [leaf], total, hashes, root)
    for extra in (b"\x00" * 32, PUBLISHED.root(size), PUBLISHED.node(0, index)):
        for broken in ([extra, *hashes], [*hashes, extra]):
            with pytest.raises(ProofRefused):
                verify_range(index, [PUBLISHED.node(0, index)], size, broken, PUBLISHED.root(size))


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_the_corpus_of_wrong_consistencies_is_refused(old, new, proof):
    """Wrong sizes, swapped and wrong roots, padding: as in transparency-dev/merkle's corpus."""
    hashes = [bytes.fromhex(item) for item in proof]
    first, second = PUBLISHED.root(old), PUBLISHED.root(new)
    wrong = [(old - 1, first, new, second), (old + 1, first, new, second)]
    wrong += [(old ^ 2, first, new, second), (old, first, new * 2, second)]
    wrong += [(old, first, new // 2, second), (0, merkle.EMPTY_ROOT, new, second)]
    wrong += [(old, bytes(32), new, second), (old, first, new, bytes(32))]
    if old != new:
        wrong += [(old, second, new, first), (new, second, old, first)]
    for from_size, from_root, to_size, to_root in wrong:
        with pytest.raises(ProofRefused):
            verify_consistency(from_size, from_root, to_size, to_root, hashes)
    for extra in (b"\x00" * 32, first, second):
        for broken in ([extra, *hashes], [*hashes, extra]):
            with pytest.raises(ProofRefused):
                verify_consistency(old, first, new, second, broken)


def test_nothing_is_consistent_with_the_empty_tree():
    """An empty tree proves nothing: the corpus's policy for size1 = 0."""
    for new in (0, 1, 8):
        with pytest.raises(ProofRefused):
            verify_consistency(0, merkle.EMPTY_ROOT, new, PUBLISHED.root(new), [])


def test_a_tree_of_hostile_size_costs_nothing():
    """A size of 2^48 or more ends at once, whatever the proof holds."""
    for size in (2**48, 2**48 + 1, 2**63, 10**30):
        with pytest.raises(ProofRefused):
            verify_range(0, [bytes(32)], size, [bytes(32)] * 40, bytes(32))
        with pytest.raises(ProofRefused):
            verify_consistency(1, bytes(32), size, bytes(32), [bytes(32)] * 40)
