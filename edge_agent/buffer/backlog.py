"""What waits, and where each lane stands."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.buffer import settings
from edge_agent.buffer.connection import used_bytes
from edge_agent.buffer.reposition import Place
from shared.checkpoint import MalformedNote, parse_checkpoint
from shared.wire.events import LANES

_WAITING = """
    SELECT lane, sum(count), min(put_running_ms) FROM segment WHERE batch IS NULL GROUP BY lane
"""
_IN_FLIGHT = """
    SELECT batch.lane, batch.count,
           (SELECT min(put_running_ms) FROM segment WHERE segment.batch = batch.id)
      FROM batch WHERE first_index IS NULL
"""
_PLACES = "SELECT lane, next_seq, last_batch FROM lane"
_HALTED = "SELECT lane, halted FROM lane WHERE halted IS NOT NULL"
_HALT = "UPDATE lane SET halted = :reason WHERE lane = :lane"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Events without a receipt. `oldest_unsent_ms` counts only time the box was running."""

    events: Mapping[str, int]
    oldest_unsent_ms: int | None
    buffer_bytes: int
    halted: Mapping[str, str]

    @property
    def total(self) -> int:
        """Events of all lanes."""
        return sum(self.events.values())


def measure(connection: sqlite3.Connection, *, running_ms: int) -> Backlog:
    """Count what waits."""
    events: dict[str, int] = dict.fromkeys(LANES, 0)
    oldest: list[int] = []
    for lane, count, since in [*connection.execute(_WAITING), *connection.execute(_IN_FLIGHT)]:
        events[lane] += count
        if since is not None:
            oldest.append(since)
    return Backlog(
        events=events,
        oldest_unsent_ms=max(0, running_ms - min(oldest)) if oldest else None,
        buffer_bytes=used_bytes(connection),
        halted=dict(connection.execute(_HALTED)),
    )


def places(connection: sqlite3.Connection) -> dict[str, Place]:
    """Each lane's next position."""
    return {
        lane: Place(next_seq=next_seq, last_batch=last_batch)
        for lane, next_seq, last_batch in connection.execute(_PLACES)
    }


def halt(connection: sqlite3.Connection, lane: str, reason: str | None) -> None:
    """Note why a lane stands still, in the caller's transaction."""
    connection.execute(_HALT, {"lane": lane, "reason": reason})


def raise_checkpoint(connection: sqlite3.Connection, text: str | None) -> None:
    """Keep the larger of the known and the given checkpoint, in the caller's transaction."""
    if text is None:
        return
    known = settings.recall(connection, settings.CHECKPOINT)
    try:
        old_size = -1 if known is None else parse_checkpoint(known).size
    except MalformedNote:
        old_size = -1
    if parse_checkpoint(text).size > old_size:
        settings.remember(connection, settings.CHECKPOINT, text)
