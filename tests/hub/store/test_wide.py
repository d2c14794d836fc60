"""One statement over many rows: the same on both engines, and nothing in between."""

import pytest
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, PrimaryKeyConstraint, Table

from hub.store import BYTES, INT64, TEXT, WideStatement, bulk_insert, bulk_upsert

WIDE = Table(
    "wide",
    MetaData(),
    Column("name", TEXT, nullable=False),
    Column("n", INT64, nullable=False),
    Column("said", TEXT),
    Column("seal", BYTES),
    PrimaryKeyConstraint("name", "n"),
)
BARE = Table("bare", MetaData(), Column("n", BigInteger, primary_key=True))
SAY = WideStatement(
    WIDE,
    ("name", "n", "said"),
    "UPDATE wide SET said = said.said FROM said WHERE wide.name = said.name AND wide.n = said.n",
)
LOOK = WideStatement(
    WIDE,
    ("name", "n"),
    "SELECT wide.name, wide.n, wide.said FROM said CROSS JOIN wide"
    " WHERE wide.name = said.name AND wide.n = said.n",
)
LARGEST = 2**63 - 1
ROWS = [("a", 1, None, b"1"), ("a", LARGEST, "x", b"2"), ("ü'\"", -LARGEST, "12", None)]


@pytest.fixture
def wide(database):
    """Both tables, and three rows."""
    database.write(WIDE.create)
    database.write(BARE.create)
    database.write(lambda connection: bulk_insert(connection, WIDE, ROWS))
    yield database
    database.write(WIDE.drop)
    database.write(BARE.drop)


def held(database):
    """Every row."""
    with database.read() as connection:
        return {tuple(row) for row in connection.execute(WIDE.select())}


@pytest.mark.parametrize("said", ["", "null", "12", "1e3", "[1]", "\U0001f6f5 \\u0041", "x" * 5000])
def test_a_text_stays_what_it_is(wide, said):
    """Also where it looks like a number, like nothing, or like JSON."""
    wide.write(lambda c: SAY.run(c, [("a", 1, said), ("ü'\"", -LARGEST, None), ("b", 1, "y")]))
    assert {row[:3] for row in held(wide)} == {
        ("a", 1, said),
        ("a", LARGEST, "x"),
        ("ü'\"", -LARGEST, None),
    }


def test_rows_are_found_by_texts_and_numbers_up_to_their_limits(wide):
    """What is not there is not found; of nothing nothing."""
    with wide.read() as connection:
        found = LOOK.rows(connection, [("a", LARGEST), ("ü'\"", -LARGEST), ("A", 1)])
        assert {tuple(row) for row in found} == {("a", LARGEST, "x"), ("ü'\"", -LARGEST, "12")}
        assert LOOK.rows(connection, []) == []
    wide.write(lambda c: SAY.run(c, []))


def test_only_whole_numbers_and_texts_can_be_said():
    """JSON would make something else of bytes, and of a fraction."""
    with pytest.raises(TypeError, match="whole numbers and texts"):
        WideStatement(WIDE, ("name", "seal"), "SELECT 1 FROM said")
    assert isinstance(WIDE.c.seal.type, LargeBinary)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 20, 300])
def test_rows_that_are_there_change_and_others_are_added(wide, count):
    """In blocks of any size; bytes, too."""
    rows = [("b", n, f"new {n}", bytes([n % 256])) for n in range(count)]
    wide.write(lambda c: bulk_upsert(c, WIDE, rows[: count // 2]))
    rows = [(name, n, f"newer {n}", seal) for name, n, _, seal in rows]
    wide.write(lambda c: bulk_upsert(c, WIDE, [*rows, ("a", 1, "now", b"3")]))
    wide.write(lambda c: bulk_upsert(c, WIDE, []))
    assert held(wide) == {*rows, ("a", 1, "now", b"3"), *ROWS[1:]}


def test_a_table_of_keys_alone_keeps_what_it_has(wide):
    """There is nothing to change."""
    for rows in ([(1,), (2,)], [(2,), (3,)]):
        wide.write(lambda c, rows=rows: bulk_upsert(c, BARE, rows))
    with wide.read() as connection:
        assert {n for (n,) in connection.execute(BARE.select())} == {1, 2, 3}
