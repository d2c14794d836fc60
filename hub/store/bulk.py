"""Many rows at once, as fast as each engine can."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

from hub.store.pipeline import flush

INSERT_BLOCKS = (256, 64, 16, 4, 1)
"""Rows of one statement: few sizes, so that each is compiled once and kept."""


def bulk_insert(connection: Connection, table: Table, rows: Sequence[Sequence[object]]) -> None:
    """Insert `rows` (values in the order of the table's columns) as fast as the engine can.

    Wide statements on SQLite, COPY on PostgreSQL; either is part of the caller's transaction.
    """
    if not rows:
        return
    flush(connection)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        _insert_blocks(driver, table, rows)
        return
    names = _names(table)
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as out:
        for row in rows:
            out.write_row(row)


def bulk_upsert(connection: Connection, table: Table, rows: Sequence[Sequence[object]]) -> None:
    """The same, where a row with the same primary key is there already its other columns change.

    No two of `rows` have the same key.
    """
    if not rows:
        return
    flush(connection)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        _insert_blocks(driver, table, rows, behind=_replacing(table))
        return
    marks = ", ".join(["%s"] * len(table.columns))
    sql = f'INSERT INTO "{table.name}" ({_names(table)}) VALUES ({marks}) {_replacing(table)}'  # noqa: S608 - our own names
    with driver.cursor() as cursor:
        cursor.executemany(sql, rows)


@lru_cache(maxsize=64)
def _replacing(table: Table) -> str:
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    others = [column.name for column in table.columns if not column.primary_key]
    if not others:
        return f"ON CONFLICT ({key}) DO NOTHING"
    return f"ON CONFLICT ({key}) DO UPDATE SET " + ", ".join(
        f'"{name}" = excluded."{name}"' for name in others
    )


def _names(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _insert_blocks(
    driver: Any, table: Table, rows: Sequence[Sequence[object]], *, behind: str = ""
) -> None:
    """Insert through statements of many rows each: during one, other threads go on working.

    An executemany lets them in and waits for its turn again at every row.
    """
    done = 0
    for block in INSERT_BLOCKS:
        while len(rows) - done >= block:
            part = rows[done : done + block]
            driver.execute(_insert_sql(table, block, behind), list(chain.from_iterable(part)))
            done += block


@lru_cache(maxsize=256)
def _insert_sql(table: Table, count: int, behind: str) -> str:
    marks = ", ".join([f"({', '.join('?' * len(table.columns))})"] * count)
    return f'INSERT INTO "{table.name}" ({_names(table)}) VALUES {marks} {behind}'  # noqa: S608 - our own names
