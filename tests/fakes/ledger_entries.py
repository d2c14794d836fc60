"""Entries as a follower gets them, without a hub around: real event bytes, made up places."""

import random
from collections.abc import Iterator, Mapping, Sequence

from hub.ledger.batches import LedgerBatch
from hub.ledger.followers import LedgerEntry
from shared.wire.events import LANE_OF, Occurred, encode_event

DAY_MS = 86_400_000
START_MS = 1_795_000_000_000


class LedgerWriter:
    """Appends entries, each in a batch of its own; places count from 0."""

    def __init__(self) -> None:
        """An empty ledger."""
        self.entries: list[LedgerEntry] = []
        self._captures: dict[tuple[str, int, str], int] = {}

    def capture(self, device: str, gen: int, kind: str) -> int:
        """The next capture number of a box's lane."""
        key = (device, gen, LANE_OF[kind])
        self._captures[key] = self._captures.get(key, 0) + 1
        return self._captures[key]

    def append(
        self,
        kind: str,
        data: Mapping[str, object],
        *,
        device: str = "dev_a",
        dealer: str | None = "SBY01",
        gen: int = 1,
        n: int | None = None,
        at_ms: int | None = START_MS,
        err_ms: int = 10,
        raw: bytes | None = None,
    ) -> LedgerEntry:
        """Append one event; `at_ms` None is a box without a clock, `raw` stands for any bytes."""
        index = len(self.entries)
        number = self.capture(device, gen, kind) if n is None else n
        event = encode_event(
            type=kind,
            device=device,
            gen=gen,
            lane=LANE_OF[kind],
            n=number,
            occurred=Occurred(
                wall_ms=at_ms,
                err_ms=err_ms,
                clock="none" if at_ms is None else "hub",
                boot="b1",
                mono_ms=index,
            ),
            data=data,
        )
        bytes_ = event if raw is None else raw
        batch = LedgerBatch(
            first_index=index,
            count=1,
            device=device,
            epoch=1,
            lane=LANE_OF[kind],
            seq=number,
            received_ms=START_MS + 40 * DAY_MS + index,
            batch_id=f"{index:064x}",
            statement=b"",
            seal=b"",
            events=(bytes_,),
        )
        entry = LedgerEntry(index=index, dealer=dealer, batch=batch, raw=bytes_)
        self.entries.append(entry)
        return entry

    def sale(
        self,
        receipt: str,
        *serials: str | None,
        till: str = "T1",
        net_idr: int = 20_000_000,
        **where: object,
    ) -> LedgerEntry:
        """Append a sale of these serials at one price."""
        units = [unit(serial, net_idr=net_idr) for serial in serials]
        return self.append("pos.sale", sale_data(till, receipt, units), **where)  # type: ignore[arg-type]

    def void(
        self, receipt: str, serials: Sequence[str] | None = None, till: str = "T1", **where: object
    ) -> LedgerEntry:
        """Append a void of a receipt, or of some serials of it."""
        data = {"till": till, "receipt": receipt, "serials": serials}
        return self.append("pos.void", data, **where)  # type: ignore[arg-type]

    def give_back(
        self, receipt: str, serials: Sequence[str] | None = None, till: str = "T1", **where: object
    ) -> LedgerEntry:
        """Append a return."""
        data = {"till": till, "receipt": receipt, "serials": serials}
        return self.append("pos.return", data, **where)  # type: ignore[arg-type]

    def answer(self, serial: str, sale: LedgerEntry, **where: object) -> LedgerEntry:
        """Append a scooter's answer to the activation of a sale."""
        return self.append("scooter.activated", activated_data(serial, sale), **where)  # type: ignore[arg-type]


def unit(
    serial: str | None, *, net_idr: int = 20_000_000, raw: str | None = None
) -> dict[str, object]:
    """One unit of a receipt, without a discount."""
    return {
        "serial": serial,
        "serial_raw": raw if raw is not None else serial,
        "model": "E8",
        "list_idr": net_idr,
        "discount_idr": 0,
        "net_idr": net_idr,
    }


