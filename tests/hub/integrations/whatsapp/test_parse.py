"""Webhook bodies in, the hub's words out, whatever the bytes."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.inbox.incoming import (
    ContactCard,
    Media,
    Message,
    NumberChanged,
    Other,
    Parsed,
    Pin,
    Preference,
    Referral,
    Sender,
    Status,
    Tap,
    TemplateNews,
    Text,
)
from hub.integrations.whatsapp.parse import parse
from tests.fakes.whatsapp_bodies import (
    BSUID,
    CUSTOMER,
    NUMBERS,
    VECTOR_BODY,
    envelope,
    message,
    value,
)

BUDI = Sender(phone=CUSTOMER, bsuid=BSUID, name="Budi")
OURS = {"from": "628110000000", "id": "wamid.sent"}


def read(*messages, **more):
    return parse(envelope(value(messages, **more)), NUMBERS)


def only(parsed):
    assert () == parsed.problems
    (item,) = parsed.items
    return item


def test_a_real_body():
    """A body that Meta has really sent is a text with its sender, time and number."""
    assert Message(
        id="wamid.HBgMOTcyNTQ0NDAxMjQzFQIAEhggM0RFQTNCMEEwRTY3QzUwODYzMDc4NjQ4QzM4ODAxM0YA",
        channel="meta",
        number="pywa",
        sender=Sender(phone="972544401243", name="PyWa Tests"),
        provider_ms=1730231903000,
        content=Text("Hey there! I am using PyWa."),
    ) == only(parse(VECTOR_BODY, {"277321005464405": "pywa"}))


TAPPED = {"id": "CLAIM_led_1", "title": "Claim"}
CARD = {
    "name": {"first_name": "A", "formatted_name": "A B"},
    "phones": [{"phone": "+62 812-1", "wa_id": "628121", "type": "CELL"}],
}


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (message("text", {"body": "Halo"}), Text("Halo")),
        (
            message("location", {"latitude": -7.2575, "longitude": 112.7521}),
            Pin(lat=-7.2575, lon=112.7521),
        ),
        (
            message(
                "location",
                {"latitude": 37.46, "longitude": -122, "name": "HQ", "address": "1 Way"},
            ),
            Pin(lat=37.46, lon=-122.0, name="HQ", address="1 Way"),
        ),
        (message("location", {"latitude": 0, "longitude": 0}), Pin(lat=0.0, lon=0.0)),
        (
            message("interactive", {"type": "button_reply", "button_reply": TAPPED}),
            Tap("CLAIM_led_1", "Claim"),
        ),
        (
            message(
                "interactive",
                {"type": "list_reply", "list_reply": {"id": "model:e8", "title": "E8"}},
            ),
            Tap("model:e8", "E8"),
        ),
        (
            message("interactive", {"type": "nfm_reply", "nfm_reply": {"name": "flow"}}),
            Other("nfm_reply"),
        ),
        (
            message("button", {"payload": "CLAIM_led_1", "text": "Claim"}),
            Tap("CLAIM_led_1", "Claim"),
        ),
        (message("button", {"text": "Claim"}), Tap(None, "Claim")),
        (message("button", {"payload": "x" * 257, "text": "Claim"}), Tap(None, "Claim")),
        (message("image", {"mime_type": "image/jpeg", "caption": "ini"}), Media("image", "ini")),
        (message("audio", {"mime_type": "audio/ogg", "voice": True}), Media("audio")),
        (message("contacts", [CARD]), ContactCard(("+62 812-1",), own=False)),
        (
            message("contacts", [CARD | {"origin": "contact_request"}]),
            ContactCard(("+62 812-1",), own=True),
        ),
        (message("reaction", {"message_id": "wamid.x", "emoji": "😮"}), Other("reaction")),
        (
            message("unsupported", {"type": "poll"}, errors=[{"code": 131051}]),
            Other("unsupported"),
        ),
        (message("edit", {"original_message_id": "wamid.x"}), Other("edit")),
        (message("revoke", {"original_message_id": "wamid.x"}), Other("revoke")),
        (message("order", {"product_items": []}), Other("order")),
        (message("hologram", {"any": "thing"}), Other("hologram")),
    ],
)
def test_every_kind_of_message(sent, content):
    """Each kind of message has its words; a kind that nobody knew yet is kept as such."""
    item = only(read(sent))

    assert content == item.content
    assert BUDI == item.sender


@pytest.mark.parametrize(
    "sent",
    [
        message("interactive"),
        message("interactive", {"type": "button_reply"}),
        message("text"),
        message("text", {"body": ""}),
        message("location", {"latitude": "north", "longitude": 1}),
        message("location", {"latitude": True, "longitude": 1}),
        message("contacts", []),
        message("system", {"type": "user_changed_number"}),
    ],
)
def test_a_message_without_what_it_should_hold(sent):
    """It is told as a problem and still a message: its sender wrote, and the window is open."""
    parsed = read(sent)

    assert [Other(sent["type"])] == [item.content for item in parsed.items]
    assert 1 == len(parsed.problems)


def test_a_message_without_a_type():
    """It is kept as unknown."""
    sent = message("text", {"body": "Halo"})
    del sent["type"]

    assert [Other("unknown")] == [item.content for item in read(sent).items]


@pytest.mark.parametrize(
    ("system", "changed", "contacts"),
    [
        (
            {"wa_id": "12195555358", "type": "user_changed_number"},
            NumberChanged(phone="12195555358"),
            [],
        ),
        (
            {"new_wa_id": "12195555358", "type": "customer_changed_number"},
            NumberChanged(phone="12195555358"),
            [],
        ),
        (
            {"type": "user_changed_user_id", "previous_user_id": "ID.1", "user_id": "ID.2"},
            NumberChanged(bsuid="ID.2", previous_bsuid="ID.1"),
            [],
        ),
        ({"type": "customer_identity_changed"}, Other("customer_identity_changed"), []),
    ],
)
def test_a_number_that_changed(system, changed, contacts):
    """A changed phone or BSUID is told, and nothing is concluded from it here."""
    assert changed == only(read(message("system", system), contacts=contacts)).content


def test_what_a_message_answers():
    """The message of ours that it answers is named; a forwarded one says so, either way."""
    answer = only(read(message("text", {"body": "ya"}, context=OURS)))
    forwarded = only(read(message("text", {"body": "ya"}, context={"forwarded": True})))
    often = only(read(message("text", {"body": "ya"}, context={"frequently_forwarded": True})))

    assert ("wamid.sent", False) == (answer.context_id, answer.forwarded)
    assert (True, True) == (forwarded.forwarded, often.forwarded)


def test_the_advertisement_a_conversation_began_with():
    """Source and click are kept from a message of any type; posts have no click."""
    came = {"source_id": "120226305854810726", "source_type": "ad", "headline": "Chat with us"}

    clicked = only(read(message("image", {}, referral=came | {"ctwa_clid": "Aff-n8"})))
    posted = only(read(message("text", {"body": "Halo"}, referral=came)))

    assert clicked.referral == Referral(
        source_id="120226305854810726", click_id="Aff-n8", headline="Chat with us"
    )
    assert posted.referral is not None
    assert posted.referral.click_id is None


def test_people_without_a_phone_number():
    """A person with a username is known by BSUID alone, from the message or from its contact."""
    sent = message("text", {"body": "Halo"})
    del sent["from"]
    nameless = {"profile": {"name": "Budi"}, "user_id": BSUID}

    by_message = only(read(sent | {"from_user_id": BSUID}, contacts=[]))
    by_contact = only(read(sent, contacts=[nameless]))

    assert Sender(bsuid=BSUID) == by_message.sender
    assert Sender(bsuid=BSUID, name="Budi") == by_contact.sender


def test_a_sender_is_never_guessed():
    """Nobody named, or two who might be: the message is a problem, not somebody's."""
    sent = message("text", {"body": "Halo"})
    del sent["from"]
    contacts = [{"wa_id": "6281"}, {"wa_id": "6282"}]

    for parsed in (read(sent, contacts=[]), read(sent, contacts=contacts)):
        assert () == parsed.items
        assert 1 == len(parsed.problems)


