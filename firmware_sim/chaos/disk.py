"""A disk whose power may go in the moment of a commit."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal

Cut = Literal["before", "after"]


class PowerCut(BaseException):
    """The machine is dead. No handler for ordinary errors may survive it."""


class Disk:
    """Opens SQLite files; a commit may be cut before it is durable or after it is.

    What was committed stays and what was not is rolled back: this simulation trusts
    synchronous=FULL, which tests of the pragmas and of a real power cut watch over.
    """

    def __init__(self, decide: Callable[[], Cut | None]) -> None:
        """`decide` is asked at every commit."""
        self.decide = decide
        self._open: list[sqlite3.Connection] = []

    def open_box(self, path: Path) -> sqlite3.Connection:
        """For the agent's buffer."""
        return self._connect(str(path))

    def open_hub(self, path: str) -> sqlite3.Connection:
        """For the hub's database."""
        return self._connect(path)

    def _connect(self, path: str) -> sqlite3.Connection:
        disk = self

        class CutConnection(sqlite3.Connection):
            """Commits as the disk lets it."""

            def commit(self) -> None:
                cut = disk.decide() if self.in_transaction else None
                if cut == "before":
                    self.rollback()
                    raise PowerCut
                super().commit()
                if cut == "after":
                    raise PowerCut

        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=CutConnection
        )
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        self._open.append(connection)
        return connection

    def pull(self) -> None:
        """The power is gone: open transactions with it."""
        for connection in self._open:
            connection.close()
        self._open.clear()
