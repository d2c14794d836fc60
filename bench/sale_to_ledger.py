"""Till finalises → receipt verified on the box, with real programs and background telemetry.

Two simulated stores (till on a pty, scooters on a real broker, the agent as a process) sell against
a hub process; every time is measured from the till's own clock to the box's verified receipt.

    python -m bench.sale_to_ledger [--seconds S] [--rounds N]
"""

import argparse
import statistics
from collections.abc import Iterable

from firmware_sim.demo import Demo, DemoPlan
from firmware_sim.scenario import Step, quiet_trade

P50_LIMIT_MS = 60
P99_LIMIT_MS = 250
SALE_EVERY_MS = 400


def steps(seed: int, _length_ms: int | None, stores: int) -> Iterable[Step]:
    """Nothing but trade; the scooters report beside it."""
    return quiet_trade(seed=seed, stores=stores, sale_every_ms=SALE_EVERY_MS)


def main() -> None:
    """Print the medians over all rounds beside their limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    halves, tails = [], []
    for seed in range(asked.rounds):
        plan = DemoPlan(seconds=asked.seconds, seed=seed, steps=steps)
        summary, good = Demo(plan, tell=lambda _line: None).run()
        assert good, summary
        times = summary["sale_to_ledger_ms"]
        assert isinstance(times, dict)
        halves.append(times["p50"])
        tails.append(times["p99"])
        print(f"    {summary['sales']} sales beside {summary['telemetry']} reports: {times}")
    p50, p99 = statistics.median(halves), statistics.median(tails)
    print(f"p50 {p50:.0f} ms, {p50 / P50_LIMIT_MS:.2f} x the limit of {P50_LIMIT_MS} ms")
    print(f"p99 {p99:.0f} ms, {p99 / P99_LIMIT_MS:.2f} x the limit of {P99_LIMIT_MS} ms")


if __name__ == "__main__":
    main()