def sale_data(till: str, receipt: str, units: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """What a till says of a sale."""
    return {
        "till": till,
        "receipt": receipt,
        "units": units,
        "payment": "cash",
        "operator": "07",
        "buyer": None,
    }


def activated_data(serial: str, sale: LedgerEntry) -> dict[str, object]:
    """What a box says when the scooter of a sale answered."""
    assert sale.event is not None
    return {
        "serial": serial,
        "sale": {"gen": sale.event.gen, "n": sale.event.n},
        "firmware": "2.4.1",
        "battery_pct": 71,
        "odometer_m": 12,
    }


SERIALS = ("LA1000000000000001", "LA2", "LA3", "LA4")
SPELLINGS = (*SERIALS, *SERIALS, "la-1000000000000001", "LAI00OOO0000000O01", None, "--")


class Story:
    """A seeded ledger in which everything that can go wrong between tills and boxes does."""

    def __init__(self, seed: int) -> None:
        """The same seed tells the same story."""
        self._random = random.Random(seed)
        self._ledger = LedgerWriter()
        self._sales: list[LedgerEntry] = []

    def entries(self, length: int) -> list[LedgerEntry]:
        """A ledger of so many entries."""
        for _ in range(length):
            for kind, data in self._happening():
                self._ledger.append(kind, data, **self._where())  # type: ignore[arg-type]
                if kind == "pos.sale":
                    self._sales.append(self._ledger.entries[-1])
        return self._ledger.entries

    def _where(self) -> dict[str, object]:
        pick = self._random
        device = pick.choice(("dev_a", "dev_b", "dev_c"))
        where: dict[str, object] = {
            "device": device,
            "dealer": {"dev_a": "SBY01", "dev_b": "SBY01", "dev_c": pick.choice((None, "DPS01"))}[
                device
            ],
            "gen": pick.choice((1, 1, 1, 2)),
            "at_ms": pick.choice((None, *(START_MS + second * 1000 for second in range(8)))),
            "err_ms": pick.choice((0, 10, 1500)),
        }
        if pick.random() < 0.1:
            where["n"] = pick.randint(1, 5)
        if pick.random() < 0.03:
            where["raw"] = b"not an event"
        return where

    def _happening(self) -> Iterator[tuple[str, dict[str, object]]]:
        pick = self._random
        roll = pick.random()
        number = {"till": pick.choice(("T1", "T2")), "receipt": pick.choice(("1", "2", "3"))}
        if roll < 0.3:
            units = [self._unit() for _ in range(pick.choice((0, 1, 1, 1, 2, 3)))]
            yield "pos.sale", sale_data(number["till"], number["receipt"], units)
        elif roll < 0.5:
            named = pick.choices(SPELLINGS[:8], k=pick.choice((0, 1, 2)))
            kind = pick.choice(("pos.void", "pos.return"))
            yield kind, number | {"serials": pick.choice((None, None, named))}
        elif roll < 0.65:
            yield self._answer()
        elif roll < 0.75:
            sale = {"gen": 1, "n": pick.randint(1, 9)} if pick.random() < 0.5 else None
            serial = pick.choice(SPELLINGS)
            yield (
                "scooter.fault",
                {"serial": serial, "code": f"E{pick.randint(1, 3)}", "sale": sale},
            )
        else:
            yield "scooter.report", self._report()

    def _unit(self) -> dict[str, object]:
        pick = self._random
        serial = pick.choice(SPELLINGS)
        raw = pick.choice((serial, None)) if serial else pick.choice((None, "KS??17"))
        one = unit(serial, net_idr=pick.choice((0, 100, 100, 200)), raw=raw)
        one["discount_idr"] = pick.choice((0, 0, 0, 5))
        one["model"] = pick.choice(("E8", "E9", None))
        return one

    def _answer(self) -> tuple[str, dict[str, object]]:
        pick = self._random
        serial = pick.choice(SPELLINGS[:10])
        if self._sales and pick.random() < 0.8:
            sale = pick.choice(self._sales[-5:])
            if sale.event is not None:
                if sale.event.serials and pick.random() < 0.9:
                    serial = pick.choice(sale.event.serials)
                return "scooter.activated", activated_data(serial or "LA2", sale)
        data = {"serial": serial or "LA2", "sale": {"gen": 1, "n": pick.randint(1, 30)}}
        return "scooter.activated", data | {"firmware": pick.choice((None, "2.5"))}

    def _report(self) -> dict[str, object]:
        pick = self._random
        return {
            "serial": pick.choice(SPELLINGS[:10]),
            "state": pick.choice(("stock", "sold", "unknown")),
            "battery_pct": pick.choice((None, 10, 50)),
            "odometer_m": pick.choice((None, 5, 6)),
            "firmware": pick.choice((None, "2.4.1", "2.5")),
        }
