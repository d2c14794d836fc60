"""Sales and units as they are looked at. Values only, instants in ms, money in rupiah."""

from dataclasses import dataclass
from typing import Literal

SaleState = Literal["final", "part", "voided", "returned"]
UnitState = Literal["stock", "sold", "returned", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldUnit:
    """One scooter on one receipt, as it stands now."""

    serial: str | None
    serial_raw: str
    model: str
    list_idr: int
    discount_idr: int
    net_idr: int
    flag: str | None
    undone: Literal["void", "return"] | None
    undone_index: int | None
    activated_index: int | None
    activated_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """One receipt on the ledger. `index` is its entry and its id."""

    index: int
    dealer: str | None
    device: str
    till: str
    receipt: str
    units: tuple[SoldUnit, ...]
    payment: str
    operator: str | None
    has_buyer: bool
    at_ms: int
    received_ms: int
    state: SaleState
    flags: tuple[str, ...]
    total_idr: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleFilter:
    """Which sales. Empty means all; times are when they happened, until excluded."""

    dealer: str | None = None
    state: str | None = None
    payment: str | None = None
    flagged: bool = False
    receipt: str | None = None
    serial: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One scooter as the ledger knows it; but for the serial everything may be unknown.

    `fault` is set while it was its last word.
    """

    serial: str
    model: str | None
    dealer: str | None
    state: UnitState
    sale_index: int | None
    sold_ms: int | None
    activated_ms: int | None
    seen_ms: int | None
    battery_pct: int | None
    odometer_m: int | None
    firmware: str | None
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFilter:
    """Which units. Empty means all. `quiet`: sold, never answered; `serial`: its beginning."""

    dealer: str | None = None
    state: str | None = None
    model: str | None = None
    quiet: bool = False
    serial: str | None = None
