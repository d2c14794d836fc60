"""Out through the channel and back through the door, with the Graph stand-in between."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from flask import Flask

from firmware_sim.processes import wait_until
from firmware_sim.providers.graph import Graph as MetaStandIn
from firmware_sim.providers.handset import Person
from firmware_sim.providers.refusals import Refusal
from firmware_sim.providers.whatsapp import Limits, WhatsApp
from hub.inbox.incoming import ContactCard, Message, NumberChanged, Pin, Status, Tap, TemplateNews
from hub.integrations.whatsapp.channel import MetaChannel
from hub.integrations.whatsapp.graph import Graph, GraphSettings
from hub.integrations.whatsapp.parse import parse
from hub.integrations.whatsapp.routes import MetaDoor, WebhookSettings, webhooks
from hub.integrations.whatsapp.template_book import TemplateBook
from hub.integrations.whatsapp.template_files import template_files
from hub.integrations.whatsapp.template_shelf import TemplateShelf
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
from hub.refusals import Refusals
from shared.clock import SystemClock
from tests.fakes.served_app import served

REPS, NUMBER_ID = "6281100000002", "1122334455667"
PURPOSES = {file.purpose: [file.name] for file in template_files().values()}
OFFER = Rendered(
    text="Lead baru",
    buttons=(Button("CLAIM_led_1", "Claim"), Button("SKIP_led_1", "Lewati")),
    template=TemplateUse(
        purpose="offer",
        language="id",
        body=("E8", "Wonokromo", "3,2"),
        payloads=("CLAIM_led_1", "SKIP_led_1"),
    ),
)


@dataclass
class World:
    """Our number, Meta, and a rep."""

    meta: MetaStandIn
    rep: Person
    channel: MetaChannel
    book: TemplateBook
    bodies: list[bytes] = field(default_factory=list)

    def keep(self, _source: str, body: bytes, _headers: object, *, patient: bool = False) -> str:
        """Be the inbox."""
        del patient
        self.bodies.append(body)
        return f"inb_{len(self.bodies)}"

    def send(self, rendered: Rendered = OFFER, *, window_open: bool) -> Accepted | Failed:
        """To the rep, as the sender would."""
        return self.channel.send(
            Address(phone=self.rep.phone, bsuid=None),
            rendered,
            window_open=window_open,
            out_id="out_1",
        )

    def heard(self) -> list[object]:
        """Everything that came through the door, in the hub's words."""
        wait_until(self.meta.idle, what="webhooks", deadline_ms=10_000, step_ms=5)
        parsed = [parse(body, {NUMBER_ID: "reps"}) for body in self.bodies]
        assert [] == [problem for one in parsed for problem in one.problems]
        return [item for one in parsed for item in one.items]

    def contents(self) -> list[object]:
        """What people wrote."""
        return [item.content for item in self.heard() if isinstance(item, Message)]

    def statuses(self) -> list[Status]:
        """What became of ours."""
        return [item for item in self.heard() if isinstance(item, Status)]


@pytest.fixture
def world() -> Iterator[World]:
    """All of it, with the templates pushed and approved."""
    clock = SystemClock()
    whatsapp = WhatsApp(clock, limits=Limits())
    meta = MetaStandIn(whatsapp, clock=clock)
    meta.add_number(REPS, NUMBER_ID)
    whatsapp.start()
    meta.start()
    graph = Graph(GraphSettings(api_url=meta.url, access_token=meta.access_token))
    book = TemplateBook(PURPOSES)
    channel = MetaChannel("reps", phone_number_id=NUMBER_ID, graph=graph, templates=book)
    world = World(meta, whatsapp.add_person("6281200000002", name="Siti"), channel, book)
    app = Flask(__name__)
    shared = WebhookSettings(app_secret=meta.app_secret, verify_token="verify")
    app.register_blueprint(webhooks(MetaDoor(world, shared, Refusals())))
    with served(app) as url:
        meta.subscribe(f"{url}/webhooks/whatsapp", "verify")
        TemplateShelf(graph, meta.waba_id, book, {"offer": 300}).push()
        yield world
        meta.stop()
        whatsapp.stop()


def test_both_ways_of_a_claim_are_the_same_tap(world):
    """Template with a closed window, buttons with an open one: either tap brings the same id."""
    assert isinstance(world.send(window_open=False), Accepted)
    world.heard()
    template = world.rep.received[-1]
    world.rep.tap(template, template.option("CLAIM_"))
    world.heard()
    assert isinstance(world.send(window_open=True), Accepted)
    world.heard()
    buttons = world.rep.received[-1]
    world.rep.tap(buttons, buttons.option("CLAIM_"))

    assert ("template", "button") == (template.kind, buttons.kind)
    assert [Tap("CLAIM_led_1", "Claim")] * 2 == world.contents()
    taps = [item for item in world.heard() if isinstance(item, Message)]
    assert [template.id, buttons.id] == [tap.context_id for tap in taps]
    assert {world.rep.phone} == {tap.sender.phone for tap in taps}


