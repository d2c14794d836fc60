"""Two stores, one hub, real programs: the whole way of a sale, live on a terminal.

Nothing is left behind: no process, no file.
"""

import json
import shutil
import signal
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from firmware_sim import processes
from firmware_sim.broker import BrokerKind
from firmware_sim.director import Director
from firmware_sim.errors import SimulationError
from firmware_sim.ground_truth import Comparison, compare
from firmware_sim.hub_pages import HubPages
from firmware_sim.hub_program import HubProgram, Opening
from firmware_sim.people.contest import Contest
from firmware_sim.people.market import Market, MarketPlan
from firmware_sim.places import Place, places
from firmware_sim.scenario import Step, endless, one_round
from firmware_sim.store import Store, StorePlan
from firmware_sim.story import Story
from shared.clock import Clock, SystemClock

ADMIN, WATCHER = "admin@demo.example", "watcher@demo.example"
DRAIN_MS = 60_000
DRAIN_STEP_MS = 200
SHOWN_CASES = 10
CONFIRM_S = 5
"""A demo has no half hour before the customer is asked whether somebody has called."""
LEAD_COLUMNS = 12
"""Enough of a lead's id to tell it from another."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """How large, how long, how seeded."""

    stores: int = 2
    seconds: int | None = None
    """None runs until it is interrupted."""
    seed: int = 1
    steps: Callable[[int, int | None, int], Iterable[Step]] | None = None
    """Another script than the demo's own: seed, length in ms, number of stores."""
    outages: bool | None = None
    """Whether hub and power fail; None: only in a run of a minute or more."""
    broker: BrokerKind | None = None
    """None takes the best that this machine has."""
    leads: bool = False
    """Customers write and reps race for them."""
    keep: bool = False
    """Leave the folder for a look at its logs."""