def test_one_contact_is_not_two_people_s():
    """A batch with a single contact may hold the messages of two: it lends itself to neither."""
    sent = message("text", {"body": "Halo"})
    del sent["from"]

    parsed = read(sent, sent | {"id": "wamid.B"}, contacts=[{"user_id": BSUID}])

    assert () == parsed.items
    assert 2 == len(parsed.problems)


def test_a_contact_that_contradicts_adds_nothing():
    """A contact with another phone than the message's sender lends neither name nor BSUID."""
    contact = {"profile": {"name": "Siti"}, "wa_id": "628999999999", "user_id": BSUID}

    item = only(read(message("text", {"body": "Halo"}), contacts=[contact]))

    assert Sender(phone=CUSTOMER) == item.sender


def test_each_message_finds_its_contact():
    """In a batch each message takes the contact that shares its key."""
    siti = {"profile": {"name": "Siti"}, "wa_id": "628999999999"}
    budi = {"profile": {"name": "Budi"}, "wa_id": CUSTOMER}

    parsed = read(
        message("text", {"body": "1"}),
        message("text", {"body": "2"}, **{"from": "628999999999"}),
        contacts=[siti, budi],
    )

    assert ["Budi", "Siti"] == [item.sender.name for item in parsed.items]


def test_our_own_messages_are_no_messages():
    """What staff write on the phone, or what comes from our own number, starts nothing."""
    echo = message("text", {"body": "Halo"}) | {"from": "628110000000"}

    assert Parsed(()) == read(echo)
    assert Parsed(()) == parse(
        envelope({"message_echoes": [echo]}, field="smb_message_echoes"), NUMBERS
    )


