"""What a till finalises: receipts, voids and returns, and the invented people who buy."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from shared import serials
from shared.clock import Clock

MODELS_IDR = {"E8": 21_900_000, "E5": 16_450_000, "CITY3": 12_750_000}
"""List prices of the simulated range."""

Payment = Literal["cash", "instalments"]
ReversalKind = Literal["void", "return"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptUnit:
    """One scooter on a receipt; a sale can be rung up without a serial."""

    printed_serial: str | None
    """As the cashier typed or scanned it: spaces, hyphens and small letters occur."""
    model: str
    list_idr: int
    discount_idr: int = 0

    @property
    def serial(self) -> str | None:
        """The normal form."""
        return None if self.printed_serial is None else serials.normalise(self.printed_serial)

    @property
    def net_idr(self) -> int:
        """What is paid."""
        return self.list_idr - self.discount_idr


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """An invented customer. Never printed by the demo, never logged."""

    name: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A sale whose payment is complete."""

    till: str
    number: str
    units: tuple[ReceiptUnit, ...]
    payment: Payment = "cash"
    operator: str = "07"
    buyer: Buyer | None = None

    @property
    def total_idr(self) -> int:
        """Sum of the net prices."""
        return sum(unit.net_idr for unit in self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """A void (seconds later) or a return (days later) of a receipt's units; None means all."""

    kind: ReversalKind
    till: str
    number: str
    serials: tuple[str, ...] | None = None


@dataclass(slots=True)
class ReceiptBook:
    """Numbers receipts as a till does: date and a running number."""

    till: str
    clock: Clock
    last: int = 0

    def next_number(self) -> str:
        """The next unused number of this till."""
        self.last += 1
        day = datetime.fromtimestamp(self.clock.wall_ms() / 1000, UTC)
        return f"{day:%Y%m%d}-{self.last:04d}"


@dataclass(slots=True)
class Counter:
    """The salesroom: turns scooters into receipts, seeded so that a run can be repeated."""

    book: ReceiptBook
    random: random.Random
    _buyers: int = field(default=0)

    def receipt(
        self,
        units: Sequence[ReceiptUnit],
        *,
        payment: Payment = "cash",
        with_buyer: bool = True,
    ) -> Receipt:
        """A receipt with the next number."""
        return Receipt(
            till=self.book.till,
            number=self.book.next_number(),
            units=tuple(units),
            payment=payment,
            operator=self.random.choice(("03", "07", "11")),
            buyer=self._invent_buyer() if with_buyer else None,
        )

    def unit(self, serial: str | None, model: str, *, discount_idr: int = 0) -> ReceiptUnit:
        """A scooter at list price; the serial comes out as cashiers type it."""
        return ReceiptUnit(
            printed_serial=None if serial is None else self._typed(serial),
            model=model,
            list_idr=MODELS_IDR[model],
            discount_idr=discount_idr,
        )

    def _typed(self, serial: str) -> str:
        style = self.random.randrange(4)
        if style == 0:
            return serial.lower()
        if style == 1:
            return f"{serial[:4]} {serial[4:10]} {serial[10:]}"
        if style == 2:
            return f"{serial[:8]}-{serial[8:]}"
        return serial

    def _invent_buyer(self) -> Buyer:
        self._buyers += 1
        # 0800 is Indonesia's toll-free range: nobody's mobile phone.
        return Buyer(
            name=f"Pembeli Contoh {self._buyers:04d}",
            phone=f"0800-0000-{self._buyers:04d}",
        )
