"""The places of a network: the list that ships, and what was imported beside it."""

import threading
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from hub.leads import atlas_store
from hub.leads.aliases import COLUMNS, Alias, alias_row
from hub.leads.places import Places, shipped, with_own
from hub.registry.imports import ImportAnswer, Plan, answer, parse_file, plan
from hub.registry.rules import Refusal
from hub.store import Database


class Atlas:
    """Places by what people write, as of the last import of any process. For any thread."""

    def __init__(self, database: Database) -> None:
        """Nothing is read yet."""
        self._database = database
        self._lock = threading.Lock()
        self._read: tuple[int, Places] | None = None

    def places(self) -> Places:
        """The list with every alias that is committed now."""
        with self._database.read() as connection:
            newest = atlas_store.newest(connection)
            if newest == 0:
                return shipped()
            with self._lock:
                if self._read is not None and self._read[0] == newest:
                    return self._read[1]
            found = with_own(
                (alias.alias, alias.place, alias.at, alias.region)
                for alias in atlas_store.everything(connection).values()
            )
        with self._lock:
            self._read = (newest, found)
        return found

    def locate(self, text: str) -> tuple[float, float, str] | None:
        """Where a written place of a form or a file is; None unless it is clear."""
        return self.places().locate(text)

    def import_file(
        self, content: bytes, *, partial: bool = False, dry_run: bool = False
    ) -> ImportAnswer:
        """Add and change aliases from a CSV or XLSX file, in one transaction.

        One refused row imports nothing, unless `partial`. Repeatable; processes that run see it
        with the next place that somebody writes.
        """

        def rule(row: int, values: Mapping[str, str]) -> Alias | Sequence[Refusal]:
            return alias_row(row, values, shipped())

        parsed = parse_file(content, COLUMNS, rule, key_column="alias")
        stopped = bool(parsed.refused) and not partial

        def apply(connection: Connection) -> Plan[Alias]:
            todo = plan(parsed.good, atlas_store.everything(connection))
            if not (stopped or dry_run) and (todo.to_create or todo.to_change):
                atlas_store.put(connection, [*todo.to_create, *todo.to_change])
            return todo

        if stopped or dry_run:
            with self._database.read() as connection:
                todo = apply(connection)
        else:
            todo = self._database.write(apply)
        return answer(parsed, todo, stopped=stopped, dry_run=dry_run)

    def all(self) -> list[Alias]:
        """Every alias that was imported, by its spelling."""
        with self._database.read() as connection:
            return list(atlas_store.everything(connection).values())
