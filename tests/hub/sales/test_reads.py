"""What pages ask, on both engines."""

import pytest
from sqlalchemy import event

from hub.sales import reads
from hub.sales.follower import SalesFollower
from hub.sales.views import SaleFilter, UnitFilter
from hub.store import Database
from tests.fakes.ledger_entries import START_MS, LedgerWriter, sale_data, unit

HOUR_MS = 3_600_000


def reported(ledger, serial, state="stock", **where):
    """A scooter says how it is."""
    report = {"serial": serial, "state": state, "battery_pct": 80, "firmware": "2.4.1"}
    return ledger.append("scooter.report", report, **where)


@pytest.fixture
def ledger():
    """Two stores, five receipts, six scooters."""
    ledger = LedgerWriter()
    for serial in ("LA1", "LA2", "LA3", "LA4"):
        reported(ledger, serial)
    first = ledger.sale("R1", "LA1", at_ms=START_MS)  # 4
    ledger.answer("LA1", first, at_ms=START_MS + 1000)
    ledger.sale("R2", "LA2", "LA3", at_ms=START_MS + HOUR_MS)  # 6
    ledger.give_back("R2", ["LA3"], at_ms=START_MS + 2 * HOUR_MS)
    ledger.sale("R3", None, at_ms=START_MS + 3 * HOUR_MS)  # 8
    ledger.sale("R4", "LA4", at_ms=START_MS + 4 * HOUR_MS)  # 9
    ledger.void("R4", at_ms=START_MS + 5 * HOUR_MS)  # 10
    instalments = sale_data("T1", "R1", [unit("KS5")]) | {"payment": "instalments"}
    ledger.append("pos.sale", instalments, dealer="DPS01", device="dev_b")  # 11
    reported(ledger, "KS6", "sold", dealer="DPS01", device="dev_b")
    ledger.append("scooter.fault", {"serial": "KS6", "code": "E21"}, dealer="DPS01", device="dev_b")
    return ledger


@pytest.fixture
def connection(database, ledger):
    """A reader of the folded ledger."""
    follower = SalesFollower()
    database.write(follower.fold(ledger.entries))
    with database.read() as connection:
        yield connection


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ({}, [11, 9, 8, 6, 4]),
        ({"dealer": "DPS01"}, [11]),
        ({"state": "part"}, [6]),
        ({"state": "voided"}, [9]),
        ({"payment": "instalments"}, [11]),
        ({"flagged": True}, [8]),
        ({"receipt": "R1"}, [11, 4]),
        ({"receipt": "R1", "dealer": "SBY01"}, [4]),
        ({"serial": "LA3"}, [6]),
        ({"since_ms": START_MS + HOUR_MS, "until_ms": START_MS + 4 * HOUR_MS}, [8, 6]),
        ({"serial": "LA9"}, []),
    ],
)
def test_sales_are_found_by_what_is_known_of_them(connection, wanted, places):
    """Newest first; voids and returns are no rows of their own in this list."""
    rows = reads.list_sales(connection, SaleFilter(**wanted), limit=10)
    assert [row.index for row in rows] == places


def test_pages_of_sales_meet_without_a_gap(connection):
    """Below a place newest first, above it oldest first: the keyset is the place on the ledger."""
    older = reads.list_sales(connection, SaleFilter(), below=9, limit=2)
    newer = reads.list_sales(connection, SaleFilter(), above=6, limit=2)
    assert [row.index for row in older] == [8, 6]
    assert [row.index for row in newer] == [8, 9]


def test_one_sale_has_its_lines_as_they_stand_now(connection):
    """What was undone, by which entry, and which scooter answered."""
    sale, activated = reads.one_sale(connection, 6), reads.one_sale(connection, 4)
    assert sale is not None
    assert activated is not None
    assert [(unit.serial, unit.undone, unit.undone_index) for unit in sale.units] == [
        ("LA2", None, None),
        ("LA3", "return", 7),
    ]
    assert (sale.total_idr, sale.state, sale.has_buyer) == (40_000_000, "part", False)
    assert activated.units[0].activated_ms == START_MS + 1000
    assert reads.one_sale(connection, 10) is None


def test_a_receipt_number_leads_to_all_its_places(connection):
    """Sales, voids and returns of it, in any store."""
    assert reads.places_of_receipt(connection, "R4", 10) == [10, 9]
    assert reads.places_of_receipt(connection, "R1", 1) == [11]


