"""What is asked together: the same transaction, statement by statement, on both engines."""

from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import Column, Table, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from hub.store import (
    INT64,
    METADATA,
    TEXT,
    Database,
    Statement,
    WideStatement,
    bulk_insert,
    pipeline,
)
from hub.store.savepoint import savepoint

NOTE = Table(
    "note", METADATA.__class__(), Column("n", INT64, primary_key=True), Column("said", TEXT)
)
ADD = Statement("INSERT INTO note (n, said) VALUES (:n, :said)")
ADD_ALL = WideStatement(NOTE, ("n", "said"), "INSERT INTO note (n, said) SELECT n, said FROM said")
ALL = Statement("SELECT n FROM note ORDER BY n")
ABOVE = Statement("SELECT n FROM note WHERE n > :n ORDER BY n")


@pytest.fixture
def notes(database):
    """An empty table beside those of the hub."""
    database.write(NOTE.create)
    return database


def add(connection, *numbers):
    """As code of the hub does, one after the other."""
    for number in numbers:
        ADD.run(connection, [{"n": number, "said": "x"}])


def stored(database):
    """What is there for everybody."""
    with database.look() as connection:
        return [n for (n,) in ALL.rows(connection)]


def test_what_fails_comes_out_at_the_end_at_the_latest_and_leaves_nothing(notes):
    """Nothing of that transaction is written; the next one goes through on the same writer."""

    def twice(connection):
        add(connection, 1, 2, 1, 3)

    for _ in range(2):
        with pytest.raises(IntegrityError):
            notes.write(twice)
    assert [] == stored(notes)

    notes.write(lambda c: add(c, 1))
    assert [1] == stored(notes)


def test_what_fails_comes_out_before_the_answer_to_a_later_question(notes):
    """Nobody decides by an answer that belongs to a transaction which cannot be."""
    answers = []

    def asks(connection):
        add(connection, 1, 1)
        answers.append(ALL.rows(connection))

    with pytest.raises(IntegrityError):
        notes.write(asks)
    assert [] == answers


def test_everything_is_done_in_the_order_in_which_it_was_asked(notes):
    """Each answer knows what was written before it was asked, and nothing of what came later."""

    def work(connection):
        add(connection, 1)
        first = ALL.later(connection)
        add(connection, 2)
        ADD_ALL.run(connection, [(3, "y"), (4, "y")])
        second = ABOVE.later(connection, n=1)
        ADD.run(connection, [{"n": n, "said": "z"} for n in (5, 6)])
        third = ADD_ALL.later(connection, [])
        return [n for (n,) in first()], [n for (n,) in second()], third()

    assert ([1], [2, 3, 4], []) == notes.write(work)
    assert [1, 2, 3, 4, 5, 6] == stored(notes)


def test_whatever_else_uses_the_connection_comes_behind_what_waits(notes):
    """SQLAlchemy's own statements, rows in bulk, and parts that can fail by themselves."""

    def work(connection):
        add(connection, 1)
        seen = [connection.execute(text("SELECT count(*) FROM note")).scalar()]
        add(connection, 2)
        bulk_insert(connection, NOTE, [(3, "bulk")])
        with savepoint(connection):
            seen.append(len(ALL.rows(connection)))
        return seen

    assert [1, 3] == notes.write(work)


def test_whichever_of_many_fails_with_the_commit_the_next_write_goes_through(notes):
    """Also where the end of the transaction is what makes all of them go."""
    for count in range(pipeline.TOGETHER_MAX - 4, pipeline.TOGETHER_MAX + 2):

        def work(connection, count=count):
            add(connection, *range(count), 0)

        with pytest.raises(IntegrityError):
            notes.write(work)
        assert [] == notes.write(ALL.rows)


def test_a_part_that_fails_does_not_fail_those_behind_it(notes):
    """However often each statement was asked: psycopg keeps the plan of one that is asked often,
    and must not take it for kept when it stood behind what failed."""
    say = Statement("UPDATE note SET said = :said WHERE n = :n")

    def work(connection, bad):
        failed = []
        for number in range(1, 12):
            try:
                with savepoint(connection):
                    add(connection, 0 if number in bad else number)
                    say.run(connection, [{"n": number, "said": "y"}])
            except Exception:  # noqa: BLE001 - the driver's own, of either engine
                failed.append(number)
        return failed

    for second in range(2, 12):
        notes.write(lambda c: c.execute(NOTE.delete()))
        notes.write(lambda c: add(c, 0))
        fresh = Database(notes.url.render_as_string(hide_password=False))
        assert [1, second] == fresh.write(partial(work, bad=(1, second)))
        fresh.close()


