"""What a buffer's file says of a box, read beside the running agent without disturbing it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from edge_agent.buffer import backlog, settings
from edge_agent.buffer.connection import ERRORS, connect_readonly
from edge_agent.errors import BufferBroken
from shared.checkpoint import MalformedNote, parse_checkpoint

_LAST_RECEIPT = """
    SELECT lane, max(received_ms), max(first_index + count - 1) FROM batch
     WHERE first_index IS NOT NULL GROUP BY lane
"""
_PENDING = "SELECT count(*) FROM activation WHERE state = 'pending'"
_REJECTED = """
    SELECT id, source, reason, boot, mono_ms, length(raw) AS bytes FROM rejected
     ORDER BY id DESC LIMIT :limit
"""
_RAW = "SELECT raw FROM rejected WHERE id = :id"

SOURCES = "sources"
DELIVERY = "delivery"
AT = "status_at"


def read(path: Path) -> dict[str, Any]:
    """Everything `kickstand-agent status` shows of the buffer. Raises BufferBroken."""
    try:
        with closing(connect_readonly(path)) as connection:
            return _read(connection)
    except (sqlite3.Error, ValueError) as error:
        raise BufferBroken(f"{path} cannot be read: {error}") from error


def _read(connection: sqlite3.Connection) -> dict[str, Any]:
    running_ms = settings.recall_int(connection, settings.RUNNING_MS) or 0
    waiting = backlog.measure(connection, running_ms=running_ms)
    tallies = settings.tallies(connection)
    return {
        "gen": settings.recall_int(connection, settings.GEN),
        "epoch": settings.recall_int(connection, settings.EPOCH),
        "doubt": settings.recall(connection, settings.DOUBT),
        "backlog": dict(waiting.events),
        "oldest_unsent_ms": waiting.oldest_unsent_ms,
        "buffer_bytes": waiting.buffer_bytes,
        "halted": dict(waiting.halted),
        "ledger_size": _ledger_size(settings.recall(connection, settings.CHECKPOINT)),
        "last_receipt": {
            lane: {"received_ms": received_ms, "ledger_index": index}
            for lane, received_ms, index in connection.execute(_LAST_RECEIPT)
        },
        "activations_pending": connection.execute(_PENDING).fetchone()[0],
        "lost": _of(tallies, "lost_"),
        "rejected": _of(tallies, "rejected_"),
        "receipted": _of(tallies, "receipted_"),
        "salvages": tallies.get("salvages", 0),
        "sources": _json(connection, SOURCES),
        "delivery": _json(connection, DELIVERY),
        "as_of": _json(connection, AT),
    }


def rejected(path: Path, limit: int = 100) -> list[dict[str, Any]]:
    """The newest unreadable inputs, without their bytes. Raises BufferBroken."""
    try:
        with closing(connect_readonly(path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(_REJECTED, {"limit": limit})]
    except ERRORS as error:
        raise BufferBroken(f"{path} cannot be read: {error}") from error


def rejected_raw(path: Path, number: int) -> bytes | None:
    """The bytes of one unreadable input, or None. Raises BufferBroken."""
    try:
        with closing(connect_readonly(path)) as connection:
            row = connection.execute(_RAW, {"id": number}).fetchone()
            return None if row is None else bytes(row[0])
    except ERRORS as error:
        raise BufferBroken(f"{path} cannot be read: {error}") from error


def _ledger_size(note: str | None) -> int | None:
    if note is None:
        return None
    try:
        return parse_checkpoint(note).size
    except MalformedNote:
        return None


def _of(tallies: dict[str, int], prefix: str) -> dict[str, int]:
    return {
        name.removeprefix(prefix): value
        for name, value in tallies.items()
        if name.startswith(prefix)
    }


def _json(connection: sqlite3.Connection, name: str) -> Any:
    text = settings.recall(connection, name)
    return None if text is None else json.loads(text)
