"""A Qontak on this machine, and the hub's channel into it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from firmware_sim.processes import wait_until
from firmware_sim.providers.handset import Person
from firmware_sim.providers.http_server import Answer, LoopbackServer, Request
from firmware_sim.providers.qontak import Qontak
from firmware_sim.providers.whatsapp import WhatsApp
from hub.inbox.incoming import Item, Message
from hub.integrations.qontak.api import QontakApi
from hub.integrations.qontak.channel import BroadcastPace, QontakChannel
from hub.integrations.qontak.credentials import QontakSettings
from hub.integrations.qontak.parse import parse
from hub.integrations.qontak.rooms import Rooms
from hub.integrations.qontak.template_ids import TemplateIds
from hub.outbox.messages import Accepted, Address, Failed, Rendered
from hub.store import Database
from tests.fakes.manual_clock import ManualClock

BRAND, CUSTOMER = "6281100000001", "6281200000001"


@dataclass
class Meeting:
    """The hub's channel on one side, a customer on the other."""

    clock: ManualClock
    whatsapp: WhatsApp
    qontak: Qontak
    integration: str
    rooms: Rooms
    database: Database
    customer: Person
    api: QontakApi
    channel: QontakChannel
    items: list[Item] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        """The hub's webhook, without its inbox."""
        numbers = {self.integration: "brand"}
        parsed = parse(request.body, numbers)
        now_ms = self.clock.wall_ms()
        self.database.write(
            lambda connection: self.rooms.heard(connection, request.body, numbers, now_ms)
        )
        self.items.extend(parsed.items)
        self.problems.extend(parsed.problems)
        return Answer(200)

    def settled(self) -> list[Item]:
        """What the hub has been told so far."""
        wait_until(self.qontak.idle, what="webhooks", deadline_ms=10_000, step_ms=5)
        return self.items

    def messages(self) -> list[Message]:
        """Of people."""
        return [item for item in self.settled() if isinstance(item, Message)]

    def writes(self, text: str = "Halo") -> None:
        """The customer opens the window."""
        self.whatsapp.write(self.customer, BRAND, {"type": "text", "text": {"body": text}})
        self.settled()

    def send(
        self, rendered: Rendered, *, window_open: bool = True, out_id: str = "out_1"
    ) -> Accepted | Failed:
        """As the outbox does."""
        to = Address(phone=CUSTOMER, bsuid=None)
        return self.channel.send(to, rendered, window_open=window_open, out_id=out_id)


@pytest.fixture(params=["hmac", "oauth"])
def auth(request: pytest.FixtureRequest) -> str:
    """Each way of being known."""
    found: str = request.param
    return found


@pytest.fixture
def meeting(sqlite_url, auth) -> Iterator[Meeting]:
    """All of it, running."""
    clock = ManualClock()
    whatsapp = WhatsApp(clock)
    qontak = Qontak(whatsapp, clock=clock)
    integration = qontak.add_channel(BRAND)
    for language in ("id", "en"):
        qontak.templates.approved("lead_offer_v1", language, "Minat {{1}}, {{2}} jauhnya.")
    database = Database(sqlite_url)
    settings = QontakSettings(
        client_id=qontak.client_id,
        client_secret=qontak.client_secret,
        auth=auth,
        username="hub",
        password="open",
        api_url=qontak.url,
        crm_sso_id="7",
        answer_timeout_ms=2_000,
    )
    api = QontakApi(settings, clock)
    rooms = Rooms(database, clock, hash_key=b"key")
    channel = QontakChannel(
        "brand",
        integration=integration,
        api=api,
        rooms=rooms,
        templates=TemplateIds(api, clock, {"offer": ("lead_offer_v1",)}),
        pace=BroadcastPace(clock),
    )
    customer = whatsapp.add_person(CUSTOMER, name="Budi 🛵", bsuid="ID.1001")
    made = Meeting(
        clock=clock,
        whatsapp=whatsapp,
        qontak=qontak,
        integration=integration,
        rooms=rooms,
        database=database,
        customer=customer,
        api=api,
        channel=channel,
    )
    door = LoopbackServer(made.answer)
    whatsapp.start()
    qontak.start()
    door.start()
    qontak.post_to(door.url)
    try:
        yield made
    finally:
        qontak.stop()
        whatsapp.stop()
        door.stop()
        database.close()
