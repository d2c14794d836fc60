"""Batches as the ledger holds them: read from disk, and the newest of them kept in memory."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from hub.ledger.tables import BATCH
from hub.store import Statement
from shared.wire.batch import unpack_events

RECENT_ENTRIES_MAX = 8000
"""Entries kept in memory: some megabytes. Followers further behind than that read from disk."""
_COLUMNS = ", ".join(column.name for column in BATCH.columns)
_FROM = Statement(
    f"SELECT {_COLUMNS} FROM batch"  # noqa: S608 - our own names
    " WHERE first_index >= :start AND first_index < :end ORDER BY first_index"
)
_HOLDING = Statement(
    f"SELECT {_COLUMNS} FROM batch"  # noqa: S608 - our own names
    " WHERE first_index <= :index ORDER BY first_index DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerBatch:
    """A batch as the ledger holds it."""

    first_index: int
    count: int
    device: str
    epoch: int
    lane: str
    seq: int
    received_ms: int
    batch_id: str
    statement: bytes
    seal: bytes
    events: tuple[bytes, ...]


def read_batches(connection: Connection, start: int, limit: int) -> list[LedgerBatch]:
    """Batches from entry `start` on (the first of a batch): about `limit` entries, or one batch."""
    # By their places, not by their number: it may be a hundred times that of the entries.
    return [as_batch(row) for row in _FROM.rows(connection, start=start, end=start + limit)]


def batch_of(connection: Connection, index: int) -> LedgerBatch | None:
    """The batch that holds the entry at `index`, or None beyond the ledger."""
    found = _HOLDING.rows(connection, index=index)
    batch = as_batch(found[0]) if found else None
    return None if batch is None or index >= batch.first_index + batch.count else batch


def as_batch(row: Sequence[object]) -> LedgerBatch:
    """A row of BATCH as a LedgerBatch."""
    first_index, count, device, epoch, lane, seq, received_ms, digest, statement, seal, packed = row
    events, _ = unpack_events(bytes(packed), count)  # type: ignore[call-overload, arg-type]
    return LedgerBatch(
        first_index=first_index,  # type: ignore[arg-type]
        count=count,  # type: ignore[arg-type]
        device=device,  # type: ignore[arg-type]
        epoch=epoch,  # type: ignore[arg-type]
        lane=lane,  # type: ignore[arg-type]
        seq=seq,  # type: ignore[arg-type]
        received_ms=received_ms,  # type: ignore[arg-type]
        batch_id=bytes(digest).hex(),  # type: ignore[call-overload]
        statement=bytes(statement),  # type: ignore[call-overload]
        seal=bytes(seal),  # type: ignore[call-overload]
        events=events,
    )


class Recent:
    """The newest batches, for followers in the process that placed them.

    A cache and nothing else: what is here stands on disk, what is not here is read from there.
    """

    def __init__(self) -> None:
        """Empty."""
        self._batches: dict[int, LedgerBatch] = {}
        self._entries = 0
        self._lock = threading.Lock()

    def keep(self, batches: Iterable[LedgerBatch]) -> None:
        """Take in batches that are on disk now; what is above RECENT_ENTRIES_MAX goes."""
        with self._lock:
            for batch in batches:
                if batch.first_index not in self._batches:
                    self._batches[batch.first_index] = batch
                    self._entries += batch.count
            while self._entries > RECENT_ENTRIES_MAX:
                self._drop_oldest()

    def run(self, start: int, limit: int) -> list[LedgerBatch]:
        """Batches from entry `start` on without a gap, about `limit` entries; none: ask the disk.

        What stands before `start` is not kept any longer.
        """
        found: list[LedgerBatch] = []
        end = start
        with self._lock:
            while self._batches and next(iter(self._batches)) < start:
                self._drop_oldest()
            while end - start < limit and (batch := self._batches.get(end)) is not None:
                found.append(batch)
                end += batch.count
        return found

    def _drop_oldest(self) -> None:
        self._entries -= self._batches.pop(next(iter(self._batches))).count
