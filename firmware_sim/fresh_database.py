"""A database with this release's tables for every run that needs one, migrated once a process."""

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from hub.store import Database
from hub.store.migrate import migrate


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hub.db"
        database = Database(f"sqlite:///{path}")
        try:
            migrate(database)
        finally:
            database.close()
        # Back in one file, whoever still held the log while the others closed.
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
        return path.read_bytes()


def put_migrated(path: Path) -> None:
    """Write an empty hub's database to `path`, as `migrate` would leave it, far more slowly.

    Raises FileExistsError when there is a database already.
    """
    with path.open("xb") as file:
        file.write(_migrated())