STATUS = {"id": "wamid.X", "status": "sent", "timestamp": "1698266945", "recipient_id": CUSTOMER}


@pytest.mark.parametrize(
    ("named", "word"),
    [("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("played", "read")],
)
def test_what_became_of_a_message_of_ours(named, word):
    """Statuses say which message, and carry our own id back."""
    sent = STATUS | {"status": named, "biz_opaque_callback_data": "out_1"}

    assert Status(
        message_id="wamid.X",
        channel="meta",
        number="brand",
        status=word,
        provider_ms=1698266945000,
        ours="out_1",
    ) == only(read(statuses=[sent]))


def test_a_failed_status_says_why():
    """Code and title of the failure come along, without contacts in the body."""
    errors = [{"code": 131047, "title": "Re-engagement message", "message": "more"}]

    status = only(read(statuses=[STATUS | {"status": "failed", "errors": errors}], contacts=[]))

    assert ("failed", 131047, "Re-engagement message") == (
        status.status,
        status.code,
        status.reason,
    )


def test_a_status_nobody_knows():
    """It is a problem; the next one is read all the same."""
    parsed = read(statuses=[STATUS | {"status": "vaporised"}, STATUS])

    assert 1 == len(parsed.items)
    assert 1 == len(parsed.problems)


def test_an_opt_out_of_marketing():
    """Stop and resume are the person's preference."""
    stop = {"wa_id": CUSTOMER, "category": "marketing_messages", "value": "stop", "timestamp": 1}
    body = envelope(value(user_preferences=[stop, {"value": "stop"}]), field="user_preferences")

    parsed = parse(body, NUMBERS)

    assert (Preference(number="brand", sender=Sender(phone=CUSTOMER), wanted=False),) == (
        parsed.items
    )
    assert 1 == len(parsed.problems)


TEMPLATE = {"message_template_name": "lead_offer_v1", "message_template_language": "id"}


@pytest.mark.parametrize(
    ("field", "more", "event", "reason"),
    [
        (
            "message_template_status_update",
            {"event": "APPROVED", "reason": "NONE"},
            "APPROVED",
            None,
        ),
        (
            "message_template_status_update",
            {"event": "REJECTED", "reason": "INVALID_FORMAT"},
            "REJECTED",
            "INVALID_FORMAT",
        ),
        (
            "template_category_update",
            {"previous_category": "UTILITY", "new_category": "MARKETING"},
            "CATEGORY:MARKETING",
            None,
        ),
        (
            "template_category_update",
            {"correct_category": "MARKETING", "new_category": "UTILITY"},
            "CATEGORY:MARKETING",
            "announced",
        ),
    ],
)
def test_a_template_s_news(field, more, event, reason):
    """State and category of a template; an announced category counts, because it will cost."""
    news = TemplateNews(name="lead_offer_v1", language="id", event=event, reason=reason)

    assert news == only(parse(envelope(TEMPLATE | more, field=field), NUMBERS))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"object":"page"}',
        b"[" * 100_000,
        b'{"object":"whatsapp_business_account","entry":5}',
        b'{"object":"whatsapp_business_account","entry":[5,{"changes":[7]}]}',
        envelope(None),
        envelope({}, field="account_update"),
        envelope(value([message("text", {"body": "Halo"})]) | {"metadata": {}}),
        envelope(value([5], [6], [7])),
        envelope(value(errors=[{"code": 130429, "title": "Rate limit hit"}])),
    ],
)
def test_what_cannot_be_read_is_told(body):
    """No items, at least one problem to show beside the kept body."""
    parsed = parse(body, NUMBERS)

    assert () == parsed.items
    assert parsed.problems


