"""For whom something has moved: the sender hears from any process whose messages to look at."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from sqlalchemy import Column, Connection, Table

from hub.outbox.messages import Medium, Road, Role
from hub.store import INT64, METADATA, TEXT, Statement, Values, WideStatement

OUTBOX_MOVED = Table(
    "outbox_moved",
    METADATA,
    Column("seq", INT64, primary_key=True, autoincrement=True),
    Column("recipient", TEXT, nullable=False),
    Column("role", TEXT, nullable=False),
    Column("channel", TEXT, nullable=False),
)
"""For whom something was enqueued, given up, put off or settled since the sender last looked.

Rows are only added and taken away: two processes that write to one person never wait here for
each other.
"""

_ROAD = ("recipient", "role", "channel")
TELL = f"INSERT INTO outbox_moved ({', '.join(_ROAD)})"
"""The beginning of a statement that tells it."""
_TELL = WideStatement(OUTBOX_MOVED, _ROAD, f"{TELL} SELECT {', '.join(_ROAD)} FROM said")  # noqa: S608 - our own names
_NEWS = Statement("DELETE FROM outbox_moved RETURNING recipient, role, channel, seq")
_ANY = Statement("SELECT 1 FROM outbox_moved LIMIT 1")


class Telling(WideStatement):
    """A change of messages that tells whose have moved: on PostgreSQL in the same question."""

    def __init__(
        self,
        table: Table,
        columns: Sequence[str],
        change: str,
        *,
        moved: str = "true",
        postgres: str | None = None,
        meets: tuple[str, str] | None = None,
    ) -> None:
        """`change` has no RETURNING; `moved` says of a changed row, as it is then, whether what it
        waits for has. See `WideStatement` for the rest.
        """
        returning = f" RETURNING {', '.join(f'{table.name}.{name}' for name in _ROAD)}, {moved}"
        super().__init__(
            table,
            columns,
            f"{change}{returning} AS moved",
            postgres=f", changed AS ({postgres or change}{returning} AS moved) {TELL}"  # noqa: S608 - our own names
            f" SELECT DISTINCT {', '.join(_ROAD)} FROM changed WHERE moved",
            meets=meets,
        )

    def run(self, connection: Connection, said: Sequence[Sequence[object]]) -> None:
        """Run it over all of `said` and tell of it. Raises ValueError as `rows` does."""
        if connection.dialect.name == "sqlite":
            tell_of(connection, [row[:-1] for row in self.rows(connection, said) if row[-1]])
        else:
            super().run(connection, said)


def tell(connection: Connection, to: str, road: Road) -> None:
    """One of a person's messages has moved."""
    _TELL.run(connection, [(to, road.role, road.channel)])


def tell_of(connection: Connection, rows: Iterable[Values]) -> None:
    """Of each row (recipient, role, channel) one has moved; a person is told of once."""
    _TELL.run(connection, list(dict.fromkeys(rows)))


def news(connection: Connection) -> Callable[[], list[tuple[str, Road]]]:
    """For whom something has moved, in that order; each is said once, to the one sender. Asked
    now, answered later.
    """
    rows = _NEWS.later(connection)
    return lambda: people([row[:3] for row in sorted(rows(), key=lambda row: int(row[3]))])


def any_news(connection: Connection) -> bool:
    """Whether something has moved."""
    return bool(_ANY.rows(connection))


def people(rows: Sequence[Values]) -> list[tuple[str, Road]]:
    """Persons and roads, each once, from rows of recipient, role and channel."""
    found = {
        (to, Road(cast(Role, role), cast(Medium, channel))): None for to, role, channel in rows
    }
    return list(found)
