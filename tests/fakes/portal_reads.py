"""In-memory answers to the pages' questions, and a small made-up network of stores.

Fakes of `hub.portals.read_models`: the same promises (newest first, cursors excluded, counts that
honour the filter), over plain lists.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hub.portals.read_models import (
    Count,
    Dealer,
    Device,
    DeviceFilter,
    Entry,
    EntryFilter,
    Hole,
    LedgerState,
    Proof,
    Slice,
)
from hub.sales.views import Sale, SaleFilter, SoldUnit, Unit, UnitFilter
from shared.wire import events
from shared.wire.events import Occurred, encode_event, parse_event

Row = TypeVar("Row")
NOW_MS = 1_795_000_000_000
"""Some moment of 2026-11-18; every test's clock stands here."""

CITIES = (
    "Surabaya Darmo",
    "Malang Kota",
    "Sidoarjo",
    "Kediri",
    "Jember",
    "Denpasar Teuku Umar",
    "Makassar Panakkukang",
    "Jayapura Abepura",
    "Bandung Dago",
    "Semarang Simpang Lima",
)
ZONES = {5: "Asia/Makassar", 6: "Asia/Makassar", 7: "Asia/Jayapura"}
MODELS = (("E8S Pro", 21_900_000), ("E8", 18_900_000), ("Kota 5", 12_400_000))


@dataclass
class FakeClock:
    """A clock that stands until it is moved."""

    now_ms: int = NOW_MS
    boot: str = "boot"

    def wall_ms(self) -> int:
        """The moment it stands at."""
        return self.now_ms

    def mono_ms(self) -> int:
        """The same, so that what is kept for seconds grows old only when it is moved."""
        return self.now_ms


def cut(rows: Sequence[Row], key: Callable[[Row], Any], page: Slice) -> list[Row]:
    """One page of rows that come in the order of the list."""
    keys = [key(row) for row in rows]
    start, end = 0, len(rows)
    if page.after is not None:
        start = keys.index(page.after) + 1 if page.after in keys else len(rows)
    if page.before is not None:
        end = keys.index(page.before) if page.before in keys else 0
        start = max(0, end - page.limit)
    return list(rows[start : min(end, start + page.limit)])


@dataclass
class FakeLedger:
    """The ledger's answers."""

    rows: list[Entry] = field(default_factory=list)
    verified_ms: int | None = NOW_MS - 4000
    read_only: bool = False
    whole_ms: int | None = NOW_MS - 600_000
    checked: int = 0
    broken_at: int | None = None

    def state(self) -> LedgerState:
        """As a whole."""
        return LedgerState(
            size=len(self.rows),
            read_only=self.read_only,
            checked=self.checked,
            verified_ms=self.verified_ms,
            whole_ms=self.whole_ms,
            broken_at=self.broken_at,
            finding=None if self.broken_at is None else "batch at entry 7: its id is not",
            witnesses=8 if self.rows else None,
            witnesses_possible=10 if self.rows else None,
        )

    def _chosen(self, chosen: EntryFilter) -> list[Entry]:
        def fits(row: Entry) -> bool:
            return all(
                (
                    not chosen.types or row.type in chosen.types,
                    chosen.dealer in (None, row.dealer),
                    chosen.device in (None, row.device),
                    chosen.serial is None or chosen.serial in row.serials,
                    chosen.indexes is None or row.index in chosen.indexes,
                    not chosen.quarantined or row.quarantined is not None,
                    chosen.since_ms is None or row.received_ms >= chosen.since_ms,
                    chosen.until_ms is None or row.received_ms < chosen.until_ms,
                )
            )

        return [row for row in self.rows if fits(row)]

    def entries(self, chosen: EntryFilter, page: Slice) -> Sequence[Entry]:
        """A page of them."""
        rows = self._chosen(chosen)
        if page.order == "newest":
            rows.reverse()
        return cut(rows, lambda row: row.index, page)

    def entry(self, index: int) -> Entry | None:
        """One of them."""
        return self.rows[index] if index < len(self.rows) else None

    def proof(self, index: int) -> Proof | None:
        """A proof that has the shape of one."""
        if index >= len(self.rows):
            return None
        return Proof(
            holds=self.broken_at != index,
            size=len(self.rows),
            root="rKbDipCvXx2m9bq0s1Vw3uQ5Zt7y6L4nE8aHfJ83cs8=",
            seal="valid",
            keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U",
            sealed=Occurred(
                wall_ms=self.rows[index].at_ms + 9,
                err_ms=3,
                clock="hub",
                boot="b7",
                mono_ms=self.rows[index].at_ms % 1000 + 9,
            ),
            witnesses=8,
            witnesses_possible=10,
            text=f"c2sp.org/tlog-proof@v1\nindex {index}\n\nhub.example/ledger\n",
        )

    def count(self, chosen: EntryFilter) -> Count:
        """How many."""
        return Count(n=len(self._chosen(chosen)))

    def counts_by_type(self, chosen: EntryFilter) -> Mapping[str, Count]:
        """How many of each kind."""
        found = Counter(row.type for row in self._chosen(chosen))
        return {kind: Count(n=n) for kind, n in found.items()}


