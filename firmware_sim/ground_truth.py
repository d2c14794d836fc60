"""What the simulated devices really did, and how the ledger compares with it."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from firmware_sim.receipts import Receipt, Reversal
from shared import serials

Key = tuple[object, ...]
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalisedSale:
    """A sale that the till has finalised at `mono_ms`, before its first byte was on the line."""

    receipt: Receipt
    mono_ms: int


@dataclass(slots=True)
class GroundTruth:
    """The list of one store's devices. Safe to use from several threads."""

    sales: list[FinalisedSale] = field(default_factory=list)
    reversals: list[Reversal] = field(default_factory=list)
    reports: list[tuple[str, str, int]] = field(default_factory=list)
    """Serial, boot, counter of every telemetry message the scooter has composed."""
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    """Serial, code, detail."""
    with_radio: set[str] = field(default_factory=set)
    """Serials of units that answer when they are woken."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sale(self, receipt: Receipt, mono_ms: int) -> None:
        """A sale was finalised."""
        with self._lock:
            self.sales.append(FinalisedSale(receipt=receipt, mono_ms=mono_ms))

    def reversal(self, reversal: Reversal) -> None:
        """A void or return was finalised."""
        with self._lock:
            self.reversals.append(reversal)

    def report(self, serial: str, boot: str, counter: int) -> None:
        """A scooter has composed a telemetry message."""
        with self._lock:
            self.reports.append((serial, boot, counter))

    def fault(self, serial: str, code: str, detail: str) -> None:
        """A scooter has told a fault."""
        with self._lock:
            self.faults.append((serial, code, detail))

    def finalised_at_ms(self, till: str, number: str) -> int | None:
        """When a sale was finalised, in this machine's monotonic milliseconds."""
        with self._lock:
            for sale in self.sales:
                if (sale.receipt.till, sale.receipt.number) == (till, number):
                    return sale.mono_ms
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The ledger against the devices' own lists. `lost` and `doubled` name each case."""

    sales: int
    activations: int
    telemetry: int
    lost: tuple[Key, ...]
    doubled: tuple[Key, ...]


def compare(truth_by_dealer: Mapping[str, GroundTruth], rows: Iterable[Row]) -> Comparison:
    """Every fact that the devices finalised, against every ledger row.

    A printed copy, a resent frame or an asked-again scooter makes one row or none, so a second
    row of the same fact is a double. A voided unit may have been activated or not.
    """
    found: Counter[Key] = Counter()
    receipts: dict[Key, Key] = {}
    activations: list[tuple[Key, str, str]] = []
    for row in rows:
        event = _mapping(row["event"])
        data, dealer = _mapping(event.get("data", {})), str(row["dealer"])
        if event["type"] == "pos.sale":
            receipts[event["device"], event["gen"], event["n"]] = (data["till"], data["receipt"])
        if event["type"] == "scooter.activated":
            sale = _mapping(data["sale"])
            place: Key = (event["device"], sale["gen"], sale["n"])
            activations.append((place, dealer, str(data["serial"])))
        else:
            found.update(_key(dealer, str(event["type"]), data, row["index"]))
    for place, dealer, serial in activations:
        found[("activation", dealer, *receipts.get(place, ("?", "?")), serial)] += 1
    return _verdict(truth_by_dealer, found)


def _verdict(truth_by_dealer: Mapping[str, GroundTruth], found: Counter[Key]) -> Comparison:
    expected: Counter[Key] = Counter()
    optional: set[Key] = set()
    for dealer, truth in truth_by_dealer.items():
        expected.update(_expected(dealer, truth))
        optional |= set(_voidable(dealer, truth))
    known = [key for key in found if key[0] != "other"]
    return Comparison(
        sales=_count(found, "sale"),
        activations=_count(found, "activation"),
        telemetry=_count(found, "report"),
        lost=tuple(
            key for key, times in expected.items() if found[key] < times and key not in optional
        ),
        doubled=tuple(key for key in known if found[key] > max(1, expected[key])),
    )


def _count(found: Counter[Key], kind: str) -> int:
    return sum(times for key, times in found.items() if key[0] == kind)


def _expected(dealer: str, truth: GroundTruth) -> Iterable[Key]:
    for sale in truth.sales:
        yield _sale_key(dealer, sale.receipt)
        for unit in sale.receipt.units:
            if unit.serial in truth.with_radio:
                yield ("activation", dealer, sale.receipt.till, sale.receipt.number, unit.serial)
    for reversal in truth.reversals:
        yield _reversal_key(
            dealer, reversal.kind, (reversal.till, reversal.number), reversal.serials
        )
    for serial, boot, counter in truth.reports:
        yield ("report", serial, boot, counter)
    for serial, code, detail in truth.faults:
        yield ("fault", serial, code, detail)


def _voidable(dealer: str, truth: GroundTruth) -> Iterable[Key]:
    """Activations that a void or return may have overtaken."""
    reversed_receipts = {(reversal.till, reversal.number) for reversal in truth.reversals}
    for sale in truth.sales:
        place = (sale.receipt.till, sale.receipt.number)
        if place in reversed_receipts:
            for unit in sale.receipt.units:
                yield ("activation", dealer, *place, unit.serial)


def _sale_key(dealer: str, receipt: Receipt) -> Key:
    units = tuple((unit.serial, unit.model, unit.net_idr) for unit in receipt.units)
    return ("sale", dealer, receipt.till, receipt.number, units, receipt.payment)


def _reversal_key(
    dealer: str, kind: object, place: tuple[object, object], units: Iterable[object] | None
) -> Key:
    named = None if units is None else tuple(sorted(serials.normalise(str(unit)) for unit in units))
    return (kind, dealer, *place, named)


def _key(dealer: str, kind: str, data: Mapping[str, object], index: object) -> list[Key]:
    if kind == "pos.sale":
        units = tuple(
            (unit["serial"], unit["model"], unit["net_idr"])
            for unit in map(_mapping, _items(data["units"]))
        )
        return [("sale", dealer, data["till"], data["receipt"], units, data["payment"])]
    if kind in {"pos.void", "pos.return"}:
        named = data["serials"]
        place = (data["till"], data["receipt"])
        return [_reversal_key(dealer, kind[4:], place, None if named is None else _items(named))]
    if kind == "scooter.report":
        if data.get("counter") is None:
            # Read from a diagnosis port, where the box asks and the scooter counts nothing.
            return [("report", data["serial"], "port", index)]
        return [("report", data["serial"], data.get("boot"), data["counter"])]
    if kind == "scooter.fault":
        return [("fault", data["serial"], data["code"], data["detail"])]
    return [("other", kind)]


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, got {value!r}")
    return value


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r}")
    return value
