"""A till on a serial cable: finalises sales and gets them over, in one of two dialects.

`kpos` waits for the box's acknowledgement and sends again after two seconds; `escpos` prints, as
to a printer, when somebody listens, and never hears whether it was understood.
"""

import random
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from firmware_sim import escpos, kpos
from firmware_sim.errors import CableBlocked, CableUnplugged
from firmware_sim.faults import LineFault, LineNoise
from firmware_sim.ground_truth import GroundTruth
from firmware_sim.pseudo_terminal import PseudoTerminal
from firmware_sim.receipts import Receipt, Reversal
from shared.clock import Clock

RESEND_MS = 2_000
READ_MS = 50
SETTLE_MS = 300
"""A printer says that it is ready only some time after it was switched on."""

Dialect = Literal["kpos", "escpos"]


class Till(Protocol):
    """What a store can ask of a till, whatever it speaks."""

    name: str

    def finalise(self, receipt: Receipt) -> None:
        """Payment is complete: from here on the sale is a fact."""
        ...

    def reverse(self, reversal: Reversal) -> None:
        """A void or a return is a fact."""
        ...

    def print_again(self, receipt: Receipt) -> None:
        """A copy of a receipt that was finalised before."""
        ...

    def run(self, stop: threading.Event) -> None:
        """Serve the line until `stop`."""
        ...

    def idle(self) -> bool:
        """Has everything left the till, as far as it can know?"""
        ...

    def spoil_next(self, fault: LineFault) -> None:
        """Damage the next transmission."""
        ...


@dataclass(slots=True)
class _Unacked:
    frame: bytes
    sent_ms: int
    times: int = 1


class KposTill:
    """A till that speaks KPOS/1. Frames in flight survive an unplugged cable."""

    def __init__(
        self,
        *,
        name: str,
        cable: PseudoTerminal,
        truth: GroundTruth,
        clock: Clock,
        seed: int = 0,
        resend_ms: int = RESEND_MS,
    ) -> None:
        """`cable` need not be plugged in yet."""
        self.name = name
        self._cable, self._truth, self._clock = cable, truth, clock
        self._noise = LineNoise(random.Random(seed))
        self._answers = kpos.AnswerReader()
        self._lock = threading.Lock()
        self._unacked: dict[int, _Unacked] = {}
        self._spoilings: deque[LineFault] = deque()
        self._seq = 0
        self._resend_ms = resend_ms
        self.resent = 0
        self.refused = 0

    def finalise(self, receipt: Receipt) -> None:
        """Note the sale, then send it."""
        self._truth.sale(receipt, self._clock.mono_ms())
        self._send(lambda seq: kpos.sale_message(receipt, seq))

    def reverse(self, reversal: Reversal) -> None:
        """Note the reversal, then send it."""
        self._truth.reversal(reversal)
        self._send(lambda seq: kpos.reversal_message(reversal, seq))

    def print_again(self, receipt: Receipt) -> None:
        """The same receipt under a new sequence number: no new sale."""
        self._send(lambda seq: kpos.sale_message(receipt, seq))

    def spoil_next(self, fault: LineFault) -> None:
        """Damage the next frame; the one sent after two seconds is clean again."""
        self._spoilings.append(fault)

    def idle(self) -> bool:
        """Is every frame acknowledged?"""
        return not self._unacked

    def run(self, stop: threading.Event) -> None:
        """Read answers and send again what was not acknowledged."""
        while not stop.is_set():
            for answer in self._answers.feed(self._cable.read(READ_MS)):
                if isinstance(answer, kpos.Ack):
                    with self._lock:
                        self._unacked.pop(answer.seq, None)
                else:
                    self.refused += 1
            self._resend_due()
            if not self._cable.attached():
                # With nobody at the other end a read returns at once.
                stop.wait(READ_MS / 1000)

    def _send(self, message: Callable[[int], dict[str, object]]) -> None:
        with self._lock:
            self._seq += 1
            frame = kpos.frame(message(self._seq))
            self._unacked[self._seq] = _Unacked(frame, self._clock.mono_ms())
        if self._spoilings:
            frame = self._noise.spoil(frame, self._spoilings.popleft())
        self._transmit(frame)

    def _transmit(self, frame: bytes) -> None:
        # What does not get through is not acknowledged, so it goes out again.
        with suppress(CableUnplugged, CableBlocked):
            self._cable.write(frame)

    def _resend_due(self) -> None:
        now_ms = self._clock.mono_ms()
        with self._lock:
            due = [u for u in self._unacked.values() if now_ms - u.sent_ms >= self._resend_ms]
            for unacked in due:
                unacked.sent_ms, unacked.times = now_ms, unacked.times + 1
        for unacked in due:
            self.resent += 1
            self._transmit(unacked.frame)


class EscposTill:
    """A till that prints. It holds a print job while its printer is not ready."""

    def __init__(
        self,
        *,
        name: str,
        store: str,
        cable: PseudoTerminal,
        truth: GroundTruth,
        clock: Clock,
        seed: int = 0,
    ) -> None:
        """`store` is printed at the head of each receipt."""
        self.name = name
        self._store = store
        self._cable, self._truth, self._clock = cable, truth, clock
        self._noise = LineNoise(random.Random(seed))
        self._jobs: deque[bytes] = deque()
        self._wake = threading.Event()
        self._ready_since_ms: int | None = None

    def finalise(self, receipt: Receipt) -> None:
        """Note the sale, then print it."""
        self._truth.sale(receipt, self._clock.mono_ms())
        self._print(escpos.sale_print(receipt, store=self._store))

    def reverse(self, reversal: Reversal) -> None:
        """Note the reversal, then print it."""
        self._truth.reversal(reversal)
        self._print(escpos.reversal_print(reversal, store=self._store))

    def print_again(self, receipt: Receipt) -> None:
        """Print a copy: no new sale."""
        self._print(escpos.sale_print(receipt, store=self._store, copy=True))

    def spoil_next(self, fault: LineFault) -> None:
        """Noise between two receipts; inside one nobody could tell it from text."""
        if fault is LineFault.NOISE:
            # No control bytes: a stray graphics header would swallow the receipt after it.
            self._print(bytes(byte | 0x80 for byte in self._noise.burst()) + escpos.CUT)

    def idle(self) -> bool:
        """Is every job printed?"""
        return not self._jobs

    def run(self, stop: threading.Event) -> None:
        """Print one job after the other while the printer is ready."""
        while not stop.is_set():
            self._wake.wait(READ_MS / 1000)
            self._wake.clear()
            while self._ready() and self._jobs:
                try:
                    self._cable.write(self._jobs[0])
                except (CableUnplugged, CableBlocked):
                    break  # Printed again from its beginning when the printer is back.
                self._jobs.popleft()

    def _print(self, job: bytes) -> None:
        self._jobs.append(job)
        self._wake.set()

    def _ready(self) -> bool:
        if not self._cable.attached():
            self._ready_since_ms = None
            return False
        now_ms = self._clock.mono_ms()
        if self._ready_since_ms is None:
            self._ready_since_ms = now_ms
        return now_ms - self._ready_since_ms >= SETTLE_MS
