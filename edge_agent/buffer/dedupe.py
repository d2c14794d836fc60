"""What was captured before: receipts by content, scooter messages by their counter."""

import sqlite3

from edge_agent.buffer.captures import Once

WINDOW = 512
"""Counters this far behind the highest one are told apart; older ones count as seen."""
KEEP_SEEN = 50_000
KEEP_COUNTERS = 20_000
_PRUNE_EVERY = 1000

_TAKE = """
    INSERT INTO seen (scope, key, content, at) VALUES (:scope, :key, :content, :at)
    ON CONFLICT DO NOTHING
"""
_PRUNE_SEEN = """
    DELETE FROM seen WHERE at <= (SELECT at FROM seen ORDER BY at DESC LIMIT 1 OFFSET :keep)
"""
_WINDOW = "SELECT highest, window FROM seen_counter WHERE scope = :scope AND key = :key"
_SLIDE = """
    INSERT INTO seen_counter (scope, key, highest, window, at)
    VALUES (:scope, :key, :highest, :window, :at)
    ON CONFLICT (scope, key)
    DO UPDATE SET highest = excluded.highest, window = excluded.window, at = excluded.at
"""
_PRUNE_COUNTERS = """
    DELETE FROM seen_counter
     WHERE at <= (SELECT at FROM seen_counter ORDER BY at DESC LIMIT 1 OFFSET :keep)
"""


class Taker:
    """Remembers captures within one transaction of the caller; finish() writes what is new.

    Each counter's window is read and written once a transaction, however many captures share it.
    """

    def __init__(self, connection: sqlite3.Connection, *, at: int) -> None:
        """`at` grows from put to put and decides what is forgotten first."""
        self._connection = connection
        self._at = at
        self._windows: dict[tuple[str, str], tuple[int, int]] = {}
        self._slid: set[tuple[str, str]] = set()
        self._took = False

    def take(self, once: Once) -> bool:
        """Remember this capture; False if it was seen before."""
        if once.counter is None:
            taken = self._take_content(once)
        else:
            taken = self._take_counter((once.scope, once.key), once.counter)
        self._took = self._took or taken
        return taken

    def finish(self) -> None:
        """Write the windows that moved; sometimes, forget the oldest."""
        for name in self._slid:
            highest, bits = self._windows[name]
            values = {
                "scope": name[0],
                "key": name[1],
                "highest": highest,
                "window": bits.to_bytes(WINDOW // 8, "big"),
                "at": self._at,
            }
            self._connection.execute(_SLIDE, values)
        if self._took and self._at % _PRUNE_EVERY == 0:
            self._connection.execute(_PRUNE_SEEN, {"keep": KEEP_SEEN})
            self._connection.execute(_PRUNE_COUNTERS, {"keep": KEEP_COUNTERS})

    def _take_content(self, once: Once) -> bool:
        values = {"scope": once.scope, "key": once.key, "content": once.content, "at": self._at}
        return self._connection.execute(_TAKE, values).rowcount == 1

    def _take_counter(self, name: tuple[str, str], counter: int) -> bool:
        found = self._windows.get(name) or self._load(name) or (counter, 0)
        highest, bits = found
        if counter > highest:
            bits = (bits << (counter - highest)) if counter - highest < WINDOW else 0
            highest = counter
        behind = highest - counter
        if behind >= WINDOW or bits >> behind & 1:
            return False
        self._windows[name] = highest, (bits | 1 << behind) & ((1 << WINDOW) - 1)
        self._slid.add(name)
        return True

    def _load(self, name: tuple[str, str]) -> tuple[int, int] | None:
        values = {"scope": name[0], "key": name[1]}
        row = self._connection.execute(_WINDOW, values).fetchone()
        return None if row is None else (row[0], int.from_bytes(row[1], "big"))
