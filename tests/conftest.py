"""What every test may ask for: the two database engines, as they are in a store's hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.store import METADATA, Database
from tests.fakes.postgres import PostgresServer, postgres_server

pytest_plugins = ["tests.checks.house_rules"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run, started when the first test needs it."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Address of a fresh, empty PostgreSQL database."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Address of a fresh SQLite file."""
    return f"sqlite:///{tmp_path / 'hub.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Address of a fresh database: the test runs once on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database with the tables of every feature the test has imported."""
    opened = Database(database_url)
    try:
        opened.write(METADATA.create_all)
        yield opened
    finally:
        opened.close()
