"""The pages' questions, answered by a real ledger on both engines."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.portals.read_models import DeviceFilter, EntryFilter, Slice
from hub.portals.stored_devices import StoredDevices
from hub.portals.stored_ledger import StoredLedger
from hub.portals.stored_sales import StoredSales
from hub.sales.views import SaleFilter, UnitFilter
from hub.wiring import Hub
from tests.fakes.stocked_hub import SERIAL, Box, enrol_boxes, open_empty_hub, stock

DAY_MS = 86_400_000


class Stocked:
    """A hub with a day of trade and the readers of its pages."""

    def __init__(self, hub: Hub, boxes: list[Box]) -> None:
        """Read what stands."""
        self.hub = hub
        self.boxes = boxes
        self.now_ms = hub.clock.wall_ms()
        self.ledger = StoredLedger(
            hub.database, hub.ledger, hub_keys=hub.keys.http_ever, clock=hub.clock
        )
        self.sales = StoredSales(hub.database, hub.clock)
        self.devices = StoredDevices(hub.database)


@pytest.fixture
def stocked(database_url: str, tmp_path: Path) -> Iterator[Stocked]:
    """On SQLite and on PostgreSQL."""
    hub = open_empty_hub(tmp_path, public_url="http://hub.example", database=database_url)
    boxes = enrol_boxes(hub)
    stock(hub, boxes, hub.clock.wall_ms(), sales=8)
    yield Stocked(hub, boxes)
    hub.close()


def walk(stocked: Stocked, chosen: EntryFilter, order: str, limit: int) -> list[int]:
    """Every index, page after page."""
    found: list[int] = []
    after = None
    while True:
        page = Slice(after=after, limit=limit, order=order)  # type: ignore[arg-type]
        rows = stocked.ledger.entries(chosen, page)
        found += [row.index for row in rows]
        if len(rows) < limit:
            return found
        after = rows[-1].index


def test_the_ledger_is_paged_both_ways(stocked: Stocked) -> None:
    """Forth from either end, and back from the middle, without a gap or a repeat."""
    size = stocked.hub.ledger.size()

    assert walk(stocked, EntryFilter(), "newest", 7) == list(range(size - 1, -1, -1))
    assert walk(stocked, EntryFilter(), "oldest", 7) == list(range(size))
    back = stocked.ledger.entries(EntryFilter(), Slice(before=10, limit=5))
    assert [row.index for row in back] == [15, 14, 13, 12, 11]
    back = stocked.ledger.entries(EntryFilter(), Slice(before=10, limit=5, order="oldest"))
    assert [row.index for row in back] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "chosen",
    [
        EntryFilter(),
        EntryFilter(types=("pos.sale", "pos.void")),
        EntryFilter(dealer="DPS01"),
        EntryFilter(dealer="SBY01", types=("scooter.report",)),
        EntryFilter(serial=SERIAL.format(2)),
        EntryFilter(quarantined=True),
        EntryFilter(indexes=(3, 5, 8)),
    ],
)
def test_counters_are_what_the_list_holds(stocked: Stocked, chosen: EntryFilter) -> None:
    """Maintained or counted, by type, for every kind of filter."""
    rows = stocked.ledger.entries(chosen, Slice(limit=500))
    counts = stocked.ledger.counts_by_type(chosen)

    assert Counter(row.type for row in rows) == {kind: c.n for kind, c in counts.items()}
    assert stocked.ledger.count(chosen).n == len(rows) > 0


def test_counters_of_a_span_of_time_are_what_the_list_holds(stocked: Stocked) -> None:
    """A span that is no whole day is counted instead of looked up, and agrees."""
    chosen = EntryFilter(
        since_ms=stocked.now_ms - DAY_MS // 6, until_ms=stocked.now_ms - DAY_MS // 24
    )
    rows = stocked.ledger.entries(chosen, Slice(limit=500))

    assert stocked.ledger.count(chosen).n == len(rows)


def test_a_proof_holds_leaf_and_seal(stocked: Stocked) -> None:
    """The seal of a box and of the hub itself are checked, and the file says by which key."""
    for index in (0, 12):
        proof = stocked.ledger.proof(index)
        assert proof is not None
        assert proof.seal == "valid"
        assert proof.keyid
        assert proof.text.splitlines()[1].startswith("extra ")
    assert stocked.ledger.proof(stocked.hub.ledger.size()) is None


def test_what_a_box_lost_is_declared_or_not(stocked: Stocked) -> None:
    """The same four captures are missing of two boxes; one said so."""
    first, second, third = (
        stocked.devices.device(box.device, stocked.now_ms) for box in stocked.boxes
    )
    assert first is not None
    assert second is not None
    assert third is not None

    assert (first.declared, first.undeclared) == (4, 0)
    assert (second.declared, second.undeclared) == (0, 4)
    assert (third.declared, third.undeclared) == (0, 0)
    assert first.backlog == {"sale": 0, "vehicle": 12, "system": 0}
    hole = stocked.devices.holes(second.device, 10)[0]
    assert (hole.first_n, hole.last_n, hole.reason) == (31, 34, None)
    counts = stocked.devices.device_counts(DeviceFilter(), stocked.now_ms)
    assert {name: count.n for name, count in counts.items()} == {
        "all": 3, "silent": 1, "backlog": 1, "undeclared": 1, "clock": 0, "clone": 0,
    }  # fmt: skip


def test_sales_and_units_are_those_of_the_ledger(stocked: Stocked) -> None:
    """One voided, one returned, one flagged; a scooter that never answered is found."""
    sales = stocked.sales.sale_counts(SaleFilter())
    units = stocked.sales.unit_counts(UnitFilter())
    quiet = stocked.sales.units(UnitFilter(quiet=True), Slice(limit=50))

    assert {name: sales[name].n for name in ("all", "voided", "returned", "flagged")} == {
        "all": 25, "voided": 1, "returned": 1, "flagged": 1,
    }  # fmt: skip
    assert units["sold"].n == 22
    assert [unit.serial for unit in quiet] == [SERIAL.format(n) for n in (3, 1003, 2003)]
