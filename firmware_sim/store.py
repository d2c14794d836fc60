"""One store: broker, till, scooters and a real agent, all in one folder."""

import random
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.agent_program import AgentProgram, Wiring
from firmware_sim.broker import AGENT_USER, Broker, BrokerKind, broker_for
from firmware_sim.errors import NotReady
from firmware_sim.garage import Garage
from firmware_sim.ground_truth import GroundTruth
from firmware_sim.pos_terminal import Dialect, EscposTill, KposTill, Till
from firmware_sim.processes import wait_until
from firmware_sim.pseudo_terminal import PseudoTerminal
from firmware_sim.receipts import (
    Counter,
    Payment,
    Receipt,
    ReceiptBook,
    ReceiptUnit,
    Reversal,
    ReversalKind,
)
from firmware_sim.scooter import Scooter
from firmware_sim.scooter_port import ScooterPort
from firmware_sim.scooter_radio import Credentials, ScooterRadio
from firmware_sim.story import Story
from shared.clock import Clock

STOCK = 8
DELIVERY = 4
READY_MS = 60_000
BOX_LISTENS = '"broker_subscribed"'
"""What the agent logs when it has subscribed to the scooters' topics."""
QUIET_MS = 20_000
DISCOUNTS_IDR = (250_000, 500_000, 750_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlan:
    """What a simulated store is like."""

    dealer: str
    dialect: Dialect
    seed: int
    with_bench: bool = False
    """Has a diagnosis cable with one scooter on it."""
    broker: BrokerKind | None = None
    """None takes the best that this machine has."""


class Store:
    """A store that sells. All but `open` and the restarts may be called from any thread."""

    def __init__(self, *, plan: StorePlan, folder: Path, clock: Clock, story: Story) -> None:
        """Nothing runs yet; files go below `folder`, which is made."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.plan, self.truth = plan, GroundTruth()
        self._folder, self._clock, self._story = folder, clock, story
        self._random = random.Random(f"{plan.dealer}/{plan.seed}")
        self._stop, self._box_listens = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self.cable = PseudoTerminal(folder / "till")
        self.till = self._make_till()
        self.counter = Counter(ReceiptBook(self.till.name, clock), self._random)
        self.broker: Broker = broker_for(folder, plan.broker)
        self.garage = Garage(clock, random.Random(f"garage/{plan.dealer}/{plan.seed}"))
        self._password = secrets.token_hex(16)
        self._bench_cable = PseudoTerminal(folder / "bench")
        self._built = 0
        self.agent: AgentProgram | None = None
        self.receipts: list[Receipt] = []
        story.add_store(plan.dealer, self.truth)

    def _make_till(self) -> Till:
        if self.plan.dialect == "kpos":
            return KposTill(
                name="T1",
                cable=self.cable,
                truth=self.truth,
                clock=self._clock,
                seed=self.plan.seed,
            )
        return EscposTill(
            name="T1",
            store=self.plan.dealer,
            cable=self.cable,
            truth=self.truth,
            clock=self._clock,
            seed=self.plan.seed,
        )

    def open_broker(self) -> None:
        """Broker and cables, before the box. Call from the main thread."""
        self.broker.admit([Credentials(username=AGENT_USER, password=self._password)])
        self.broker.start()
        self.cable.plug()
        if self.plan.with_bench:
            self._bench_cable.plug()

    def install(self, hub_url: str, code: str) -> None:
        """Give the box its settings and enrol it. Raises CommandFailed."""
        wiring = Wiring(
            hub_url=hub_url,
            till=self.till.name,
            till_port=self.cable.path,
            dialect=self.plan.dialect,
            broker_port=self.broker.port,
            mqtt_version=self.broker.mqtt_version,
            password=self._password,
            bench_port=self._bench_cable.path if self.plan.with_bench else None,
        )
        self.agent = AgentProgram(
            self.plan.dealer,
            self._folder,
            wiring,
            on_line=self._agent_says,
        )
        self.agent.enroll(code)

    def start(self) -> None:
        """Run the box and the devices; `wait_until_ready` tells when. From the main thread."""
        if self.agent is not None:
            self.agent.start()
        self._run(self.till.run)
        self._run(self.garage.run)
        if self.plan.with_bench:
            self._run(
                ScooterPort(
                    scooter=self._build("E5"), cable=self._bench_cable, protocol="xiaomi55aa"
                ).run
            )

    def wait_until_ready(self) -> None:
        """Until the box listens, the first lorry has come and all scooters listen.

        Scooters come last: a broker that has never seen the box forgets what they say.
        Raises NotReady.
        """
        self._wait_for(lambda: self._box_listens.is_set() and self.cable.attached(), "its box")
        self.deliver(STOCK)
        self._wait_for(
            lambda: all(radio.listening.is_set() for radio in self.garage.stock), "its scooters"
        )

    def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(
            lambda: condition() or not self.agent_runs(),
            what=f"{self.plan.dealer}: {what}",
            deadline_ms=READY_MS,
        )
        if self.agent is not None and not self.agent_runs():
            raise NotReady(f"the agent of {self.plan.dealer} ended:\n{self.agent.last_words()}")

    def _agent_says(self, line: str) -> None:
        if BOX_LISTENS in line:
            self._box_listens.set()
        self._story.agent_line(self.plan.dealer, line)

    def agent_runs(self) -> bool:
        """Is the box's program there?"""
        return self.agent is not None and self.agent.running()

    def deliver(self, count: int) -> None:
        """A lorry brings new scooters."""
        scooters = [self._build("E8") for _ in range(count)]
        accounts = [
            Credentials(username=scooter.serial, password=secrets.token_hex(16))
            for scooter in scooters
        ]
        self.broker.admit(accounts)
        self.truth.with_radio.update(scooter.serial for scooter in scooters)
        self.garage.deliver(
            [
                ScooterRadio(
                    scooter=scooter,
                    host="127.0.0.1",
                    port=self.broker.port,
                    credentials=account,
                )
                for scooter, account in zip(scooters, accounts, strict=True)
            ]
        )

    def sell(
        self,
        *,
        units: int = 1,
        discounted: bool = False,
        payment: Payment = "cash",
        with_serial: bool = True,
    ) -> Receipt | None:
        """Finalise a sale of scooters from the stock. None when the stock is too small."""
        wanted: list[ReceiptUnit] = []
        for _ in range(units):
            serial = None
            if with_serial:
                radio = self.garage.take()
                if radio is None:
                    break
                serial = radio.scooter.serial
            discount_idr = self._random.choice(DISCOUNTS_IDR) if discounted else 0
            wanted.append(self.counter.unit(serial, "E8", discount_idr=discount_idr))
        if not wanted:
            return None
        receipt = self.counter.receipt(wanted, payment=payment)
        self._story.finalised(self.plan.dealer, receipt)
        self.till.finalise(receipt)
        self.receipts.append(receipt)
        return receipt

    def reverse(self, receipt: Receipt, kind: ReversalKind) -> None:
        """Void or take back a whole receipt; its scooters go back to sleep in stock."""
        reversal = Reversal(kind=kind, till=receipt.till, number=receipt.number)
        self._story.reversed(self.plan.dealer, reversal)
        self.till.reverse(reversal)
        for unit in receipt.units:
            if unit.serial is not None:
                self.garage.take_back(unit.serial)

    def restart_broker(self) -> None:
        """From the main thread. Mosquitto at any moment; amqtt, which forgets, at a quiet one."""
        self._quieten_forgetful_broker()
        self._box_listens.clear()
        self.broker.stop()
        self.broker.start()
        self._resume()

    def cut_power(self) -> None:
        """The box dies without a goodbye and starts again. From the main thread."""
        if self.agent is None:
            return
        self._quieten_forgetful_broker()
        self._box_listens.clear()
        self.agent.cut_power()
        self.agent.start()
        self._resume()

    def _quieten_forgetful_broker(self) -> None:
        """amqtt forgets what its subscriber has not acknowledged, so let it be nothing."""
        if self.broker.kind == "amqtt":
            self.garage.rest(resting=True)
            wait_until(
                lambda: self.garage.delivered() and self.broker.unacknowledged() == 0,
                what="a quiet moment of the broker",
                deadline_ms=QUIET_MS,
            )

    def _resume(self) -> None:
        if self.broker.kind == "amqtt":
            self._wait_for(self._box_listens.is_set, "its box")
            self.garage.rest(resting=False)

    def replug(self) -> None:
        """Pull the till's cable and put it back."""
        self.cable.unplug()
        self.cable.plug()

    def still(self) -> None:
        """No new facts from here on; what is under way goes on."""
        self.garage.rest(resting=True)

    def quiet(self) -> bool:
        """Has everything left the till and the scooters?"""
        return self.till.idle() and self.garage.delivered()

    def close(self) -> None:
        """End the box, the devices and the broker."""
        self._stop.set()
        if self.agent is not None:
            self.agent.stop()
        self.garage.close()
        for thread in self._threads:
            thread.join()
        self.broker.stop()
        self.cable.unplug()
        self._bench_cable.unplug()

    def _run(self, work: Callable[[threading.Event], None]) -> None:
        thread = threading.Thread(target=work, args=(self._stop,), name=self.plan.dealer)
        self._threads.append(thread)
        thread.start()

    def _build(self, model: str) -> Scooter:
        self._built += 1
        # Seventeen characters without I, O and Q, as a VIN has them.
        serial = f"KS{model}{self.plan.dealer:X<6}26{self._built:05d}"
        return Scooter(serial=serial, truth=self.truth, seed=self.plan.seed, model=model)
