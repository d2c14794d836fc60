"""Qontak's webhook bodies in, the hub's words out, whatever the bytes."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.inbox.incoming import (
    Media,
    Message,
    Other,
    Parsed,
    Pin,
    Referral,
    Sender,
    Status,
    Tap,
    Text,
)
from hub.integrations.qontak.parse import RoomNews, parse, rooms
from tests.fakes.qontak_bodies import (
    CREATED_MS,
    CUSTOMER,
    NUMBERS,
    OWN_ID,
    ROOM,
    WAMID,
    body,
    broadcast,
    interaction,
    raw,
    room,
    room_updated,
    written,
)

TAPPED = {"type": "button_reply", "button_reply": {"id": "CLAIM_led_1", "title": "Claim"}}


def read(document):
    return parse(body(document), NUMBERS)


def only(document):
    parsed = read(document)
    assert () == parsed.problems
    (item,) = parsed.items
    return item


def test_what_a_customer_wrote():
    """A `message_interaction` is a text with its sender, its time, our number and the wamid."""
    assert Message(
        id=WAMID,
        aliases=(OWN_ID,),
        channel="qontak",
        number="brand",
        sender=Sender(phone=CUSTOMER, name="Burhanudin"),
        provider_ms=CREATED_MS,
        content=Text("helo"),
        plain=True,
    ) == only(interaction())


def test_meta_s_own_words_inside_a_room():
    """Mekari's room webhook is read as Meta's message."""
    assert Message(
        id=WAMID,
        aliases=(OWN_ID,),
        channel="qontak",
        number="brand",
        sender=Sender(phone=CUSTOMER, name="Adrian Rahmandanu"),
        provider_ms=CREATED_MS,
        content=Text("helo"),
    ) == only(room_updated())


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (written("interactive", TAPPED), Tap("CLAIM_led_1", "Claim")),
        (written("button", {"payload": "READY", "text": "Siap"}), Tap("READY", "Siap")),
        (written("location", {"latitude": -7.25, "longitude": 112.75}), Pin(lat=-7.25, lon=112.75)),
        (written("image", {"id": "1", "caption": "ini"}), Media("image", "ini")),
        (written("reaction", {"emoji": "x"}), Other("reaction")),
    ],
)
def test_a_tap_has_its_id_in_meta_s_words(message, content):
    """Button ids, pins and pictures come through `raw_message`."""
    assert content == only(room_updated(message)).content


def test_an_advertisement_and_an_answer_come_through():
    """The click that began a conversation and the message it answers stand in Meta's words."""
    message = written(
        context={"id": "wamid.ours"}, referral={"source_id": "120226", "ctwa_clid": "Aff"}
    )

    found = only(room_updated(message))

    assert ("wamid.ours", Referral(source_id="120226", click_id="Aff")) == (
        found.context_id,
        found.referral,
    )


@pytest.mark.parametrize(
    "change",
    [
        json.dumps,
        lambda value: value["messages"][0],
        lambda value: {"entry": [{"changes": [{"value": value}]}]},
    ],
    ids=["text", "message", "envelope"],
)
def test_other_forms_of_meta_s_words(change):
    """As a text, as the bare message or in Meta's whole envelope they say the same."""
    document = room_updated(last={"raw_message": change(raw(written("interactive", TAPPED)))})

    assert Tap("CLAIM_led_1", "Claim") == only(document).content


def test_the_envelope_with_the_event_s_name():
    """Some deliveries hold the room under `data`."""
    document = {"event": "qontak.chat.room.updated", "data": room_updated()}

    assert only(room_updated()) == only(document)


@pytest.mark.parametrize(
    "kept", [WAMID, None, "", "legacy-7"], ids=["wamid", "null", "empty", "legacy"]
)
def test_one_message_by_two_roads_is_one(kept):
    """Whichever id the plain webhook gives, what was seen by one road is seen by the other."""
    plain = only(interaction(external_id=kept))
    full = only(room_updated(last={"external_id": kept}))

    assert WAMID == full.id
    assert {plain.id, *plain.aliases} <= {full.id, *full.aliases}


def test_a_tap_without_meta_s_words_is_its_title():
    """Qontak shows a tap as text: no id is made up."""
    assert Text("Claim") == only(interaction(text="Claim")).content
    assert Tap(None, "Claim") == only(interaction(type="button", text="Claim")).content


def test_a_picture_without_meta_s_words():
    """It came, with its caption."""
    assert Media("image", "ini") == only(interaction(type="image", text="ini")).content


def test_a_customer_without_a_number():
    """Where Qontak knows only the business-scoped id, that is who wrote."""
    document = interaction(room=room(account_uniq_id="ID.13491208655302741918"))

    assert "ID.13491208655302741918" == only(document).sender.bsuid


