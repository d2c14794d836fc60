"""The hub's own sender and reader against the stand-in: two readings of Meta's pages agree."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from firmware_sim.processes import wait_until
from firmware_sim.providers.faults import Fault
from firmware_sim.providers.graph import Graph
from firmware_sim.providers.handset import Person
from firmware_sim.providers.http_server import Answer, LoopbackServer, Request
from firmware_sim.providers.refusals import Refusal
from firmware_sim.providers.whatsapp import WhatsApp
from hub.inbox.incoming import ContactCard, Item, Message, Pin, Status, Tap, TemplateNews, Text
from hub.integrations.whatsapp.channel import MetaChannel
from hub.integrations.whatsapp.graph import Graph as HubGraph
from hub.integrations.whatsapp.graph import GraphSettings
from hub.integrations.whatsapp.parse import parse
from hub.integrations.whatsapp.template_book import TemplateBook
from hub.outbox.messages import (
    Accepted,
    Address,
    Button,
    Card,
    Failed,
    Rendered,
    Row,
    TemplateUse,
)
from tests.fakes.manual_clock import ManualClock

BRAND, NUMBER_ID, REP = "6281100000001", "1122334455667", "6281200000002"
TO = Address(phone=REP, bsuid=None)
OFFER = TemplateUse(
    purpose="offer", language="id", body=("E8", "3,2 km"), payloads=("CLAIM_led_1", "SKIP_led_1")
)


@dataclass
class Meeting:
    """The hub's channel on one side, a person on the other."""

    whatsapp: WhatsApp
    graph: Graph
    channel: MetaChannel
    rep: Person
    items: list[Item]
    problems: list[str]

    def answer(self, request: Request) -> Answer:
        """The hub's webhook, without its database."""
        parsed = parse(request.body, {NUMBER_ID: "brand"})
        self.items.extend(parsed.items)
        self.problems.extend(parsed.problems)
        return Answer(200)

    def send(self, rendered: Rendered, *, window_open: bool = True) -> Accepted | Failed:
        """As the outbox does."""
        return self.channel.send(TO, rendered, window_open=window_open, out_id="out_1")

    def heard(self) -> list[Item]:
        """Everything told until now, in the hub's words."""
        wait_until(self.graph.idle, what="webhooks", deadline_ms=10_000, step_ms=5)
        assert self.problems == []
        return self.items

    def contents(self) -> list[object]:
        """Of the messages."""
        return [item.content for item in self.heard() if isinstance(item, Message)]


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    """An open window, and one approved template."""
    clock = ManualClock()
    whatsapp = WhatsApp(clock)
    graph = Graph(whatsapp, clock=clock)
    graph.add_number(BRAND, NUMBER_ID)
    graph.templates.approved(
        "lead_offer_v1", "id", "Minat {{1}}, {{2}}.", quick_replies=("Claim", "Lewati")
    )
    channel = MetaChannel(
        "brand",
        phone_number_id=NUMBER_ID,
        graph=HubGraph(GraphSettings(access_token=graph.access_token, api_url=graph.url)),
        templates=TemplateBook({"offer": ("lead_offer_v0", "lead_offer_v1")}),
    )
    made = Meeting(whatsapp, graph, channel, whatsapp.add_person(REP, bsuid="ID.1002"), [], [])
    door = LoopbackServer(made.answer)
    whatsapp.start()
    graph.start()
    door.start()
    graph.post_to(door.url)
    made.rep.text(BRAND, "Siap")
    try:
        yield made
    finally:
        graph.stop()
        whatsapp.stop()
        door.stop()


@pytest.mark.parametrize(
    ("rendered", "kind"),
    [
        (Rendered(text="❌ Too Slow."), "text"),
        (
            Rendered(text="?", buttons=(Button("CLAIM_1", "C" * 30), Button("SKIP_1", "S"))),
            "button",
        ),
        (Rendered(text="?", rows=(Row("m:e8", "E8", "x" * 90),), rows_button="Pilih"), "list"),
        (Rendered(text="Di mana?", asks="location"), "location_request"),
        (Rendered(text="Nomor?", asks="contact"), "contact_request"),
        (Rendered(text="", card=Card(name="B", phone="6281200000009")), "contacts"),
        (Rendered(text="", pin=(-7.25, 112.75, "Dealer")), "location"),
    ],
)
def test_whatever_the_hub_sends_is_taken(meeting, rendered, kind):
    """Every form of a message passes the strict reader and arrives."""
    assert isinstance(meeting.send(rendered), Accepted)

    meeting.heard()
    assert [sent.kind for sent in meeting.rep.received] == [kind]


def test_a_closed_window_is_told_later_and_the_template_gets_through(meeting):
    """The first template is not there, the second is taken; its tap has the hub's payload."""
    result = meeting.send(Rendered(text="Lead baru", template=OFFER), window_open=False)
    assert isinstance(result, Accepted)
    meeting.heard()
    [offer] = meeting.rep.received
    assert [option.id for option in offer.options] == ["CLAIM_led_1", "SKIP_led_1"]

    meeting.rep.tap(offer, offer.options[0])

    assert meeting.contents() == [Text("Siap"), Tap("CLAIM_led_1", "Claim")]
    statuses = [item for item in meeting.items if isinstance(item, Status)]
    assert [(each.status, each.ours) for each in statuses] == [
        ("sent", "out_1"),
        ("delivered", "out_1"),
        ("read", "out_1"),
    ]


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        (Fault(code=131056), "pair"),
        (Fault(code=130429), "slow"),
        (Fault(code=131047), "template"),
        (Fault(code=131026), "unreachable"),
        (Fault(code=131009), "permanent"),
        (Fault(code=131031), "stop"),
        (Fault(code=190), "stop"),
        (Fault(code=131016), "retry"),
        (Fault(how="hang_up"), "unknown"),
        (Fault(how="hang_up", when="after"), "unknown"),
    ],
)
def test_what_goes_wrong_has_its_action(meeting, fault, action):
    """The hub reads each refusal and each silence as the outbox needs it."""
    meeting.graph.faults.next(fault)

    result = meeting.send(Rendered(text="Halo"))

    assert isinstance(result, Failed)
    assert result.action == action


def test_the_hub_reads_whatever_people_send(meeting):
    """Taps, pins, contacts, a changed number, news of a template, failures: no problem in any."""
    rep, whatsapp = meeting.rep, meeting.whatsapp
    meeting.send(Rendered(text="?", rows=(Row("m:e8", "E8"),), rows_button="Pilih"))
    meeting.heard()
    rep.tap(rep.received[0], rep.received[0].options[0])
    rep.pin(BRAND, -7.25, 112.75)
    rep.share_contact(rep.received[0])
    whatsapp.fail_later(Refusal(131026))
    meeting.send(Rendered(text="Halo"))
    template = meeting.graph.templates.find("lead_offer_v1", "id")
    meeting.graph.templates.become(template, "PAUSED")
    whatsapp.change_number(rep, "6281200000003")

    said = meeting.contents()

    assert said[1:4] == [
        Tap("m:e8", "E8"),
        Pin(lat=-7.25, lon=112.75),
        ContactCard((f"+{REP}",), own=True),
    ]
    assert [item.code for item in meeting.items if isinstance(item, Status)][-1] == 131026
    assert [item.event for item in meeting.items if isinstance(item, TemplateNews)] == ["PAUSED"]
    assert len(said) == 5
