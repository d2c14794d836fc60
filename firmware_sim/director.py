"""Makes a script happen in real stores, in front of a real hub."""

import threading
from collections.abc import Callable, Iterable, Sequence

from firmware_sim.faults import LineFault
from firmware_sim.hub_program import HubProgram
from firmware_sim.people.market import Market
from firmware_sim.scenario import Act, Step
from firmware_sim.store import Store
from firmware_sim.story import Story
from shared.clock import Clock

LOW_STOCK = 3
LORRY = 4


class Director:
    """Runs steps at their time. Lives on the main thread, which alone may start programs."""

    def __init__(
        self,
        *,
        stores: Sequence[Store],
        hub: HubProgram | None,
        clock: Clock,
        story: Story,
        market: Market | None = None,
    ) -> None:
        """Without a hub of our own its outages are skipped, without a market the leads."""
        self._market = market
        self._stores, self._hub, self._is_hub_down = stores, hub, False
        self._clock, self._story = clock, story
        self._acts: dict[Act, Callable[[Store], None]] = {
            Act.SALE: self._sell,
            Act.DISCOUNT: lambda store: self._sell(store, discounted=True),
            Act.SEVERAL_UNITS: lambda store: self._sell(store, units=3),
            Act.INSTALMENTS: lambda store: self._sell(store, instalments=True),
            Act.WITHOUT_SERIAL: lambda store: self._sell(store, with_serial=False),
            Act.COPY: self._copy,
            Act.VOID: self._void,
            Act.RETURN: self._return,
            Act.FAULT: self._fault,
            Act.NOISE: self._noise,
            Act.REPLUG: self._replug,
            Act.BROKER_RESTART: self._restart_broker,
            Act.POWER_CUT: self._cut_power,
            Act.HUB_DOWN: self._hub_down,
            Act.HUB_UP: self._hub_up,
            Act.LEAD: self._lead,
        }

    def play(
        self,
        steps: Iterable[Step],
        *,
        stop: threading.Event,
        started_ms: int,
        length_ms: int | None = None,
    ) -> None:
        """Every step at its time or as soon after as possible, until `stop` or the end.

        A hub that is down when the play ends is brought up again. Raises NotReady.
        """
        for step in steps:
            if length_ms is not None and step.at_ms > length_ms:
                break  # a play may have more steps than there is time for
            due_ms = started_ms + step.at_ms
            if self._wait_until(due_ms, stop):
                break
            store = self._stores[step.store]
            self._acts[step.act](store)
            if len(store.garage.stock) < LOW_STOCK:
                store.deliver(LORRY)
        if length_ms is not None and not stop.is_set():
            self._wait_until(started_ms + length_ms, stop)
        self._hub_up(self._stores[0])
        if self._hub is not None:
            self._hub.wait_until_ready()

    def _wait_until(self, due_ms: int, stop: threading.Event) -> bool:
        return stop.wait(max(0, due_ms - self._clock.mono_ms()) / 1000)

    @staticmethod
    def _sell(
        store: Store,
        *,
        units: int = 1,
        discounted: bool = False,
        instalments: bool = False,
        with_serial: bool = True,
    ) -> None:
        store.sell(
            units=units,
            discounted=discounted,
            payment="instalments" if instalments else "cash",
            with_serial=with_serial,
        )

    def _copy(self, store: Store) -> None:
        if store.receipts:
            self._story.note(store.plan.dealer, "the last receipt is printed twice")
            store.till.print_again(store.receipts[-1])

    @staticmethod
    def _void(store: Store) -> None:
        if store.receipts:
            store.reverse(store.receipts.pop(), "void")

    @staticmethod
    def _return(store: Store) -> None:
        if store.receipts:
            store.reverse(store.receipts.pop(0), "return")

    def _fault(self, store: Store) -> None:
        if store.garage.fault():
            self._story.note(store.plan.dealer, "a scooter tells a fault")

    def _noise(self, store: Store) -> None:
        self._story.note(store.plan.dealer, "noise on the till's cable")
        store.till.spoil_next(LineFault.NOISE)

    def _replug(self, store: Store) -> None:
        self._story.note(store.plan.dealer, "the till's cable is pulled and put back")
        store.replug()

    def _restart_broker(self, store: Store) -> None:
        self._story.note(store.plan.dealer, "the broker restarts")
        store.restart_broker()

    def _cut_power(self, store: Store) -> None:
        self._story.note(store.plan.dealer, "power cut: the box dies and starts again")
        store.cut_power()

    def _lead(self, store: Store) -> None:
        if self._market is not None:
            self._story.note(store.plan.dealer, "a customer near by writes on WhatsApp")
            self._market.lead(near=store.plan.dealer)

    def _hub_down(self, _store: Store) -> None:
        if self._hub is not None:
            self._story.note("hub", "the hub goes down; the stores go on selling")
            self._hub.go_down()
            self._is_hub_down = True

    def _hub_up(self, _store: Store) -> None:
        if self._hub is not None and self._is_hub_down:
            self._hub.stop()
            self._hub.start(on_ready=lambda: self._story.note("hub", "the hub is back"))
            self._is_hub_down = False
