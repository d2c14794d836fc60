"""A seeded simulation of leads: customers, reps, a vendor, and everything that goes wrong.

One thread, a clock of its own, the real hub of leads over a real SQLite file. Simulated: the disk's
commits, the vendor and its webhooks, the people. A seed is one course of events; in every other
one customers write by Qontak, whose two roads tell each message twice.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from firmware_sim.chaos.clocks import MachineClock, TrueTime
from firmware_sim.chaos.disk import Cut, Disk, PowerCut
from firmware_sim.chaos.leads_checks import violations
from firmware_sim.chaos.leads_people import INTEGRATION, Network, Party, Vendor
from firmware_sim.fresh_database import put_migrated
from hub.config import HubConfig, parse_config
from hub.jobs import Worker
from hub.keys import create_keys
from hub.wiring import Hub, open_hub

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
START_MS: Final = 1_795_000_000_000
STEPS: Final = 110
CUSTOMERS: Final = 2
DEALERS: Final = ("SBY01", "SBY02")
REPS: Final = 4
CUT_SHARE: Final = 0.02
DRAIN_MAX: Final = 400
ROUND_OVER_MS: Final = 400_000
"""Longer than a round's claim time: whoever waits for it has waited."""
SETTINGS: Final = """
[server]
public_url = "http://hub.example"
keys_dir = "{folder}/keys"
database = "sqlite:///{folder}/hub.db"
"""
ONE_NUMBER: Final = """
[[numbers]]
name = "brand"
channel = "meta"
serves = "both"
phone = "628110000000"
phone_number_id = "1"
"""
TWO_NUMBERS: Final = f"""
[qontak]
client_id = "simulated"
client_secret_file = "{{folder}}/word"
webhook_secret_file = "{{folder}}/word"
[[numbers]]
name = "brand"
channel = "qontak"
serves = "customers"
phone = "628110000000"
channel_integration_id = "{INTEGRATION}"
[[numbers]]
name = "direct"
channel = "meta"
serves = "reps"
phone = "628110000001"
phone_number_id = "1"
"""
"""The reference set-up: customers write to Qontak, reps to Meta."""
Prepare = Callable[[Hub], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadsOutcome:
    """What became of a seed."""

    seed: int
    leads: int
    claimed: int
    cuts: int
    doubled: int
    """Messages that a person got more than once, because the vendor's answer was lost."""
    erased: int
    violations: tuple[str, ...]


class LeadsWorld:
    """Everybody of one seed."""

    def __init__(self, seed: int, folder: Path, prepare: Prepare) -> None:
        """A hub with two dealers that never close, and the people; nobody has spoken."""
        self._random = Random(seed)
        self._true = TrueTime(START_MS)
        self._clock = MachineClock(self._true, "hub")
        self._disk = Disk(self._decide)
        self._prepare = prepare
        self._faulty = False
        self.cuts = 0
        by_qontak = bool(seed % 2)
        (folder / "word").write_text("simulated", encoding="ascii")
        settings = SETTINGS + (TWO_NUMBERS if by_qontak else ONE_NUMBER)
        self._config: HubConfig = parse_config(settings.format(folder=folder))
        create_keys(folder / "keys")
        put_migrated(folder / "hub.db")
        self.network = Network(self._random, self._true, by_qontak=by_qontak)
        self.vendor = Vendor(self._random, self.network, folder / "hub.db")
        self.hub: Hub
        self._boot()
        self._open_market()
        self.reps = [
            Party(f"62812000000{number}", rep=True, erases=False) for number in range(REPS)
        ]
        self.customers = [
            Party(f"62813000000{number}", rep=False, erases=number == 0 and seed % 3 == 0)
            for number in range(CUSTOMERS)
        ]
        self.network.reps = {party.phone for party in self.reps}
        self.vendor.people = {party.phone: party for party in (*self.reps, *self.customers)}

    def _decide(self) -> Cut | None:
        if not self._faulty or self._random.random() >= CUT_SHARE:
            return None
        return self._random.choice(("before", "after"))

    def _boot(self) -> None:
        self.hub = open_hub(
            self._config,
            clock=self._clock,
            threaded=False,
            connection_factory=self._disk.open_hub,
        )
        self.vendor.serve(self.hub.leads.sender)
        self._prepare(self.hub)
        self._worker = Worker(self.hub.database, self.hub.ledger, sequences=True)

    def _reboot(self) -> None:
        self.cuts += 1
        self.hub.leads.sender.close()
        self._disk.pull()
        self._clock.reboot()
        self._boot()

    def _open_market(self) -> None:
        dealers = "".join(
            f"{code},{code},JATIM,{-7.25 - 0.01 * turn},112.75,WIB,Mon-Sun 00:00-24:00,yes\n"
            for turn, code in enumerate(DEALERS)
        )
        people = "".join(
            f"per_{n},Rep{n} Wijaya,rep,{DEALERS[n % 2]},+62812000000{n},2026-01-01\n"
            for n in range(REPS)
        )
        registry = self.hub.registry
        for book, content in (
            (registry.regions, "code,name,timezone\nJATIM,Jawa Timur,WIB\n"),
            (
                registry.dealers,
                "code,name,region,lat,lon,timezone,hours,authorised\n" + dealers,
            ),
            (registry.models, "code,name,has_telemetry\nE8,E8,yes\n"),
            (registry.people, "id,name,role,dealers,phone,wa_opt_in_at\n" + people),
        ):
            answer = book.import_file(content.encode())
            if answer.refused:
                raise AssertionError(answer.refused)

    # --- time ---

    def run(self) -> None:
        """Bad days, then good ones until nobody waits for anything."""
        for rep in self.reps:
            self.network.says(rep, "siap")
        self._drain()
        self._faulty = self.vendor.faulty = self.network.faulty = True
        for customer in self.customers:
            self.network.says(customer, "Halo, mau beli E8")
        for _ in range(STEPS):
            self._survive(self._random.choice(self._acts()))
            self._true.pass_ms(self._random.choice((1, 40, 900, 4_000)))
        self._faulty = self.vendor.faulty = self.network.faulty = False
        for _ in range(3):
            self._drain()
            self._true.pass_ms(ROUND_OVER_MS)
        self._drain()

    def _acts(self) -> Sequence[Callable[[], object]]:
        leads = self.hub.leads
        return (
            self._deliver,
            self._deliver,
            self._deliver,
            leads.step,
            leads.step,
            leads.sender.step,
            leads.sender.step,
            self._worker.step,
            leads.forget,
        )

    def _deliver(self) -> None:
        self.network.deliver(self.hub.leads.inbox)

    def _survive(self, act: Callable[[], object]) -> None:
        try:
            act()
        except PowerCut:
            self._reboot()

    def _drain(self) -> None:
        for _ in range(DRAIN_MAX):
            self._deliver()
            leads = self.hub.leads
            if not (leads.step() + leads.sender.step()) and not self.network.waiting:
                self._worker.step()
                leads.forget()
                if leads.idle():
                    return
            self._true.pass_ms(700)

    def outcome(self, seed: int) -> LeadsOutcome:
        """What the tables, the vendor and the people say, held against each other."""
        found = violations(self.hub, self.vendor, self.network, self.customers)
        counts = Counter(self.vendor.arrivals.values())
        return LeadsOutcome(
            seed=seed,
            leads=found.leads,
            claimed=found.claimed,
            cuts=self.cuts,
            doubled=sum(count for times, count in counts.items() if times > 1),
            erased=found.erased,
            violations=tuple(found.broken),
        )

    def close(self) -> None:
        """Let go of the files."""
        self.hub.leads.sender.close()
        self._disk.pull()


def run_leads_seed(seed: int, prepare: Prepare = lambda _hub: None) -> LeadsOutcome:
    """One course of events, checked. `prepare` may plant a bug into every hub that is opened."""
    # What the disk loses is simulated: memory will do where there is a file system in it.
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = LeadsWorld(seed, Path(folder), prepare)
        try:
            world.run()
            return world.outcome(seed)
        finally:
            world.close()
