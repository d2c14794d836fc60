"""Activation: a sold scooter is woken and asked to report, until it answers or a day has passed.

The buffer opens an activation in the commit that stores the sale and closes it in the commit that
stores the answer; between the two this asks. Waiting counts the time this box was running, never
wall time, and survives restarts.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from edge_agent import errors
from edge_agent.buffer import Activation as Pending
from edge_agent.buffer import ActivationKey, Buffer, Capture, Duplicate, Stored
from edge_agent.config import AgentConfig
from edge_agent.sources import assembly
from edge_agent.sources.source import Source, SourceState, Vitals
from edge_agent.timekeeping import Timekeeper
from shared.clock import Clock
from shared.wire.events import Occurred

logger = logging.getLogger(__name__)

SECOND_MS: Final = 1000
MINUTE_MS: Final = 60 * SECOND_MS
ASK_AFTER_MS: Final = (0, 5 * SECOND_MS, 20 * SECOND_MS, 80 * SECOND_MS, 380 * SECOND_MS)
"""Waited time of the first requests: pauses of 5 s, 15 s, 1 min, 5 min; then one each …"""

ASK_EVERY_MS: Final = 15 * MINUTE_MS
GIVE_UP_MS: Final = 24 * 60 * MINUTE_MS
SAVE_MS: Final = MINUTE_MS
"""Waited time is written this often: a restart waits at most a minute too long."""

SLICE_MS: Final = 500
BROKER_RETRY_MS: Final = SECOND_MS
Publish = Callable[[str, bytes], bool]
"""(serial, payload) → whether the broker took it."""


class Ledger(Protocol):
    """The part of the buffer that knows sold units."""

    def put(self, captures: Sequence[Capture]) -> Sequence[Stored | Duplicate]:
        """Store; durable on return. Raises BufferError."""
        ...

    def pending_activations(self) -> list[Pending]:
        """Sold units that have not answered, oldest sale first."""
        ...

    def mark_asked(self, key: ActivationKey) -> None:
        """Count one more request. Raises BufferError."""
        ...

    def add_waited(self, ms: int) -> None:
        """Let time pass for all of them. Raises BufferError."""
        ...


def command(key: ActivationKey) -> bytes:
    """What the scooter is sent. Its topic names the serial; together they are the unit's key."""
    return b'{"v":1,"id":"%d.%d","do":"report"}' % (key.gen, key.n)


def ask_after_ms(asked: int) -> int:
    """How long an activation has waited when request number `asked` (from 0) is due."""
    if asked < len(ASK_AFTER_MS):
        return ASK_AFTER_MS[asked]
    return ASK_AFTER_MS[-1] + (asked - len(ASK_AFTER_MS) + 1) * ASK_EVERY_MS


class Activation:
    """Asks every pending unit when its turn comes. `step` decides by the clock it was given."""

    name = "activation"

    def __init__(
        self,
        buffer: Ledger,
        *,
        clock: Clock,
        now: Callable[[], Occurred],
        publish: Publish,
        sold: threading.Event | None = None,
    ) -> None:
        """`publish` reaches the store's broker; `sold` is set when a sale was stored."""
        self._buffer = buffer
        self._clock = clock
        self._now = now
        self._publish = publish
        self._saved_at_ms = clock.mono_ms()
        self._credit_ms: dict[ActivationKey, int] = {}
        self._sold = sold or threading.Event()
        self._vitals = Vitals()
        self._vitals.are("ok")

    def state(self) -> SourceState:
        """How many were asked and given up since the start."""
        return self._vitals.snapshot()

    def wake(self) -> None:
        """A sale was stored: step now. Callable from any thread."""
        self._sold.set()

    def run(self, stop: threading.Event) -> None:
        """Step until `stop` is set; returns within half a second of that."""
        while not stop.is_set():
            self._sold.clear()
            left_ms = self.step()
            while left_ms > 0 and not stop.is_set() and not self._sold.wait(SLICE_MS / 1000):
                left_ms -= SLICE_MS

    def step(self) -> int:
        """Ask whom it is time to ask, give up whom it is time to give up; ms until the next turn.

        A full buffer changes nothing: the same step is taken again a second later.
        """
        try:
            wait_ms = self._step()
        except errors.BufferError as error:
            self._vitals.are("failed", f"the buffer takes nothing: {error}")
            logger.warning("activation_delayed", extra={"reason": type(error).__name__})
            return SECOND_MS
        self._vitals.are("ok")
        return wait_ms

    def _step(self) -> int:
        now_ms = self._clock.mono_ms()
        pending = self._buffer.pending_activations()
        unsaved_ms = now_ms - self._saved_at_ms
        # add_waited lets the same time pass for all: a unit that was sold since the last save
        # must not be credited with the time before its sale.
        self._credit_ms = {item.key: self._credit_ms.get(item.key, unsaved_ms) for item in pending}
        wait_ms, acted = SAVE_MS, False
        for item in pending:
            waited_ms = item.waited_ms + unsaved_ms - self._credit_ms[item.key]
            next_ms, did = self._serve(item, waited_ms)
            wait_ms, acted = min(wait_ms, next_ms), acted or did
        if not pending:
            self._saved_at_ms = now_ms
        elif acted or unsaved_ms >= SAVE_MS:
            self._buffer.add_waited(unsaved_ms)
            self._saved_at_ms = now_ms
        return wait_ms

    def _serve(self, item: Pending, waited_ms: int) -> tuple[int, bool]:
        """Do what is due for one unit; ms until something is due again, whether something was."""
        if waited_ms >= GIVE_UP_MS:
            self._give_up(item)
            return SAVE_MS, False
        asked, did = item.asked, False
        if waited_ms >= ask_after_ms(asked):
            if not self._publish(item.serial, command(item.key)):
                return BROKER_RETRY_MS, False
            # Power lost here: the scooter is asked once more. It answers the same id again, and
            # the buffer knows that answer.
            self._buffer.mark_asked(item.key)
            self._vitals.count("asked")
            logger.info("activation_asked", extra={"serial": item.serial, "asked": asked + 1})
            asked, did = asked + 1, True
        return max(1, min(ask_after_ms(asked), GIVE_UP_MS) - waited_ms), did

    def _give_up(self, item: Pending) -> None:
        self._buffer.put(
            [
                Capture(
                    type="scooter.fault",
                    data={
                        "serial": item.serial,
                        "code": "activation_unanswered",
                        "detail": f"asked {item.asked} times",
                        "sale": {"gen": item.gen, "n": item.n},
                    },
                    occurred=self._now(),
                    authenticated_by="none",
                    answers=item.key,
                )
            ]
        )
        self._vitals.count("unanswered")
        logger.warning("activation_unanswered", extra={"serial": item.serial})


def build(
    config: AgentConfig,
    *,
    buffer: Buffer,
    timekeeper: Timekeeper,
    clock: Clock,
    encryption_key: bytes,
) -> list[Source]:
    """Every source of the box, and last the activation that speaks through one of them.

    Raises ConfigRefused; nothing is opened before `run`.
    """
    woken = threading.Event()
    sources, publish = assembly.build(
        config,
        sink=buffer,
        clock=clock,
        when=timekeeper.occurred,
        encryption_key=encryption_key,
        on_sale=woken.set,
    )
    activation = Activation(buffer, clock=clock, now=timekeeper.now, publish=publish, sold=woken)
    return [*sources, activation]
