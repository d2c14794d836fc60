"""What goes when there is no room: receipted bytes first, then reports, then faults, no sale.

Every loss is declared by an agent.loss event in the very transaction that makes it.
"""

import sqlite3

from edge_agent.buffer import ring, segments
from edge_agent.buffer.captures import Limits, Priority
from edge_agent.buffer.connection import used_bytes
from edge_agent.buffer.segments import Writer
from shared.wire.events import Occurred

_OLDEST = """
    SELECT id, lane, gen, first_n, count, bytes FROM segment INDEXED BY segment_waiting
     WHERE lane = :lane AND priority = :priority AND batch IS NULL ORDER BY id LIMIT 200
"""
# Losses and sales are never shed: what is gone must stay declared.
_ORDER = (
    ("vehicle", Priority.REPORT),
    ("system", Priority.REPORT),
    ("vehicle", Priority.FAULT),
)


def shed_step_bytes(limits: Limits) -> int:
    """How much is shed at once, so that one declaration covers many events."""
    return max(64 * 1024, limits.bytes_max // 128)


def can_seal(connection: sqlite3.Connection, limits: Limits) -> bool:
    """Whether what sealing and receipts need is still free."""
    return used_bytes(connection) <= limits.sale_bytes_max


def make_room(
    connection: sqlite3.Connection,
    writer: Writer,
    limits: Limits,
    *,
    limit_bytes: int,
    now: Occurred,
) -> bool:
    """Free and shed in the caller's transaction until the file uses at most `limit_bytes`.

    False when everything that may go has gone and it was not enough.
    """
    while (excess := used_bytes(connection) - limit_bytes) > 0:
        if ring.free(connection, excess):
            continue
        if not shed(connection, writer, max(excess, shed_step_bytes(limits)), now=now):
            return False
    return True


def shed(connection: sqlite3.Connection, writer: Writer, need_bytes: int, *, now: Occurred) -> int:
    """Shed unsealed segments worth at least `need_bytes`, oldest first; the bytes shed.

    Adds the agent.loss events to `writer`.
    """
    freed = 0
    lost: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for lane, priority in _ORDER:
        while freed < need_bytes:
            rows = connection.execute(_OLDEST, {"lane": lane, "priority": int(priority)}).fetchall()
            if not rows:
                break
            gone = []
            for segment, found_lane, gen, first_n, count, size in rows:
                if freed >= need_bytes:
                    break
                gone.append(segment)
                lost.setdefault((found_lane, gen), []).append((first_n, first_n + count - 1))
                freed += size
            segments.delete(connection, gone)
    for (lane, gen), ranges in lost.items():
        writer.add_loss(lane=lane, gen=gen, ranges=ranges, reason="disk_full", now=now)
    return freed
