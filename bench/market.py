"""A whole country's hour: dealers, reps and customers against a real hub and a failing vendor.

110 dealers with three reps each; customers write one after the other, one in twenty requests to
the vendor fails before or after it took effect. Afterwards every lead must have come to a state
that somebody answers for, none may have two winners, and nobody may have been written to faster
than the pair rate allows.

    python -m bench.market [--dealers N] [--leads N] [--seconds S] [--errors SHARE]
"""

import argparse
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path
from threading import Event
from typing import Final

from bench._figures import percentile
from firmware_sim.hub_program import HubProgram
from firmware_sim.people.market import Market, MarketPlan
from firmware_sim.places import places
from firmware_sim.processes import stop_all
from shared.clock import SystemClock

REPS_PER_DEALER: Final = 3
WEBHOOKS_AT_ONCE: Final = 8
"""One after the other they would be the limit: a message has three statuses, each waits for a
commit."""
TOO_FAST_FOR_ONE: Final = 131056
LOOK_S: Final = 1.0
SAY_EVERY_S: Final = 30.0
LIMIT_ANSWER_MS: Final = 250
"""From a tap to the vendor having the answer to it, while nothing else waits for the rep."""


def states_of(database: Path) -> Counter[str]:
    """How many leads are in each state, by the tables."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT state, count(*) FROM lead GROUP BY state")
        return Counter({str(state): int(count) for state, count in rows})


def undecided(database: Path) -> int:
    """Leads that are still asked about or raced for."""
    states = states_of(database)
    return states["SCREENING"] + states["QUALIFIED"] + states["UNCLAIMED"]


class Progress:
    """A line every half minute: an hour without one looks like one that hangs."""

    def __init__(self, database: Path, market: Market) -> None:
        """It begins now."""
        self._database, self._market = database, market
        self._began = self._said = time.monotonic()

    def say(self) -> None:
        """If it is time."""
        now = time.monotonic()
        if now - self._said < SAY_EVERY_S:
            return
        self._said = now
        states = states_of(self._database)
        times_ms = self._market.contest.tap_to_decision_ms()[-200:]
        recent = f"{percentile(times_ms, 0.5)} ms" if times_ms else "not yet"
        told = ", ".join(f"{state} {count}" for state, count in states.most_common())
        untold = sum(self._market.contest.untold().values())
        print(
            f"    {now - self._began:,.0f} s: {told}; untold {untold}; the last 200 taps {recent}",
            flush=True,
        )


def main() -> None:
    """Play, wait until nobody is raced for, print, and fail when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dealers", type=int, default=110)
    parser.add_argument("--leads", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3600, help="in which they all begin")
    parser.add_argument("--patience", type=float, default=1800, help="seconds to wait afterwards")
    parser.add_argument("--errors", type=float, default=0.05)
    asked = parser.parse_args()
    pause = Event()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = MarketPlan(
            network=places(asked.dealers),
            reps_per_dealer=REPS_PER_DEALER,
            customers_by="meta",
            messaging_limit=None,
            webhooks_at_once=WEBHOOKS_AT_ONCE,
        )
        market = Market(plan, folder=folder, clock=SystemClock())
        hub = HubProgram(folder, settings=market.settings())
        market.start()
        try:
            hub.open(admins=["bench@example.com"], network=plan.network, imports=market.commands())
            hub.wait_until_ready()
            market.open(hub.url)
            market.graph.faults.by_chance(asked.errors)
            database, waited_s = folder / "hub.db", 0.0
            progress = Progress(database, market)
            began = time.monotonic()
            for number in range(asked.leads):
                market.lead()
                due_s = began + (number + 1) * asked.seconds / asked.leads
                pause.wait(max(0.0, due_s - time.monotonic()))
                progress.say()
            while waited_s < asked.patience and not (
                states_of(database).total() >= asked.leads
                and not undecided(database)
                and not market.contest.untold()
            ):
                pause.wait(LOOK_S)
                waited_s += LOOK_S
                progress.say()
            states = states_of(database)
        finally:
            market.close()
            hub.stop()
            stop_all()
    tell(market, states, asked.leads)


def tell(market: Market, states: Counter[str], leads: int) -> None:
    """Figures and a verdict. Raises SystemExit when a promise was broken."""
    lost = max(0, leads - states.total())
    too_fast = market.whatsapp.refused[TOO_FAST_FOR_ONE]
    doubles = market.contest.double_winners()
    undone = states["SCREENING"] + states["QUALIFIED"] + states["UNCLAIMED"]
    print("states: " + ", ".join(f"{state} {count}" for state, count in states.most_common()))
    print(
        f"lost {lost}, without an end {undone}, double winners {len(doubles)}, "
        f"over the pair rate {too_fast}, tappers untold {len(list(market.contest.untold()))}"
    )
    print(f"{1 - (lost + undone) / leads:.3f} x of all leads have come to somebody")
    times_ms = market.contest.tap_to_decision_ms()
    half, most = percentile(times_ms, 0.5), percentile(times_ms, 0.99)
    print(
        f"tap -> the vendor has the answer: p50 {half} ms, p99 {most} ms, "
        f"{half / LIMIT_ANSWER_MS:.2f} x and {most / LIMIT_ANSWER_MS:.2f} x the limit of "
        f"{LIMIT_ANSWER_MS} ms"
    )
    if lost or undone or doubles or too_fast:
        raise SystemExit("a promise was broken")


if __name__ == "__main__":
    main()
