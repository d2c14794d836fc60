"""What PostgreSQL is asked goes together as far as nobody needs one answer for the next question.

A way to the server and back costs more than most answers, and twice that where its processes and
ours share the cores. So whatever is written, and what is asked before somebody looks at the answer,
waits in its order until an answer is wanted, the transaction ends or something else is about to use
the connection; then all of it goes at once (libpq calls that a pipeline). The transaction is the
same, statement by statement; an error comes out where the answers do, at the latest at the commit.

On SQLite, which is no way off, everything is done at once.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DisconnectionError

Values = tuple[Any, ...]
"""A row as the driver gives it."""
TOGETHER_MAX: Final = 100
"""So many wait at most: an import writes thousands."""
REST_S: Final = 1.0
"""A server that has begun anew meanwhile took longer."""
_WAITING: Final = "what waits to be asked"
_USED_S: Final = "when it was used last"
"""Where a connection keeps them."""


class Question:
    """A statement and, once it has been asked, its answer."""

    __slots__ = ("_connection", "_cursor", "_rows", "_sql", "_values")

    def __init__(
        self, connection: Connection, sql: str, values: "Mapping[str, object] | _Many | None"
    ) -> None:
        """In PostgreSQL's words; ask nothing yet."""
        self._connection = connection
        self._sql = sql
        self._values = values
        self._cursor: Any = None
        self._rows: list[Values] | None = None

    def rows(self) -> list[Values]:
        """Every row it finds; with it goes whatever waits. Raises what the driver raises."""
        if self._cursor is None:
            flush(self._connection)
        if self._rows is None:
            self._rows = self._cursor.fetchall()
        return self._rows

    def ask(self, driver: Any) -> None:
        """Send it; in a pipeline the answer comes at its end."""
        if isinstance(self._values, _Many):
            self._cursor = driver.cursor()
            self._cursor.executemany(self._sql, self._values.each)
        else:
            # What has no values is a word such as BEGIN: to keep a plan of it is of no use.
            prepare = None if self._values is not None else False
            self._cursor = driver.execute(self._sql, self._values, prepare=prepare)


class _Many:
    """The values of a statement that is run once for each of them."""

    __slots__ = ("each",)

    def __init__(self, each: Sequence[Mapping[str, object]]) -> None:
        self.each = each


def later(connection: Connection, sql: str, values: Mapping[str, object] | None = None) -> Question:
    """Ask with what is asked next, or when its rows are wanted; by the values as they are now."""
    return _wait(connection, Question(connection, sql, None if values is None else dict(values)))


def later_for_each(
    connection: Connection, sql: str, values: Sequence[Mapping[str, object]]
) -> None:
    """Run it once for each of `values` as they are now, with what is asked next."""
    _wait(connection, Question(connection, sql, _Many([dict(each) for each in values])))


def _wait(connection: Connection, question: Question) -> Question:
    waiting: list[Question] = connection.info.setdefault(_WAITING, [])
    waiting.append(question)
    if len(waiting) >= TOGETHER_MAX:
        flush(connection)
    return question


def flush(connection: Connection) -> None:
    """Ask what waits. Raises what the driver raises: the first that failed, none behind it is done.

    To be called before a connection is used in any other way than by these questions.
    """
    waiting: list[Question] | None = connection.info.pop(_WAITING, None)
    if not waiting:
        return
    driver = _driver(connection)
    if len(waiting) == 1:
        waiting[0].ask(driver)
        return
    try:
        with driver.pipeline():
            for question in waiting:
                question.ask(driver)
    except BaseException:
        # psycopg may take a plan for kept that stood behind what failed: all are forgotten,
        # by the server with our next question.
        driver._prepared.clear()  # noqa: SLF001 - its public word is a rollback of everything
        raise


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def forget(connection: Connection) -> None:
    """Ask nothing of what waits: what it belonged to is undone."""
    if not connection.invalidated:
        connection.info.pop(_WAITING, None)


def let_begin_and_end_wait(engine: Engine, begin: str) -> None:
    """Have an engine's transactions begin by `begin`, with their first question, and end with their
    last; whatever SQLAlchemy itself executes goes behind what waits.
    """

    @event.listens_for(engine, "connect")
    def _connect(driver: Any, _record: object) -> None:
        driver.autocommit = True  # its own BEGIN would be a way of its own

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        forget(connection)
        later(connection, begin)

    @event.listens_for(engine, "commit")
    def _commit(connection: Connection) -> None:
        try:
            later(connection, "COMMIT")  # the driver sees that it has been and sends no other
            flush(connection)
        except BaseException:
            # SQLAlchemy takes it that a transaction which could not be committed has ended.
            with suppress(engine.dialect.loaded_dbapi.Error):
                _driver(connection).rollback()
            raise

    @event.listens_for(engine, "rollback")
    def _rollback(connection: Connection) -> None:
        forget(connection)

    @event.listens_for(engine, "savepoint")
    def _savepoint(_connection: Connection, _name: str) -> None:
        raise AssertionError("what waits would not be part of it: use hub.store.savepoint")

    @event.listens_for(engine, "before_cursor_execute")
    def _before(connection: Connection, *_what: object) -> None:
        flush(connection)


def ping_after_rest(engine: Engine) -> None:
    """Have the pool see whether the server still knows a connection that has rested; to ask at
    every turn, as `pool_pre_ping` does, is a question more for each.
    """

    @event.listens_for(engine, "checkin")
    def _checkin(_driver: Any, record: Any) -> None:
        record.info.pop(_WAITING, None)
        record.info[_USED_S] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _checkout(driver: Any, record: Any, _proxy: object) -> None:
        rested_s = time.monotonic() - record.info.get(_USED_S, time.monotonic())
        if rested_s < REST_S:
            return
        try:
            driver.execute("SELECT 1", prepare=False)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the server has forgotten it") from error
