"""The buffer's schema: numbered steps, forward only, each in one transaction with its record.

A shipped step is never edited. A step must leave the previous release able to run.
"""

import sqlite3
from collections.abc import Sequence

V1 = """
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Capture numbers: the next n of each lane and generation. Old generations are kept, because
-- their events may still be waiting after a salvage.
CREATE TABLE numbering (
    lane TEXT NOT NULL,
    gen INTEGER NOT NULL CHECK (gen >= 1),
    next_n INTEGER NOT NULL CHECK (next_n >= 1),
    PRIMARY KEY (lane, gen)
) STRICT, WITHOUT ROWID;

-- Where each lane stands with the hub: position of the next batch and the statement before it.
CREATE TABLE lane (
    lane TEXT PRIMARY KEY,
    next_seq INTEGER NOT NULL,
    last_batch TEXT,
    halted TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE batch (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count >= 1),
    bytes INTEGER NOT NULL,
    batch_id TEXT NOT NULL,
    statement BLOB NOT NULL,
    seal BLOB NOT NULL,
    segments TEXT NOT NULL,
    first_index INTEGER,
    received_ms INTEGER,
    receipted_running_ms INTEGER,
    CHECK ((first_index IS NULL) = (received_ms IS NULL))
) STRICT;
-- One batch of a lane is in flight.
CREATE UNIQUE INDEX batch_in_flight ON batch (lane) WHERE first_index IS NULL;

CREATE TABLE segment (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
    gen INTEGER NOT NULL,
    first_n INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count >= 1),
    bytes INTEGER NOT NULL,
    put_running_ms INTEGER NOT NULL,
    batch INTEGER
) STRICT;
CREATE INDEX segment_waiting ON segment (lane, priority, id) WHERE batch IS NULL;

-- The blobs stand apart, so that a change of state never rewrites them.
CREATE TABLE frame (
    segment INTEGER PRIMARY KEY,
    blob BLOB NOT NULL
) STRICT;

CREATE TABLE seen (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    content BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (scope, key, content)
) STRICT, WITHOUT ROWID;

CREATE TABLE seen_counter (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    highest INTEGER NOT NULL,
    window BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

-- Units that this box knows to be sold: their positions are nobody's business any more.
CREATE TABLE sold (
    serial TEXT PRIMARY KEY,
    till TEXT NOT NULL,
    receipt TEXT NOT NULL,
    gen INTEGER NOT NULL,
    n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE activation (
    gen INTEGER NOT NULL,
    n INTEGER NOT NULL,
    serial TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'answered', 'unanswered', 'cancelled')),
    asked INTEGER NOT NULL DEFAULT 0,
    waited_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (gen, n, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX activation_pending ON activation (serial) WHERE state = 'pending';

-- Numbers that were issued and can no longer be found; each becomes an agent.loss unless the
-- hub turns out to have it.
CREATE TABLE gap (
    lane TEXT NOT NULL,
    gen INTEGER NOT NULL,
    first_n INTEGER NOT NULL,
    last_n INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (lane, gen, first_n)
) STRICT, WITHOUT ROWID;

CREATE TABLE rejected (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw BLOB NOT NULL,
    boot TEXT NOT NULL,
    mono_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE tally (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO lane (lane, next_seq) VALUES ('sale', 1), ('vehicle', 1), ('system', 1);
"""

STEPS: Sequence[str] = (V1,)
LATEST = len(STEPS)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to LATEST. Does nothing on a current file.

    Raises:
        sqlite3.DatabaseError: the file is damaged, or newer than this program.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > LATEST:
        raise sqlite3.NotSupportedError(
            f"the buffer has schema {version}, this program knows {LATEST}: install the newer one"
        )
    for number in range(version, LATEST):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(STEPS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.commit()
        except BaseException:
            connection.rollback()
            raise


def schema_is_whole(connection: sqlite3.Connection) -> bool:
    """Whether the file's schema is, word for word, the one that the steps make."""
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(fresh)
        return _schema(fresh) == _schema(connection)
    finally:
        fresh.close()


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name"
    ).fetchall()


def _statements(script: str) -> list[str]:
    """The single statements of a script (executescript would commit on its own)."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
