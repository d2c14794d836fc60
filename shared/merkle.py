"""The RFC 6962 Merkle tree: hashes, proofs of membership and of growth.

A *range proof* generalises the RFC 6962 inclusion path to the leaves ``[lo, hi)``: the hashes,
leaf to root, of every subtree that does not hold one of them. For one leaf it is the RFC 6962
path. Trees are addressed by complete subtrees: ``node(level, index)`` is the hash over the
leaves ``[index * 2**level, (index + 1) * 2**level)``.
"""

import hashlib
from collections.abc import Callable, Sequence

Node = Callable[[int, int], bytes]
EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32
MAX_TREE_SIZE = 2**48
"""Far above any tree we shall see; bounds the recursion on hostile input."""

_sha256 = hashlib.sha256


class ProofRefused(ValueError):
    """The proof does not show what it claims."""


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 6962 §2.1: SHA-256(0x00 ‖ leaf)."""
    return _sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 §2.1: SHA-256(0x01 ‖ left ‖ right)."""
    return _sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; of none, the hash of the empty string."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        paired = [
            _sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)
        ]
        # An odd last node rises unpaired: exactly RFC 6962's split at a power of two.
        level = paired + level[len(level) & ~1 :]
    return level[0]


def _split(count: int) -> int:
    """The largest power of two below `count` (count > 1)."""
    return 1 << ((count - 1).bit_length() - 1)


def subtree(lo: int, hi: int, node: Node) -> bytes:
    """The hash over leaves ``[lo, hi)`` of a subtree that starts at a multiple of its size."""
    count = hi - lo
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, lo >> level)
    middle = lo + _split(count)
    return node_hash(subtree(lo, middle, node), subtree(middle, hi, node))


def root(size: int, node: Node) -> bytes:
    """The root of the first `size` leaves."""
    return subtree(0, size, node) if size else EMPTY_ROOT


def range_proof(lo: int, hi: int, size: int, node: Node) -> list[bytes]:
    """The proof that leaves ``[lo, hi)`` stand in the tree of `size` leaves."""
    if not 0 <= lo < hi <= size:
        raise ValueError(f"no range [{lo}, {hi}) in a tree of {size}")
    proof: list[bytes] = []

    def walk(start: int, end: int) -> None:
        if lo <= start and end <= hi:
            return
        middle = start + _split(end - start)
        if hi <= middle:
            walk(start, middle)
            proof.append(subtree(middle, end, node))
        elif lo >= middle:
            walk(middle, end)
            proof.append(subtree(start, middle, node))
        else:
            walk(start, middle)
            walk(middle, end)

    walk(0, size)
    return proof


def root_from_range(
    lo: int, leaf_hashes: Sequence[bytes], size: int, proof: Sequence[bytes]
) -> bytes:
    """The root that `proof` gives for these leaf hashes at ``[lo, lo + len)``.

    Raises ProofRefused when the proof is too short, too long or out of range.
    """
    hi = lo + len(leaf_hashes)
    if not 0 <= lo < hi <= size <= MAX_TREE_SIZE:
        raise ProofRefused(f"no range [{lo}, {hi}) in a tree of {size}")
    rest = iter(proof)

    def walk(start: int, end: int) -> bytes:
        if lo <= start and end <= hi:
            return root_of(leaf_hashes[start - lo : end - lo])
        middle = start + _split(end - start)
        if hi <= middle:
            left = walk(start, middle)
            return node_hash(left, next(rest))
        if lo >= middle:
            right = walk(middle, end)
            return node_hash(next(rest), right)
        left = walk(start, middle)
        return node_hash(left, walk(middle, end))

    try:
        found = walk(0, size)
    except StopIteration:
        raise ProofRefused("the proof is too short") from None
    if next(rest, None) is not None:
        raise ProofRefused("the proof is too long")
    return found


def verify_range(
    lo: int, leaf_hashes: Sequence[bytes], size: int, *, proof: Sequence[bytes], tree_root: bytes
) -> None:
    """Raises ProofRefused unless these leaves stand at `lo` in the tree of `size`, `tree_root`."""
    if root_from_range(lo, leaf_hashes, size, proof) != tree_root:
        raise ProofRefused("the proof leads to another root")


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """RFC 6962 §2.1.2: that the tree of `new` leaves extends the tree of `old`."""
    if not 0 < old <= new:
        raise ValueError(f"no consistency from {old} to {new}")

    def walk(start: int, end: int, whole: bool) -> list[bytes]:  # noqa: FBT001 - RFC 6962's b
        count = end - start
        if old - start == count:
            return [] if whole else [subtree(start, end, node)]
        middle = start + _split(count)
        if old <= middle:
            return [*walk(start, middle, whole), subtree(middle, end, node)]
        return [*walk(middle, end, False), subtree(start, middle, node)]  # noqa: FBT003 - the recursion of RFC 6962

    return walk(0, new, True)  # noqa: FBT003 - the recursion of RFC 6962


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, *, proof: Sequence[bytes]
) -> None:
    """Raises ProofRefused unless the tree of `new` leaves extends that of `old`.

    As in the published corpus, ``old == 0`` is an error: an empty tree proves nothing.
    """
    if not 0 < old <= new <= MAX_TREE_SIZE:
        raise ProofRefused(f"no consistency from {old} to {new}")
    rest = iter(proof)

    def walk(start: int, end: int, whole: bool) -> tuple[bytes, bytes]:  # noqa: FBT001 - the recursion of RFC 6962
        """The roots that the proof gives to the old and to the new part of a subtree."""
        if old - start == end - start:
            both = old_root if whole else next(rest)
            return both, both
        middle = start + _split(end - start)
        if old <= middle:
            from_old, from_new = walk(start, middle, whole)
            return from_old, node_hash(from_new, next(rest))
        from_old, from_new = walk(middle, end, False)  # noqa: FBT003 - the recursion of RFC 6962
        left = next(rest)
        return node_hash(left, from_old), node_hash(left, from_new)

    try:
        found = walk(0, new, True)  # noqa: FBT003 - the recursion of RFC 6962
    except StopIteration:
        raise ProofRefused("the proof is too short") from None
    if next(rest, None) is not None:
        raise ProofRefused("the proof is too long")
    if found != (old_root, new_root):
        raise ProofRefused("the proof leads to other roots")
