"""The Graph stand-in is as strict as the real one, and as unreliable on demand."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from firmware_sim.processes import wait_until
from firmware_sim.providers.faults import Fault
from firmware_sim.providers.graph import Graph
from firmware_sim.providers.handset import Person
from firmware_sim.providers.http_server import Answer, LoopbackServer, Request
from firmware_sim.providers.refusals import Refusal
from firmware_sim.providers.whatsapp import DAY_MS, WhatsApp
from tests.fakes.manual_clock import ManualClock

BRAND, NUMBER_ID = "6281100000001", "1122334455667"
CUSTOMER, REP = "6281200000001", "6281200000002"
OFFER = {
    "name": "lead_offer_v1",
    "language": "id",
    "category": "UTILITY",
    "message_send_ttl_seconds": 300,
    "components": [
        {
            "type": "BODY",
            "text": "Minat {{1}}, jarak {{2}} dari Anda.",
            "example": {"body_text": [["E8", "3,2 km"]]},
        },
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "Claim"},
                {"type": "QUICK_REPLY", "text": "Lewati"},
            ],
        },
    ],
}


@dataclass
class Hub:
    """Whoever takes the webhooks: keeps them, and can be out of order."""

    failures: int = 0
    """So many of the next webhooks are answered 500."""
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        """The challenge, and every POST."""
        if request.method == "GET":
            right = request.query.get("hub.verify_token") == "verify"
            return Answer(200, request.query["hub.challenge"]) if right else Answer(403)
        self.bodies.append(request.body)
        self.signatures.append(request.headers["x-hub-signature-256"])
        self.failures = max(-1, self.failures - 1)
        return Answer(200 if self.failures < 0 else 500)

    def values(self) -> list[dict[str, Any]]:
        """The values of all changes, in order of arrival."""
        return [
            change["value"]
            for body in self.bodies
            for entry in json.loads(body)["entry"]
            for change in entry["changes"]
        ]

    def words(self) -> list[str]:
        """Statuses in order of arrival."""
        return [each["status"] for value in self.values() for each in value.get("statuses", [])]

    def messages(self) -> list[dict[str, Any]]:
        """Messages in order of arrival."""
        return [each for value in self.values() for each in value.get("messages", [])]


@dataclass
class World:
    """A hub, the vendor, and two people."""

    clock: ManualClock
    hub: Hub
    graph: Graph
    whatsapp: WhatsApp
    customer: Person
    rep: Person

    def post(self, body: dict[str, Any], *, path: str = f"{NUMBER_ID}/messages"):
        """A request with the right token."""
        return requests.post(
            f"{self.graph.url}/v25.0/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.graph.access_token}"},
            timeout=10,
        )

    def say(self, body: str = "Halo", to: str = CUSTOMER, **more: Any):
        """A text."""
        return self.post(
            {
                "messaging_product": "whatsapp",
                "to": to,
                "type": "text",
                "text": {"body": body},
                **more,
            }
        )

    def offer(self, to: str = REP, **change: Any):
        """The template offer."""
        template = {
            "name": "lead_offer_v1",
            "language": {"code": "id"},
            "components": [
                {
                    "type": "body",
                    "parameters": [
                        {"type": "text", "text": "E8"},
                        {"type": "text", "text": "3,2 km"},
                    ],
                },
                {
                    "type": "button",
                    "sub_type": "quick_reply",
                    "index": "0",
                    "parameters": [{"type": "payload", "payload": "CLAIM_led_1"}],
                },
            ],
            **change,
        }
        return self.post(
            {"messaging_product": "whatsapp", "to": to, "type": "template", "template": template}
        )

    def settle(self) -> None:
        """Until everything is told."""
        wait_until(self.graph.idle, what="webhooks", deadline_ms=10_000, step_ms=5)


@pytest.fixture
def world() -> Iterator[World]:
    """All of it, running."""
    clock, hub = ManualClock(), Hub()
    whatsapp = WhatsApp(clock)
    graph, door = Graph(whatsapp, clock=clock), LoopbackServer(hub.answer)
    whatsapp.start()
    graph.start()
    door.start()
    graph.add_number(BRAND, NUMBER_ID)
    graph.subscribe(f"{door.url}/webhooks/whatsapp", "verify")
    graph.templates.submit(OFFER)
    customer = whatsapp.add_person(CUSTOMER, bsuid="ID.1001", name="🛵/é")
    rep = whatsapp.add_person(REP, bsuid="ID.1002")
    world = World(clock, hub, graph, whatsapp, customer, rep)
    world.settle()
    try:
        yield world
    finally:
        graph.stop()
        whatsapp.stop()
        door.stop()


def code(answer: requests.Response) -> int:
    """Of an error."""
    found: int = answer.json()["error"]["code"]
    return found


def test_a_message_reaches_the_hub_signed_over_its_raw_bytes(world):
    """The signature covers exactly the bytes posted, in which Meta escapes all but ASCII."""
    wamid = world.customer.text(BRAND, "Halo é")
    world.settle()

    body, signature = world.hub.bodies[-1], world.hub.signatures[-1]
    digest = hmac.new(world.graph.app_secret.encode(), body, hashlib.sha256).hexdigest()
    value = world.hub.values()[-1]
    assert signature == f"sha256={digest}"
    assert body.isascii()
    assert b"\\/" in body
    assert value["metadata"]["phone_number_id"] == NUMBER_ID
    assert value["contacts"][0] == {
        "profile": {"name": "🛵/é"},
        "wa_id": CUSTOMER,
        "user_id": "ID.1001",
    }
    assert value["messages"][0]["id"] == wamid
    assert value["messages"][0]["text"] == {"body": "Halo é"}


def test_who_hides_the_number_is_known_by_bsuid_and_can_be_answered(world):
    """No from and no wa_id anywhere; a send to the recipient arrives."""
    world.customer.hides_phone = True
    world.customer.text(BRAND, "Halo")
    world.settle()
    value = world.hub.values()[-1]
    assert "from" not in value["messages"][0]
    assert "wa_id" not in value["contacts"][0]

    answer = world.post(
        {
            "messaging_product": "whatsapp",
            "recipient": "ID.1001",
            "type": "text",
            "text": {"body": "Halo"},
        }
    )
    world.settle()

    assert answer.status_code == 200
    assert [sent.text for sent in world.customer.received] == ["Halo"]
    assert all("recipient_id" not in each for each in world.hub.values()[-1]["statuses"])


def test_inside_the_window_a_message_is_sent_delivered_and_read(world):
    """The answer is only accepted; the rest is told by statuses that carry our own reference."""
    world.customer.text(BRAND, "Halo")
    world.settle()

    answer = world.say(biz_opaque_callback_data="out_1")
    world.settle()

    statuses = [each for value in world.hub.values() for each in value.get("statuses", [])]
    assert answer.json()["messages"][0]["message_status"] == "accepted"
    assert [each["status"] for each in statuses] == ["sent", "delivered", "read"]
    assert {each["biz_opaque_callback_data"] for each in statuses} == {"out_1"}


def test_outside_the_window_a_message_is_taken_and_fails_later(world):
    """200, then a failed status with 131047; on demand at once. A day closes a window."""
    world.customer.text(BRAND, "Halo")
    world.settle()
    world.clock.advance(DAY_MS)

    assert world.say().status_code == 200
    world.settle()
    assert world.hub.values()[-1]["statuses"][0]["errors"][0]["code"] == 131047

    world.whatsapp.limits.window_refused = "at once"
    assert code(world.say()) == 131047
    assert world.customer.received == []


def test_a_template_opens_no_window_and_its_tap_does(world):
    """The tap comes as a button with the payload, and from then on words are delivered."""
    assert world.offer().status_code == 200
    world.settle()
    assert not world.whatsapp.window_open(BRAND, REP)
    offer = world.rep.received[-1]
    assert offer.text == "Minat E8, jarak 3,2 km dari Anda."
    assert [option.id for option in offer.options] == ["CLAIM_led_1", "Lewati"]

    world.rep.tap(offer, offer.options[0])
    world.settle()

    tap = world.hub.messages()[-1]
    assert tap["type"] == "button"
    assert tap["button"] == {"payload": "CLAIM_led_1", "text": "Claim"}
    assert tap["context"] == {"from": BRAND, "id": offer.id}
    assert world.whatsapp.window_open(BRAND, REP)


def test_a_tap_on_a_template_may_come_without_context(world):
    """As Meta sometimes does."""
    world.rep.omits_context = True
    world.offer()
    world.settle()

    world.rep.tap(world.rep.received[-1], world.rep.received[-1].options[0])
    world.settle()

    assert "context" not in world.hub.messages()[-1]


@pytest.mark.parametrize(
    ("status", "expected"), [("PAUSED", 132015), ("DISABLED", 132016), ("REJECTED", 132001)]
)
def test_a_template_is_only_usable_while_it_is_approved(world, status, expected):
    """Its state is told by a webhook, too."""
    world.graph.templates.become(world.graph.templates.find("lead_offer_v1", "id"), status)
    world.settle()

    assert code(world.offer()) == expected
    assert world.hub.values()[-1]["event"] == status


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "unknown"}, 132001),
        ({"language": {"code": "en"}}, 132001),
        ({"components": []}, 132000),
        (
            {
                "components": [
                    {
                        "type": "body",
                        "parameters": [
                            {"type": "text", "text": "E8\nE9"},
                            {"type": "text", "text": "3"},
                        ],
                    }
                ]
            },
            132012,
        ),
    ],
)
def test_a_template_is_used_word_by_word(world, change, expected):
    """Name, language, the number of parameters and their characters."""
    assert code(world.offer(**change)) == expected


def buttons(*titles: str) -> dict[str, Any]:
    """An interactive message with these buttons."""
    replies = [
        {"type": "reply", "reply": {"id": f"id{n}", "title": title}}
        for n, title in enumerate(titles)
    ]
    return {"type": "button", "body": {"text": "?"}, "action": {"buttons": replies}}


def rows(count: int, title: str = "E8") -> dict[str, Any]:
    """An interactive list."""
    return {
        "type": "list",
        "body": {"text": "?"},
        "action": {
            "button": "Lihat",
            "sections": [{"rows": [{"id": f"m{n}", "title": title} for n in range(count)]}],
        },
    }


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("text", {"body": "x" * 4096}, None),
        ("text", {"body": "x" * 4097}, 100),
        ("text", {"body": " "}, 100),
        ("text", {}, 131008),
        ("interactive", buttons("x" * 20), None),
        ("interactive", buttons("x" * 21), 100),
        ("interactive", buttons("a", "b", "c"), None),
        ("interactive", buttons("a", "b", "c", "d"), 131009),
        ("interactive", buttons("a", "a"), 131009),
        ("interactive", buttons(), 131009),
        ("interactive", rows(10, "x" * 24), None),
        ("interactive", rows(11), 131009),
        ("interactive", rows(1, "x" * 25), 100),
        ("poll", {"x": 1}, 131009),
    ],
)
def test_the_limits_of_a_message_are_enforced(world, kind, content, expected):
    """What is one character too long is refused, never cut."""
    world.customer.text(BRAND, "Halo")
    world.settle()

    answer = world.post(
        {"messaging_product": "whatsapp", "to": CUSTOMER, "type": kind, kind: content}
    )

    assert (None if answer.status_code == 200 else code(answer)) == expected


def test_too_many_messages_to_one_person_are_refused_and_others_go_on(world):
    """A burst is borrowed from the hour; then one every six seconds."""
    world.whatsapp.limits.pair_burst = 3
    world.customer.text(BRAND, "Halo")
    world.rep.text(BRAND, "Siap")
    world.settle()

    assert [world.say().status_code for _ in range(3)] == [200] * 3
    assert code(world.say()) == 131056
    assert world.say(to=REP).status_code == 200
    world.clock.advance(6_000)
    assert world.say().status_code == 200
    assert code(world.say()) == 131056
    assert world.whatsapp.refused[131056] == 2


def test_one_number_sends_only_so_many_messages_a_second(world):
    """130429 whoever they are for."""
    world.whatsapp.limits.per_second = 2
    others = [world.whatsapp.add_person(f"62813000000{n:02d}").phone for n in range(3)]

    assert [world.offer(to=other).status_code for other in others] == [200, 200, 400]
    assert world.whatsapp.refused[130429] == 1


def test_the_portfolio_reaches_only_so_many_people_a_day(world):
    """Outside windows only; whoever was reached is reached again; a day later all is free."""
    world.whatsapp.limits.messaging_limit = 1
    assert world.offer().status_code == 200
    assert code(world.offer(to=CUSTOMER)) == 131048
    assert world.offer().status_code == 200

    world.customer.text(BRAND, "Halo")
    assert world.offer(to=CUSTOMER).status_code == 200
    world.clock.advance(DAY_MS)
    assert world.offer(to=CUSTOMER).status_code == 200


def test_who_is_not_on_whatsapp_is_told_later(world):
    """131026 as a failed status; to ourselves 131021 at once."""
    assert world.offer(to="6281399999999").status_code == 200
    world.settle()

    assert world.hub.values()[-1]["statuses"][0]["errors"][0]["code"] == 131026
    assert code(world.offer(to=BRAND)) == 131021


def test_a_phone_that_is_off_gets_a_message_while_it_lives(world):
    """No delivered until then; an offer older than its template's lifetime never comes."""
    world.rep.online = False
    world.offer()
    world.clock.advance(200_000)
    world.offer()
    world.settle()
    assert world.hub.words() == ["sent", "sent"]

    world.clock.advance(200_000)
    world.whatsapp.switch_on(world.rep)
    world.settle()

    assert len(world.rep.received) == 1
    assert world.hub.words() == ["sent", "sent", "delivered", "read"]


