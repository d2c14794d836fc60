"""Input that could not be read: kept for a person to look at, within bounds, and counted."""

import sqlite3

from edge_agent.buffer import settings

MAX_RAW_BYTES = 4096
BURST = 20
REFILL_MS = 10_000

_INSERT = """
    INSERT INTO rejected (source, reason, raw, boot, mono_ms)
    VALUES (:source, :reason, :raw, :boot, :mono_ms)
"""
_PRUNE = """
    DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - :keep
"""


class Rejects:
    """A noisy line must not wear out the card: per source a burst is kept, then one per 10 s.

    What is not kept is counted; counts reach the disk with the next kept input or flush().
    """

    def __init__(self, keep: int) -> None:
        """Keep at most `keep` inputs."""
        self._keep = keep
        self._tokens: dict[str, tuple[int, int]] = {}
        self._counts: dict[str, int] = {}

    def admit(self, source: str, mono_ms: int) -> bool:
        """Count one rejected input; True when this one is worth a write."""
        self._counts[source] = self._counts.get(source, 0) + 1
        tokens, since = self._tokens.get(source, (BURST, mono_ms))
        refilled = (mono_ms - since) // REFILL_MS
        tokens, since = min(BURST, tokens + refilled), since + refilled * REFILL_MS
        self._tokens[source] = (max(0, tokens - 1), since)
        return tokens > 0

    @property
    def unsaved(self) -> int:
        """Counted inputs whose count is not on disk yet."""
        return sum(self._counts.values())

    def flush(self, connection: sqlite3.Connection) -> None:
        """Write the counts in the caller's transaction."""
        for source, number in self._counts.items():
            settings.count(connection, f"rejected_{source}", number)

    def flushed(self) -> None:
        """The transaction of flush() is committed."""
        self._counts.clear()

    def insert(
        self,
        connection: sqlite3.Connection,
        *,
        source: str,
        raw: bytes,
        reason: str,
        at: tuple[str, int],
    ) -> None:
        """Keep one input in the caller's transaction; `at` is boot id and monotonic ms."""
        values = {
            "source": source,
            "reason": reason[:200],
            "raw": raw[:MAX_RAW_BYTES],
            "boot": at[0],
            "mono_ms": at[1],
        }
        connection.execute(_INSERT, values)
        connection.execute(_PRUNE, {"keep": self._keep})
