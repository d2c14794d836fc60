"""The ledger as other features see it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, func, insert, select

from hub.errors import Refused
from hub.ledger.batches import LedgerBatch, batch_of, read_batches
from hub.ledger.checker import Checker
from hub.ledger.followers import Followers
from hub.ledger.placed import Placed, stored_place
from hub.ledger.proofs import Proofs
from hub.ledger.refill import Refill
from hub.ledger.sequencer import Sequencer, lock_ledger
from hub.ledger.tables import EPOCH, LANE_HEAD, PENDING
from hub.ledger.tree import newest_checkpoint
from hub.store import Database, Statement
from shared import merkle
from shared.checkpoint import NoteKey, tlog_proof
from shared.wire.batch import leaf

_ANY_PENDING = Statement("SELECT 1 FROM ledger_pending LIMIT 1")
MAX_FACT_BYTES = 16 * 1024
"""Far below MAX_EVENT_BYTES, so that an envelope always fits around it."""
_PEND = Statement(
    "INSERT INTO ledger_pending (type, data, at_ms) VALUES (:type, :data, :at_ms) RETURNING id"
)
_PEND_ALL = Statement(
    "INSERT INTO ledger_pending (type, data, at_ms) VALUES (:type, :data, :at_ms)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryProof:
    """Everything somebody else needs to check that an entry stands on this ledger."""

    index: int
    leaf: bytes
    tlog_proof: str
    """c2sp.org/tlog-proof@v1, the signed checkpoint included."""
    checkpoint_size: int
    root: bytes
    batch: LedgerBatch
    holds: bool = True
    """Whether the stored bytes lead to that root. Otherwise somebody changed them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneHead:
    """Where a lane of a device continues."""

    next_seq: int
    last_batch: str | None