@dataclass
class FakeSales:
    """Sales and units."""

    sale_list: list[Sale] = field(default_factory=list)
    unit_list: list[Unit] = field(default_factory=list)

    def _sales(self, chosen: SaleFilter) -> list[Sale]:
        def fits(row: Sale) -> bool:
            return all(
                (
                    chosen.dealer in (None, row.dealer),
                    chosen.state in (None, row.state),
                    chosen.payment in (None, row.payment),
                    not chosen.flagged or bool(row.flags),
                    chosen.receipt in (None, row.receipt),
                    chosen.serial is None or chosen.serial in [u.serial for u in row.units],
                    chosen.since_ms is None or row.at_ms >= chosen.since_ms,
                    chosen.until_ms is None or row.at_ms < chosen.until_ms,
                )
            )

        return [row for row in self.sale_list if fits(row)]

    def sales(self, chosen: SaleFilter, page: Slice) -> Sequence[Sale]:
        """A page of them."""
        rows = self._sales(chosen)
        if page.order == "newest":
            rows.reverse()
        return cut(rows, lambda row: row.index, page)

    def sale(self, index: int) -> Sale | None:
        """One of them."""
        return next((row for row in self.sale_list if row.index == index), None)

    def sale_counts(self, chosen: SaleFilter) -> Mapping[str, Count]:
        """How many, by state, payment and flag."""
        rows = self._sales(chosen)
        found = Counter(row.state for row in rows) + Counter(row.payment for row in rows)
        found["all"] = len(rows)
        found["flagged"] = sum(1 for row in rows if row.flags)
        return {name: Count(n=n) for name, n in found.items()}

    def receipts(self, receipt: str, limit: int) -> Sequence[int]:
        """Where this receipt stands on the ledger."""
        return [row.index for row in self.sale_list if row.receipt == receipt][:limit]

    def _units(self, chosen: UnitFilter) -> list[Unit]:
        def fits(row: Unit) -> bool:
            return all(
                (
                    chosen.dealer in (None, row.dealer),
                    chosen.state in (None, row.state),
                    chosen.model in (None, row.model),
                    not chosen.quiet or (row.state == "sold" and row.activated_ms is None),
                    chosen.serial is None or row.serial.startswith(chosen.serial),
                )
            )

        return [row for row in self.unit_list if fits(row)]

    def units(self, chosen: UnitFilter, page: Slice) -> Sequence[Unit]:
        """A page of them, by serial."""
        rows = sorted(self._units(chosen), key=lambda row: row.serial)
        return cut(rows, lambda row: row.serial, page)

    def unit(self, serial: str) -> Unit | None:
        """One of them."""
        return next((row for row in self.unit_list if row.serial == serial), None)

    def unit_counts(self, chosen: UnitFilter) -> Mapping[str, Count]:
        """How many, by state."""
        rows = self._units(replace(chosen, state=None, quiet=False))
        found = Counter(str(row.state) for row in rows)
        found["all"] = len(rows)
        found["quiet"] = sum(r.state == "sold" and r.activated_ms is None for r in rows)
        return {name: Count(n=n) for name, n in found.items()}


