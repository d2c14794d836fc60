"""Reps race over real HTTP: webhooks in, the decision, messages out, whatever the vendor does."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask

from firmware_sim.people.contest import Contest
from firmware_sim.people.crowd import Crowd, CrowdPlan
from firmware_sim.people.rep import Habits
from firmware_sim.places import places
from firmware_sim.processes import wait_until
from firmware_sim.providers.graph import Graph
from firmware_sim.providers.whatsapp import Limits, WhatsApp
from hub.config import LeadsConfig
from hub.inbox.incoming import Message, Status, Tap
from hub.inbox.service import Inbox, InboxRow, Outcome, first_time
from hub.integrations.whatsapp.channel import MetaChannel
from hub.integrations.whatsapp.graph import Graph as HubGraph
from hub.integrations.whatsapp.graph import GraphSettings
from hub.integrations.whatsapp.parse import parse
from hub.integrations.whatsapp.routes import MetaDoor, WebhookSettings, webhooks
from hub.integrations.whatsapp.template_book import TemplateBook
from hub.leads import store
from hub.leads.desk import Desk
from hub.leads.needs import Rep
from hub.leads.renderer import LeadRenderer
from hub.leads.service import Beginning, Leads
from hub.ledger.service import Ledger
from hub.outbox.messages import Address, Withhold
from hub.outbox.rules import Limits as Pair
from hub.outbox.sender import Sender
from hub.outbox.service import Outbox
from hub.refusals import Refusals
from hub.store import Database
from shared.clock import SystemClock
from tests.fakes.lead_market import Bells, Book, Town, Unasked, Units, a_dealer
from tests.fakes.served_app import served_as_in_life

NUMBER, NUMBER_ID, VERIFY = "6281100000002", "1122334455667", "verify"
LEADS = 5
WAIT_MS = 60_000
PAIR_MS, PAIR_BURST, PER_SECOND = 60, 10, 1_000
"""A hundred times faster than in life, on both ends."""
EASTWARD_KM = (0.0, 1.0, 2.0)


class Addresses:
    """Reps by the number in their id."""

    def address(self, _connection, to):
        """Customers are not written to here."""
        if not to.startswith("per_"):
            return Withhold("no customers here")
        return Address(phone=to.removeprefix("per_"), bsuid=None)


@dataclass
class Wire:
    """A hub of leads between two HTTP servers, and the reps."""

    database: Database
    inbox: Inbox
    outbox: Outbox
    leads: Leads
    sender: Sender
    graph: Graph
    crowd: Crowd
    contest: Contest

    def handle(self, connection, row: InboxRow) -> Outcome:
        """What the hub's worker does with a delivery, as far as reps are concerned."""
        for item in parse(row.body, {NUMBER_ID: "direct"}).items:
            if isinstance(item, Status):
                self.outbox.on_status(connection, item)
            elif isinstance(item, Message) and first_time(
                connection, item.id, now_ms=row.received_ms
            ):
                party = f"per_{item.sender.phone}"
                self.outbox.opened(connection, "direct", party, row.received_ms)
                if isinstance(item.content, Tap):
                    self.leads.tap(connection, party, item.content, message=item, row=row)
        return Outcome("done")

    def work(self, stop: threading.Event) -> None:
        """Inbox, then timers, until `stop`."""
        woken = threading.Event()
        self.inbox.listeners.append(woken.set)
        while not stop.is_set():
            woken.clear()
            while self.inbox.step(self.handle):
                pass
            self.leads.step(SystemClock().wall_ms())
            woken.wait(0.05)

    def begin(self, number: int) -> str:
        """A customer's lead, wherever it came from."""

        def work(connection) -> str:
            now = SystemClock().wall_ms()
            start = Beginning(contact=f"cus_{number}", source="form", consent_version="2026-11")
            lead = self.leads.begin(connection, start, now)
            store.change(connection, lead.id, lat_udeg=-7_257_500, lon_udeg=112_752_100)
            known = store.lock(connection, lead.id)
            assert known is not None
            self.leads.qualify(connection, known, now)
            return lead.id

        lead: str = self.database.write(work)
        return lead

    def settled(self) -> bool:
        """Every lead won, every tapper answered, nothing on its way; or all is lost already."""
        return bool(self.contest.double_winners()) or (
            self.contest.claimed() >= LEADS
            and not self.contest.untold()
            and self.graph.idle()
            and self.inbox.idle()
        )

    def winner(self, lead: str) -> str | None:
        """Whom the hub's tables name."""
        with self.database.read() as connection:
            known = store.get(connection, lead)
        return None if known is None or known.rep is None else known.rep.removeprefix("per_")


