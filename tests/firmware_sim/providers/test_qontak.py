"""The Qontak stand-in hides what the real one hides: ids of taps, refusals, whose message it is."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import orjson
import pytest
import requests

from firmware_sim.processes import wait_until
from firmware_sim.providers.faults import Fault
from firmware_sim.providers.handset import Person
from firmware_sim.providers.http_server import Answer, LoopbackServer, Request
from firmware_sim.providers.qontak import Qontak
from firmware_sim.providers.qontak_auth import digest, signature
from firmware_sim.providers.whatsapp import DAY_MS, WhatsApp
from tests.fakes.manual_clock import ManualClock

BRAND, CUSTOMER, REP = "6281100000001", "6281200000001", "6281200000002"
CHAT = "/qontak/chat/v1"


@dataclass
class World:
    """A hub that keeps what it is told, Qontak, and two people."""

    clock: ManualClock
    whatsapp: WhatsApp
    qontak: Qontak
    channel: str
    customer: Person
    rep: Person
    events: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        """A webhook."""
        self.events.append(orjson.loads(request.body))
        return Answer(200)

    def ask(self, method: str, path: str, body: object = None, **headers: str):
        """A signed request, computed here with the standard library alone."""
        data = b"" if body is None else orjson.dumps(body)
        date = formatdate(self.clock.wall_ms() / 1000, usegmt=True)
        text = f"date: {date}\n{method} {path} HTTP/1.1".encode()
        secret = self.qontak.client_secret.encode()
        signed = base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode()
        told = {
            "Date": date,
            "Authorization": f'hmac username="{self.qontak.client_id}", '
            f'algorithm="hmac-sha256", headers="date request-line", signature="{signed}"',
            "Digest": "SHA-256=" + base64.b64encode(hashlib.sha256(data).digest()).decode(),
            **headers,
        }
        return requests.request(method, self.qontak.url + path, data=data, headers=told, timeout=10)

    def settled(self) -> list[dict[str, Any]]:
        """Everything told so far."""
        wait_until(self.qontak.idle, what="webhooks", deadline_ms=10_000, step_ms=5)
        return self.events

    def room(self, person: Person) -> str:
        """Of this person, who has written."""
        self.settled()
        return self.qontak.room_of(BRAND, person).id

    def broadcast(self, to: str = REP, **change: Any):
        """The template offer."""
        body = {
            "to_name": "Rep",
            "to_number": to,
            "message_template_id": self.qontak.template_id("lead_offer_v1", "id"),
            "channel_integration_id": self.channel,
            "language": {"code": "id"},
            "parameters": {"body": [{"key": "1", "value": "model", "value_text": "E8"}]},
            **change,
        }
        return self.ask("POST", f"{CHAT}/broadcasts/whatsapp/direct", body)


@pytest.fixture
def world() -> Iterator[World]:
    """All of it, running."""
    clock = ManualClock()
    whatsapp = WhatsApp(clock)
    qontak = Qontak(whatsapp, clock=clock)
    made = World(
        clock,
        whatsapp,
        qontak,
        qontak.add_channel(BRAND),
        whatsapp.add_person(CUSTOMER, name="🛵", bsuid="ID.1001"),
        whatsapp.add_person(REP),
    )
    qontak.templates.approved(
        "lead_offer_v1", "id", "Minat {{1}} baru.", quick_replies=("Claim", "Lewati")
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


def test_the_published_vectors_of_the_signature_hold():
    """Mekari's example of a signature and of a digest."""
    assert (
        signature(
            "YOUR_MEKARI_API_CLIENT_SECRET",
            date="Wed, 10 Nov 2021 07:24:29 GMT",
            method="POST",
            target="/v2/klikpajak/v1/efaktur/out?auto_approval=false",
        )
        == "6+Ah/UTmbqd+DDqlh6zYZ0HuCwVhtElYDOoucRPCaFg="
    )
    assert digest(b'{"hello": "world"}') == "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="


def test_only_a_fresh_signed_request_is_let_in(world):
    """Another secret, an old date or another body is 401; so is a token nobody gave."""
    assert world.ask("GET", f"{CHAT}/integrations").status_code == 200

    old = formatdate(world.clock.wall_ms() / 1000 - 301, usegmt=True)
    assert world.ask("GET", f"{CHAT}/integrations", Date=old).status_code == 401
    assert world.ask("POST", f"{CHAT}/rooms", {}, Digest="SHA-256=x").status_code == 401
    for given in ("Bearer x", ""):
        answer = world.ask("GET", f"{CHAT}/integrations", Authorization=given)
        assert answer.json()["error"]["code"] == 401


