"""Bringing a database to this release's schema."""

from collections.abc import Sequence

from sqlalchemy import Connection, inspect

from hub.store.database import Database
from hub.store.schema import METADATA


def migrate(database: Database, triggers: Sequence[str]) -> bool:
    """Create what is missing, in one transaction; False when there was nothing to do.

    `triggers` are the statements that keep the ledger append-only.
    """

    def create(connection: Connection) -> bool:
        if inspect(connection).has_table("batch"):
            return False
        METADATA.create_all(connection)
        for statement in triggers:
            connection.exec_driver_sql(statement)
        return True

    return database.write(create)