class Ledger:
    """Appending facts and reading what stands."""

    def __init__(
        self,
        database: Database,
        *,
        sequencer: Sequencer,
        refill: Refill,
        proofs: Proofs,
        followers: Followers,
        checker: Checker,
        key: NoteKey,
    ) -> None:
        """`key` is the public key under which checkpoints are signed."""
        self._database = database
        self.proofs = proofs
        self.sequencer = sequencer
        self.refill = refill
        self.followers = followers
        self.checker = checker
        self.key = key

    @staticmethod
    def append(
        connection: Connection, kind: str, data: Mapping[str, object], *, now_ms: int
    ) -> int:
        """Record a fact in the caller's transaction; it is on the ledger moments later.

        `data` holds ids and plain values only, never personal data. Returns the pending id.
        Raises ValueError above MAX_FACT_BYTES.
        """
        [[pending_id]] = _PEND.rows(connection, type=kind, data=_encoded(data), at_ms=now_ms)
        return int(pending_id)

    @staticmethod
    def append_all(
        connection: Connection,
        kind: str,
        facts: Sequence[Mapping[str, object]],
        *,
        now_ms: int,
    ) -> None:
        """The same for several, in this order."""
        _PEND_ALL.run(
            connection, [{"type": kind, "data": _encoded(data), "at_ms": now_ms} for data in facts]
        )

    @staticmethod
    def pending(connection: Connection) -> int:
        """Facts that have no place yet."""
        return connection.execute(select(func.count()).select_from(PENDING)).scalar() or 0

    @staticmethod
    def any_pending(connection: Connection) -> bool:
        """Whether a fact has no place yet."""
        return bool(_ANY_PENDING.rows(connection))

    @staticmethod
    def waiting(connection: Connection, kinds: Collection[str]) -> list[Mapping[str, object]]:
        """The data of facts of these types that have no place yet."""
        rows = connection.execute(select(PENDING.c.data).where(PENDING.c.type.in_(kinds)))
        return [orjson.loads(row.data) for row in rows]

    @staticmethod
    def first_epoch(connection: Connection, device: str, *, now_ms: int) -> int:
        """Open epoch 1 of a new device in the caller's transaction."""
        connection.execute(
            insert(EPOCH).values(
                device=device, epoch=1, nonce="", reason="enrolled", opened_ms=now_ms
            )
        )
        return 1

    def open_epoch(
        self,
        connection: Connection,
        device: str,
        *,
        close: int,
        nonce: str,
        reason: str,
        now_ms: int,
        above: int = 0,
    ) -> int:
        """Close epoch `close` of `device` and open the next, as a fact of the ledger.

        The next is also greater than `above`: the box has sealed in epochs up to there of which an
        earlier generation of the ledger knew.

        The same `nonce` again gives the same answer. Raises Refused when another epoch is open.
        """
        # Two processes asked at once answer one after the other, and no batch of the old epoch is
        # being placed meanwhile: what the box then reads of the ledger is all there will be.
        lock_ledger(connection)
        rows = connection.execute(
            select(EPOCH.c.epoch, EPOCH.c.nonce)
            .where(EPOCH.c.device == device)
            .order_by(EPOCH.c.epoch.desc())
        ).all()
        current, last_nonce = rows[0].epoch, rows[0].nonce
        if last_nonce == nonce:
            # The answer was lost, and the box may have read the new epoch from our head since.
            return int(current)
        self.sequencer.refuse_read_only(connection)
        if current != close:
            raise Refused(409, "epoch-closed", f"epoch {close} is closed; {current} is open")
        opened = max(close, above) + 1
        connection.execute(
            insert(EPOCH).values(
                device=device, epoch=opened, nonce=nonce, reason=reason, opened_ms=now_ms
            )
        )
        self.append(
            connection,
            "device.epoch_opened",
            {"device": device, "epoch": opened, "closed": close, "reason": reason},
            now_ms=now_ms,
        )
        return opened

    @staticmethod
    def epoch(connection: Connection, device: str) -> int:
        """The open epoch of `device`, 0 when it has none."""
        found = connection.execute(
            select(func.max(EPOCH.c.epoch)).where(EPOCH.c.device == device)
        ).scalar()
        return found or 0

    @staticmethod
    def lane_heads(connection: Connection, device: str, epoch: int) -> dict[str, LaneHead]:
        """Where each lane of an epoch continues; a lane without batches is absent."""
        rows = connection.execute(
            select(LANE_HEAD).where(LANE_HEAD.c.device == device, LANE_HEAD.c.epoch == epoch)
        )
        return {
            row.lane: LaneHead(next_seq=row.next_seq, last_batch=bytes(row.last_batch).hex())
            for row in rows
        }

    def size(self) -> int:
        """Entries on disk."""
        with self._database.read() as connection:
            return newest_checkpoint(connection)[0]

    def checkpoint(self) -> str:
        """The newest signed tree head."""
        return self.proofs.checkpoint()[2]

    def place(self, batch_id: str, device: str) -> Placed | None:
        """Where a batch of `device` stands, or None."""
        with self._database.read() as connection:
            return stored_place(connection, bytes.fromhex(batch_id), device)

    def batches(self, start: int, limit: int) -> list[LedgerBatch]:
        """Batches from entry `start` on."""
        with self._database.read() as connection:
            return read_batches(connection, start, limit)

    def leaves(self, start: int, end: int) -> list[bytes]:
        """The leaves ``[start, end)`` as they were hashed."""
        found: list[bytes] = []
        with self._database.read() as connection:
            while start < end and (batch := batch_of(connection, start)) is not None:
                first = start - batch.first_index
                digest = bytes.fromhex(batch.batch_id)
                found.extend(
                    leaf(raw, digest, batch.received_ms)
                    for raw in batch.events[first : first + end - start]
                )
                start = batch.first_index + batch.count
        return found

    def proof(self, index: int) -> EntryProof | None:
        """The proof of one entry under the newest tree head, or None beyond the ledger."""
        size, root, note = self.proofs.checkpoint()
        if index >= size:
            return None
        with self._database.read() as connection:
            batch = batch_of(connection, index)
            if batch is None:
                return None
            path = self.proofs.range_proof(connection, index, index + 1, size)
        raw = batch.events[index - batch.first_index]
        hashed = leaf(raw, bytes.fromhex(batch.batch_id), batch.received_ms)
        return EntryProof(
            index=index,
            leaf=hashed,
            tlog_proof=tlog_proof(index, path, note),
            checkpoint_size=size,
            root=root,
            batch=batch,
            holds=merkle.root_from_range(index, [merkle.leaf_hash(hashed)], size, path) == root,
        )

    def idle(self) -> bool:
        """Whether no fact waits for its place and every projection holds the whole ledger."""
        with self._database.read() as connection:
            size, _ = newest_checkpoint(connection)
            return not self.pending(connection) and self.followers.position(connection) >= size


def _encoded(data: Mapping[str, object]) -> bytes:
    """A fact as it waits; refused in its author's transaction: later it would block all others."""
    encoded = orjson.dumps(data)
    if len(encoded) > MAX_FACT_BYTES:
        raise ValueError(f"a fact of {len(encoded)} bytes; at most {MAX_FACT_BYTES}")
    return encoded
