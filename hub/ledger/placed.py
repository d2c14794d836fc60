"""Where a batch stands."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from hub.ledger.tables import BATCH
from hub.ledger.tree import newest_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a batch stands on the ledger."""

    batch_id: str
    first_index: int
    count: int
    received_ms: int
    size: int
    """Size of a tree that holds it and is on disk."""


def stored_place(connection: Connection, digest: bytes, device: str) -> Placed | None:
    """Where the batch of `device` with this id stands, or None."""
    row = connection.execute(
        select(BATCH.c.first_index, BATCH.c.count, BATCH.c.received_ms).where(
            BATCH.c.batch_id == digest, BATCH.c.device == device
        )
    ).one_or_none()
    if row is None:
        return None
    size, _ = newest_checkpoint(connection)
    return Placed(
        batch_id=digest.hex(),
        first_index=row[0],
        count=row[1],
        received_ms=row[2],
        size=size,
    )
