"""The projection on both engines: the fold of the ledger, however the ledger is cut."""

import random

import pytest
from sqlalchemy import delete, select

from hub.sales.follower import SalesFollower
from hub.sales.tables import TABLES
from tests.checks.sales_fold import check_sales
from tests.fakes.ledger_entries import Story

FOLLOWER = SalesFollower()


def folded(database, entries, cuts):
    """All tables after folding `entries` in chunks that end at `cuts`."""

    def empty(connection):
        for table in reversed(TABLES):
            connection.execute(delete(table))

    database.write(empty)
    for start, end in zip([0, *cuts], [*cuts, len(entries)], strict=True):
        if start != end:
            database.write(FOLLOWER.fold(entries[start:end]))
    with database.read() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in TABLES
        }


@pytest.mark.parametrize("seed", range(8))
def test_the_tables_are_the_fold_of_the_ledger_however_it_is_cut(database, seed):
    """
    Sales, voids, returns, answers and reports of three boxes in any order, with colliding
    numbers, lost clocks and unreadable events. One chunk, and chunks cut anywhere, give the same
    rows, and they are what a slow second telling of the rules gives.
    """
    entries = Story(seed).entries(70)
    whole = folded(database, entries, [])
    with database.read() as connection:
        check_sales(connection, entries)
    pick = random.Random(seed)
    for _ in range(2):
        cuts = sorted(pick.sample(range(1, len(entries)), pick.randint(1, 30)))
        assert folded(database, entries, cuts) == whole
