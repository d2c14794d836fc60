"""The schema's numbered steps give exactly the schema that the code declares."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from hub import app
from hub.accounts import token_store as tokens
from hub.alerts import store as alerts
from hub.contacts import store as contacts
from hub.inbox import store as inbox
from hub.integrations.qontak import store as qontak
from hub.integrations.qontak.crm import store as crm
from hub.leads import tables as leads
from hub.outbox import store as outbox
from hub.store import METADATA, Database
from hub.store.migrate import SCRIPTS, migrate, newest_step


@pytest.fixture
def empty(tmp_path):
    """A SQLite database with nothing in it."""
    database = Database(f"sqlite:///{tmp_path}/hub.db")
    yield database
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request, tmp_path):
    """Address of a database without any table, on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/hub.db"
        return
    with request.getfixturevalue("postgres").database() as url:
        yield url


def test_migrations_give_the_declared_schema(empty):
    """A table that is declared and not migrated would exist in tests alone."""
    assert all((app, contacts, inbox, leads, outbox, alerts, tokens, qontak, crm))
    assert migrate(empty)

    with empty.read() as connection:
        assert [] == compare_metadata(MigrationContext.configure(connection), METADATA)


def test_the_last_steps_number_is_alembics_head():
    """A start that finds it in the database never asks Alembic; two steps of one number fork it."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    assert [newest_step()] == ScriptDirectory.from_config(config).get_heads()


def test_a_migrated_database_is_left_alone(empty):
    """Every start of `serve` migrates: the second one finds nothing to do."""
    migrate(empty)

    assert not migrate(empty)


@pytest.mark.parametrize("table", ["batch", "tile", "checkpoint"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET rowid = rowid + 1"])
def test_what_was_sequenced_cannot_be_changed(empty, table, change):
    """The database itself refuses, whoever asks."""
    migrate(empty)
    row = {
        "batch": "INSERT INTO batch VALUES (0, 1, 'd', 1, 'sale', 1, 1, x'', x'', x'', x'')",
        "tile": "INSERT INTO tile VALUES (0, 0, x'00', x'00')",
        "checkpoint": "INSERT INTO checkpoint VALUES (1, x'00', 1)",
    }[table]
    empty.write(lambda connection: connection.execute(text(row)))

    with pytest.raises(DBAPIError, match="append-only"):
        empty.write(lambda connection: connection.execute(text(change.format(table))))


def test_accounts_outlive_the_step_that_lets_people_sign_in(empty_url):
    """Whoever had signed in still is, on either engine, and the tables are as declared."""
    database = Database(empty_url)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))

    def before(connection):
        config.attributes["connection"] = connection
        command.upgrade(config, "0011")
        for statement in (
            "INSERT INTO account (email, role, created_ms) VALUES ('a@b.example', 'admin', 1)",
            "INSERT INTO account_session SELECT '\\x01', id, 1, 1 FROM account"
            if connection.dialect.name == "postgresql"
            else "INSERT INTO account_session SELECT x'01', id, 1, 1 FROM account",
        ):
            connection.execute(text(statement))

    database.write(before)
    migrate(database)

    with database.read() as connection:
        kept = text(
            "SELECT email, role, person FROM account JOIN account_session ON account_id = id"
        )
        assert connection.execute(kept).all() == [("a@b.example", "admin", None)]
        assert [] == compare_metadata(MigrationContext.configure(connection), METADATA)
    database.close()
