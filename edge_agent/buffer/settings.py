"""Single values that live in the buffer, so that they change in the same commit as the events."""

import sqlite3

GEN = "gen"
EPOCH = "epoch"
EPOCH_NONCE = "epoch_nonce"
CHECKPOINT = "checkpoint"
DOUBT = "doubt"
EVIDENCE = "checkpoint_of:"
"""And an origin: the last tree head that was proven to this box before that ledger ended."""
RUNNING_MS = "running_ms"
RING_BYTES = "ring_bytes"
SOLD_UNKNOWN = "sold_unknown"

_GET = "SELECT value FROM setting WHERE name = :name"
_PUT = """
    INSERT INTO setting (name, value) VALUES (:name, :value)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_DROP = "DELETE FROM setting WHERE name = :name"
_COUNT = """
    INSERT INTO tally (name, value) VALUES (:name, :value)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value
"""


def recall(connection: sqlite3.Connection, name: str) -> str | None:
    """The value, or None."""
    row = connection.execute(_GET, {"name": name}).fetchone()
    return None if row is None else str(row[0])


def recall_int(connection: sqlite3.Connection, name: str) -> int | None:
    """The value as a number, or None."""
    value = recall(connection, name)
    return None if value is None else int(value)


def remember(connection: sqlite3.Connection, name: str, value: str | int | None) -> None:
    """Set a value in the caller's transaction; None removes it."""
    if value is None:
        connection.execute(_DROP, {"name": name})
    else:
        connection.execute(_PUT, {"name": name, "value": str(value)})


def count(connection: sqlite3.Connection, name: str, value: int = 1) -> None:
    """Add to a lifetime counter in the caller's transaction."""
    connection.execute(_COUNT, {"name": name, "value": value})


def tallies(connection: sqlite3.Connection) -> dict[str, int]:
    """All lifetime counters."""
    rows = connection.execute("SELECT name, value FROM tally ORDER BY name")
    return {str(name): int(value) for name, value in rows}