@dataclass
class FakeDevices:
    """Boxes."""

    rows: list[Device] = field(default_factory=list)
    holes_of: dict[str, list[Hole]] = field(default_factory=dict)

    def _chosen(self, chosen: DeviceFilter, now_ms: int) -> list[Device]:
        tests: dict[str, Callable[[Device], bool]] = {
            "silent": lambda d: d.seen_ms is None or now_ms - d.seen_ms > 900_000,
            "backlog": lambda d: sum(d.backlog.values()) > 0,
            "undeclared": lambda d: d.undeclared > 0,
            "clock": lambda d: d.clock == "none",
            "clone": lambda d: d.suspected_clone,
        }
        return [
            row
            for row in sorted(self.rows, key=lambda row: row.device)
            if chosen.dealer in (None, row.dealer)
            and (chosen.device is None or row.device.startswith(chosen.device))
            and (chosen.trouble is None or tests[chosen.trouble](row))
        ]

    def devices(self, chosen: DeviceFilter, page: Slice, now_ms: int) -> Sequence[Device]:
        """A page of them."""
        return cut(self._chosen(chosen, now_ms), lambda row: row.device, page)

    def device(self, device: str, now_ms: int) -> Device | None:
        """One of them."""
        del now_ms
        return next((row for row in self.rows if row.device == device), None)

    def device_counts(self, chosen: DeviceFilter, now_ms: int) -> Mapping[str, Count]:
        """How many, by trouble."""
        names = ("silent", "backlog", "undeclared", "clock", "clone")
        counts = {
            name: Count(n=len(self._chosen(replace(chosen, trouble=name), now_ms)))
            for name in names
        }
        counts["all"] = Count(n=len(self._chosen(replace(chosen, trouble=None), now_ms)))
        return counts

    def holes(self, device: str, limit: int) -> Sequence[Hole]:
        """Its holes."""
        return self.holes_of.get(device, [])[:limit]


@dataclass
class FakeDealers:
    """Stores."""

    rows: list[Dealer] = field(default_factory=list)

    def dealers(self) -> Sequence[Dealer]:
        """All of them."""
        return self.rows

    def dealer(self, code: str) -> Dealer | None:
        """One of them."""
        return next((row for row in self.rows if row.code == code), None)


@dataclass
class Network:
    """A few stores and what they have sold, the same for the same seed."""

    ledger: FakeLedger = field(default_factory=FakeLedger)
    sales: FakeSales = field(default_factory=FakeSales)
    devices: FakeDevices = field(default_factory=FakeDevices)
    dealers: FakeDealers = field(default_factory=FakeDealers)
    clock: FakeClock = field(default_factory=FakeClock)


def device_named(n: int) -> str:
    """A device id that looks like one."""
    digest = hashlib.sha256(f"box {n}".encode()).digest()
    return "dev_" + "".join("abcdefghijklmnopqrstuvwxyz234567"[byte % 32] for byte in digest[:26])


def serial_named(n: int) -> str:
    """A serial that is one."""
    return f"KS9F2L7A8NJ{n:06d}"


