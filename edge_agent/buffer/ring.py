"""What the hub has receipted: kept for a while, so that a restored hub can be refilled."""

import json
import sqlite3

from edge_agent.buffer import segments, settings
from edge_agent.buffer.captures import Limits

_BYTES = "SELECT coalesce(sum(bytes), 0) FROM batch WHERE first_index IS NOT NULL"
_OLDEST = """
    SELECT id, bytes, segments, receipted_running_ms FROM batch
     WHERE first_index IS NOT NULL ORDER BY id LIMIT 10
"""
_DELETE = "DELETE FROM batch WHERE id = :id"


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