def a_town(crowd: Crowd) -> Town:
    """Three dealers near Surabaya, with the crowd's reps in turn."""
    town = Town()
    for place, km in zip(("A", "B", "C"), EASTWARD_KM, strict=True):
        town.add(a_dealer(place, km))
    for turn, rep in enumerate(crowd.reps):
        code = "ABC"[turn % 3]
        known = Rep(
            id=f"per_{rep.person.phone}", name=rep.person.name, language="id", dealers=(code,)
        )
        town.people[known.id] = known
    return town


def a_hub_of_leads(database, clock, crowd: Crowd, graph: Graph, contest: Contest) -> Wire:
    """The parts as a hub wires them; nothing runs."""
    town, book = a_town(crowd), Book()
    inbox, outbox = Inbox(database, clock), Outbox(database, clock)
    desk = Desk(
        directory=town,
        outbox=outbox,
        alerts=Bells(),
        facts=Ledger,
        customers=book,
        settings=LeadsConfig(),
        clock=clock,
    )
    leads = Leads(database, desk, Units())
    outbox.on_change.append(leads.offer_status)
    api = HubGraph(GraphSettings(access_token=graph.access_token, api_url=graph.url))
    channel = MetaChannel(
        "direct", phone_number_id=NUMBER_ID, graph=api, templates=TemplateBook({})
    )
    sender = Sender(
        outbox,
        {"direct": channel},
        number_for=lambda role: "direct" if role == "reps" else None,
        renderer=LeadRenderer(town, book, Unasked(), claim_s=300, contact_s=1800),
        addresses=Addresses(),
        limits={"direct": Pair(pair_ms=PAIR_MS, pair_burst=PAIR_BURST, per_second=PER_SECOND)},
    )
    return Wire(database, inbox, outbox, leads, sender, graph, crowd, contest)


@pytest.fixture
def wire(database) -> Iterator[Wire]:
    """Six reps of three dealers, on duty."""
    clock = SystemClock()
    whatsapp = WhatsApp(
        clock, limits=Limits(pair_ms=PAIR_MS, pair_burst=PAIR_BURST, per_second=PER_SECOND)
    )
    graph = Graph(whatsapp, clock=clock)
    graph.add_number(NUMBER, NUMBER_ID)
    contest = Contest()
    plan = CrowdPlan(
        network=places(1),
        reps_per_dealer=6,
        customers_number=NUMBER,
        reps_number=NUMBER,
        habits=Habits(reaction_ms=(50, 400), follow_up_ms=(50, 400), taps_twice=0.3),
    )
    crowd = Crowd(plan, whatsapp=whatsapp, contest=contest, clock=clock)
    made = a_hub_of_leads(database, clock, crowd, graph, contest)
    app = Flask("hub")
    settings = WebhookSettings(app_secret=graph.app_secret, verify_token=VERIFY)
    app.register_blueprint(webhooks(MetaDoor(made.inbox, settings, Refusals())))
    stop = threading.Event()
    worker = threading.Thread(target=made.work, args=(stop,))
    with served_as_in_life(app) as url:
        whatsapp.start()
        graph.start()
        worker.start()
        made.sender.start()
        graph.subscribe(f"{url}/webhooks/whatsapp", VERIFY, workers=4)
        crowd.come_on_duty()
        wait_until(lambda: graph.idle() and made.inbox.idle(), what="on duty", deadline_ms=WAIT_MS)
        try:
            yield made
        finally:
            made.sender.stop()
            stop.set()
            worker.join()
            whatsapp.stop()
            graph.stop()


def check(wire: Wire, leads: list[str]) -> None:
    """What the reps saw and what the tables say is one story."""
    assert wire.contest.double_winners() == []
    races = {race.lead: race for race in wire.contest.races()}
    assert races.keys() == set(leads)
    for lead in leads:
        assert {card.rep for card in races[lead].cards} == {wire.winner(lead)}


def test_every_lead_has_one_winner_and_every_tapper_is_told(wire):
    """A calm vendor: six reps tap each lead within half a second, some of them twice."""
    leads = [wire.begin(number) for number in range(LEADS)]
    wait_until(wire.settled, what="all decided", deadline_ms=WAIT_MS)

    check(wire, leads)
    assert wire.graph.whatsapp.refused[131056] == 0


def test_a_vendor_that_repeats_shuffles_and_loses_answers_changes_nothing(wire):
    """Each webhook twice and in any order, one request in twenty fails before or after."""
    manner = wire.graph.courier.manner
    manner.times, manner.shuffled, manner.batch_max = 2, True, 3
    wire.graph.faults.by_chance(0.05)

    leads = [wire.begin(number) for number in range(LEADS)]
    wait_until(wire.settled, what="all decided", deadline_ms=WAIT_MS)

    check(wire, leads)
    assert wire.graph.faults.happened
