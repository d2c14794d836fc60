"""What the hub has receipted: kept for a while, so that a restored hub can be refilled."""

import json
import sqlite3

from edge_agent.buffer import segments
from edge_agent.buffer.captures import Limits

_BYTES = "SELECT coalesce(sum(bytes), 0) FROM batch WHERE first_index IS NOT NULL"
_OLDEST = """
    SELECT id, bytes, segments, receipted_running_ms FROM batch
     WHERE first_index IS NOT NULL ORDER BY receipted_running_ms, id LIMIT 50
"""
_DELETE = "DELETE FROM batch WHERE id = :id"


def size_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the frames kept."""
    (total,) = connection.execute(_BYTES).fetchone()
    return int(total)


def prune(
    connection: sqlite3.Connection, limits: Limits, *, held_bytes: int, running_ms: int
) -> int:
    """Drop what is too old or too much, oldest first; the bytes still held."""
    for row, size, ids, receipted_ms in connection.execute(_OLDEST).fetchall():
        if held_bytes <= limits.ring_bytes_max and running_ms - receipted_ms <= limits.ring_ms:
            break
        _drop(connection, row, ids)
        held_bytes -= size
    return held_bytes


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
    return freed


def _drop(connection: sqlite3.Connection, row: int, ids: str) -> None:
    segments.delete(connection, json.loads(ids))
    connection.execute(_DELETE, {"id": row})
