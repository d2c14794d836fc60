"""What a fold works on: receipts, their lines, the scooters' answers. No I/O."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["sale", "duplicate", "void", "return"]
RecordState = Literal["final", "part", "voided", "returned", "duplicate", "applied", "unmatched"]
LineState = Literal["sold", "voided", "returned", "duplicate"]
Payment = Literal["cash", "instalments", "unknown"]


@dataclass(slots=True, kw_only=True, eq=False)
class Line:
    """One unit on a receipt. Index columns are places on the ledger."""

    line: int
    serial: str | None
    serial_raw: str | None
    model: str | None
    list_idr: int
    discount_idr: int
    net_idr: int
    state: LineState
    flag: str | None = None
    """The gravest thing to know about this line; the receipt's `flags` hold all of them."""
    reversed_by: int | None = None
    activated_index: int | None = None
    activated_ms: int | None = None
    unanswered_index: int | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Record:
    """A sale, a copy of one, or a void or return, as the till stated it and as it stands now.

    `dealer` is "" when the box belonged to nobody. `at_ms` is when it happened as far as known;
    `err_ms` is None when the box had no clock, and `at_ms` then the time of arrival.
    """

    index: int
    dealer: str
    device: str
    gen: int
    n: int
    kind: Kind
    till: str
    receipt: str
    at_ms: int
    err_ms: int | None
    received_ms: int
    state: RecordState
    flags: tuple[str, ...] = ()
    content: bytes = b""
    payment: Payment | None = None
    operator: str | None = None
    buyer_commitment: str | None = None
    list_idr: int = 0
    discount_idr: int = 0
    net_idr: int = 0
    serials: tuple[str, ...] | None = None
    """What a void or return names; None: the whole receipt."""
    refers_to: int | None = None
    """The sale a void or return undoes, or of which this is a copy."""
    reversed_by: int | None = None
    """The void or return that undid the last unit."""
    lines: list[Line] = field(default_factory=list)
    stored: bool = False
    changed: bool = False

    @property
    def is_open(self) -> bool:
        """A sale of which something can still be undone."""
        return self.kind == "sale" and self.state in {"final", "part"}

    def has(self, serial: str) -> bool:
        """Whether the serial stands on this receipt."""
        return any(line.serial == serial for line in self.lines)


@dataclass(slots=True, kw_only=True, eq=False)
class Answer:
    """A sold scooter answered its activation, or for a day did not; `sale` once it is known."""

    index: int
    dealer: str
    device: str
    serial: str
    kind: Literal["answered", "unanswered"]
    sale_gen: int
    sale_n: int
    at_ms: int
    err_ms: int | None
    sale: int | None = None
    stored: bool = False
    changed: bool = False
