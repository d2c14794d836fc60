"""The database: read from any thread, written by one.

SQLite lets one writer in at a time; several writers wait in its busy handler for up to a second.
So all writes of a process go through one thread in the order they were asked for: a FIFO, which
also makes group commit natural. On PostgreSQL the same thread is one of the cluster's writers.
"""

import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from hub.errors import StoreUnavailable
from hub.store.pipeline import later, let_begin_and_end_wait, ping_after_rest
from hub.store.savepoint import savepoint

T = TypeVar("T")
BUSY_TIMEOUT_MS = 10_000
READ_CONNECTIONS = 16
KEPT_STATEMENTS = 512
"""Compiled statements that a SQLite connection keeps."""
SHARED_MAX = 16
"""Writes that share one commit on SQLite, at most: the first of them waits for the last. Not on
PostgreSQL: what one of them locks would be kept from other processes until all are done, and two
processes that lock in different orders wait for each other."""
DEADLOCK, DEADLOCKS_MAX = "40P01", 3
"""PostgreSQL gives one up of two that wait for each other: nothing is written, it goes again."""
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # FULL: a commit that was answered survives a power cut. NORMAL would let the hub sign a
    # root and then forget it: a fork.
    "PRAGMA synchronous=FULL",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-65536",
    # What a savepoint may have to undo is kept in a file from 64 KiB on: in a race for leads that
    # was two thirds of everything written.
    "PRAGMA temp_store=MEMORY",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA wal_autocheckpoint=4000",
)
ConnectionFactory = Callable[[str], sqlite3.Connection]


def connect_sqlite(path: str) -> sqlite3.Connection:
    """Open a SQLite file the way the hub does; a simulated disk takes this function's place."""
    return sqlite3.connect(
        path,
        check_same_thread=False,
        isolation_level=None,
        timeout=10,
        cached_statements=KEPT_STATEMENTS,
    )


def lost_a_deadlock(error: BaseException) -> bool:
    """Whether PostgreSQL gave this transaction up: whoever catches errors lets this one through,
    for the write goes again as a whole.
    """
    return getattr(getattr(error, "orig", error), "sqlstate", None) == DEADLOCK


class _Job:
    """A write and the future that waits for it."""

    __slots__ = ("after", "done", "flush", "shared", "work")

    def __init__(
        self,
        work: Callable[[Connection], Any],
        after: Callable[[Any], Any] | None,
        *,
        shared: bool,
        flush: bool,
    ) -> None:
        self.work = work
        self.after = after
        self.shared = shared
        self.flush = flush
        self.done: Future[Any] = Future()


def _raise(error: Exception) -> None:
    raise error


