"""One whole store against somebody else's hub: broker, till, scooters and a real agent."""

import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware_sim import processes
from firmware_sim.director import Director
from firmware_sim.processes import wait_until
from firmware_sim.scenario import quiet_trade
from firmware_sim.store import Store, StorePlan
from firmware_sim.story import Story
from shared.clock import SystemClock

DELIVER_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Which hub, which dealer, for how long."""

    hub_url: str
    code: str
    """One-use enrolment code from `kickstand-hub device invite`."""
    plan: StorePlan
    every_ms: int
    length_ms: int | None


def trade(visit: Visit, *, tell: Callable[[str], None], stop: threading.Event) -> None:
    """Sell until `stop` or the end, then wait until the hub has receipted every sale.

    Raises CommandFailed when the code is refused, NotReady when the box does not come up or a
    receipt does not come. Call from the main thread.
    """
    clock = SystemClock()
    story = Story(clock=clock, tell=tell)
    folder = Path(tempfile.mkdtemp(prefix="kickstand-"))
    store = Store(plan=visit.plan, folder=folder / "store", clock=clock, story=story)
    try:
        store.open_broker()
        store.install(visit.hub_url, visit.code)
        store.start()
        store.wait_until_ready()
        started_ms = clock.mono_ms()
        ends = threading.Timer((visit.length_ms or 10**9) / 1000, stop.set)
        ends.daemon = True
        ends.start()
        Director(stores=[store], hub=None, clock=clock, story=story).play(
            quiet_trade(seed=visit.plan.seed, stores=1, sale_every_ms=visit.every_ms),
            stop=stop,
            started_ms=started_ms,
        )
        ends.cancel()
        store.still()
        finalised = len(store.truth.sales)
        wait_until(
            lambda: store.quiet() and len(story.sale_to_ledger_ms()) >= finalised,
            what="the last receipt",
            deadline_ms=DELIVER_MS,
        )
    finally:
        store.close()
        processes.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    tell(f"{finalised} sales finalised, all receipted by the hub")
