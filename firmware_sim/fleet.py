"""A whole network of stores, each with a real agent, against one hub."""

from collections.abc import Iterable

from firmware_sim.demo import DemoPlan
from firmware_sim.scenario import Step, quiet_trade

SALES_A_STORE_AND_DAY = 40
SELLING_DAY_MS = 10 * 3_600_000


def fleet_plan(*, stores: int, seconds: int | None, seed: int, hurry: int) -> DemoPlan:
    """`stores` stores that trade calmly, `hurry` times as fast as in life."""
    every_ms = max(1, SELLING_DAY_MS // (SALES_A_STORE_AND_DAY * stores * hurry))

    def steps(seed: int, length_ms: int | None, stores: int) -> Iterable[Step]:
        for step in quiet_trade(seed=seed, stores=stores, sale_every_ms=every_ms):
            if length_ms is not None and step.at_ms >= length_ms:
                return
            yield step

    return DemoPlan(stores=stores, seconds=seconds, seed=seed, steps=steps)
