"""The one writer: in order, durable, and never a wait without an end."""

import pytest
from sqlalchemy import text

from hub.errors import StoreUnavailable
from hub.ledger.service import MAX_FACT_BYTES, Ledger
from hub.store import Database
from hub.store.migrate import migrate


@pytest.fixture
def opened(tmp_path):
    """A migrated SQLite database."""
    database = Database(f"sqlite:///{tmp_path}/hub.db")
    migrate(database)
    yield database
    database.close()


def test_a_commit_of_the_hub_survives_a_power_cut(opened):
    """WAL and FULL on the writer: with NORMAL the hub could sign a root and then forget it."""
    found = opened.write(
        lambda connection: [
            connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    )

    assert found == ["wal", 2, 1]


def test_a_reader_cannot_write(opened):
    """Whoever reads by mistake through a write path is told so by the database."""
    with opened.read() as connection, pytest.raises(Exception, match="readonly"):
        connection.execute(text("DELETE FROM ledger_pending"))


def test_a_write_after_the_end_is_refused_and_does_not_hang(opened):
    """A request that comes while the hub stops gets an answer."""
    opened.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        opened.write(lambda _connection: None)


def test_a_fact_that_would_fit_no_event_is_refused_where_it_is_made(opened):
    """It would otherwise stand before every later fact for ever."""
    with pytest.raises(ValueError, match="at most"):
        opened.write(
            lambda connection: Ledger.append(
                connection, "test.fact", {"x": "y" * MAX_FACT_BYTES}, now_ms=1
            )
        )

    with opened.read() as connection:
        assert Ledger.pending(connection) == 0
