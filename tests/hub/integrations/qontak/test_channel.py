"""Messages out over real HTTP, against a Qontak that is as strict as the real one."""

import pytest

from firmware_sim.providers.faults import Fault
from firmware_sim.providers.whatsapp import DAY_MS
from hub.inbox.incoming import Status, Text
from hub.integrations.qontak.api import Answer
from hub.integrations.qontak.channel import outcome
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
from tests.hub.integrations.qontak.conftest import BRAND, CUSTOMER

OFFER = TemplateUse(
    purpose="offer", language="id", body=("E8", "3,2 km"), payloads=("CLAIM_led_1", "SKIP_led_1")
)
HELLO = Rendered(text="Halo Budi", template=OFFER)
BUTTONS = Rendered(
    text="Tunai?", buttons=(Button("cash", "Tunai"), Button("instalments", "Kredit"))
)
LIST = Rendered(
    text="Model?", rows=(Row("m_e8", "E8", "2,4 kW"), Row("m_e3", "E3")), rows_button="Pilih"
)
AS_WORDS = [
    (Rendered(text="Di mana?", asks="location"), "Di mana?"),
    (Rendered(text="", card=Card(name="Budi", phone=CUSTOMER)), f"Budi +{CUSTOMER}"),
    (
        Rendered(text="", pin=(-7.25, 112.75, "Toko")),
        "Toko\nhttps://maps.google.com/?q=-7.250000,112.750000",
    ),
]


def action(result):
    assert isinstance(result, Failed)
    return result.action


@pytest.mark.parametrize(
    ("rendered", "kind", "ids"),
    [
        (HELLO, "text", []),
        (BUTTONS, "button", ["cash", "instalments"]),
        (LIST, "list", ["m_e8", "m_e3"]),
    ],
)
def test_into_an_open_room(meeting, rendered, kind, ids):
    """Words, buttons and lists reach the customer, and their statuses come back by the same id."""
    meeting.writes()

    sent = meeting.send(rendered)

    assert isinstance(sent, Accepted)
    (got,) = meeting.whatsapp.to(CUSTOMER)
    assert (kind, rendered.text, ids) == (got.kind, got.text, [each.id for each in got.options])
    statuses = [item for item in meeting.settled() if isinstance(item, Status)]
    assert {sent.provider_id} == {status.message_id for status in statuses}
    assert "delivered" in {status.status for status in statuses}
    assert ["Halo"] == [each.content.body for each in meeting.messages()[:1]]
    assert 1 == len({each.id for each in meeting.messages()})


@pytest.mark.parametrize(("rendered", "words"), AS_WORDS)
def test_what_qontak_has_no_form_for_becomes_words(meeting, rendered, words):
    """A question for the place, a card and a pin are text."""
    meeting.writes()

    assert isinstance(meeting.send(rendered), Accepted)
    assert [words] == [got.text for got in meeting.whatsapp.to(CUSTOMER)]


def test_a_tap_by_two_roads(meeting):
    """The plain webhook has the title, Mekari's has the id; both are one message."""
    meeting.writes()
    meeting.send(BUTTONS)
    meeting.items.clear()
    tapped = {"type": "button_reply", "button_reply": {"id": "cash", "title": "Tunai"}}

    meeting.whatsapp.write(meeting.customer, BRAND, {"type": "interactive", "interactive": tapped})

    plain, full = meeting.messages()
    assert (plain.id, Text("Tunai"), "cash") == (full.id, plain.content, full.content.id)
    assert [] == meeting.problems


def test_a_room_nobody_told_of_is_looked_up(meeting):
    """Webhooks that were lost cost one question; after it the room is known."""
    meeting.qontak.telling.from_customer = meeting.qontak.telling.rooms = False
    meeting.writes()
    assert meeting.rooms.room("brand", CUSTOMER) is None

    assert isinstance(meeting.send(HELLO), Accepted)
    assert meeting.rooms.room("brand", CUSTOMER) is not None


def test_a_resolved_room_gives_way_to_a_template(meeting):
    """What an agent has closed takes no words: the outbox sends the template instead."""
    meeting.writes()
    room = meeting.qontak.room_of(BRAND, meeting.customer)
    room.status = "resolved"

    assert "template" == action(meeting.send(HELLO))
    assert meeting.rooms.room("brand", CUSTOMER) is None
    assert "template" == action(meeting.send(HELLO))
    assert "unreachable" == action(meeting.send(BUTTONS))


def test_a_closed_window_takes_a_broadcast(meeting):
    """The template opens a room; what becomes of it comes back by the broadcast's id."""
    sent = meeting.send(HELLO, window_open=False)

    assert isinstance(sent, Accepted)
    (got,) = meeting.whatsapp.to(CUSTOMER)
    assert ("template", "Minat E8, 3,2 km jauhnya.") == (got.kind, got.text)
    statuses = [item for item in meeting.settled() if isinstance(item, Status)]
    assert sent.provider_id in {status.message_id for status in statuses}


def test_a_template_in_the_country_s_language_is_better_than_none(meeting):
    """A language that nobody has approved falls back to Indonesian."""
    use = TemplateUse(purpose="offer", language="jv", body=("E8", "3 km"))

    assert isinstance(meeting.send(Rendered(text="", template=use), window_open=False), Accepted)