def test_what_became_of_a_message_names_our_row(world):
    """Sent, delivered and read carry the outbox's own id and the vendor's."""
    accepted = world.send(window_open=False)
    statuses = world.statuses()

    assert isinstance(accepted, Accepted)
    assert {"sent", "delivered", "read"} == {status.status for status in statuses}
    assert {(accepted.provider_id, "out_1")} == {
        (status.message_id, status.ours) for status in statuses
    }


def test_a_closed_window_is_told_afterwards(world):
    """Accepted at first; the failed status has the code that asks for a template."""
    assert isinstance(world.send(window_open=True), Accepted)

    assert [("failed", 131047)] == [(one.status, one.code) for one in world.statuses()]


def test_a_closed_window_that_is_told_at_once(world):
    """Then the answer itself asks for the template."""
    world.meta.whatsapp.limits.window_refused = "at once"

    failed = world.send(window_open=True)

    assert isinstance(failed, Failed)
    assert ("template", 131047) == (failed.action, failed.code)


def test_a_template_that_meta_pauses(world):
    """The news comes through the door, and the book knows."""
    template = world.meta.templates.find(PURPOSES["offer"][0], "id")
    world.meta.templates.become(template, "PAUSED")

    news = [item for item in world.heard() if isinstance(item, TemplateNews)][-1]
    assert world.book.heard(news)
    assert isinstance(world.send(window_open=False), Failed)


@pytest.mark.parametrize(
    ("rendered", "kind"),
    [
        (Rendered(text="Halo"), "text"),
        (OFFER, "button"),
        (Rendered(text="Model?", rows=(Row("m:e8", "E8", "cepat"),), rows_button="Lihat"), "list"),
        (Rendered(text="Di mana?", asks="location"), "location_request"),
        (Rendered(text="Nomor?", asks="contact"), "contact_request"),
        (Rendered(text="", card=Card(name="Budi", phone="6281234567890")), "contacts"),
        (Rendered(text="", pin=(-7.25, 112.75, "Toko")), "location"),
    ],
)
def test_meta_takes_every_form(world, rendered, kind):
    """Each form of a message arrives as what it is."""
    world.rep.text(REPS, "Halo")
    world.heard()

    assert isinstance(world.send(rendered, window_open=True), Accepted)
    world.heard()
    assert kind == world.rep.received[-1].kind


@pytest.mark.parametrize("purpose", sorted(PURPOSES))
def test_every_template_takes_what_its_file_says(world, purpose):
    """With its parameters and taps a template of each purpose arrives."""
    file = next(file for file in template_files().values() if file.purpose == purpose)
    use = TemplateUse(
        purpose=purpose,
        language="en",
        body=file.example,
        payloads=tuple(f"{tap}_led_1" for tap in file.taps),
    )

    assert isinstance(world.send(Rendered(text="x", template=use), window_open=False), Accepted)


def test_what_people_share(world):
    """A pin, their own contact on our asking, and a number that changed."""
    world.rep.pin(REPS, -7.25, 112.75)
    world.heard()
    world.send(Rendered(text="Nomor?", asks="contact"), window_open=True)
    world.heard()
    world.rep.share_contact(world.rep.received[-1])
    world.heard()
    world.meta.whatsapp.change_number(world.rep, "6281200000009")

    assert [
        Pin(lat=-7.25, lon=112.75),
        ContactCard(("+6281200000002",), own=True),
        NumberChanged(phone="6281200000009"),
    ] == world.contents()


def test_people_without_a_number_are_answered(world):
    """Known by BSUID alone, and reached by it."""
    hidden = world.meta.whatsapp.add_person("6281200000003", bsuid="ID.1003", hides_phone=True)
    hidden.text(REPS, "Halo")
    (heard,) = [item for item in world.heard() if isinstance(item, Message)]

    result = world.channel.send(
        Address(phone=heard.sender.phone, bsuid=heard.sender.bsuid),
        Rendered(text="Halo juga"),
        window_open=True,
        out_id="out_2",
    )
    world.heard()

    assert isinstance(result, Accepted)
    assert (None, "ID.1003") == (heard.sender.phone, heard.sender.bsuid)
    assert ["Halo juga"] == [sent.text for sent in hidden.received]


def test_a_failure_after_acceptance(world):
    """Undeliverable is told by a status whose code says whom it concerns."""
    world.meta.whatsapp.fail_later(Refusal(131026))
    world.send(window_open=False)

    assert [131026] == [one.code for one in world.statuses() if one.status == "failed"]