def test_the_older_address_takes_a_token(world):
    """Password grant, then the token, which ends after an hour and can be refreshed."""
    app = {"client_id": world.qontak.client_id, "client_secret": world.qontak.client_secret}
    address = f"{world.qontak.url}/api/open/v1"
    granted = requests.post(
        f"{address}/oauth/token",
        json={**app, "username": "u", "password": "p", "grant_type": "password"},
        timeout=10,
    ).json()
    headers = {"Authorization": f"Bearer {granted['access_token']}"}
    assert requests.get(f"{address}/rooms", headers=headers, timeout=10).status_code == 200
    world.clock.advance(3_600_000)
    assert requests.get(f"{address}/rooms", headers=headers, timeout=10).status_code == 401

    again = requests.post(
        f"{address}/oauth/token",
        json={**app, "grant_type": "refresh_token", "refresh_token": granted["refresh_token"]},
        timeout=10,
    )
    assert again.status_code == 200


def test_a_customer_s_message_opens_a_room(world):
    """The message webhook names the phone; the developer webhook shows Meta's own object."""
    wamid = world.customer.text(BRAND, "helo")

    message, room = world.settled()
    assert message["data_event"] == "receive_message_from_customer"
    assert message["participant_type"] == "customer"
    assert message["external_id"] == wamid
    assert message["room"]["account_uniq_id"] == CUSTOMER
    assert room["event"] == "qontak.chat.room.created"
    assert room["data"]["last_message"]["raw_message"]["id"] == wamid


def test_a_tap_is_only_its_title_except_in_the_developer_webhook(world):
    """What an interactive message's button said is lost on the usual road."""
    world.customer.text(BRAND, "helo")
    sent = world.ask(
        "POST",
        f"{CHAT}/messages/whatsapp/interactive_message/bot",
        {
            "room_id": world.room(world.customer),
            "type": "button",
            "interactive": {"body": "?", "buttons": [{"id": "CALLED_YES_1", "title": "Sudah"}]},
        },
    )
    world.settled()
    world.events.clear()
    received = world.customer.received[-1]

    world.customer.tap(received, received.options[0])

    message, room = world.settled()
    assert sent.status_code == 201
    assert (message["type"], message["text"], message["buttons"]) == ("text", "Sudah", [])
    raw = room["data"]["last_message"]["raw_message"]
    assert raw["interactive"]["button_reply"]["id"] == "CALLED_YES_1"


def test_our_own_messages_come_back(world):
    """As a bot's, created and then with each status under the same id; a loop for the unwary."""
    world.customer.text(BRAND, "helo")
    room = world.room(world.customer)
    world.events.clear()

    answer = world.ask(
        "POST", f"{CHAT}/messages/whatsapp/bot", {"room_id": room, "type": "text", "text": "Halo"}
    )

    events = world.settled()
    assert [each["status"] for each in events] == ["created", "sent", "delivered", "read"]
    assert {each["participant_type"] for each in events} == {"bot"}
    assert {each["id"] for each in events} == {answer.json()["data"]["id"]}


def test_a_closed_window_is_hidden_behind_201(world):
    """Taken, and failed a moment later."""
    world.customer.text(BRAND, "helo")
    room = world.room(world.customer)
    world.clock.advance(DAY_MS)
    world.events.clear()

    answer = world.ask(
        "POST", f"{CHAT}/messages/whatsapp", {"room_id": room, "type": "text", "text": "Halo"}
    )

    assert answer.status_code == 201
    assert world.settled()[-1]["status"] == "failed"
    assert world.customer.received == []


def test_a_broadcast_reaches_who_never_wrote_and_carries_no_payload(world):
    """The tap's payload is its title: which lead it means, only the context can tell."""
    answer = world.broadcast()
    statuses = [event["status"] for event in world.settled()]
    [offer] = world.rep.received
    world.events.clear()

    world.rep.tap(offer, offer.options[0])

    assert answer.status_code == 201
    assert statuses == ["sent", "delivered", "read"]
    assert offer.text == "Minat E8 baru."
    raw = world.settled()[-1]["data"]["last_message"]["raw_message"]
    assert raw["button"] == {"payload": "Claim", "text": "Claim"}
    assert raw["context"]["id"] == offer.id
    log = world.ask("GET", f"{CHAT}/broadcasts/{answer.json()['data']['id']}/whatsapp/log").json()
    assert log["data"][0]["whatsapp_message_id"] == offer.id


@pytest.mark.parametrize(
    "change",
    [
        {"to_number": "+6281200000002"},
        {"to_number": "ID.1001"},
        {"to_name": ""},
        {"message_template_id": "x"},
        {"channel_integration_id": "x"},
    ],
)
def test_a_broadcast_needs_a_number_a_name_and_ids(world, change):
    """422 with the reason."""
    assert world.broadcast(**change).status_code == 422