class _Turn:
    """Whose turn it is to write a SQLite file, across processes: a lock that wakes its waiters.

    SQLite's own lock is asked for again and again, after sleeps of up to 100 ms. Who does not ask
    for a turn (a tool, an older release) is still kept out by that one.

    Two locks: who waits for the turn holds the door, so that whoever had the last turn and wants
    the next one, and would be faster than somebody who has to be woken, is behind them.
    """

    def __init__(self, database: str | None) -> None:
        """Open the lock files at the first turn; without a file there is nothing to wait for."""
        self._path = None if database in {None, "", ":memory:"} else database
        self._door: int | None = None
        self._turn: int | None = None

    def __enter__(self) -> None:
        """Wait for the turn."""
        if self._path is None:
            return
        if self._door is None:
            self._door = self._opened(f"{self._path}.next")
        if self._turn is None:
            self._turn = self._opened(f"{self._path}.writer")
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)

    @staticmethod
    def _opened(path: str) -> int:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"cannot open {path}: {error.strerror}") from error

    def __exit__(self, *_error: object) -> None:
        """Let the next one write; the kernel does it for a process that dies."""
        if self._turn is not None:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the lock files."""
        for opened in (self._door, self._turn):
            if opened is not None:
                os.close(opened)
        self._door = self._turn = None


class Database:
    """A pool of readers and one writer."""

    def __init__(
        self,
        url: str,
        *,
        threaded: bool = True,
        connection_factory: ConnectionFactory = connect_sqlite,
    ) -> None:
        """Open nothing yet. `threaded=False` writes in the caller's thread (the simulator)."""
        self.url = _driver_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._factory = connection_factory
        self._writer_engine = self._engine(writer=True)
        self._reader_engine = self._engine(writer=False)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._flushes = True
        self._turn = _Turn(self.sqlite_path if threaded else None)
        self._threaded = threaded
        self._closed = False
        self._start_lock = threading.Lock()

    def _engine(self, *, writer: bool) -> Engine:
        if not self.is_sqlite:
            # A reader sees one snapshot, as it does on SQLite; else a ledger that grows meanwhile
            # looks broken to whoever compares its parts.
            engine = create_engine(self.url, pool_size=1 if writer else READ_CONNECTIONS)
            level = "READ COMMITTED" if writer else "REPEATABLE READ"
            let_begin_and_end_wait(engine, f"BEGIN ISOLATION LEVEL {level}")
            ping_after_rest(engine)
            if writer:
                event.listen(engine, "connect", _go_by_indexes)
            return engine
        path = self.url.database or ""

        def open_file() -> sqlite3.Connection:
            connection = self._factory(path)
            for pragma in SQLITE_PRAGMAS:
                connection.execute(pragma)
            if not writer:
                connection.execute("PRAGMA query_only=ON")
            return connection

        # The writer is one connection, held for life.
        pool: dict[str, Any] = {"poolclass": NullPool}
        if not writer:
            pool = {"poolclass": QueuePool, "pool_size": READ_CONNECTIONS}
        engine = create_engine("sqlite://", creator=open_file, **pool)
        begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            _driver(connection).execute(begin)  # its own words cost more than many a question

        return engine

    @property
    def sqlite_path(self) -> str | None:
        """The file behind this database, None on PostgreSQL."""
        return self.url.database if self.is_sqlite else None

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A connection for reading, one snapshot from its first statement on."""
        with self.look() as connection:
            connection.begin()
            yield connection

    @contextmanager
    def look(self) -> Generator[Connection]:
        """A connection for a `Statement` or two that may each see another moment: no transaction
        is begun for them, which costs more than a small question.
        """
        try:
            connection = self._reader_engine.connect()
        except DBAPIError as error:
            raise StoreUnavailable(f"cannot open the database: {error.orig}") from error
        with connection, self._driver_errors():
            yield connection

    @contextmanager
    def _driver_errors(self) -> Generator[None]:
        """What the driver raises of itself (see Statement) comes out as SQLAlchemy's DBAPIError."""
        base = self._writer_engine.dialect.loaded_dbapi.Error
        try:
            yield
        except base as error:
            raise DBAPIError.instance(None, None, error, base, hide_parameters=True) from error

    def write(
        self, work: Callable[[Connection], T], *, shared: bool = False, flush: bool = True
    ) -> T:
        """Run `work` in a write transaction of its own; its result once it is durable.

        An exception rolls back and comes out here. Never called from inside another write.
        `shared`: it may share its commit with others that may; each is still undone alone.
        Without `flush` it is there for everybody but not durable before the next write that is:
        after a power cut it never was. Only for what can be computed again.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a write inside a write: pass the connection down instead")
        result: T = self.submit(work, shared=shared, flush=flush).result()
        return result

    def submit(
        self,
        work: Callable[[Connection], T],
        after: Callable[[T], Any] | None = None,
        *,
        shared: bool = False,
        flush: bool = True,
    ) -> "Future[Any]":
        """Queue `work`; the future holds its result (or `after(result)`) once it is durable.

        `after` runs on the writer thread straight behind the commit, before any later write but
        those that share the commit.
        """
        job = _Job(work, after, shared=shared, flush=flush)
        if self._closed:
            job.done.set_exception(StoreUnavailable("this database was closed"))
            return job.done
        if not self._threaded:
            self._run([job])
            return job.done
        if self._thread is None:
            self._start()
        self._jobs.put(job)
        return job.done

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._loop, name="writer", daemon=True)
                self._thread = thread
                thread.start()

    def _loop(self) -> None:
        open_ = True
        behind: list[_Job | None] = []
        while open_:
            group = self._group(behind)
            open_ = bool(group)
            self._run(group)
        if self._connection is not None:
            self._connection.close()

    def _group(self, behind: "list[_Job | None]") -> list[_Job]:
        """The next write, and what may share its commit; nothing at the end of the queue.

        `behind` holds what was taken from the queue and has to wait for the next turn.
        """
        first = behind.pop() if behind else self._jobs.get()
        group = [] if first is None else [first]
        while self.is_sqlite and group and group[0].shared and len(group) < SHARED_MAX:
            try:
                following = self._jobs.get_nowait()
            except queue.Empty:
                break
            if following is None or not following.shared:
                behind.append(following)
                break
            group.append(following)
        return group

    def _run(self, group: Sequence[_Job]) -> None:
        group = [job for job in group if job.done.set_running_or_notify_cancel()]
        if not group:
            return
        try:
            if len(group) == 1:
                result = self._alone(group[0])
                outcomes: list[Callable[[], Any]] = [lambda: result]
            else:
                outcomes = self._transact(
                    lambda connection: [self._part(connection, job) for job in group]
                )
        except BaseException as error:  # noqa: BLE001 - it goes to whoever asked for the write
            for job in group:
                job.done.set_exception(error)
            return
        for job, outcome in zip(group, outcomes, strict=True):
            try:
                given = outcome()
                job.done.set_result(given if job.after is None else job.after(given))
            except BaseException as error:  # noqa: BLE001 - it goes to whoever asked for the write
                job.done.set_exception(error)

    def _alone(self, job: _Job) -> Any:
        for deadlocks in range(DEADLOCKS_MAX):
            try:
                return self._transact(job.work, flush=job.flush)
            except DBAPIError as error:
                if not lost_a_deadlock(error) or deadlocks == DEADLOCKS_MAX - 1:
                    raise
        raise AssertionError("returned or raised above")

    def _part(self, connection: Connection, job: _Job) -> Callable[[], Any]:
        """Do it beside others in one transaction; what it gave, or why it alone was undone."""
        try:
            with self._driver_errors(), savepoint(connection):
                result = job.work(connection)
        except Exception as error:  # noqa: BLE001 - it goes to whoever asked for the write
            return partial(_raise, error)
        return lambda: result

    def _transact(self, work: Callable[[Connection], T], *, flush: bool = True) -> T:
        if self._connection is None or self._connection.closed:
            self._connection = self._writer_engine.connect()
            self._flushes = True
        connection = self._connection
        try:
            with self._driver_errors(), self._turn:
                if self.is_sqlite and flush != self._flushes:
                    # NORMAL writes the log in the same order and leaves the disk to who comes next.
                    mode = "FULL" if flush else "NORMAL"
                    _driver(connection).execute(f"PRAGMA synchronous={mode}")
                    self._flushes = flush
                with connection.begin():
                    if not self.is_sqlite and not flush:
                        later(connection, "SET LOCAL synchronous_commit = off")
                    return work(connection)
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error, OperationalError):
                # A lost server or a full disk: start the next write on a fresh connection.
                connection.close()
                self._connection = None
            raise

    def close(self) -> None:
        """Finish queued writes, then let go of the file or the server."""
        self._closed = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        elif self._connection is not None:
            self._connection.close()
        self._turn.close()
        self._writer_engine.dispose()
        self._reader_engine.dispose()


def _driver_url(url: str) -> URL:
    parsed = make_url(url)
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _go_by_indexes(driver: Any, _record: object) -> None:
    """Whoever writes asks for a few rows by an index, and asks the same all day.

    PostgreSQL takes it that a JSON list holds a hundred rows, and of a table that was empty when it
    looked that it is small: it would read whole tables to meet a few rows of them, until statistics
    are collected. Where there is no index it still does, at a price that must not tempt it to
    compile the question. A plan is made once: to make it anew costs more than most answers.
    """
    for setting in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan", "jit"):
        driver.execute(f"SET {setting} = off")
    driver.execute("SET max_parallel_workers_per_gather = 0")
    driver.execute("SET plan_cache_mode = force_generic_plan")


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
