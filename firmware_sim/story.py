"""What happens in the stores, told live: one line per step, for people to watch.

Prints ids, prices and serials; never a buyer.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from firmware_sim.agent_log import Captured, Place, Receipted, read_line
from firmware_sim.escpos import rupiah
from firmware_sim.ground_truth import GroundTruth
from firmware_sim.receipts import Receipt, Reversal
from shared.clock import Clock

STORE_COLUMNS, RECEIPT_COLUMNS, STEP_COLUMNS = 6, 14, 18


@dataclass(frozen=True, slots=True, kw_only=True)
class OnLedger:
    """Where a batch put one event."""

    index: int
    batch_id: str
    mono_ms: int


@dataclass(slots=True)
class StoreStory:
    """What one box has said about its events so far."""

    truth: GroundTruth
    captured: dict[Place, Captured] = field(default_factory=dict)
    on_ledger: dict[Place, OnLedger] = field(default_factory=dict)


class Story:
    """Listens to tills, scooters and boxes and tells their steps. Safe from any thread."""

    def __init__(self, *, clock: Clock, tell: Callable[[str], None]) -> None:
        """`tell` gets one line at a time."""
        self._clock, self._tell = clock, tell
        self._lock = threading.RLock()
        self._stores: dict[str, StoreStory] = {}
        self._sale_to_ledger_ms: list[int] = []

    def add_store(self, store: str, truth: GroundTruth) -> None:
        """Lines of this store will come."""
        with self._lock:
            self._stores[store] = StoreStory(truth)

    def sale_to_ledger_ms(self) -> list[int]:
        """Till to receipt verified on the box, one number for each sale receipted so far."""
        with self._lock:
            return list(self._sale_to_ledger_ms)

    def line(self, store: str, receipt: str, step: str, detail: str) -> None:
        """One aligned line with the time of day."""
        now = datetime.fromtimestamp(self._clock.wall_ms() / 1000).astimezone()
        time = f"{now:%H:%M:%S}.{now.microsecond // 1000:03d}"
        text = (
            f"{time}  {store:<{STORE_COLUMNS}}  {receipt:<{RECEIPT_COLUMNS}}  "
            f"{step:<{STEP_COLUMNS}}  {detail}"
        )
        with self._lock:
            self._tell(text.rstrip())

    def note(self, store: str, text: str) -> None:
        """Something that happens to the store rather than in it."""
        self.line(store, "·", text, "")

    def finalised(self, store: str, receipt: Receipt) -> None:
        """The till says that payment is complete."""
        units = " ".join(unit.serial or "without serial" for unit in receipt.units)
        discount_idr = sum(unit.discount_idr for unit in receipt.units)
        reduced = f", discount {rupiah(discount_idr)}" if discount_idr else ""
        detail = f"{units}  {rupiah(receipt.total_idr)} {receipt.payment}{reduced}"
        self.line(store, receipt.number, "sale finalised", detail)

    def reversed(self, store: str, reversal: Reversal) -> None:
        """A void or a return at the till."""
        units = "all units" if reversal.serials is None else " ".join(reversal.serials)
        self.line(store, reversal.number, f"{reversal.kind} finalised", units)

    def agent_line(self, store: str, text: str) -> None:
        """A line of the box's log."""
        said = read_line(text)
        with self._lock:
            known = self._stores[store]
            if isinstance(said, Captured):
                known.captured[said.place] = said
                if said.type == "scooter.activated":
                    self.line(store, self._receipt(known, said), "scooter reported", _unit(said))
                if said.place in known.on_ledger:
                    self._placed(store, said, known.on_ledger.pop(said.place))
            elif isinstance(said, Receipted):
                for offset, place in enumerate(said.places):
                    stands = OnLedger(
                        index=said.first_index + offset,
                        batch_id=said.batch_id,
                        mono_ms=said.mono_ms,
                    )
                    if place in known.captured:
                        self._placed(store, known.captured[place], stands)
                    else:
                        # The delivery's thread was faster than the one that captured.
                        known.on_ledger[place] = stands

    def _placed(self, store: str, event: Captured, stands: OnLedger) -> None:
        known = self._stores[store]
        if event.type == "pos.sale":
            self._sale_placed(store, event, stands)
        elif event.type == "scooter.activated":
            receipt = self._receipt(known, event)
            self.line(store, receipt, f"ledger #{stands.index}", f"activation of {_unit(event)}")
        elif event.type.startswith("pos."):
            self.line(store, event.receipt or "", f"ledger #{stands.index}", event.type[4:])

    def _sale_placed(self, store: str, event: Captured, stands: OnLedger) -> None:
        receipt = event.receipt or ""
        started_ms = self._stores[store].truth.finalised_at_ms(event.till or "", receipt)
        took = ""
        if started_ms is not None:
            took_ms = max(0, stands.mono_ms - started_ms)
            self._sale_to_ledger_ms.append(took_ms)
            took = f"({took_ms:,} ms)".replace(",", " ")
        self.line(store, receipt, "handshake", f"batch {stands.batch_id[:12]}, receipt verified")
        self.line(store, receipt, f"ledger #{stands.index}", took)

    @staticmethod
    def _receipt(known: StoreStory, activation: Captured) -> str:
        sale = None if activation.sale is None else known.captured.get(activation.sale)
        return "" if sale is None else sale.receipt or ""


def _unit(event: Captured) -> str:
    return event.serial or "a scooter"
