"""A real PostgreSQL of the test's own: a throw-away cluster on a private socket."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import text

from hub.store import Database
from hub.store.migrate import migrate

PR_SET_PDEATHSIG = 1
START_DEADLINE_S = 30
MOLD = "mold"
PORT = 5432  # names the socket file; nothing listens on the network
_LIBC = ctypes.CDLL(None, use_errno=True)


class PostgresMissing(RuntimeError):
    """PostgreSQL is not installed, or a process of root has nobody to run it as."""


def _binary(name: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    folders = [str(folder) for folder in reversed(versions)]
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if found is None:
        raise PostgresMissing(
            f"{name} is not installed; these tests need a real PostgreSQL: "
            "apt-get install postgresql"
        )
    return found


def _owner() -> pwd.struct_passwd | None:
    """Whom to run the server as: PostgreSQL refuses root. None: as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissing("root may not run PostgreSQL and there is no user postgres or nobody")


def _die_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


class PostgresServer:
    """A running cluster. `durable=False` switches fsync off: fast, for everything but benches."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        """Make a cluster in `folder` and start it; ready when this returns."""
        self._folder = folder
        self._numbers = count(1)
        self._has_mold = False
        owner = _owner()
        self._uid = owner.pw_uid if owner else None
        self._gid = owner.pw_gid if owner else None
        self._groups: list[int] | None = [] if owner else None
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data = str(folder / "data")
        self._run(
            _binary("initdb"), "-D", data, "-U", "kickstand", "-A", "trust", "-N", "-E", "UTF8"
        )
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "port": str(PORT),
            "max_connections": "60",
            "shared_buffers": "64MB",
        }
        if not durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [_binary("postgres"), "-D", data, *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread of ours at this point
                user=self._uid,
                group=self._gid,
                extra_groups=self._groups,
            )
        self._wait_until_ready()

    def _run(self, *command: str) -> None:
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            timeout=60,
            user=self._uid,
            group=self._gid,
            extra_groups=self._groups,
        )

    def _wait_until_ready(self) -> None:
        wait = [_binary("pg_isready"), "-h", str(self._folder), "-p", str(PORT), "-q", "-t", "1"]
        for _ in range(START_DEADLINE_S * 10):
            if self._process.poll() is not None:
                break
            if subprocess.run(wait, check=False).returncode == 0:
                return
            try:  # waits a tenth of a second, or until the server has ended
                self._process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")

    def url(self, database: str) -> str:
        """SQLAlchemy's address of a database of this server."""
        return f"postgresql+psycopg://kickstand@/{database}?host={self._folder}&port={PORT}"

    def _execute(self, statement: str) -> None:
        with psycopg.connect(
            host=str(self._folder), port=PORT, user="kickstand", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def migrated_database(self) -> Iterator[str]:
        """The address of a fresh database with this release's tables; dropped at the end."""
        if not self._has_mold:
            self._execute(f"CREATE DATABASE {MOLD} TEMPLATE template0 ENCODING 'UTF8'")
            database = Database(self.url(MOLD))
            migrate(database)
            database.close()
            self._has_mold = True
        with self.database(MOLD) as url:
            yield url

    @contextmanager
    def database(self, mold: str = "template0") -> Iterator[str]:
        """The address of a fresh database, empty as `mold`; dropped at the end, users or not."""
        name = f"test_{next(self._numbers)}"
        # Copying files is quicker than logging every page of a database that nobody will recover.
        self._execute(f"CREATE DATABASE {name} TEMPLATE {mold} ENCODING 'UTF8' STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        """End the server and wait for it."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A server in a folder of its own below the system's temporary folder, both gone at the end.

    Not below pytest's tmp_path: that is private to its user, and a socket's path must be short.
    """
    folder = Path(tempfile.mkdtemp(prefix="ks-pg-"))
    try:
        server = PostgresServer(folder, durable=durable)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def until_blocked(database: Database, count: int) -> None:
    """Return when so many transactions wait for a lock. Raises TimeoutError."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    pause = threading.Event()
    for _ in range(START_DEADLINE_S * 50):
        with database.read() as connection:
            if connection.execute(query).scalar() == count:
                return
        pause.wait(0.02)
    raise TimeoutError("nobody waits")
