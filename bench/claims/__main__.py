"""The race for a lead: many reps tap at once, one wins, everybody hears.

Without `--over-http` taps go the whole way inside one process: stored and numbered in the inbox,
read, decided by one statement, answered through the outbox, put on the ledger's list. With it
they are signed webhooks to real processes: one `serve` on SQLite (with `--processes 2` it leaves
the work to a `work` beside it), several `serve` with `--postgres`. Each connection taps again when
its tap is decided, or, with `--rate`, so many tap in a second: an hour of 10,000 leads is 22, with
eight taps each. Beside it the same race the simple way: each tapper locks the table, looks and
writes.

    python -m bench.claims [--leads N] [--tappers N] [--connections N]
                           [--over-http] [--processes N] [--postgres] [--rate N]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack

from bench._figures import percentile
from bench.claims.in_process import locked_table, race
from bench.claims.market import check, offered, open_market
from bench.claims.over_http import Served
from tests.fakes.postgres import postgres_server

LIMIT_P99_MS, LIMIT_MAX_MS, LIMIT_STORED_MS = 50.0, 250.0, 50.0


def timed(run: Callable[[], list[float]]) -> tuple[list[float], float]:
    """What it gave and how many seconds it took."""
    began = time.perf_counter()
    return run(), time.perf_counter() - began


def tell(name: str, values: list[float], seconds: float) -> None:
    """One line of figures."""
    print(
        f"{name}: {len(values) / seconds:,.0f} taps/s, p50 {percentile(values, 0.5):.1f} ms, "
        f"p99 {percentile(values, 0.99):.1f} ms, worst {max(values):.0f} ms"
    )


def inside(asked: argparse.Namespace) -> list[float]:
    """The race inside this process."""
    with tempfile.TemporaryDirectory() as folder:
        hub = open_market(folder, asked.tappers)
        leads = offered(hub, asked.leads)
        ours, took_s = timed(lambda: race(hub, leads, asked.tappers, asked.connections))
        hub.close()
    tell("hub, in process", ours, took_s)
    return ours


def over_http(asked: argparse.Namespace) -> list[float]:
    """The race against real processes."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        database = None
        if asked.postgres:
            server = stack.enter_context(postgres_server(durable=True))
            database = stack.enter_context(server.migrated_database())
        hub = open_market(folder, asked.tappers, database)
        stack.callback(hub.close)
        leads = offered(hub, asked.leads)
        served = stack.enter_context(
            Served(hub, folder, asked.tappers, processes=asked.processes, database=database)
        )
        ours, took_s = timed(lambda: served.race(leads, asked.connections, rate=asked.rate))
        check(hub, leads, asked.tappers)
    engine = "PostgreSQL" if asked.postgres else "SQLite"
    tell(f"hub, {asked.processes} process(es) over HTTP on {engine}", ours, took_s)
    stored = percentile(served.stored_ms, 0.99)
    print(
        f"webhook stored and answered: p50 {percentile(served.stored_ms, 0.5):.1f} ms, "
        f"p99 {stored:.1f} ms, {stored / LIMIT_STORED_MS:.2f} x the limit of "
        f"{LIMIT_STORED_MS:.0f} ms, worst {max(served.stored_ms):.0f} ms"
    )
    return ours


def main() -> None:
    """Race, and race the simple way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=2000)
    parser.add_argument("--tappers", type=int, default=8)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--over-http", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--rate", type=float, help="taps a second, with --over-http")
    asked = parser.parse_args()
    ours = over_http(asked) if asked.over_http else inside(asked)
    theirs, their_s = timed(lambda: locked_table(asked.leads, asked.tappers, asked.connections))
    tell("locked table", theirs, their_s)
    crowd = f"{asked.rate:g} taps a second" if asked.rate else f"{asked.connections} at once"
    print(
        f"one winner each, every loser told; under {crowd} p99 is "
        f"{percentile(ours, 0.99) / LIMIT_P99_MS:.2f} x the limit of {LIMIT_P99_MS:.0f} ms, "
        f"the worst {max(ours) / LIMIT_MAX_MS:.2f} x the limit of {LIMIT_MAX_MS:.0f} ms and "
        f"{max(ours) / max(theirs):.2f} x the locked table's"
    )


if __name__ == "__main__":
    main()
