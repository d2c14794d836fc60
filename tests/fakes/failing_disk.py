"""A SQLite file whose commits can fail: before they took effect, or after."""

import sqlite3
from collections.abc import Callable
from typing import Literal

Cut = Literal["before", "after"]


class FailingDisk:
    """Set `cut`, and the next commit of a writer fails once; `before_commit` runs before each."""

    def __init__(self) -> None:
        self.cut: Cut | None = None
        self.before_commit: Callable[[], object] = lambda: None

    def connect(self, path: str) -> sqlite3.Connection:
        """A connection as the hub opens it, on this disk."""
        disk = self

        class Connection(sqlite3.Connection):
            def commit(self) -> None:
                if not self.in_transaction:
                    super().commit()
                    return
                disk.before_commit()
                cut = disk.cut
                if cut is None:
                    super().commit()
                    return
                disk.cut = None
                if cut == "after":
                    super().commit()
                raise sqlite3.OperationalError("disk I/O error")

        return sqlite3.connect(
            path, check_same_thread=False, isolation_level=None, timeout=10, factory=Connection
        )