def test_sixty_broadcasts_a_minute(world):
    """The next is 429; a minute later it goes."""
    assert [world.broadcast().status_code for _ in range(61)] == [201] * 60 + [429]
    world.clock.advance(60_000)
    assert world.broadcast().status_code == 201


def test_a_broadcast_fails_later_with_the_reason_in_words(world):
    """Somebody without WhatsApp; a template that was paused meanwhile."""
    world.broadcast("6281399999999")
    assert "131026" in world.settled()[-1]["whatsapp_error_message"]
    template = world.qontak.templates.find("lead_offer_v1", "id")
    world.qontak.templates.become(template, "PAUSED")

    assert world.broadcast().status_code == 201
    assert "132015" in world.settled()[-1]["whatsapp_error_message"]


def test_a_key_makes_a_repeat_harmless_when_the_answer_was_lost(world):
    """With the same X-Idempotency-Key one message goes out; without it two would."""
    world.customer.text(BRAND, "helo")
    body = {"room_id": world.room(world.customer), "type": "text", "text": "Halo"}
    path = f"{CHAT}/messages/whatsapp/bot"
    world.qontak.faults.next(Fault(how="hang_up", when="after"))

    with pytest.raises(requests.ConnectionError):
        world.ask("POST", path, body, **{"X-Idempotency-Key": "out_1"})
    answer = world.ask("POST", path, body, **{"X-Idempotency-Key": "out_1"})
    world.settled()

    assert answer.status_code == 201
    assert [sent.text for sent in world.customer.received] == ["Halo"]


def test_older_payloads_name_no_event(world):
    """Only the participant tells whose it is."""
    world.qontak.telling.named = False
    world.customer.text(BRAND, "helo")

    assert all("data_event" not in event for event in world.settled())


def test_rooms_are_listed_taken_and_resolved(world):
    """An agent makes it assigned; a resolved room takes no message until the customer writes."""
    world.customer.text(BRAND, "helo")
    room = world.room(world.customer)

    taken = world.ask("POST", f"{CHAT}/rooms/{room}/agents/agent-1").json()["data"]
    assert (taken["status"], taken["session"]) == ("assigned", "open")
    assert world.ask("PUT", f"{CHAT}/rooms/{room}/resolve").status_code == 200
    body = {"room_id": room, "type": "text", "text": "Halo"}
    assert world.ask("POST", f"{CHAT}/messages/whatsapp", body).status_code == 422
    world.customer.text(BRAND, "lagi")
    world.settled()
    assert world.ask("POST", f"{CHAT}/messages/whatsapp", body).status_code == 201
    history = world.ask("GET", f"{CHAT}/rooms/{room}/histories").json()["data"]
    assert [each["text"] for each in history] == ["Halo", "lagi", "helo"]
    assert world.ask("GET", f"{CHAT}/rooms/none").status_code == 404


def test_the_crm_keeps_contacts_deals_and_notes_and_doubles_what_is_repeated(world):
    """Each request names a user; what is missing is 422; nothing is idempotent."""
    sso = {"X-Crm-User-Sso-Id": "u1"}
    contact = {"first_name": "-", "telephone": CUSTOMER}
    assert world.ask("POST", "/qontak/crm/contacts", contact).status_code == 401
    assert world.ask("POST", "/qontak/crm/contacts", {}, **sso).status_code == 422
    for _ in range(2):
        assert world.ask("POST", "/qontak/crm/contacts", contact, **sso).status_code == 201

    found = world.ask("GET", f"/qontak/crm/contacts?telephone={CUSTOMER}", **sso).json()
    assert [each["id"] for each in found["response"]] == [1, 2]
    stages = world.ask("GET", "/qontak/crm/pipelines/1/stages", **sso).json()["response"]
    deal = {"name": "E8", "crm_pipeline_id": 1, "crm_stage_id": stages[0]["id"]}
    made = world.ask("POST", "/qontak/crm/deals", deal, **sso).json()["response"]
    moved = {"crm_stage_id": stages[2]["id"]}
    assert world.ask("PUT", f"/qontak/crm/deals/{made['id']}", moved, **sso).status_code == 200
    assert world.qontak.crm.kept["deals"][1]["crm_stage_id"] == 3


def test_both_roads_to_one_number_tell_the_same_message(world):
    """Two doors of one number: the same wamid by either."""
    heard: list[dict[str, Any]] = []

    class Ear:
        """Another vendor's door."""

        def heard(self, _number, _person, message):
            """Keep it."""
            heard.append(message)

        def news(self, status):
            """Nothing to do."""

    world.whatsapp.open_door(BRAND, Ear())
    wamid = world.customer.text(BRAND, "helo")
    world.settled()

    assert [message["id"] for message in heard] == [wamid]
    assert world.events[0]["external_id"] == wamid
