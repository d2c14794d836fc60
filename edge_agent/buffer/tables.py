"""The buffer's file as tables, for a person at the box; sqlite-utils reads, nothing is written."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from edge_agent.buffer.connection import ERRORS, connect_readonly
from edge_agent.errors import BufferBroken

ROWS_MAX = 1000


def list_tables(path: Path) -> list[dict[str, Any]]:
    """Name, rows and columns of every table. Raises BufferBroken."""
    import sqlite_utils  # noqa: PLC0415 - a fifth of a second that the running agent need not pay

    try:
        with closing(connect_readonly(path)) as connection:
            database = sqlite_utils.Database(connection)
            return [
                {
                    "table": table.name,
                    "rows": table.count,
                    "columns": [column.name for column in table.columns],
                }
                for table in database.tables
            ]
    except ERRORS as error:
        raise BufferBroken(f"{path} cannot be read: {error}") from error


def newest_rows(path: Path, name: str) -> Iterator[dict[str, Any]]:
    """The rows of a table, at most ROWS_MAX; bytes are shown by their length. Raises BufferBroken.

    Bytes stay where they are: frames and rejected inputs may hold a buyer's data.
    """
    import sqlite_utils  # noqa: PLC0415 - as above

    try:
        with closing(connect_readonly(path)) as connection:
            database = sqlite_utils.Database(connection)
            if name not in database.table_names():
                known = ", ".join(database.table_names())
                raise BufferBroken(f"no table {name!r} in {path}; there are {known}")
            for row in database[name].rows_where(limit=ROWS_MAX, order_by="1 DESC"):
                yield {key: _shown(value) for key, value in row.items()}
    except ERRORS as error:
        raise BufferBroken(f"{path} cannot be read: {error}") from error


def _shown(value: object) -> object:
    return f"{len(value)} bytes" if isinstance(value, bytes) else value
