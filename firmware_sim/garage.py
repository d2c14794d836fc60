"""The scooters of one store: some asleep in stock, some sold and ridden near by."""

import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from firmware_sim.errors import TransitionRefused
from firmware_sim.scooter import Message, Scooter, ScooterEvent, ScooterState
from firmware_sim.scooter_radio import ScooterRadio
from shared.clock import Clock

TICK_MS = 250
REPORT_MS = {
    ScooterState.RIDING: 1_000,
    ScooterState.AWAKE: 5_000,
    ScooterState.CHARGING: 5_000,
}
RIDERS_MAX = 6
"""Sold scooters that stay in reach of the store; the oldest leaves for one that is new."""

# What a sold scooter may do next, by what it is doing.
HABITS = {
    ScooterState.AWAKE: (ScooterEvent.RIDE, ScooterEvent.RIDE, ScooterEvent.PLUG_IN),
    ScooterState.RIDING: (ScooterEvent.STOP,),
    ScooterState.CHARGING: (ScooterEvent.UNPLUG,),
    ScooterState.ASLEEP: (ScooterEvent.SWITCH_ON,),
    ScooterState.FLAT: (ScooterEvent.PLUG_IN,),
}
CHANGE_OF_MIND_PER_TICK = 0.04
FAULTS = (
    ("E21", "motor hall sensor"),
    ("E14", "brake lever contact"),
    ("W07", "cell imbalance 40 mV"),
)


@dataclass(slots=True)
class Garage:
    """Lets the scooters live until told to stop. Safe to use from several threads."""

    clock: Clock
    random: random.Random
    stock: list[ScooterRadio] = field(default_factory=list)
    sold: list[ScooterRadio] = field(default_factory=list)
    left: list[ScooterRadio] = field(default_factory=list)
    _told_ms: dict[str, int] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _resting: bool = False

    def deliver(self, radios: Sequence[ScooterRadio]) -> None:
        """New scooters: unpacked, each tells once how it is, and back to sleep."""
        for radio in radios:
            radio.start()
            radio.do(_unpack)
        with self._lock:
            self.stock.extend(radios)

    def take(self) -> ScooterRadio | None:
        """A scooter that listens leaves the stock for the counter; None when all are gone."""
        with self._lock:
            for radio in self.stock:
                if radio.listening.is_set():
                    self.stock.remove(radio)
                    self.sold.append(radio)
                    return radio
        return None

    def take_back(self, serial: str) -> None:
        """A returned scooter goes to sleep in stock again, marked as new."""
        with self._lock:
            for radio in self.sold + self.left:
                if radio.scooter.serial == serial:
                    radio.do(_reset)

    def fault(self) -> bool:
        """One sold scooter tells a fault. False when none can."""
        with self._lock:
            code, detail = self.random.choice(FAULTS)
            return any(radio.do(lambda scooter: scooter.fault(code, detail)) for radio in self.sold)

    def rest(self, *, resting: bool) -> None:
        """Stop all telemetry, or let it go on."""
        with self._lock:
            self._resting = resting

    def delivered(self) -> bool:
        """Has the broker everything that was said?"""
        with self._lock:
            return all(radio.delivered() for radio in self._all())

    def run(self, stop: threading.Event) -> None:
        """Ride, charge and report until `stop`."""
        last_ms = self.clock.mono_ms()
        while not stop.wait(TICK_MS / 1000):
            now_ms = self.clock.mono_ms()
            with self._lock:
                if not self._resting:
                    for radio in list(self.sold):
                        self._live(radio, now_ms, now_ms - last_ms)
                    self._let_the_oldest_leave()
            last_ms = now_ms

    def close(self) -> None:
        """Disconnect all; what was not acknowledged stays in the outboxes."""
        with self._lock:
            radios = self._all()
        for radio in radios:
            radio.stop()

    def _all(self) -> list[ScooterRadio]:
        return [*self.stock, *self.sold, *self.left]

    def _live(self, radio: ScooterRadio, now_ms: int, elapsed_ms: int) -> None:
        scooter = radio.scooter
        if not scooter.sold:
            return  # Its command has not come yet.
        scooter.advance(elapsed_ms)
        if self.random.random() < CHANGE_OF_MIND_PER_TICK or scooter.odometer_m < 10:
            with suppress(TransitionRefused):
                scooter.happen(self.random.choice(HABITS[scooter.state]))
        due_ms = self._told_ms.get(scooter.serial, 0) + REPORT_MS.get(scooter.state, 10**12)
        if now_ms >= due_ms:
            self._told_ms[scooter.serial] = now_ms
            radio.do(Scooter.report)

    def _let_the_oldest_leave(self) -> None:
        while len(self.sold) > RIDERS_MAX and _may_leave(self.sold[0]):
            radio = self.sold.pop(0)
            radio.stop()
            self.left.append(radio)


def _unpack(scooter: Scooter) -> Message | None:
    scooter.happen(ScooterEvent.SWITCH_ON)
    message = scooter.report()
    scooter.happen(ScooterEvent.GO_TO_SLEEP)
    return message


def _reset(scooter: Scooter) -> None:
    scooter.sold = False
    for event in (ScooterEvent.STOP, ScooterEvent.UNPLUG, ScooterEvent.GO_TO_SLEEP):
        with suppress(TransitionRefused):
            scooter.happen(event)


def _may_leave(radio: ScooterRadio) -> bool:
    """It has answered its sale, and the broker has all that it said."""
    return radio.scooter.sold and radio.delivered()
