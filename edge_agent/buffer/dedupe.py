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


def take_once(connection: sqlite3.Connection, once: Once, *, at: int) -> bool:
    """Remember this capture in the caller's transaction; False if it was seen before.

    `at` grows from put to put and decides what is forgotten first.
    """
    if once.counter is None:
        taken = _take_content(connection, once, at)
    else:
        taken = _take_counter(connection, once, once.counter, at)
    if taken and at % _PRUNE_EVERY == 0:
        connection.execute(_PRUNE_SEEN, {"keep": KEEP_SEEN})
        connection.execute(_PRUNE_COUNTERS, {"keep": KEEP_COUNTERS})
    return taken


def _take_content(connection: sqlite3.Connection, once: Once, at: int) -> bool:
    values = {"scope": once.scope, "key": once.key, "content": once.content, "at": at}
    return connection.execute(_TAKE, values).rowcount == 1


def _take_counter(connection: sqlite3.Connection, once: Once, counter: int, at: int) -> bool:
    name = {"scope": once.scope, "key": once.key}
    row = connection.execute(_WINDOW, name).fetchone()
    highest, bits = (counter, 0) if row is None else (row[0], int.from_bytes(row[1], "big"))
    if counter > highest:
        bits = (bits << (counter - highest)) if counter - highest < WINDOW else 0
        highest = counter
    behind = highest - counter
    if behind >= WINDOW or bits >> behind & 1:
        return False
    bits = (bits | 1 << behind) & ((1 << WINDOW) - 1)
    window = bits.to_bytes(WINDOW // 8, "big")
    connection.execute(_SLIDE, {**name, "highest": highest, "window": window, "at": at})
    return True
