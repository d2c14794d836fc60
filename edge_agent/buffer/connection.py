"""The one way to open the buffer's file, and what SQLite's errors mean for it."""

import os
import sqlite3
from collections.abc import Callable
from enum import Enum
from pathlib import Path

PAGE_BYTES = 1024
"""Small pages: a commit of one sale touches six of them, and each is written whole."""
WAL_PAGES = 1024
"""Pages after which the log is folded into the file. What is held back of the disk for sales and
for the log must each hold as much."""
_PRAGMAS = (
    f"PRAGMA page_size = {PAGE_BYTES}",
    "PRAGMA journal_mode = WAL",
    # FULL: a commit has reached the card when it returns. NORMAL would lose the last ones in a
    # power cut, and with them what was already acknowledged to a till.
    "PRAGMA synchronous = FULL",
    f"PRAGMA wal_autocheckpoint = {WAL_PAGES}",
    f"PRAGMA journal_size_limit = {2 * WAL_PAGES * PAGE_BYTES}",
    "PRAGMA cell_size_check = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -1024",
)

_NOT_TEXT = "Could not decode to UTF-8"
"""How the message of an error without a code begins that CPython raises for a damaged text."""

ConnectionFactory = Callable[[Path], sqlite3.Connection]


def connect(path: Path) -> sqlite3.Connection:
    """Open the buffer's file for writing, durable at every commit (WAL, synchronous=FULL).

    Transactions are explicit: BEGIN IMMEDIATE, then the connection's commit() or rollback().
    """
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open a buffer to look at it; whoever writes it is not disturbed."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
    connection.execute("PRAGMA query_only = ON")
    return connection


ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What using a buffer may raise. SQLite quotes a damaged schema in its errors, and where the
quotation is not UTF-8 Python raises the second instead of the first."""


class Trouble(Enum):
    """What an SQLite error means for the buffer."""

    DAMAGED = "damaged"
    FULL = "full"
    BROKEN = "broken"


def trouble_of(error: sqlite3.Error | UnicodeDecodeError) -> Trouble | None:
    """What to do about `error`, or None when it is the program's own fault."""
    if isinstance(error, UnicodeDecodeError) or str(error).startswith(_NOT_TEXT):
        return Trouble.DAMAGED
    code = getattr(error, "sqlite_errorcode", 0) or 0
    primary = code & 0xFF
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return Trouble.DAMAGED
    if code in {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ}:
        return Trouble.DAMAGED
    if primary == sqlite3.SQLITE_FULL:
        return Trouble.FULL
    if primary in {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    }:
        return Trouble.BROKEN
    return None


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file in use, free pages not counted."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    return int(pages) * PAGE_BYTES - free_bytes(connection)


def free_bytes(connection: sqlite3.Connection) -> int:
    """Bytes inside the file that wait to be used again."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(free) * PAGE_BYTES


def sync_folder(folder: Path) -> None:
    """Make created and renamed entries of a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
