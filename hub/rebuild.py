"""`kickstand-hub rebuild`: that every projection is the fold of the ledger, by doing it again."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, Table, select

from hub.ledger.tree import newest_checkpoint
from hub.wiring import Hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild found."""

    entries: int
    rows: int
    differing: list[str]


def digest(connection: Connection, table: Table) -> tuple[str, int]:
    """A hash over all rows of `table` in the order of its key, and how many there are."""
    total = hashlib.sha256()
    rows = 0
    for row in connection.execute(select(table).order_by(*table.primary_key.columns)):
        total.update(repr(tuple(row)).encode())
        rows += 1
    return total.hexdigest(), rows


def snapshot(hub: Hub) -> dict[str, tuple[str, int]]:
    """Digest and row count of every projected table."""
    with hub.database.read() as connection:
        return {table.name: digest(connection, table) for table in hub.ledger.followers.tables}


def rebuild(hub: Hub) -> Rebuilt:
    """Bring the projections up to date, empty them, fold the whole ledger, compare.

    A power cut on the way loses nothing: the worker goes on from the cursor.
    """
    followers = hub.ledger.followers
    followers.catch_up()
    before = snapshot(hub)
    followers.reset()
    followers.catch_up()
    after = snapshot(hub)
    with hub.database.read() as connection:
        size, _ = newest_checkpoint(connection)
    return Rebuilt(
        entries=size,
        rows=sum(rows for _, rows in after.values()),
        differing=[name for name in before if before[name] != after[name]],
    )
