"""Proving what stands: signed tree heads, receipts, inclusion, growth, tiles."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from hub.ledger.generations import refuse_later
from hub.ledger.live_tree import LiveTree
from hub.ledger.placed import Placed
from hub.ledger.tables import CHECKPOINT
from hub.ledger.tree import TILE_LEVELS, TILE_WIDTH, newest_checkpoint
from hub.store import Database
from shared import merkle
from shared.checkpoint import NoteSigner, sign_checkpoint
from shared.wire.receipts import Consistency, Receipt


class Proofs:
    """Everything is proven under a tree head that is on disk; a head is signed after its commit."""

    def __init__(
        self, database: Database, live: LiveTree, signer: NoteSigner, *, generation: int = 1
    ) -> None:
        """`signer` is the ledger's own key under the name of this generation of it."""
        self._database = database
        self._live = live
        self._signer = signer
        self._generation = generation
        self._checkpoint: tuple[int, bytes, str] | None = None

    def checkpoint(self) -> tuple[int, bytes, str]:
        """Size, root and signed note of the newest tree head that is on disk."""
        with self._database.read() as connection:
            refuse_later(connection, self._generation)
            size, root = newest_checkpoint(connection)
        return self._signed(size, root)

    def _signed(self, size: int, root: bytes) -> tuple[int, bytes, str]:
        # Ed25519 is deterministic: signing one head twice gives the same note.
        cached = self._checkpoint
        if cached is None or cached[0] != size or cached[1] != root:
            cached = (size, root, sign_checkpoint(self._signer, size=size, root=root))
            self._checkpoint = cached
        return cached

    def receipt(self, placed: Placed, *, known: int | None = None) -> Receipt:
        """The proof that `placed` is on the ledger, under the newest tree head on disk.

        `known` asks for consistency with the tree of that size; a size beyond the tree, or 0,
        is answered without.
        """
        return self._from_memory(placed, known) or self._from_disk(placed, known)

    def _from_memory(self, placed: Placed, known: int | None) -> Receipt | None:
        """The receipt of a fresh batch without a look at the disk, or None."""
        with self._live.lock:
            held = self._live.in_memory()
            if held is None:
                return None
            size, root, tree = held
            end = placed.first_index + placed.count
            if end > size or (known or 0) > size:
                return None
            try:
                proof = merkle.range_proof(placed.first_index, end, size, tree.kept)
                growth = None
                if known and known < size:
                    steps = merkle.consistency_proof(known, size, tree.kept)
                    growth = Consistency(old=known, proof=tuple(steps))
            except KeyError:
                return None
        return self._receipt(placed, (size, root), proof, growth)

    def _from_disk(self, placed: Placed, known: int | None) -> Receipt:
        with self._database.read() as connection:
            refuse_later(connection, self._generation)
            size, root = newest_checkpoint(connection)
            proof = self.range_proof(
                connection, placed.first_index, placed.first_index + placed.count, size
            )
            growth = None
            if known is not None and 0 < known < size:
                growth = Consistency(
                    old=known, proof=tuple(self.consistency(connection, known, size))
                )
        return self._receipt(placed, (size, root), proof, growth)

    def _receipt(
        self,
        placed: Placed,
        head: tuple[int, bytes],
        proof: Sequence[bytes],
        growth: Consistency | None,
    ) -> Receipt:
        return Receipt(
            batch_id=placed.batch_id,
            first_index=placed.first_index,
            count=placed.count,
            received_ms=placed.received_ms,
            proof=tuple(proof),
            checkpoint=self._signed(*head)[2],
            consistency=growth,
        )

    def signed_head(self, connection: Connection, size: int) -> str | None:
        """The signed tree head of exactly `size` entries, or None when none was made."""
        refuse_later(connection, self._generation)
        root = connection.execute(
            select(CHECKPOINT.c.root).where(CHECKPOINT.c.size == size)
        ).scalar_one_or_none()
        if root is None and size:
            return None
        return sign_checkpoint(
            self._signer, size=size, root=bytes(root) if root else merkle.EMPTY_ROOT
        )

    def range_proof(self, connection: Connection, lo: int, hi: int, size: int) -> list[bytes]:
        """The proof for leaves ``[lo, hi)`` in the tree of `size`, which is on disk."""
        with self._live.lock:
            tree = self._live.reaching(connection, size)
            return merkle.range_proof(
                lo, hi, size, lambda level, index: tree.node(level, index, connection)
            )

    def consistency(self, connection: Connection, old: int, new: int) -> list[bytes]:
        """The proof that the tree of `new` leaves extends that of `old`; both are on disk."""
        with self._live.lock:
            tree = self._live.reaching(connection, new)
            return merkle.consistency_proof(
                old, new, lambda level, index: tree.node(level, index, connection)
            )

    def tile(self, connection: Connection, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes of a tile. Raises KeyError beyond the tree on disk."""
        with self._live.lock:
            size, _ = newest_checkpoint(connection)
            tree = self._live.reaching(connection, size)
            # The tree in memory may hold leaves whose commit can still fail.
            if index * TILE_WIDTH + width > size >> (TILE_LEVELS * level):
                raise KeyError(f"tile {level}/{index} of {width} is beyond the tree on disk")
            return tree.partial_tile(level, index, width, connection)
