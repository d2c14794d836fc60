"""Which generation of the ledger a database is in, and how the next one begins.

A generation has an origin of its own and the tree of the one before it as far as that is left;
its first own leaf is the opening that the root key signed. Entry numbers go on.
"""

from collections.abc import Mapping

from sqlalchemy import Column, Connection, Table, insert, select

from hub.errors import StoreUnavailable
from hub.store import INT64, METADATA, TEXT, Statement
from shared.generation import Opening

OPENED = "ledger.generation_opened"
GENERATION = Table(
    "ledger_generation",
    METADATA,
    Column("generation", INT64, primary_key=True, autoincrement=False),
    Column("first_index", INT64, nullable=False),
    Column("origin", TEXT, nullable=False),
    Column("opened_ms", INT64, nullable=False),
)
"""Generations after the first that this database has begun."""
_NEWEST = Statement("SELECT max(generation) FROM ledger_generation")


def newest_generation(connection: Connection) -> int:
    """The generation in which the database is."""
    [(found,)] = _NEWEST.rows(connection)
    return int(found or 1)


def refuse_later(connection: Connection, generation: int) -> None:
    """Raises StoreUnavailable when the database is in a later one than this process knows.

    A process that was not restarted would go on signing in the name of a generation that ended.
    """
    refuse_newer(newest_generation(connection), generation)


def refuse_newer(newest: int, generation: int) -> None:
    """The same, where it is known in which generation the database is."""
    if newest > generation:
        raise StoreUnavailable(
            f"the ledger is in generation {newest}, this process in {generation}: put the newest "
            "history.json beside its keys and restart it"
        )


def record(connection: Connection, opening: Opening) -> None:
    """Note that the database is in the generation of `opening` from now on."""
    connection.execute(
        insert(GENERATION).values(
            generation=opening.generation,
            first_index=opening.begins.size,
            origin=opening.begins.origin,
            opened_ms=opening.opened_ms,
        )
    )


def is_recorded(connection: Connection, generation: int) -> bool:
    """Whether this database has begun the generation."""
    query = select(GENERATION.c.generation).where(GENERATION.c.generation == generation)
    return connection.execute(query).first() is not None


def fact_of(opening: Opening) -> Mapping[str, object]:
    """What the opening's leaf says: in plain words, and as the root key signed it."""
    return {
        "generation": opening.generation,
        "origin": opening.begins.origin,
        "size": opening.begins.size,
        "ended": opening.ended.origin,
        "ended_size": opening.ended.size,
        "reason": opening.reason,
        **opening.values(),
    }
