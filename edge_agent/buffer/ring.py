"""What the hub has receipted: kept for a while, so that a restored hub can be refilled."""

import json
import sqlite3
from dataclasses import dataclass, replace

import orjson

from edge_agent.buffer import segments, settings
from edge_agent.buffer.captures import PRIORITY_OF, Limits, Priority, SealedBatch
from edge_agent.buffer.frames import MAX_SEGMENT_BYTES, MAX_SEGMENT_EVENTS, Segment
from shared.wire import batch as wire

_BYTES = "SELECT coalesce(sum(bytes), 0) FROM batch WHERE first_index IS NOT NULL"
_OLDEST = """
    SELECT id, bytes, segments, receipted_running_ms FROM batch
     WHERE first_index IS NOT NULL ORDER BY id LIMIT 10
"""
_DELETE = "DELETE FROM batch WHERE id = :id"
# Without its statement a batch has no leaves: what an earlier release settled has none.
_PLACES = """
    SELECT id, batch_id, first_index, count, received_ms FROM batch
     WHERE first_index IS NOT NULL AND length(statement) > 0 ORDER BY first_index
"""
_KEPT = """
    SELECT lane, epoch, first_seq, statement, seal, segments FROM batch
     WHERE id = :id AND batch_id = :batch_id AND first_index IS NOT NULL
"""
_KNOWN = """
    SELECT 1 FROM batch
     WHERE batch_id = :batch_id AND first_index IS NOT NULL AND length(statement) > 0
"""
_KEEP = """
    INSERT INTO batch (lane, epoch, first_seq, count, bytes, batch_id, statement, seal, segments,
                       first_index, received_ms, receipted_running_ms)
    VALUES (:lane, :epoch, :first_seq, :count, :bytes, :batch_id, :statement, :seal, :segments,
            :first_index, :received_ms, :running_ms)
"""
_TAKE = "UPDATE segment SET batch = :batch WHERE id = :segment"


@dataclass(frozen=True, slots=True, kw_only=True)
class RingPlace:
    """A receipted batch that can be given back, and where it stands on the ledger."""

    row: int
    batch_id: str
    first_index: int
    count: int
    received_ms: int


def places(connection: sqlite3.Connection) -> list[RingPlace]:
    """What the ring can give back, in the order of the ledger."""
    return [
        RingPlace(row=row, batch_id=batch, first_index=first, count=count, received_ms=received_ms)
        for row, batch, first, count, received_ms in connection.execute(_PLACES)
    ]


def batch(connection: sqlite3.Connection, place: RingPlace) -> SealedBatch | None:
    """The batch at a place, None when it has left the ring. Raises BufferDamaged."""
    values = {"id": place.row, "batch_id": place.batch_id}
    row = connection.execute(_KEPT, values).fetchone()
    if row is None:
        return None
    lane, epoch, first_seq, statement, seal, ids = row
    parts = [segments.read(connection, segment) for segment in json.loads(ids)]
    return SealedBatch(
        row=place.row,
        batch_id=place.batch_id,
        lane=lane,
        epoch=epoch,
        first_seq=first_seq,
        statement=statement,
        seal=seal,
        events=tuple(event for part in parts for event in part.events),
        attachments=tuple(item for part in parts for item in part.attachments),
    )


def keep(
    connection: sqlite3.Connection,
    body: wire.Body,
    *,
    first_index: int,
    received_ms: int,
    running_ms: int,
) -> int:
    """Put a whole batch into the ring that came back from the hub; its bytes, 0 if it is there."""
    if connection.execute(_KNOWN, {"batch_id": body.batch_id}).fetchone() is not None:
        return 0
    stated = body.statement
    ids = [segments.insert(connection, part, put_running_ms=running_ms) for part in _parts(body)]
    size = len(body.statement_bytes) + len(body.events_bytes) + sum(map(len, body.attachments))
    values = {
        "lane": stated.lane,
        "epoch": stated.epoch,
        "first_seq": stated.first_seq,
        "count": stated.count,
        "bytes": size,
        "batch_id": body.batch_id,
        "statement": body.statement_bytes,
        "seal": body.seal,
        "segments": json.dumps(ids),
        "first_index": first_index,
        "received_ms": received_ms,
        "running_ms": running_ms,
    }
    row = connection.execute(_KEEP, values).lastrowid
    connection.executemany(_TAKE, [{"batch": row, "segment": segment} for segment in ids])
    return size


def _parts(body: wire.Body) -> list[Segment]:
    """The events of a body as segments: reports share one, everything else stands alone."""
    numbers = [(r.gen, n) for r in body.statement.ranges for n in range(r.first, r.last + 1)]
    items = iter(body.attachments)
    found: list[Segment] = []
    for (gen, n), event in zip(numbers, body.events, strict=True):
        carried: tuple[bytes, ...] = ()
        if body.attachments:
            carried = tuple(next(items) for _ in wire.attachments_named([event]))
        part = Segment(
            lane=body.statement.lane,
            priority=PRIORITY_OF.get(orjson.loads(event)["type"], Priority.REPORT),
            gen=gen,
            first_n=n,
            events=(event,),
            attachments=carried,
        )
        if found and _share(found[-1], part):
            found[-1] = replace(found[-1], events=(*found[-1].events, event))
        else:
            found.append(part)
    return found


def _share(before: Segment, part: Segment) -> bool:
    return (
        before.priority == part.priority == Priority.REPORT
        and (before.gen, before.last_n + 1) == (part.gen, part.first_n)
        and len(before.events) < MAX_SEGMENT_EVENTS
        and sum(map(len, (*before.events, *part.events))) <= MAX_SEGMENT_BYTES // 2
    )


def size_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the frames kept."""
    noted = settings.recall_int(connection, settings.RING_BYTES)
    if noted is not None:
        return noted
    (total,) = connection.execute(_BYTES).fetchone()
    return int(total)


def take(
    connection: sqlite3.Connection, more_bytes: int, limits: Limits, *, running_ms: int
) -> None:
    """`more_bytes` were receipted: drop what is too old or too much, oldest first.

    In the caller's transaction, which writes the page of the settings anyway.
    """
    held = size_bytes(connection) + more_bytes
    while rows := connection.execute(_OLDEST).fetchall():
        for row, freed, ids, receipted_ms in rows:
            if held <= limits.ring_bytes_max and running_ms - receipted_ms <= limits.ring_ms:
                settings.remember(connection, settings.RING_BYTES, held)
                return
            _drop(connection, row, ids)
            held -= freed
    settings.remember(connection, settings.RING_BYTES, 0)


def free(connection: sqlite3.Connection, need_bytes: int) -> int:
    """Drop the oldest until `need_bytes` are freed or nothing is left; the bytes freed."""
    freed = 0
    while freed < need_bytes:
        rows = connection.execute(_OLDEST).fetchall()
        if not rows:
            break
        for row, size, ids, _ in rows:
            if freed >= need_bytes:
                break
            _drop(connection, row, ids)
            freed += size
    if freed:
        settings.remember(connection, settings.RING_BYTES, max(0, size_bytes(connection) - freed))
    return freed


def _drop(connection: sqlite3.Connection, row: int, ids: str) -> None:
    segments.delete(connection, json.loads(ids))
    connection.execute(_DELETE, {"id": row})