def test_one_bad_message_takes_no_other_with_it():
    """Around a message without an id, its neighbours and another change are read."""
    halo = message("text", {"body": "Halo"})

    parsed = parse(
        envelope(
            value([halo, {"type": "text"}, halo | {"id": "wamid.B"}]),
            value([halo | {"id": "wamid.C"}]),
        ),
        NUMBERS,
    )

    assert ["wamid.A", "wamid.B", "wamid.C"] == [
        item.id for item in parsed.items if isinstance(item, Message)
    ]
    assert ("entry 0 change 0: message 1: no id",) == parsed.problems


def test_text_that_no_database_would_store():
    """Half an emoji and a NUL are replaced; the message is read."""
    body = envelope(value([message("text", {"body": "a\ud83db\0c"})]))

    content = only(parse(body, NUMBERS)).content

    assert Text("a?bc") == content


def test_times_of_nobody_s_clock():
    """A time that is none, or from after the year 9999, is missing; a skewed one stays."""
    times = [
        only(read(message("text", {"body": "x"}, timestamp=stamp))).provider_ms
        for stamp in ("soon", "9" * 400, -1, None, True, "4102444800", 1697043223)
    ]

    assert [None, None, None, None, None, 4102444800000, 1697043223000] == times


def test_a_body_full_of_problems_stays_readable():
    """The first problems are told, the others counted."""
    parsed = read(*({"type": "text"} for _ in range(500)))

    assert 51 == len(parsed.problems)
    assert "450 more problems" == parsed.problems[-1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
WORDS = st.sampled_from(
    [
        "from",
        "id",
        "type",
        "text",
        "timestamp",
        "context",
        "interactive",
        "location",
        "contacts",
        "button",
        "system",
        "referral",
        "status",
        "errors",
        "from_user_id",
        "image",
        "wa_id",
    ]
)
SEEDS = [
    message("text", {"body": "Halo"}),
    message("interactive", {"type": "button_reply", "button_reply": TAPPED}),
    message("location", {"latitude": 1, "longitude": 2}),
    message("contacts", [CARD]),
    message("system", {"type": "user_changed_number", "wa_id": "6281"}),
    STATUS,
]


@given(st.binary())
def test_any_bytes_are_read(body):
    """No bytes raise, and what is no body gives a problem."""
    assert parse(body, NUMBERS).problems


@given(
    st.sampled_from(SEEDS),
    st.dictionaries(WORDS, JSON, max_size=3),
    st.sampled_from(["messages", "statuses", "contacts", "metadata", "errors"]),
    st.none() | JSON,
)
def test_a_body_with_anything_in_its_fields_is_read(seed, replaced, part, wrong):
    """Whatever stands in a field, what comes out is storable and of the promised kinds."""
    held = value([seed | replaced], [STATUS | replaced, seed | replaced])
    if wrong is not None:
        held[part] = wrong

    parsed = parse(envelope(held), NUMBERS)

    for item in parsed.items:
        storable = json.dumps(asdict(item), ensure_ascii=False, allow_nan=False).encode()
        assert b"u0000" not in storable
        assert isinstance(item, Message | Status)
        if isinstance(item, Message):
            assert item.id
            assert item.sender.phone or item.sender.bsuid
