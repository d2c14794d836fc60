"""Being the only process that does something, for as long as it lives."""

import fcntl
import os
import zlib
from contextlib import ExitStack, suppress

from sqlalchemy import Connection

from hub.store.database import Database
from hub.store.statement import Statement

LOCK_CLASS = 0x6B69636B
"""First half of every PostgreSQL advisory lock taken here."""
_ALIVE = Statement("SELECT 1")
_TRY = Statement("SELECT pg_try_advisory_lock(CAST(:of AS integer), CAST(:number AS integer))")
_UNLOCK = Statement("SELECT pg_advisory_unlock(CAST(:of AS integer), CAST(:number AS integer))")


class Sole:
    """A lock that its holder's death releases: a file lock beside SQLite, PostgreSQL's own."""

    def __init__(self, database: Database, name: str) -> None:
        """Take nothing yet."""
        self._database = database
        self._name = name
        self._number = zlib.crc32(name.encode()) - 2**31
        self._file: int | None = None
        self._connection: Connection | None = None
        self._stack = ExitStack()

    def held(self) -> bool:
        """Whether we are the one, now; takes the lock when it is free.

        Raises DBAPIError or StoreUnavailable while PostgreSQL is away.
        """
        path = self._database.sqlite_path
        if path == ":memory:":
            return True
        return self._held_postgres() if path is None else self._held_file(path)

    def _held_file(self, path: str) -> bool:
        if self._file is None:
            file = os.open(f"{path}.{self._name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            self._file = file
        return True

    def _held_postgres(self) -> bool:
        if self._connection is not None:
            try:
                # A server that restarted has forgotten whose the lock was.
                _ALIVE.rows(self._connection)
            except self._connection.dialect.loaded_dbapi.Error:
                self.release()
            else:
                return True
        with ExitStack() as opened:
            connection = opened.enter_context(self._database.look())
            [[taken]] = _TRY.rows(connection, of=LOCK_CLASS, number=self._number)
            if taken:
                self._connection = connection
                self._stack = opened.pop_all()
        return bool(taken)

    def release(self) -> None:
        """Let another process be the one."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._connection is not None:
            with suppress(self._connection.dialect.loaded_dbapi.Error):
                _UNLOCK.rows(self._connection, of=LOCK_CLASS, number=self._number)
            # Closed for good, not handed back to the pool: whatever happened, it holds no lock.
            self._connection.invalidate()
            self._connection = None
        self._stack.close()
