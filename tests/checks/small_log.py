"""A whole ledger in memory: leaves, proofs and signed checkpoints for tests to judge against."""

from collections.abc import Iterable, Sequence

from shared import merkle
from shared.checkpoint import NoteSigner, sign_checkpoint
from shared.crypto.keys import SigningKey

PETER_SEED = bytes.fromhex("810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173")


class SmallLog:
    """Leaves by their hashes; complete subtrees are computed once."""

    def __init__(self, hashes: Iterable[bytes] = (), name: str = "hub.example/ledger") -> None:
        """`hashes` are leaf hashes; the key is a fixed one."""
        self.levels: list[list[bytes]] = [[]]
        self.signer = NoteSigner(name, SigningKey.from_seed(PETER_SEED))
        self.key = self.signer.verifier
        self.extend(hashes)

    @classmethod
    def of_leaves(cls, leaves: Sequence[bytes], name: str = "hub.example/ledger") -> "SmallLog":
        """A log of these leaves' bytes."""
        return cls((merkle.leaf_hash(leaf) for leaf in leaves), name)

    @property
    def size(self) -> int:
        """How many leaves."""
        return len(self.levels[0])

    def extend(self, hashes: Iterable[bytes]) -> int:
        """Append leaf hashes; the index of the first."""
        first = self.size
        for leaf in hashes:
            self._push(0, leaf)
        return first

    def _push(self, level: int, value: bytes) -> None:
        if level == len(self.levels):
            self.levels.append([])
        row = self.levels[level]
        row.append(value)
        if len(row) % 2 == 0:
            self._push(level + 1, merkle.node_hash(row[-2], row[-1]))

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree."""
        return self.levels[level][index]

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` leaves, by default of all."""
        return merkle.root(self.size if size is None else size, self.node)

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The RFC 6962 path of one leaf."""
        return merkle.range_proof(index, index + 1, self.size if size is None else size, self.node)

    def range_proof(self, lo: int, hi: int, size: int | None = None) -> list[bytes]:
        """The proof of the leaves ``[lo, hi)``."""
        return merkle.range_proof(lo, hi, self.size if size is None else size, self.node)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """The RFC 6962 proof of growth."""
        return merkle.consistency_proof(old, self.size if new is None else new, self.node)

    def checkpoint(self, size: int | None = None) -> str:
        """The signed checkpoint of the first `size` leaves."""
        at = self.size if size is None else size
        return sign_checkpoint(self.signer, size=at, root=self.root(at))
