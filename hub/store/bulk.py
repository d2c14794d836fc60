"""Many rows at once, as fast as each engine can."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table

INSERT_BLOCKS = (256, 32, 4, 1)
"""Rows of one statement: few sizes, so that each is compiled once and kept."""


def bulk_insert(connection: Connection, table: Table, rows: Sequence[Sequence[object]]) -> None:
    """Insert `rows` (values in the order of the table's columns) as fast as the engine can.

    Wide statements on SQLite, COPY on PostgreSQL; either is part of the caller's transaction.
    """
    if not rows:
        return
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        _insert_blocks(driver, table, rows)
        return
    names = _names(table)
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as out:
        for row in rows:
            out.write_row(row)


def _names(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _insert_blocks(driver: Any, table: Table, rows: Sequence[Sequence[object]]) -> None:
    """Insert through statements of many rows each: during one, other threads go on working.

    An executemany lets them in and waits for its turn again at every row.
    """
    done = 0
    for block in INSERT_BLOCKS:
        while len(rows) - done >= block:
            part = rows[done : done + block]
            driver.execute(_insert_sql(table, block), [value for row in part for value in row])
            done += block


@lru_cache(maxsize=256)
def _insert_sql(table: Table, count: int) -> str:
    marks = f"({', '.join('?' * len(table.columns))})"
    return f'INSERT INTO "{table.name}" ({_names(table)}) VALUES {", ".join([marks] * count)}'  # noqa: S608 - our own names