def test_marketing_reaches_a_person_once_a_day(world):
    """A re-categorised template fails later with 131049, or 131050 for who has stopped it."""
    world.graph.templates.recategorise(
        world.graph.templates.find("lead_offer_v1", "id"), "MARKETING"
    )
    for _ in range(2):
        world.offer()
    world.customer.stopped_marketing = True
    world.offer(to=CUSTOMER)
    world.settle()

    assert dict(world.whatsapp.failed) == {131049: 1, 131050: 1}
    assert world.hub.values()[0]["event"] == "APPROVED"
    assert world.hub.values()[1]["new_category"] == "MARKETING"


@pytest.mark.parametrize("how", ["refuse", "hang_up", "server_error"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_request_can_fail_before_or_after_it_took_effect(world, how, when):
    """The caller cannot tell them apart; the person can."""
    world.customer.text(BRAND, "Halo")
    world.settle()
    world.graph.faults.next(Fault(how=how, when=when, code=131000))

    status: int | None
    try:
        status = world.say().status_code
    except requests.ConnectionError:
        status = None
    world.settle()

    assert status == {"refuse": 500, "hang_up": None, "server_error": 502}[how]
    assert len(world.customer.received) == (1 if when == "after" else 0)
    assert world.say().status_code == 200


def test_a_taken_message_can_fail_later(world):
    """The routing must hear it as not reached."""
    world.whatsapp.fail_later(Refusal(131026), to=REP)
    world.offer()
    world.offer(to=CUSTOMER)
    world.settle()

    assert sorted(world.hub.words()) == ["delivered", "failed", "read", "sent"]
    assert world.rep.received == []


def test_webhooks_are_repeated_until_they_are_taken(world):
    """A hub that answers 500 gets the same bytes again."""
    world.hub.failures = 1
    world.customer.text(BRAND, "Halo")

    def taken() -> bool:
        world.clock.advance(1_000)
        return world.graph.idle()

    wait_until(taken, what="the second try", deadline_ms=10_000)

    assert len(world.hub.messages()) == 2
    assert world.hub.bodies[-1] == world.hub.bodies[-2]
    assert world.graph.courier.again(world.hub.bodies[-1]) == 200
    assert len(world.hub.messages()) == 3


def test_webhooks_come_twice_batched_and_in_any_order_on_demand(world):
    """Held back they pile up; then all come, in fewer bodies, each twice."""
    manner = world.graph.courier.manner
    manner.held = True
    for number in range(20):
        world.customer.text(BRAND, f"{number}")
    manner.shuffled, manner.batch_max, manner.times = True, 5, 2
    wait_until(world.whatsapp.timeline.idle, what="all written", deadline_ms=10_000)
    before = len(world.hub.bodies)
    manner.held = False
    world.settle()

    texts = [message["text"]["body"] for message in world.hub.messages()]
    assert len(world.hub.bodies) - before == 8
    assert sorted(texts, key=int) == [str(n) for n in range(20) for _ in range(2)]
    assert texts != sorted(texts, key=int)


def test_a_wrong_token_opens_nothing(world):
    """Code 190 and status 401."""
    world.graph.access_token = "another"
    answer = requests.get(f"{world.graph.url}/v25.0/{world.graph.waba_id}", timeout=10)

    assert answer.status_code == 401
    assert code(answer) == 190


def test_templates_are_submitted_listed_and_refused(world):
    """A listing goes page by page; a name twice, a bare variable and a missing example are not."""
    another = {**OFFER, "name": "lead_offer_v2"}
    path = f"{world.graph.waba_id}/message_templates"
    assert world.post(another, path=path).json()["status"] == "APPROVED"
    assert code(world.post(another, path=path)) == 100
    for text in ("{{1}} baru", "Halo {{1}}", "Halo {{2}} dan lagi"):
        body = {"type": "BODY", "text": text, "example": {"body_text": [["E8"]]}}
        wrong = {**OFFER, "name": "wrong", "components": [body]}
        assert code(world.post(wrong, path=path)) == 100

    headers = {"Authorization": f"Bearer {world.graph.access_token}"}
    first = requests.get(
        f"{world.graph.url}/v25.0/{path}?limit=1", headers=headers, timeout=10
    ).json()
    second = requests.get(first["paging"]["next"], headers=headers, timeout=10).json()
    assert [page["data"][0]["name"] for page in (first, second)] == [
        "lead_offer_v1",
        "lead_offer_v2",
    ]
    assert first["data"][0]["message_send_ttl_seconds"] == 300
    assert "next" not in second["paging"]


def test_another_process_can_look_and_spoil(world):
    """The back door writes as a person, plans faults, and lists what went out."""
    control = f"{world.graph.url}/control"
    content = {"type": "text", "text": {"body": "Halo"}}
    written = requests.post(
        f"{control}/write",
        json={"phone": CUSTOMER, "number": BRAND, "content": content},
        timeout=10,
    )
    requests.post(f"{control}/faults", json={"how": "refuse", "code": 131016}, timeout=10)
    world.settle()

    assert written.status_code == 201
    assert code(world.say()) == 131016
    assert world.say().status_code == 200
    listed = requests.get(f"{control}/messages", timeout=10).json()["items"]
    assert [(each["to"], each["text"]) for each in listed] == [(CUSTOMER, "Halo")]
