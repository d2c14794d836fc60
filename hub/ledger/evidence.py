"""Statements that contradict what stands: kept, so that a second box with one key is seen."""

from sqlalchemy import Connection, func, insert, select, update

from hub.ledger.tables import CONTRADICTION, CONTRADICTION_MORE
from shared.wire import batch as wire

CONTRADICTIONS_MAX = 1000
"""Contradicting statements kept of one device: a hostile box must not fill the disk."""


def keep_evidence(connection: Connection, body: wire.Body, code: str, *, received_ms: int) -> None:
    """Keep a contradicting statement once; of the very many only their number."""
    statement, digest = body.statement, bytes.fromhex(body.batch_id)
    known = connection.execute(
        select(CONTRADICTION.c.batch_id).where(CONTRADICTION.c.batch_id == digest)
    ).first()
    if known is not None:
        return
    kept = connection.execute(
        select(func.count())
        .select_from(CONTRADICTION)
        .where(CONTRADICTION.c.device == statement.device)
    ).scalar_one()
    if kept >= CONTRADICTIONS_MAX:
        # The first ones prove it; of the rest the number is enough.
        _count(connection, statement.device)
        return
    connection.execute(
        insert(CONTRADICTION).values(
            batch_id=digest,
            device=statement.device,
            epoch=statement.epoch,
            lane=statement.lane,
            seq=statement.first_seq,
            code=code,
            statement=body.statement_bytes,
            seal=body.seal,
            received_ms=received_ms,
        )
    )


def _count(connection: Connection, device: str) -> None:
    more = CONTRADICTION_MORE.c
    counted = connection.execute(
        update(CONTRADICTION_MORE).where(more.device == device).values(count=more.count + 1)
    )
    if not counted.rowcount:
        connection.execute(insert(CONTRADICTION_MORE).values(device=device, count=1))
