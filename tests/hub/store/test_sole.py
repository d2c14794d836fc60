"""Being the only process that does something: whatever happens to the server."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from hub.store import Database
from hub.store.sole import Sole


@pytest.fixture
def houses(postgres_url):
    """Two processes on one database, and a third that ends their connections."""
    opened = [Database(postgres_url) for _ in range(3)]
    yield opened
    for each in opened:
        each.close()


def forget_all(database):
    """The server knows none of the others' connections any more."""
    with database.look() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )


@pytest.mark.postgres
def test_one_is_and_when_it_lets_go_another_is(houses):
    """And nobody by mistake twice."""
    here, there = Sole(houses[0], "sender"), Sole(houses[1], "sender")
    assert here.held()
    assert not there.held()
    assert here.held()
    here.release()
    assert there.held()
    assert not here.held()
    there.release()


@pytest.mark.postgres
def test_who_stands_by_outlives_a_server_that_begins_anew(houses):
    """It hears an error that the loops of the hub know, keeps no connection, and tries again."""
    here, there = Sole(houses[0], "sender"), Sole(houses[1], "sender")
    assert here.held()
    for _ in range(3):
        assert not there.held()
        forget_all(houses[2])
        with pytest.raises(DBAPIError):
            there.held()
        assert here.held()  # it has asked anew
    assert not there.held()
    assert 0 == houses[1]._reader_engine.pool.checkedout()
    here.release()
    assert there.held()
    there.release()
