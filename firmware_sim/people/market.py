"""Leads for a simulated network: the vendors, the reps, the customers, and what the hub must know.

Used in this order: `settings` go into hub.toml, `commands` are run, and when the hub serves,
`open` lets the webhooks flow and the reps come on duty. Then `lead` as often as wanted.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firmware_sim.people.contest import Contest, Tell, silent
from firmware_sim.people.crowd import Crowd, CrowdPlan, write_models
from firmware_sim.people.customer import Customer, Temper
from firmware_sim.people.rep import Habits
from firmware_sim.places import Place
from firmware_sim.providers.courier import Manner
from firmware_sim.providers.graph import Graph
from firmware_sim.providers.qontak import Qontak
from firmware_sim.providers.whatsapp import Limits, WhatsApp
from hub.integrations.whatsapp.template_files import template_files
from shared.clock import Clock

BRAND, SECOND = "6281100000001", "6281100000002"
SECOND_ID = "1122334455667"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPlan:
    """Who is there, and by which road they write."""

    network: Sequence[Place]
    reps_per_dealer: int = 3
    customers_by: Literal["meta", "qontak"] = "qontak"
    """qontak: the brand's number there, a second number at Meta for reps. meta: one for both."""
    seed: int = 1
    habits: Habits | None = None
    claim_s: int = 300
    contact_s: int = 1_800
    confirm_contact_s: int = 1_800
    messaging_limit: int | None = 250
    webhooks_at_once: int = 1
    """Meta's: with more than one they overtake each other, as in life."""


class Market:
    """Everybody who only sees WhatsApp, and WhatsApp."""

    def __init__(
        self, plan: MarketPlan, *, folder: Path, clock: Clock, tell: Tell = silent
    ) -> None:
        """Writes secrets and lists below `folder`, which must exist. Starts nothing."""
        self.plan, self._folder = plan, folder
        self._words = {
            name: secrets.token_urlsafe(24)
            for name in ("app_secret", "verify_token", "access_token", "client", "webhook")
        }
        for name, word in self._words.items():
            path = folder / f"{name}.secret"
            path.touch(mode=0o600)
            path.write_text(word, encoding="ascii")
        self.whatsapp = WhatsApp(clock, limits=Limits(messaging_limit=plan.messaging_limit))
        self.graph = Graph(
            self.whatsapp,
            clock=clock,
            access_token=self._words["access_token"],
            app_secret=self._words["app_secret"],
        )
        self.graph.add_number(SECOND, SECOND_ID)
        for file in template_files().values():
            self.graph.templates.submit(file.submission(plan.claim_s))
        self.qontak: Qontak | None = None
        if plan.customers_by == "qontak":
            self.qontak = Qontak(self.whatsapp, clock=clock, client_secret=self._words["client"])
        self.contest = Contest(tell, hold_ms=plan.contact_s * 1_000)
        crowd = CrowdPlan(
            network=plan.network,
            reps_per_dealer=plan.reps_per_dealer,
            customers_number=SECOND if self.qontak is None else BRAND,
            reps_number=SECOND,
            seed=plan.seed,
            habits=plan.habits,
        )
        self.crowd = Crowd(crowd, whatsapp=self.whatsapp, contest=self.contest, clock=clock)

    def settings(self) -> str:
        """What hub.toml says about vendors, numbers and times."""
        serves = "both" if self.qontak is None else "reps"
        parts = [] if self.qontak is None else [self._qontak_settings(self.qontak)]
        return "\n".join(
            [
                *parts,
                f"""\
[[numbers]]
name = "direct"
channel = "meta"
serves = "{serves}"
phone = "{SECOND}"
phone_number_id = "{SECOND_ID}"

[whatsapp]
api_url = "{self.graph.url}"
waba_id = "{self.graph.waba_id}"
app_secret_file = "{self._folder / "app_secret.secret"}"
verify_token_file = "{self._folder / "verify_token.secret"}"
access_token_file = "{self._folder / "access_token.secret"}"

[templates]
checkin = []  # a run must not depend on whether it is morning in Indonesia

[leads]
claim_s = {self.plan.claim_s}
contact_s = {self.plan.contact_s}
confirm_contact_s = {self.plan.confirm_contact_s}
""",
            ]
        )

    def _qontak_settings(self, qontak: Qontak) -> str:
        return f"""\
[[numbers]]
name = "brand"
channel = "qontak"
serves = "customers"
phone = "{BRAND}"
channel_integration_id = "{qontak.add_channel(BRAND)}"

[qontak]
api_url = "{qontak.url}"
client_id = "{qontak.client_id}"
client_secret_file = "{self._folder / "client.secret"}"
webhook_secret_file = "{self._folder / "webhook.secret"}"
"""

    def commands(self) -> list[list[str]]:
        """Imports of `kickstand-hub`, to be run after the dealers are there."""
        people, models = self._folder / "people.csv", self._folder / "models.csv"
        self.crowd.write_people(people)
        write_models(models)
        return [["model", "import", str(models)], ["person", "import", str(people)]]

    def start(self) -> None:
        """The vendors answer. Before the hub starts, which may ask them at once."""
        self.whatsapp.start()
        self.graph.start()
        if self.qontak is not None:
            self.qontak.start()

    def open(self, hub_url: str) -> list[Manner]:
        """Webhooks flow to a hub that serves; the reps come on duty. Raises NotReady.

        Returns how the webhooks are delivered, to be spoilt at will.
        """
        manners = [
            self.graph.subscribe(
                f"{hub_url}/webhooks/whatsapp",
                self._words["verify_token"],
                workers=self.plan.webhooks_at_once,
            )
        ]
        if self.qontak is not None:
            manners.append(
                self.qontak.post_to(f"{hub_url}/webhooks/qontak/{self._words['webhook']}")
            )
        self.crowd.come_on_duty()
        return manners

    def lead(self, temper: Temper | None = None, *, near: str | None = None) -> Customer:
        """Somebody begins to write, `near` the dealer of this code."""
        place = next((each for each in self.plan.network if each.code == near), None)
        customer = self.crowd.customer(temper, near=place)
        customer.begin()
        return customer

    def idle(self) -> bool:
        """Is every webhook taken, and nobody about to write?"""
        return self.graph.idle() and (self.qontak is None or self.qontak.idle())

    def quiet(self) -> bool:
        """Is every lead claimed, and every tap answered?"""
        contest = self.contest
        return self.idle() and contest.claimed() >= contest.leads() and not contest.untold()

    def close(self) -> None:
        """No more answers, no more webhooks."""
        self.graph.stop()
        if self.qontak is not None:
            self.qontak.stop()
        self.whatsapp.stop()
