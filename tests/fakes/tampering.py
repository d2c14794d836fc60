"""What an owner of the database can do to it that its triggers forbid to everybody else."""

from sqlalchemy import Connection


def drop_triggers(connection: Connection) -> None:
    """From here on, in this transaction at least, what was sequenced can be changed."""
    if connection.dialect.name == "sqlite":
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        for name in connection.exec_driver_sql(triggers).scalars().all():
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        return
    for table in ("batch", "tile", "checkpoint"):
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
