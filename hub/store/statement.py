"""A small question asked often: SQL text without the cost of building it each time."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Connection, Table

from hub.store.pipeline import Values, later, later_for_each
from hub.store.schema import INT64, TEXT


class Statement:
    """SQL with ``:named`` values, sent to the driver as it is, in the caller's transaction.

    To build an expression for a question that an index answers in one step, or to have its
    result described, costs ten times the answer.
    """

    def __init__(self, sql: str, *, postgres: str | None = None) -> None:
        """Keep the text for both engines; it must hold no ``%`` and no other colon.

        `postgres` is for what the two spell differently.
        """
        self._sqlite = sql
        self._postgres = re.sub(r":(\w+)", r"%(\1)s", postgres or sql)

    def rows(self, connection: Connection, **values: object) -> list[Values]:
        """Every row it finds."""
        if connection.dialect.name != "sqlite":
            return later(connection, self._postgres, values).rows()
        found: list[Values] = self._driver(connection).execute(self._sqlite, values).fetchall()
        return found

    def later(self, connection: Connection, **values: object) -> Callable[[], list[Values]]:
        """Ask now, and give the way to the rows: who looks at them later spares PostgreSQL a way
        (hub.store.pipeline). In a write it is done whether or not anybody looks.
        """
        if connection.dialect.name != "sqlite":
            return later(connection, self._postgres, values).rows
        found: list[Values] = self._driver(connection).execute(self._sqlite, values).fetchall()
        return lambda: found

    def run(self, connection: Connection, values: Sequence[Mapping[str, object]]) -> None:
        """Run it once for each of `values`: on PostgreSQL with what is asked next."""
        if not values:
            return
        if connection.dialect.name != "sqlite":
            if len(values) == 1:
                later(connection, self._postgres, values[0])
            else:
                later_for_each(connection, self._postgres, values)
            return
        cursor = self._driver(connection).cursor()
        cursor.executemany(self._sqlite, values)
        cursor.close()

    @staticmethod
    def _driver(connection: Connection) -> Any:
        return connection.connection.dbapi_connection  # which with both drivers is the driver's own


class WideStatement:
    """One statement over many rows, which it finds in a table called ``said``.

    Many statements of one row each cost more than what they do: on SQLite every one of them lets
    other threads in and waits for its turn again, on PostgreSQL every one is sent and answered.

    An ``ON CONFLICT`` behind ``FROM said`` needs a ``WHERE true`` between them, or SQLite takes ON
    for the beginning of a join's condition.
    """

    def __init__(
        self,
        table: Table,
        columns: Sequence[str],
        sql: str,
        *,
        meets: tuple[str, str] | None = None,
        postgres: str | None = None,
    ) -> None:
        """`columns` of `said`, named and typed as those of `table`: whole numbers and texts only.

        ``said.place`` counts its rows, for what has to keep their order. Raises TypeError for other
        columns: what JSON cannot hold would come out as something else. `postgres` is for what the
        two spell differently.

        ``{meets}`` in `sql` stands for the condition that a column of a table, which must have an
        index, is that of `said`. PostgreSQL is told it twice, the second time so that nothing but
        that index can answer: of a table that was empty when it made its plan it would read all.
        """
        if any(
            table.c[name].type is not INT64 and table.c[name].type is not TEXT for name in columns
        ):
            raise TypeError(f"of {table.name} only whole numbers and texts can be said in JSON")
        read = ", ".join(
            f"CAST(value ->> {place} AS {'bigint' if table.c[name].type is INT64 else 'text'})"
            f" AS {name}"
            for place, name in enumerate(columns)
        )
        join = by_index = ""
        if meets is not None:
            column, name = meets
            join = f"{column} = said.{name}"
            by_index = f"{join} AND {column} = ANY (ARRAY(SELECT {name} FROM said))"  # noqa: S608 - our own names
        self._statement = Statement(
            f"WITH said AS (SELECT {read}, key AS place FROM json_each(:said_rows))"  # noqa: S608 - our own names
            f" {sql.replace('{meets}', join)}",
            postgres=f"WITH said AS (SELECT {read}, place"  # noqa: S608 - our own names
            " FROM json_array_elements(CAST(:said_rows AS json)) WITH ORDINALITY"
            f" AS each_said (value, place)) {(postgres or sql).replace('{meets}', by_index)}",
        )

    def rows(self, connection: Connection, said: Sequence[Sequence[object]]) -> list[Values]:
        """Every row it finds; of no rows of `said` none. Raises ValueError for a text with a NUL,
        which the one engine cannot keep and the other would end there.
        """
        return self.later(connection, said)()

    def later(
        self, connection: Connection, said: Sequence[Sequence[object]]
    ) -> Callable[[], list[Values]]:
        """Ask now, and give the way to the rows (see `Statement.later`). Raises as `rows` does."""
        if not said:
            return list
        return self._statement.later(connection, said_rows=_as_json(said))

    def run(self, connection: Connection, said: Sequence[Sequence[object]]) -> None:
        """Run it over all of `said`; without any do nothing. Raises ValueError as `rows` does."""
        if said:
            self._statement.run(connection, [{"said_rows": _as_json(said)}])


_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL in JSON; behind one backslash more it is the six letters of it."""


def _as_json(said: Sequence[Sequence[object]]) -> str:
    text = orjson.dumps(said).decode()
    if "\\u0000" in text and _NUL.search(text):
        raise ValueError("a text with a NUL")
    return text


@cache
def _setting(table: Table, columns: tuple[str, ...]) -> Statement:
    """The names are our code's own, checked against the table."""
    assigned = ", ".join(f'"{table.c[name].name}" = :{name}' for name in columns)
    return Statement(f'UPDATE "{table.name}" SET {assigned} WHERE id = :row_id')  # noqa: S608 - our own names


def set_columns(
    connection: Connection, table: Table, row_id: str, values: Mapping[str, object]
) -> None:
    """Set some columns of the row of `table` whose ``id`` is `row_id`; without values nothing."""
    if values:
        _setting(table, tuple(values)).run(connection, [{**values, "row_id": row_id}])
