"""Cutting batches: position, statement and seal, all in one transaction before the first send."""

import json
import sqlite3
from dataclasses import dataclass
from typing import cast

from edge_agent.buffer import segments, settings
from edge_agent.buffer.captures import SealedBatch
from edge_agent.buffer.frames import Segment
from edge_agent.buffer.segments import Row
from edge_agent.errors import BufferDamaged
from shared.checkpoint import parse_checkpoint
from shared.crypto.keys import SigningKey
from shared.wire import batch as wire
from shared.wire.batch import CaptureRange, Statement, TreeHead
from shared.wire.events import Lane, Occurred

_LANE = "SELECT next_seq, last_batch FROM lane WHERE lane = :lane"
_ADVANCE = """
    UPDATE lane SET next_seq = next_seq + :count, last_batch = :batch_id
     WHERE lane = :lane AND next_seq = :first_seq
"""
_INSERT = """
    INSERT INTO batch (lane, epoch, first_seq, count, bytes, batch_id, statement, seal, segments)
    VALUES (:lane, :epoch, :first_seq, :count, :bytes, :batch_id, :statement, :seal, :segments)
"""
_TAKE = "UPDATE segment SET batch = :batch WHERE id = :segment AND +batch IS NULL"
_IN_FLIGHT = """
    SELECT id, batch_id, epoch, first_seq, statement, seal, segments FROM batch
     WHERE lane = :lane AND first_index IS NULL
"""
_RECEIPTED = """
    UPDATE batch
       SET first_index = :first_index, received_ms = :received_ms,
           receipted_running_ms = :running_ms
     WHERE id = :id AND batch_id = :batch_id AND first_index IS NULL
    RETURNING bytes
"""
# The statement, lengths and seal must fit beside the events.
_ROOM_BYTES = wire.MAX_BODY_BYTES - wire.MAX_STATEMENT_BYTES - 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealer:
    """Who seals, and when: what a cut needs beside the buffer."""

    device: str
    key: SigningKey
    now: Occurred


def in_flight(connection: sqlite3.Connection, lane: str) -> SealedBatch | None:
    """The lane's sealed batch that has no receipt. Raises BufferDamaged."""
    row = connection.execute(_IN_FLIGHT, {"lane": lane}).fetchone()
    if row is None:
        return None
    number, batch_id, epoch, first_seq, statement, seal, ids = row
    if wire.batch_id(statement) != batch_id:
        raise BufferDamaged(f"the statement of batch {batch_id} came back wrong")
    parts = [segments.read(connection, segment) for segment in json.loads(ids)]
    batch = _sealed(number, lane, (epoch, first_seq), sealed=(statement, seal), parts=parts)
    stated = wire.parse_statement(statement)
    if wire.event_root(batch.events).hex() != stated.root:
        raise BufferDamaged(f"the events of batch {batch_id} came back wrong")
    return batch


def cut(connection: sqlite3.Connection, lane: str, sealer: Sealer) -> SealedBatch | None:
    """Seal the lane's most urgent waiting segments in the caller's transaction.

    None when nothing waits, when the box does not know its epoch yet, and while it is in doubt
    which of its events the hub has. Raises BufferDamaged.
    """
    epoch = settings.recall_int(connection, settings.EPOCH)
    if epoch is None or settings.recall(connection, settings.DOUBT) is not None:
        return None
    chosen: list[tuple[Row, Segment]] = []
    count = size = 0
    for row in segments.waiting(connection, lane):
        if count + row.count > wire.MAX_BATCH_EVENTS:
            break
        part = segments.read_row(connection, row)
        part_size = sum(len(item) + 4 for item in (*part.events, *part.attachments))
        if size + part_size > _ROOM_BYTES:
            break
        chosen.append((row, part))
        count += row.count
        size += part_size
    if not chosen:
        return None
    return _seal(connection, lane, epoch=epoch, sealer=sealer, chosen=chosen)


def _seal(
    connection: sqlite3.Connection,
    lane: str,
    *,
    epoch: int,
    sealer: Sealer,
    chosen: list[tuple[Row, Segment]],
) -> SealedBatch:
    first_seq, last_batch = connection.execute(_LANE, {"lane": lane}).fetchone()
    events = tuple(event for _, part in chosen for event in part.events)
    statement = Statement(
        device=sealer.device,
        epoch=epoch,
        lane=cast("Lane", lane),
        first_seq=first_seq,
        count=len(events),
        root=wire.event_root(events).hex(),
        prev=last_batch,
        checkpoint=_tree_head(connection),
        ranges=_ranges([part for _, part in chosen]),
        sealed=sealer.now,
    ).encode()
    signature = wire.seal(statement, sealer.key)
    values = {
        "lane": lane,
        "epoch": epoch,
        "first_seq": first_seq,
        "count": len(events),
        "bytes": sum(row.bytes for row, _ in chosen),
        "batch_id": wire.batch_id(statement),
        "statement": statement,
        "seal": signature,
        "segments": json.dumps([row.id for row, _ in chosen]),
    }
    number = connection.execute(_INSERT, values).lastrowid
    assert number is not None
    taken = [{"batch": number, "segment": row.id} for row, _ in chosen]
    if connection.executemany(_TAKE, taken).rowcount != len(taken):
        raise BufferDamaged("a waiting segment is in a batch already")
    advanced = connection.execute(_ADVANCE, values).rowcount
    assert advanced == 1
    parts = [part for _, part in chosen]
    return _sealed(number, lane, (epoch, first_seq), sealed=(statement, signature), parts=parts)


def receipted(
    connection: sqlite3.Connection,
    batch: SealedBatch,
    *,
    first_index: int,
    received_ms: int,
    running_ms: int,
) -> int:
    """Move the batch from the queue to the ring; its bytes, 0 when it was there already."""
    values = {
        "id": batch.row,
        "batch_id": batch.batch_id,
        "first_index": first_index,
        "received_ms": received_ms,
        "running_ms": running_ms,
    }
    rows = connection.execute(_RECEIPTED, values).fetchall()
    if rows:
        settings.count(connection, f"receipted_{batch.lane}", len(batch.events))
    return int(rows[0][0]) if rows else 0


def _sealed(
    row: int,
    lane: str,
    place: tuple[int, int],
    *,
    sealed: tuple[bytes, bytes],
    parts: list[Segment],
) -> SealedBatch:
    return SealedBatch(
        row=row,
        batch_id=wire.batch_id(sealed[0]),
        lane=lane,
        epoch=place[0],
        first_seq=place[1],
        statement=sealed[0],
        seal=sealed[1],
        events=tuple(event for part in parts for event in part.events),
        attachments=tuple(item for part in parts for item in part.attachments),
        ranges=tuple((r.gen, r.first, r.last) for r in _ranges(parts)),
    )


def _ranges(parts: list[Segment]) -> tuple[CaptureRange, ...]:
    """Runs of capture numbers in the order of the events."""
    ranges: list[CaptureRange] = []
    for part in parts:
        last = ranges[-1] if ranges else None
        if last is not None and last.gen == part.gen and last.last + 1 == part.first_n:
            ranges[-1] = CaptureRange(last.gen, last.first, part.last_n)
        else:
            ranges.append(CaptureRange(part.gen, part.first_n, part.last_n))
    return tuple(ranges)


def _tree_head(connection: sqlite3.Connection) -> TreeHead | None:
    text = settings.recall(connection, settings.CHECKPOINT)
    if text is None:
        return None
    checkpoint = parse_checkpoint(text)
    return TreeHead(checkpoint.size, checkpoint.root.hex())
