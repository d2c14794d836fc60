"""What every test may ask for: the two database engines, as they are in a store's hub."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_sim.fresh_database import put_migrated
from hub.logs import configure_logs
from hub.store import Database
from tests.fakes.postgres import PostgresServer, postgres_server

pytest_plugins = ["tests.checks.house_rules"]

# As `kickstand-hub` does: the tests see the lines that a journal sees.
configure_logs()


def pytest_collection_finish() -> None:
    """What was imported and collected stays for the whole run: it is not looked through again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run, started when the first test needs it."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Address of a fresh PostgreSQL database with this release's tables, and nothing in them."""
    with postgres.migrated_database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Address of a fresh SQLite file with this release's tables, and nothing in them."""
    path = tmp_path / "hub.db"
    put_migrated(path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Address of a fresh database with this release's tables: the test runs on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database with this release's tables, on each engine."""
    opened = Database(database_url)
    try:
        yield opened
    finally:
        opened.close()