@pytest.mark.parametrize(
    ("rendered", "expected"),
    [
        (Rendered(text="Halo"), "unreachable"),
        (
            Rendered(text="", template=TemplateUse(purpose="won", language="id", body=())),
            "permanent",
        ),
    ],
)
def test_a_closed_window_without_a_template(meeting, rendered, expected):
    """Nobody is asked to send what cannot be sent."""
    assert expected == action(meeting.send(rendered, window_open=False))
    assert [] == meeting.whatsapp.sent


def test_a_template_that_was_taken_back(meeting):
    """Its refusal makes the list be read again; until then nothing is sent twice."""
    meeting.send(HELLO, window_open=False)
    meeting.qontak.templates = type(meeting.qontak.templates)(lambda *_: None)

    assert "permanent" == action(meeting.send(HELLO, window_open=False, out_id="out_2"))
    assert "permanent" == action(meeting.send(HELLO, window_open=False, out_id="out_3"))
    assert 1 == len(meeting.whatsapp.sent)


def test_sixty_broadcasts_a_minute(meeting):
    """The sixty-first waits without asking Qontak; a minute later it goes. Rooms do not wait."""
    meeting.writes()
    for count in range(60):
        meeting.send(HELLO, window_open=False, out_id=f"out_{count}")

    assert "retry" == action(meeting.send(HELLO, window_open=False, out_id="out_more"))
    assert isinstance(meeting.send(BUTTONS), Accepted)
    meeting.clock.advance(60_000)
    assert isinstance(meeting.send(HELLO, window_open=False, out_id="out_more"), Accepted)


def test_people_without_a_phone_number(meeting):
    """Qontak reaches nobody by BSUID."""
    nobody = Address(phone=None, bsuid="ID.1001")

    assert "unreachable" == action(
        meeting.channel.send(nobody, HELLO, window_open=True, out_id="out_1")
    )


def test_silence_is_unknown_and_the_same_key_doubles_nothing(meeting):
    """Qontak took it and hung up; asked again with the same key it does nothing new."""
    meeting.writes()
    meeting.qontak.faults.next(Fault(when="after", how="hang_up"))

    assert "unknown" == action(meeting.send(BUTTONS))
    assert isinstance(meeting.send(BUTTONS), Accepted)
    assert 1 == len(meeting.whatsapp.to(CUSTOMER))


@pytest.mark.parametrize(
    ("code", "expected"),
    [(401, "stop"), (403, "stop"), (429, "slow"), (422, "permanent"), (500, "unknown")],
)
def test_refusals_have_their_consequence(meeting, code, expected):
    """By what HTTP says, where Qontak's words say no more."""
    meeting.writes()
    meeting.qontak.faults.next(Fault(when="before", how="refuse", code=code), 2)

    assert expected == action(meeting.send(HELLO))
    assert [] == meeting.whatsapp.to(CUSTOMER)


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (422, "(#131047) Re-engagement message", ("template", 131047)),
        (422, "(131026) Message undeliverable", ("unreachable", 131026)),
        (422, "131056 pair rate limit", ("pair", 131056)),
        (422, "text is invalid", ("permanent", None)),
        (400, "131048", ("spam", 131048)),
        (503, "", ("unknown", None)),
    ],
)
def test_whatsapp_s_codes_inside_qontak_s_words(status, words, expected):
    """They mean what they mean at Meta."""
    error = {"status": "error", "error": {"code": status, "messages": [words]}}

    failed = outcome(Answer(status=status, document=error))

    assert isinstance(failed, Failed)
    assert expected == (failed.action, failed.code)


def test_taken_without_an_id(meeting):
    """It may have gone: nobody can tell what became of it."""
    assert "unknown" == action(outcome(Answer(status=201, document={"status": "success"})))


@pytest.mark.parametrize("auth", ["hmac"], indirect=True)
@pytest.mark.parametrize("ahead_s", [-301, 301])
def test_a_clock_that_is_wrong(meeting, ahead_s):
    """Mekari believes no date 300 s off: everything through the number waits."""
    meeting.writes()
    right = meeting.clock.wall_ms
    meeting.api._credentials.auth()._now_ms = lambda: right() + ahead_s * 1000

    assert "stop" == action(meeting.send(HELLO))


@pytest.mark.parametrize("auth", ["oauth"], indirect=True)
def test_a_token_that_ended(meeting):
    """It is renewed before its end, and asked for anew when it was taken back."""
    meeting.writes()
    assert isinstance(meeting.send(HELLO), Accepted)
    meeting.clock.advance(DAY_MS // 2)
    assert isinstance(meeting.send(HELLO, out_id="out_2"), Accepted)
    meeting.qontak._gate._tokens.clear()

    assert isinstance(meeting.send(HELLO, out_id="out_3"), Accepted)


def test_nobody_there_is_tried_again(meeting):
    """Without a connection nothing can have been sent."""
    meeting.writes()
    meeting.qontak._server.stop()

    assert "retry" == action(meeting.send(HELLO))