def test_sales_are_counted_by_state_payment_and_flag(connection):
    """The counters of the list are those of the list's own filter."""
    counts, capped = reads.count_sales(connection, SaleFilter())
    assert counts == {
        "all": 5,
        "final": 3,
        "part": 1,
        "voided": 1,
        "cash": 4,
        "instalments": 1,
        "flagged": 1,
    }
    assert not capped
    assert reads.count_sales(connection, SaleFilter(dealer="DPS01"))[0]["all"] == 1


def test_counting_stops_where_it_says(connection, monkeypatch):
    """A counter never reads the whole ledger."""
    monkeypatch.setattr(reads, "COUNT_MAX", 2)
    counts, capped = reads.count_sales(connection, SaleFilter())
    assert (counts["all"], capped) == (2, True)


@pytest.mark.parametrize(
    ("wanted", "serials"),
    [
        ({}, ["KS5", "KS6", "LA1", "LA2", "LA3", "LA4"]),
        ({"state": "sold"}, ["KS5", "LA1", "LA2"]),
        ({"state": "returned"}, ["LA3"]),
        ({"state": "stock"}, ["LA4"]),
        ({"state": "unknown"}, ["KS6"]),
        ({"dealer": "DPS01"}, ["KS5", "KS6"]),
        ({"quiet": True}, ["KS5", "LA2"]),
        ({"quiet": True, "dealer": "SBY01"}, ["LA2"]),
        ({"serial": "LA"}, ["LA1", "LA2", "LA3", "LA4"]),
        ({"serial": "L%"}, []),
        ({"model": "E8", "state": "sold"}, ["KS5", "LA1", "LA2"]),
    ],
)
def test_units_are_found_by_what_is_known_of_them(connection, wanted, serials):
    """By serial; a unit is what its sales say, else what it says itself."""
    rows = reads.list_units(connection, UnitFilter(**wanted), limit=10)
    assert [row.serial for row in rows] == serials


def test_pages_of_units_meet_without_a_gap(connection):
    """Above a serial forwards, below it backwards."""
    above = reads.list_units(connection, UnitFilter(), above="LA1", limit=2)
    below = reads.list_units(connection, UnitFilter(), below="LA1", limit=1)
    assert [row.serial for row in above] == ["LA2", "LA3"]
    assert [row.serial for row in below] == ["KS6"]


def test_units_are_counted_by_state(connection):
    """Exactly, and with those that never answered."""
    counts = reads.count_units(connection, UnitFilter())
    assert {name: n for name, (n, _) in counts.items()} == {
        "all": 6,
        "stock": 1,
        "sold": 3,
        "returned": 1,
        "unknown": 1,
        "quiet": 2,
    }
    assert reads.count_units(connection, UnitFilter(serial="KS"))["all"] == (2, False)


def test_a_unit_is_what_the_ledger_last_said(connection):
    """Sold, returned, back in stock after a void, or faulty until it speaks again."""
    found = {serial: reads.one_unit(connection, serial) for serial in ("LA1", "LA3", "LA4", "KS6")}
    sold, returned, voided, faulty = (unit for unit in found.values() if unit is not None)
    assert (sold.sale_index, sold.sold_ms, sold.activated_ms) == (4, START_MS, START_MS + 1000)
    assert (returned.state, returned.sale_index) == ("returned", 6)
    assert (voided.state, voided.sale_index, voided.battery_pct) == ("stock", None, 80)
    assert (faulty.fault, faulty.dealer) == ("E21", "DPS01")
    assert reads.one_unit(connection, "LA9") is None


@pytest.mark.parametrize(
    ("ask", "wanted"),
    [
        (reads.count_units, UnitFilter()),
        (reads.count_units, UnitFilter(serial="KS")),
        (reads.count_units, UnitFilter(model="E8")),
        (lambda *asked: reads.list_units(*asked, limit=50), UnitFilter(model="E8")),
        (lambda *asked: reads.list_units(*asked, limit=50), UnitFilter(quiet=True)),
    ],
)
def test_no_question_about_units_sorts_or_scans_them(sqlite_url, ask, wanted):
    """Over 100 k units each is a range of one index; counters need no row at all."""
    database = Database(sqlite_url)
    with database.read() as connection:
        asked = []

        def listen(_connection, _cursor, statement, parameters, _context, _many):
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", listen)
        ask(connection, wanted)
        event.remove(connection, "before_cursor_execute", listen)
        plans = [
            row[3]
            for statement, parameters in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    database.close()
    on_units = [step for step in plans if "unit" in step.split()]
    assert on_units
    assert [step for step in plans if "TEMP B-TREE" in step or step == "SCAN unit"] == []
    if ask is reads.count_units:
        assert [step for step in on_units if "COVERING INDEX" not in step] == []