@pytest.mark.parametrize("who", ["agent", "bot"])
@pytest.mark.parametrize("status", [None, "created", "sent", "delivered", "read", "failed"])
def test_our_own_words_are_never_a_message(who, status):
    """What the hub or an agent said comes back: it answers nothing, so there is no loop."""
    change = {"participant_type": who, "status": status, "sender_type": "Models::User"}

    found = [*read(interaction(**change)).items, *read(room_updated(last=change)).items]

    assert [] == [item for item in found if isinstance(item, Message)]


@pytest.mark.parametrize("who", [None, "", "system", 5, ["customer"]])
def test_a_writer_of_no_known_kind_is_no_customer(who):
    """It is kept, not acted on."""
    parsed = read(interaction(participant_type=who))

    assert () == parsed.items
    assert 1 == len(parsed.problems)


@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
def test_what_became_of_a_message_of_ours(status):
    """By Qontak's own id, which is what sending it has answered."""
    document = interaction(participant_type="bot", status=status, sender_type="Models::User")

    assert Status(
        message_id=OWN_ID, channel="qontak", number="brand", status=status, provider_ms=None
    ) == only(document)


def test_what_became_of_a_broadcast():
    """By the broadcast's id; a failure with WhatsApp's code."""
    words = "(#131047) Re-engagement message"

    assert Status(
        message_id="c0ffee00-0000-4000-8000-000000000001",
        channel="qontak",
        number="brand",
        status="failed",
        provider_ms=None,
        code=131047,
        reason=words,
    ) == only(broadcast(status="failed", whatsapp_error_message=words))


@pytest.mark.parametrize("status", ["todo", "pending", "created"])
def test_a_broadcast_under_way_says_nothing(status):
    """It is neither an item nor a problem."""
    assert Parsed(()) == read(broadcast(status=status))


def test_another_channel_of_the_organisation():
    """What comes through Instagram or another number is kept, not acted on."""
    parsed = read(interaction(room=room(channel_integration_id="other")))

    assert () == parsed.items
    assert ("the channel_integration_id is none of [[numbers]]",) == parsed.problems


@pytest.mark.parametrize(
    ("document", "is_open"),
    [
        (interaction(), True),
        (interaction(participant_type="agent"), True),
        (room_updated(), True),
        (
            room(webhook_event="room_interaction", data_event="room_resolved", status="resolved"),
            False,
        ),
        ({"webhook_event": "room_interaction", "room": room(session="closed")}, False),
    ],
)
def test_where_a_customer_can_be_answered(document, is_open):
    """Every webhook about a room tells which one it is and whether something can be said there."""
    (found,) = rooms(body(document), NUMBERS)

    assert ("brand", CUSTOMER, ROOM, is_open) == (
        found.number,
        found.phone,
        found.room,
        found.open,
    )


def test_a_room_alone_is_no_item():
    """`room_interaction` without a message says nothing but where people are."""
    assert Parsed(()) == read(room(webhook_event="room_interaction", status="resolved"))


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"null",
        b"{}",
        b'{"room_id":"x","participant_type":"customer"}',
        b'{"last_message":{}}',
        b'{"data":{"last_message":{}},"event":"x"}',
        b"[" * 100_000,
        body(interaction(id=None, external_id=None)),
        body(interaction(room=room(account_uniq_id=None))),
        body(interaction(type="location", text=None)),
        body(broadcast(status="melted")),
        body(broadcast(messages_broadcast_id=None)),
    ],
)
def test_what_cannot_be_read_is_told(sent):
    """A problem each, and no error."""
    assert 1 <= len(parse(sent, NUMBERS).problems)


NAMES = sorted({*interaction(), *room(), *broadcast(), *written(), "raw_message", "last_message"})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["customer", "bot", "read", "text", WAMID, CUSTOMER, *NUMBERS]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=25,
)


@given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(sent):
    """Whatever comes, something comes out that can be stored; no error."""
    parsed = parse(sent, NUMBERS)

    for item in parsed.items:
        assert "\\x00" not in repr(asdict(item))
    assert all(isinstance(found, RoomNews) for found in rooms(sent, NUMBERS))


@given(
    st.sampled_from([interaction(), room_updated(), broadcast(), room()]),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
)
def test_any_field_may_be_anything(document, change):
    """A real body with fields of other kinds never gives a message of anybody but a customer."""
    spoilt = document | change
    last = spoilt.get("last_message")
    held = last if isinstance(last, dict) else spoilt

    for item in parse(json.dumps(spoilt).encode(), NUMBERS).items:
        assert isinstance(item, Status) or "customer" == held["participant_type"]
