"""What the pages need to be told, and the questions they ask.

Promises: frozen values, instants in ms since 1970, money in integer rupiah. The Protocols are
the whole of what the pages know about the ledger, sales, units, devices and dealers; lists are
keyset-paginated and every count is bounded (`Count.capped`), so no question scans a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from hub.sales.views import Sale, SaleFilter, Unit, UnitFilter
from shared.wire.events import Event, Occurred

Order = Literal["newest", "oldest"]
STALE_CHECK_MS = 600_000
"""A check that is older than this is no comfort any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many. `capped`: there are at least this many; counting stopped there."""

    n: int
    capped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Where a page of a list begins: after this row id, or up to before that one."""

    after: int | str | None = None
    before: int | str | None = None
    limit: int = 50
    order: Order = "newest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealer:
    """One authorised location: one store."""

    code: str
    name: str
    region: str | None
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which ledger entries. Empty means all. Instants are of the event, in ms, until excluded."""

    types: tuple[str, ...] = ()
    dealer: str | None = None
    device: str | None = None
    serial: str | None = None
    indexes: tuple[int, ...] | None = None
    quarantined: bool = False
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One leaf of the ledger. `event` is None when its bytes cannot be read."""

    index: int
    type: str
    dealer: str | None
    device: str
    serials: tuple[str, ...]
    at_ms: int
    received_ms: int
    batch_id: str
    quarantined: str | None
    event: Event | None
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Evidence that one entry is in the ledger under one signed checkpoint.

    `holds`: the stored bytes are those that the checkpoint covers. `seal`: what the box's own
    signature over the batch is worth today. `text` is the proof in the C2SP tlog-proof form.
    `sealed` is the box's time of sealing, if it is stated.
    """

    holds: bool
    size: int
    root: str
    seal: Literal["valid", "invalid", "unknown"]
    keyid: str | None
    sealed: Occurred | None
    witnesses: int | None
    witnesses_possible: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """The ledger as a whole, and what the hub's own re-reading of it has shown.

    `verified_ms`: what stood on the ledger then has been read since it came, and fits.
    `broken_at`: the first entry that does not. `whole_ms`: when all was last read once more.
    `checked`: how far the reading has come, for as long as it was never done.
    """

    size: int
    checked: int
    verified_ms: int | None
    whole_ms: int | None
    broken_at: int | None
    finding: str | None
    witnesses: int | None
    witnesses_possible: int | None
    read_only: bool = False
    """Restored from an older backup, and not yet refilled by the boxes."""

    def is_stale(self, now_ms: int) -> bool:
        """Has nobody checked it for long?"""
        return self.verified_ms is not None and now_ms - self.verified_ms > STALE_CHECK_MS


class LedgerReads(Protocol):
    """The ledger, as its pages read it."""

    def state(self) -> LedgerState: ...
    def entries(self, chosen: EntryFilter, page: Slice) -> Sequence[Entry]: ...
    def entry(self, index: int) -> Entry | None: ...
    def proof(self, index: int) -> Proof | None:
        """Its proof. Raises LedgerCorrupt when the ledger as a whole gives none."""
        ...

    def count(self, chosen: EntryFilter) -> Count: ...
    def counts_by_type(self, chosen: EntryFilter) -> Mapping[str, Count]: ...


class SalesReads(Protocol):
    """Sales and units, as their pages read them."""

    def sales(self, chosen: SaleFilter, page: Slice) -> Sequence[Sale]: ...
    def sale(self, index: int) -> Sale | None: ...
    def sale_counts(self, chosen: SaleFilter) -> Mapping[str, Count]: ...
    def receipts(self, receipt: str, limit: int) -> Sequence[int]: ...
    def units(self, chosen: UnitFilter, page: Slice) -> Sequence[Unit]: ...
    def unit(self, serial: str) -> Unit | None: ...
    def unit_counts(self, chosen: UnitFilter) -> Mapping[str, Count]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Capture numbers that never came. `reason` is None when the box never declared them."""

    lane: str
    gen: int
    first_n: int
    last_n: int
    reason: str | None
    index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One box in one store, as it last described itself."""

    device: str
    dealer: str | None
    state: Literal["active", "suspended", "retired"]
    enrolled_ms: int | None
    seen_ms: int | None
    version: str | None
    backlog: Mapping[str, int]
    oldest_unsent_ms: int | None
    clock: str | None
    clock_err_ms: int | None
    uptime_ms: int | None
    disk_free_bytes: int | None
    sources: Mapping[str, str]
    epoch: int
    declared: int
    undeclared: int
    suspected_clone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFilter:
    """Which devices. Empty means all."""

    dealer: str | None = None
    trouble: str | None = None
    device: str | None = None


class DeviceReads(Protocol):
    """Devices, as their pages read them."""

    def devices(self, chosen: DeviceFilter, page: Slice, now_ms: int) -> Sequence[Device]: ...
    def device(self, device: str, now_ms: int) -> Device | None: ...
    def device_counts(self, chosen: DeviceFilter, now_ms: int) -> Mapping[str, Count]: ...
    def holes(self, device: str, limit: int) -> Sequence[Hole]: ...


class DealerReads(Protocol):
    """Dealers, by code or by what a person types."""

    def dealers(self) -> Sequence[Dealer]: ...
    def dealer(self, code: str) -> Dealer | None: ...