class _Teller:
    """Writes entries one after the other, with growing times."""

    def __init__(self, network: Network, seed: int) -> None:
        self.network = network
        self.random = random.Random(seed)
        self.n = 0

    def tell(
        self, kind: str, store: int, at_ms: int, data: Mapping[str, object], **more: Any
    ) -> Entry:
        self.n += 1
        lane = events.LANE_OF.get(kind, "hub")
        raw = encode_event(
            type=kind,
            device=device_named(store),
            gen=1,
            lane=lane,
            n=self.n,
            occurred=Occurred(
                wall_ms=at_ms, err_ms=3, clock="hub", boot="b7", mono_ms=at_ms % 1000
            ),
            data=data,
        )
        event = parse_event(raw)
        rows = self.network.ledger.rows
        entry = Entry(
            index=len(rows),
            type=kind,
            dealer=f"D{store:02d}",
            device=device_named(store),
            serials=event.serials,
            at_ms=at_ms,
            received_ms=at_ms + self.random.randint(38, 230),
            batch_id=hashlib.sha256(raw).hexdigest(),
            quarantined=None,
            event=event,
            raw=raw,
        )
        rows.append(replace(entry, **more))
        return rows[-1]


def network(entries: int = 120, seed: int = 7) -> Network:
    """Ten stores with sales, activations, reports, faults, heartbeats, a loss and a bad leaf."""
    net = Network()
    net.dealers.rows = [
        Dealer(code=f"D{i:02d}", name=name, region="JATIM", timezone=ZONES.get(i, "Asia/Jakarta"))
        for i, name in enumerate(CITIES)
    ]
    teller = _Teller(net, seed)
    step_ms = max(1, 36 * 3_600_000 // max(entries, 1))
    start_ms = NOW_MS - step_ms * entries
    while len(net.ledger.rows) < entries:
        at_ms = min(start_ms + step_ms * len(net.ledger.rows), NOW_MS - 12_000)
        _something(teller, at_ms)
    net.devices.rows = [_box(i) for i in range(len(CITIES))]
    net.devices.holes_of[device_named(3)] = [
        Hole(lane="vehicle", gen=1, first_n=812, last_n=1025, reason="disk_full", index=14),
        Hole(lane="vehicle", gen=1, first_n=1900, last_n=1902, reason=None, index=None),
    ]
    return net


def _something(teller: _Teller, at_ms: int) -> None:
    rng = teller.random
    store, dice = rng.randrange(len(CITIES)), rng.random()
    if dice < 0.18:
        _sell(teller, store, at_ms)
    elif dice < 0.22:
        beat = {
            "version": "1.4.0",
            "uptime_ms": 88_000_000,
            "backlog": {"sale": 0, "vehicle": 0},
            "oldest_unsent_ms": None,
            "buffer_bytes": 1_048_576,
            "disk_free_bytes": 21_000_000_000,
            "ledger_size": 100,
            "sources": {"till-1": "ok", "mqtt": "ok"},
            "counters": {},
        }
        teller.tell("agent.heartbeat", store, at_ms, beat)
    elif dice < 0.24:
        loss = {
            "lane": "vehicle",
            "gen": 1,
            "ranges": [[812, 1025]],
            "count": 214,
            "reason": "disk_full",
        }
        teller.tell("agent.loss", store, at_ms, loss)
    elif dice < 0.26:
        fault = {
            "serial": serial_named(rng.randrange(5000)),
            "code": "E21",
            "detail": "hall sensor",
        }
        teller.tell("scooter.fault", store, at_ms, fault)
    elif dice < 0.27:
        teller.tell(
            "quarantined", store, at_ms, {}, event=None, quarantined="data.units: expected a list"
        )
    else:
        _report(teller, store, at_ms)


def _report(teller: _Teller, store: int, at_ms: int) -> None:
    rng = teller.random
    serial, battery_pct = serial_named(rng.randrange(5000)), rng.randrange(20, 100)
    data = {
        "serial": serial,
        "state": "stock",
        "battery_pct": battery_pct,
        "odometer_m": 3120,
        "firmware": "2.4.1",
        "counter": 3,
        "position": None,
        "boot": "b7",
        "extra": {},
    }
    teller.tell("scooter.report", store, at_ms, data)
    if teller.network.sales.unit(serial) is None and len(teller.network.sales.unit_list) < 2000:
        teller.network.sales.unit_list.append(
            Unit(
                serial=serial,
                model=MODELS[store % 3][0],
                dealer=f"D{store:02d}",
                state="stock",
                sale_index=None,
                sold_ms=None,
                activated_ms=None,
                seen_ms=at_ms,
                battery_pct=battery_pct,
                odometer_m=3120,
                firmware="2.4.1",
                fault=None,
            )
        )


def _sell(teller: _Teller, store: int, at_ms: int) -> None:
    rng, net = teller.random, teller.network
    model, list_idr = MODELS[rng.randrange(3)]
    discount_idr = rng.choice((0, 0, 500_000, 1_250_000))
    serial = None if rng.random() < 0.06 else serial_named(10_000 + teller.n)
    raw = serial or "KS9F2L7A8NJ00??17"
    receipt = f"202611{18:02d}-{teller.n:04d}"
    payment = rng.choice(("cash", "instalments"))
    unit = {
        "serial": serial,
        "serial_raw": raw,
        "model": model,
        "list_idr": list_idr,
        "discount_idr": discount_idr,
        "net_idr": list_idr - discount_idr,
    }
    data = {
        "till": "T1",
        "receipt": receipt,
        "units": [unit],
        "payment": payment,
        "operator": "07",
        "buyer": {"commitment": "ab" * 32},
    }
    sold = teller.tell("pos.sale", store, at_ms, data)
    answer = None
    if serial is not None and rng.random() < 0.9:
        told = {
            "serial": serial,
            "sale": {"gen": 1, "n": sold.event.n if sold.event else 0},
            "firmware": "2.4.1",
            "battery_pct": 96,
            "odometer_m": 3120,
        }
        answer = teller.tell("scooter.activated", store, min(at_ms + 11_200, NOW_MS - 9000), told)
    line = SoldUnit(
        serial=serial,
        serial_raw=raw,
        model=model,
        list_idr=list_idr,
        discount_idr=discount_idr,
        net_idr=list_idr - discount_idr,
        flag=None if serial else "malformed",
        undone=None,
        undone_index=None,
        activated_index=answer.index if answer else None,
        activated_ms=answer.at_ms if answer else None,
    )
    net.sales.sale_list.append(
        Sale(
            index=sold.index,
            dealer=f"D{store:02d}",
            device=sold.device,
            till="T1",
            receipt=receipt,
            units=(line,),
            payment=payment,
            operator="07",
            has_buyer=True,
            at_ms=at_ms,
            received_ms=sold.received_ms,
            state="final",
            flags=() if serial else ("malformed",),
            total_idr=list_idr - discount_idr,
        )
    )
    if serial is not None:
        net.sales.unit_list.append(
            Unit(
                serial=serial,
                model=model,
                dealer=f"D{store:02d}",
                state="sold",
                sale_index=sold.index,
                sold_ms=at_ms,
                activated_ms=answer.at_ms if answer else None,
                seen_ms=at_ms,
                battery_pct=96,
                odometer_m=3120,
                firmware="2.4.1",
                fault=None,
            )
        )


def _box(i: int) -> Device:
    return Device(
        device=device_named(i),
        dealer=f"D{i:02d}",
        state="active",
        enrolled_ms=NOW_MS - 10**9,
        seen_ms=NOW_MS - (20_000 if i != 4 else 4 * 3_600_000),
        version="1.4.0",
        backlog={"sale": 0, "vehicle": 214 if i == 2 else 0, "system": 0},
        oldest_unsent_ms=840_000 if i == 2 else None,
        clock="none" if i == 7 else "hub",
        clock_err_ms=None if i == 7 else 3 + i,
        uptime_ms=88_000_000,
        disk_free_bytes=21_000_000_000,
        sources={"till-1": "ok", "mqtt": "ok" if i else "failed"},
        epoch=1,
        declared=214 if i == 3 else 0,
        undeclared=3 if i == 3 else 0,
        suspected_clone=i == 6,
    )
