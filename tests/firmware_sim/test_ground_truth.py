"""Comparing what the devices did with what stands on the ledger."""

import pytest

from firmware_sim.ground_truth import GroundTruth, compare
from firmware_sim.receipts import Receipt, ReceiptUnit, Reversal

SERIAL = "KSE8JKTX0126X0001"
RECEIPT = Receipt(
    till="T1",
    number="20261122-0001",
    units=(ReceiptUnit(printed_serial="kse8-jktx0126x0001", model="E8", list_idr=21_900_000),),
)
VOID = Reversal(kind="void", till="T1", number=RECEIPT.number)


def row(index, event_type, data, n=1):
    """A ledger row as the hub's list shows it."""
    event = {"type": event_type, "device": "dev_a", "gen": 1, "n": n, "data": data}
    return {"index": index, "dealer": "JKT01", "event": event}


SALE_ROW = row(
    0,
    "pos.sale",
    {
        "till": "T1",
        "receipt": RECEIPT.number,
        "units": [{"serial": SERIAL, "model": "E8", "net_idr": 21_900_000}],
        "payment": "cash",
    },
    n=7,
)
ACTIVATED_ROW = row(1, "scooter.activated", {"serial": SERIAL, "sale": {"gen": 1, "n": 7}}, n=8)
REPORT_ROW = row(2, "scooter.report", {"serial": SERIAL, "boot": "b1", "counter": 4})
FAULT_ROW = row(3, "scooter.fault", {"serial": SERIAL, "code": "E21", "detail": "hall (b1.5)"})
VOID_ROW = row(4, "pos.void", {"till": "T1", "receipt": RECEIPT.number, "serials": None})
ALL_ROWS = [SALE_ROW, ACTIVATED_ROW, REPORT_ROW, FAULT_ROW, VOID_ROW]


@pytest.fixture
def truth():
    """One sale of a scooter that reported once, told a fault, and was voided."""
    made = GroundTruth()
    made.with_radio.add(SERIAL)
    made.sale(RECEIPT, 1_000)
    made.report(SERIAL, "b1", 4)
    made.fault(SERIAL, "E21", "hall (b1.5)")
    made.reversal(VOID)
    return made


def test_a_ledger_that_holds_everything_once_is_whole(truth):
    """Counts are those of the ledger; nothing lost, nothing doubled."""
    found = compare({"JKT01": truth}, ALL_ROWS)

    assert (found.sales, found.activations, found.telemetry) == (1, 1, 1)
    assert (found.lost, found.doubled) == ((), ())


@pytest.mark.parametrize("missing", [SALE_ROW, REPORT_ROW, FAULT_ROW, VOID_ROW])
def test_each_missing_fact_is_lost(truth, missing):
    """Whatever kind of fact it is."""
    found = compare({"JKT01": truth}, [kept for kept in ALL_ROWS if kept is not missing])

    assert len(found.lost) == 1


@pytest.mark.parametrize("twice", ALL_ROWS)
def test_each_fact_that_stands_twice_is_doubled(truth, twice):
    """Under another index and number, as a doubled capture would."""
    found = compare({"JKT01": truth}, [*ALL_ROWS, {**twice, "index": 9}])

    assert len(found.doubled) == 1
    assert found.lost == ()


def test_the_activation_of_a_voided_sale_may_be_missing(truth):
    """The void may have been faster than the scooter."""
    found = compare({"JKT01": truth}, [kept for kept in ALL_ROWS if kept is not ACTIVATED_ROW])

    assert found.lost == ()


def test_the_activation_of_a_sale_that_stands_may_not(truth):
    """Every sold scooter answers."""
    truth.reversals.clear()

    found = compare({"JKT01": truth}, [SALE_ROW, REPORT_ROW, FAULT_ROW])

    assert found.lost == (("activation", "JKT01", "T1", RECEIPT.number, SERIAL),)


def test_another_price_on_the_ledger_is_a_lost_sale(truth):
    """A sale is exact: the same receipt at another price is not that sale."""
    data = dict(SALE_ROW["event"]["data"])
    data["units"] = [{"serial": SERIAL, "model": "E8", "net_idr": 1}]
    cheap = {**SALE_ROW, "event": {**SALE_ROW["event"], "data": data}}

    found = compare({"JKT01": truth}, [cheap, *ALL_ROWS[1:]])

    assert [key[0] for key in found.lost] == ["sale"]


def test_readings_of_a_diagnosis_port_have_no_counter_and_are_never_doubled(truth):
    """The box asked twice, so there are two reports."""
    read = {"serial": SERIAL, "boot": None, "counter": None}
    rows = [*ALL_ROWS, row(5, "scooter.report", read), row(6, "scooter.report", read)]

    found = compare({"JKT01": truth}, rows)

    assert found.telemetry == 3
    assert found.doubled == ()
