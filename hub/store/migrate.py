"""Bringing a database to this release's schema: numbered steps, forward only, Alembic's."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from hub.store.database import Database

SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"


def newest_step() -> str:
    """The number of this release's last step: its file's name begins with it."""
    return max(path.name.partition("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*.py"))


def _is_newest(database: Database) -> bool:
    with database.read() as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return False
        step = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our own name
    return bool(step == newest_step())


def migrate(database: Database) -> bool:
    """Take every missing step in one transaction; False when there was nothing to do.

    Two processes that migrate at once are not serialised: one migrates, then the others start.
    """
    # Asked before Alembic is imported, which would be a third of every start of `serve`.
    if _is_newest(database):
        return False
    from alembic import command  # noqa: PLC0415 - because most starts find nothing to migrate
    from alembic.config import Config  # noqa: PLC0415 - because most starts find nothing to migrate

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))

    def upgrade(connection: Connection) -> bool:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return True

    return database.write(upgrade)