def test_a_part_of_sqlalchemys_own_is_refused_where_it_would_not_hold(notes):
    """What waits would belong to the whole transaction."""
    if notes.is_sqlite:
        return

    def work(connection):
        with connection.begin_nested():
            add(connection, 1)

    with pytest.raises(AssertionError, match=r"hub\.store\.savepoint"):
        notes.write(work)
    notes.write(lambda c: add(c, 2))
    assert [2] == stored(notes)


def test_an_answer_may_be_looked_at_twice(notes):
    """It is the same."""
    notes.write(lambda c: add(c, 1))
    with notes.look() as connection:
        answer = ALL.later(connection)
        assert [(1,)] == answer() == answer()


def test_a_part_that_fails_by_what_waited_is_undone_alone(notes):
    """It fails where it ends, not in what comes behind it; what stands before it stays."""

    def work(connection):
        add(connection, 1)
        with pytest.raises(Exception, match=r"(?i)unique"), savepoint(connection):
            add(connection, 2, 2)
        with suppress(ZeroDivisionError), savepoint(connection):
            add(connection, 3)
            raise ZeroDivisionError
        with savepoint(connection):
            add(connection, 4)

    notes.write(work)
    assert [1, 4] == stored(notes)


def test_what_was_undone_is_not_asked_later(notes):
    """Whoever gives up has written nothing, not even with the next write."""

    def gives_up(connection):
        add(connection, 1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        notes.write(gives_up)
    notes.write(lambda c: add(c, 2))
    assert [2] == stored(notes)


def test_values_are_those_of_the_moment_of_asking(notes):
    """A caller may use its dictionary again."""

    def work(connection):
        row = {"n": 1, "said": "x"}
        ADD.run(connection, [row])
        row["n"] = 2
        ADD.run(connection, [row])

    notes.write(work)
    assert [1, 2] == stored(notes)


def test_an_import_does_not_wait_as_a_whole(notes):
    """However much is written, no more than a hundred wait."""
    most = []

    def work(connection):
        for number in range(2 * pipeline.TOGETHER_MAX + 3):
            add(connection, number)
            most.append(len(connection.info.get(pipeline._WAITING, ())))

    notes.write(work)
    assert len(most) == len(stored(notes))
    assert max(most) < pipeline.TOGETHER_MAX


def test_a_read_sees_one_moment_and_a_look_each_its_own(notes):
    """By statements alone, with which SQLAlchemy begins no transaction."""
    with notes.read() as reading, notes.look() as looking:
        assert [] == ALL.rows(reading) == ALL.rows(looking)
        notes.write(lambda c: add(c, 1))
        assert [] == ALL.rows(reading)
        assert [(1,)] == ALL.rows(looking)


@pytest.mark.postgres
def test_a_question_and_all_that_needs_no_answer_are_one_way(postgres_url, monkeypatch):
    """With it the beginning of the transaction; its end goes with the last writes."""
    database = Database(postgres_url)
    ways, flush = [], pipeline.flush

    def counted(connection):
        if waiting := connection.info.get(pipeline._WAITING):
            ways.append([question._sql.split()[0] for question in waiting])
        flush(connection)

    database.write(NOTE.create)
    monkeypatch.setattr(pipeline, "flush", counted)

    def work(connection):
        add(connection, 1)
        ALL.rows(connection)
        add(connection, 2, 3)

    database.write(work)
    database.close()
    assert [["BEGIN", "INSERT", "SELECT"], ["INSERT", "INSERT", "COMMIT"]] == ways


@pytest.mark.postgres
def test_a_connection_that_the_server_has_forgotten_is_replaced(postgres_url, monkeypatch):
    """One that has rested is tried before it is used; one that breaks in use fails that once."""
    database, other = Database(postgres_url), Database(postgres_url)

    def forget_all():
        with other.look() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            )

    with database.look() as connection:
        Statement("SELECT 1").rows(connection)
    forget_all()
    monkeypatch.setattr(pipeline, "REST_S", 0.0)
    with database.look() as connection:
        assert [(1,)] == Statement("SELECT 1").rows(connection)

    def broken_off(ask):
        with database.read() as connection:
            ask(connection)
            forget_all()
            ask(connection)

    for ask in (
        lambda c: Statement("SELECT 2").rows(c),
        lambda c: c.execute(text("SELECT 2")).all(),
    ):
        with pytest.raises(DBAPIError):
            broken_off(ask)
        with database.read() as connection:
            assert ask(connection)
    database.write(lambda _: None)
    forget_all()
    with pytest.raises(DBAPIError):
        database.write(lambda c: Statement("SELECT 2").rows(c))
    assert [(2,)] == database.write(lambda c: Statement("SELECT 2").rows(c))
    database.close()
    other.close()
