"""Bringing a database to this release's schema: numbered steps, forward only, Alembic's."""

from pathlib import Path

from sqlalchemy import Connection

from hub.store.database import Database

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(database: Database) -> bool:
    """Take every missing step in one transaction; False when there was nothing to do.

    Two processes that migrate at once are not serialised: one migrates, then the others start.
    """
    # A sixth of every command's start, and most of them never migrate.
    from alembic import command  # noqa: PLC0415 - because most commands never migrate
    from alembic.config import Config  # noqa: PLC0415 - because most commands never migrate
    from alembic.migration import MigrationContext  # noqa: PLC0415 - because most commands never migrate
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - because most commands never migrate

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    newest = ScriptDirectory.from_config(config).get_current_head()

    def upgrade(connection: Connection) -> bool:
        if MigrationContext.configure(connection).get_current_revision() == newest:
            return False
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return True

    return database.write(upgrade)
