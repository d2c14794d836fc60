"""The one writer: in order, durable, and never a wait without an end."""

import sqlite3
import threading

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from hub.errors import StoreUnavailable
from hub.ledger.service import MAX_FACT_BYTES, Ledger
from hub.ledger.tables import CURSOR
from hub.store import Database, Statement, bulk_insert
from hub.store import database as store


@pytest.fixture
def opened(sqlite_url):
    """A migrated SQLite database."""
    database = Database(sqlite_url)
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


def test_only_what_can_be_computed_again_is_left_to_the_next_flush(database):
    """A projection's commit does not wait for the disk; the very next commit of a batch does."""
    asked = "PRAGMA synchronous" if database.is_sqlite else "SHOW synchronous_commit"

    def level(connection):
        return connection.execute(text(asked)).scalar()

    before, between, after = (database.write(level, flush=flush) for flush in (True, False, True))

    assert before == after
    assert between in {1, "off"}
    assert before == 2 or not database.is_sqlite


def test_many_rows_go_in_whatever_their_number(opened):
    """Wide statements of few sizes: each number of rows is made of them."""
    for rows in (0, 1, 5, 300):
        opened.write(lambda connection: connection.execute(delete(CURSOR)))
        wanted = [(f"{n:03}", n) for n in range(rows)]
        opened.write(lambda connection, wanted=wanted: bulk_insert(connection, CURSOR, wanted))

        with opened.read() as connection:
            found = connection.execute(select(CURSOR).order_by(CURSOR.c.name)).all()
        assert wanted == [tuple(row) for row in found]


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


def test_writers_of_two_processes_take_turns(sqlite_url, monkeypatch):
    """SQLite's own lock would make them wait in sleeps, or refuse them: here its patience is 0."""
    impatient = [p for p in store.SQLITE_PRAGMAS if "busy_timeout" not in p]
    monkeypatch.setattr(store, "SQLITE_PRAGMAS", (*impatient, "PRAGMA busy_timeout=0"))
    databases = [Database(sqlite_url) for _ in range(2)]
    append = Statement("INSERT INTO checkpoint (size, root, at_ms) VALUES (:size, :root, 1)")

    def write(database, size):
        row = {"size": size, "root": b"r" * 32}
        return database.submit(lambda connection: append.run(connection, [row]))

    waiting = [write(databases[size % 2], size) for size in range(1, 401)]

    assert [error for job in waiting if (error := job.exception())] == []
    for database in databases:
        database.close()


def test_what_the_driver_raises_of_itself_is_known_to_those_who_catch_the_stores_errors(opened):
    """A plain statement bypasses SQLAlchemy: its errors must not kill the worker's thread."""
    twice = Statement("INSERT INTO checkpoint (size, root, at_ms) VALUES (:size, :root, 1)")
    row = {"size": 1, "root": b"r" * 32}

    with pytest.raises(IntegrityError):
        opened.write(lambda connection: twice.run(connection, [row, row]))
    with opened.read() as connection:
        assert not connection.execute(text("SELECT count(*) FROM checkpoint")).scalar()
    with pytest.raises(OperationalError), opened.read() as connection:
        Statement("SELECT * FROM nothing_of_this_name").rows(connection)


def test_a_reader_sees_one_snapshot(database):
    """On both engines: whoever compares two tables does not see one of them grow meanwhile."""
    with database.read() as connection:
        assert Ledger.pending(connection) == 0
        database.write(lambda writer: Ledger.append(writer, "test.fact", {}, now_ms=1))
        assert Ledger.pending(connection) == 0
    with database.read() as connection:
        assert Ledger.pending(connection) == 1


class Counted(sqlite3.Connection):
    """Counts its commits."""

    commits = 0

    def commit(self):
        """One more."""
        type(self).commits += self.in_transaction
        super().commit()


def test_writes_that_may_share_a_commit_do_and_each_fails_alone(sqlite_url):
    """
    Six writes wait behind a slow one: those that may share are one commit, in their order; what
    failed among them is undone and told to its author alone; the one that may not stands alone.
    """

    def counted(path):
        return sqlite3.connect(path, check_same_thread=False, isolation_level=None, factory=Counted)

    shared = Database(sqlite_url, connection_factory=counted)
    shared.write(lambda connection: connection.execute(text("CREATE TABLE t (n INTEGER UNIQUE)")))
    before, go = Counted.commits, threading.Event()
    insert = Statement("INSERT INTO t (n) VALUES (:n)")
    order = []

    def put(number, *, sharing):
        return shared.submit(
            lambda connection: insert.run(connection, [{"n": number}]),
            lambda _: order.append(number),
            shared=sharing,
        )

    blocker = shared.submit(lambda _: go.wait())
    together = [put(number, sharing=True) for number in (1, 2, 2, 3)]
    alone, behind = put(4, sharing=False), put(5, sharing=True)
    go.set()
    shared.close()

    assert isinstance(together[2].exception(), IntegrityError)
    assert all(done.exception() is None for done in (blocker, together[3], alone, behind))
    assert [1, 2, 3, 4, 5] == order
    assert 4 == Counted.commits - before
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        assert [(1,), (2,), (3,), (4,), (5,)] == connection.execute("SELECT n FROM t").fetchall()


def test_two_writes_that_wait_for_each_other_both_happen(postgres_url):
    """Two processes lock the same rows in different orders: PostgreSQL gives one of them up, which
    has written nothing by then and simply goes again. Nobody hears of it."""
    here, there = Database(postgres_url), Database(postgres_url)
    here.write(lambda c: c.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")))
    here.write(lambda c: c.execute(text("INSERT INTO t VALUES (1, 0), (2, 0)")))
    both_hold_one = threading.Barrier(2)
    tries = []

    def adding(first, second):
        def work(connection):
            again = first in tries
            tries.append(first)
            connection.execute(text("UPDATE t SET n = n + 1 WHERE id = :id"), {"id": first})
            if not again:
                both_hold_one.wait(10)
            connection.execute(text("UPDATE t SET n = n + 1 WHERE id = :id"), {"id": second})

        return work

    done = [here.submit(adding(1, 2)), there.submit(adding(2, 1))]
    for each in done:
        each.result(20)
    with here.read() as connection:
        assert [2, 2] == list(connection.execute(text("SELECT n FROM t ORDER BY id")).scalars())
    assert len(tries) > 2  # who goes again may be quicker than who was let through, once more
    here.close()
    there.close()
