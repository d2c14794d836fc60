"""Single devices for somebody else's agent or broker: a till, a scooter, a store."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

from firmware_sim.ground_truth import GroundTruth
from firmware_sim.pos_terminal import Dialect, EscposTill, KposTill, Till
from firmware_sim.pseudo_terminal import PseudoTerminal
from firmware_sim.receipts import Counter, ReceiptBook
from firmware_sim.scooter import Scooter, ScooterEvent
from firmware_sim.scooter_radio import Credentials, ScooterRadio
from shared.clock import SystemClock

Tell = Callable[[str], None]
TICK_MS = 1_000


def sell_alone(
    *,
    port: Path,
    dialect: Dialect,
    every_ms: int,
    count: int | None,
    seed: int,
    tell: Tell,
    stop: threading.Event,
) -> GroundTruth:
    """A till at `port` that sells invented scooters until `stop` or `count` sales."""
    clock, truth = SystemClock(), GroundTruth()
    cable = PseudoTerminal(port)
    till: Till
    if dialect == "kpos":
        till = KposTill(name="T1", cable=cable, truth=truth, clock=clock, seed=seed)
    else:
        till = EscposTill(name="T1", store="DEMO", cable=cable, truth=truth, clock=clock, seed=seed)
    counter = Counter(ReceiptBook("T1", clock), random.Random(seed))
    done = threading.Event()
    thread = threading.Thread(target=till.run, args=(done,), name="till")
    cable.plug()
    thread.start()
    tell(f"till {dialect} on {port}")
    try:
        while not stop.is_set() and (count is None or len(truth.sales) < count):
            receipt = counter.receipt(
                [counter.unit(f"KSE8DEMXXX26{len(truth.sales) + 1:05d}", "E8")]
            )
            till.finalise(receipt)
            tell(f"{receipt.number}  {receipt.units[0].serial}  {receipt.total_idr} IDR")
            stop.wait(every_ms / 1000)
        while not till.idle() and not stop.wait(0.05):
            pass
    finally:
        done.set()
        thread.join()
        cable.unplug()
    return truth


def ride_alone(
    *,
    host: str,
    port: int,
    credentials: Credentials,
    every_ms: int,
    tell: Tell,
    stop: threading.Event,
) -> GroundTruth:
    """One scooter on a broker: asleep until it is asked, then it rides and reports."""
    truth = GroundTruth()
    scooter = Scooter(serial=credentials.username, truth=truth)
    radio = ScooterRadio(
        scooter=scooter,
        host=host,
        port=port,
        credentials=credentials,
        on_answer=lambda woken: tell(f"{woken.serial} was asked and has answered"),
    )
    radio.start()
    tell(f"scooter {scooter.serial} on {host}:{port}, asleep")
    due_ms = every_ms
    try:
        while not stop.wait(TICK_MS / 1000):
            if not scooter.sold:
                continue
            if scooter.state.value == "awake":
                scooter.happen(ScooterEvent.RIDE)
            scooter.advance(TICK_MS)
            due_ms -= TICK_MS
            if due_ms <= 0 and radio.do(Scooter.report):
                due_ms = every_ms
                tell(f"{scooter.serial} {scooter.battery_pct} % {scooter.odometer_m} m")
    finally:
        radio.stop()
    return truth