class Demo:
    """One run. Call `run` from the main thread."""

    def __init__(self, plan: DemoPlan, *, tell: Tell, clock: Clock | None = None) -> None:
        """`tell` gets each line for people."""
        self._plan, self._tell = plan, tell
        self._clock = clock or SystemClock()
        self._story = Story(clock=self._clock, tell=tell)
        self._playing, self._stop = threading.Event(), threading.Event()
        self._stores: list[Store] = []
        self._hub: HubProgram | None = None
        self._market: Market | None = None

    def run(self) -> tuple[dict[str, object], bool]:
        """Play it all; returns the closing summary and whether nothing was lost or doubled."""
        folder = Path(tempfile.mkdtemp(prefix="kickstand-"))
        try:
            with _interrupts(self._playing, self._stop):
                return self._run(folder)
        finally:
            self._close()
            if self._plan.keep:
                self._tell(f"kept: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)

    def _run(self, folder: Path) -> tuple[dict[str, object], bool]:
        begun_ms = self._clock.mono_ms()
        hub, opening = self._open_hub(folder)
        pages = HubPages(hub.url, opening.login_urls[1])
        started_ms = self._open_stores(hub, opening.codes)
        if self._market is not None:
            self._market.open(hub.url)
        self._tell(f"ready in {(started_ms - begun_ms) / 1000:.1f} s; Ctrl-C ends it")
        self._tell("")
        director = Director(
            stores=self._stores,
            hub=hub,
            clock=self._clock,
            story=self._story,
            market=self._market,
        )
        seconds, seed = self._plan.seconds, self._plan.seed
        length_ms = None if seconds is None else seconds * 1000
        self._playing.set()
        director.play(
            self._script(seed, length_ms),
            stop=self._stop,
            started_ms=started_ms,
            length_ms=length_ms,
        )
        return self._close_the_books(pages)

    def _script(self, seed: int, length_ms: int | None) -> Iterable[Step]:
        stores = len(self._stores)
        if self._plan.steps is not None:
            return self._plan.steps(seed, length_ms, stores)
        if length_ms is None:
            return endless(seed=seed, stores=stores)
        return one_round(seed=seed, length_ms=length_ms, stores=stores, outages=self._plan.outages)

    def _open_hub(self, folder: Path) -> tuple[HubProgram, Opening]:
        """A hub that begins to serve, and the stores' brokers."""
        network = places(self._plan.stores)
        market = self._open_market(folder, network)
        self._hub = hub = HubProgram(folder, settings=market.settings() if market else "")
        opening = hub.open(
            admins=(ADMIN, WATCHER), network=network, imports=market.commands() if market else ()
        )
        self._stores = [
            Store(
                plan=StorePlan(
                    dealer=place.code,
                    dialect="kpos" if number % 2 == 0 else "escpos",
                    seed=self._plan.seed,
                    with_bench=number == 0,
                    broker=self._plan.broker,
                ),
                folder=folder / place.code,
                clock=self._clock,
                story=self._story,
            )
            for number, place in enumerate(network)
        ]
        for store in self._stores:
            store.open_broker()
        hub.wait_until_ready()
        kinds = " and ".join(sorted({store.broker.kind for store in self._stores}))
        self._tell(f"hub      {hub.url}")
        self._tell(f"sign in  {opening.login_urls[0]}")
        self._tell(f"stores   {', '.join(place.code for place in network)}, broker {kinds}")
        return hub, opening

    def _open_market(self, folder: Path, network: Sequence[Place]) -> Market | None:
        """The vendors, which the hub may ask as soon as it runs."""
        if not self._plan.leads:
            return None
        plan = MarketPlan(
            network=network,
            seed=self._plan.seed,
            customers_by="qontak",
            confirm_contact_s=CONFIRM_S,
        )
        self._market = Market(plan, folder=folder, clock=self._clock, tell=self._lead_line)
        self._market.start()
        return self._market

    def _lead_line(self, store: str, lead: str, step: str, detail: str) -> None:
        self._story.line(store, lead[:LEAD_COLUMNS], step, detail)

    def _open_stores(self, hub: HubProgram, codes: Mapping[str, str]) -> int:
        """Enrol and start every store; returns when the first one ran."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(
                pool.map(
                    lambda store: store.install(hub.url, codes[store.plan.dealer]), self._stores
                )
            )
        for store in self._stores:
            store.start()
        self._stores[0].wait_until_ready()
        started_ms = self._clock.mono_ms()
        for store in self._stores[1:]:
            store.wait_until_ready()
        return started_ms

    def _close_the_books(self, pages: HubPages) -> tuple[dict[str, object], bool]:
        """Stop tills and scooters, let the boxes deliver, compare with the ledger."""
        self._tell("")
        self._tell("closing time: the stores deliver what they still hold")
        for store in self._stores:
            store.still()
        truths = {store.plan.dealer: store.truth for store in self._stores}
        until_ms = self._clock.mono_ms() + DRAIN_MS
        pause = threading.Event()
        while True:
            rows = pages.ledger()
            found = compare(truths, rows)
            done = not found.lost and all(store.quiet() for store in self._stores)
            done = done and (self._market is None or self._market.quiet())
            if done or self._clock.mono_ms() >= until_ms:
                break
            pause.wait(DRAIN_STEP_MS / 1000)
        pages.close()
        self._tell_agents()
        self._tell_cases("lost", found.lost)
        self._tell_cases("doubled", found.doubled)
        summary = _summary(found, len(rows), self._story.sale_to_ledger_ms())
        whole = not (found.lost or found.doubled)
        if self._market is not None:
            summary |= leads_summary(self._market.contest)
            whole = whole and self._leads_are_whole(self._market.contest)
        return summary, whole

    def _leads_are_whole(self, contest: Contest) -> bool:
        """Every lead has one winner, every tapper was told."""
        self._tell_cases("won twice", contest.double_winners())
        self._tell_cases("not answered as often as tapped", list(contest.untold().items()))
        if contest.claimed() < contest.leads():
            self._tell(f"unclaimed: {contest.leads() - contest.claimed()} leads")
            return False
        return not (contest.double_winners() or contest.untold())

    def _tell_agents(self) -> None:
        for store in self._stores:
            agent = store.agent
            if agent is not None and agent.running():
                mib = agent.resident_bytes() / 2**20
                self._tell(f"agent of {store.plan.dealer}: {mib:.1f} MiB resident")
            elif agent is not None:
                self._tell(f"agent of {store.plan.dealer} has ended:\n{agent.last_words()}")

    def _tell_cases(self, word: str, cases: Sequence[object]) -> None:
        for case in cases[:SHOWN_CASES]:
            self._tell(f"{word}: {case}")
        if len(cases) > SHOWN_CASES:
            self._tell(f"{word}: … and {len(cases) - SHOWN_CASES} more")

    def _close(self) -> None:
        for store in self._stores:
            store.close()
        if self._hub is not None:
            self._hub.stop()
        if self._market is not None:
            self._market.close()
        processes.stop_all()


def _summary(found: Comparison, ledger_size: int, times_ms: Sequence[int]) -> dict[str, object]:
    """The demo's last line, contract §8."""
    return {
        "sales": found.sales,
        "activations": found.activations,
        "telemetry": found.telemetry,
        "ledger_size": ledger_size,
        "lost": len(found.lost),
        "duplicated": len(found.doubled),
        "sale_to_ledger_ms": {
            "p50": percentile(times_ms, 50),
            "p99": percentile(times_ms, 99),
        },
    }


def leads_summary(contest: Contest) -> dict[str, object]:
    """What the last line says of leads."""
    times_ms = contest.tap_to_decision_ms()
    return {
        "leads": contest.leads(),
        "claimed": contest.claimed(),
        "double_winners": len(contest.double_winners()),
        "tap_to_decision_ms": {"p50": percentile(times_ms, 50), "p99": percentile(times_ms, 99)},
    }


def percentile(values: Sequence[int], percent: int) -> float | None:
    """The inclusive percentile; None of nothing."""
    if not values:
        return None
    if len(values) == 1:
        return float(values[0])
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return round(cuts[percent - 1], 1)


@contextmanager
def _interrupts(playing: threading.Event, stop: threading.Event) -> Iterator[None]:
    """While playing, the first interrupt ends the play in order; any other ends all at once."""

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if not playing.is_set() or stop.is_set():
            raise KeyboardInterrupt
        # Not from here: this thread may hold the event's own lock.
        threading.Thread(target=stop.set).start()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupted) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_demo(plan: DemoPlan, *, tell: Tell, finish: Tell) -> int:
    """Run and print the summary as the last line. Returns the exit code."""
    try:
        summary, whole = Demo(plan, tell=tell).run()
    except SimulationError as error:
        tell(f"the demo could not run: {error}")
        return 1
    except KeyboardInterrupt:
        tell("interrupted")
        return 1
    finish(json.dumps(summary, separators=(",", ":")))
    return 0 if whole else 1
