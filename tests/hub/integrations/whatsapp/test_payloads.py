"""Whatever is to be said fits Meta's limits, or is refused before it is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.integrations.whatsapp.payloads import (
    Unsendable,
    cut,
    message_of,
    parameter,
    template_of,
)
from hub.outbox.messages import Button, Card, Rendered, Row, TemplateUse

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


def test_words_alone():
    """A text without a preview of what it links to."""
    assert {
        "type": "text",
        "text": {"preview_url": False, "body": "Halo"},
    } == message_of(Rendered(text="Halo"))


def test_a_list():
    """Rows in one section; a row without a description has none."""
    rendered = Rendered(
        text="Pilih model",
        rows=(Row("model:e8", "E8", "sampai 100 km"), Row("model:g6", "G6")),
        rows_button="Lihat",
    )

    assert {
        "type": "list",
        "body": {"text": "Pilih model"},
        "action": {
            "button": "Lihat",
            "sections": [
                {
                    "title": "Lihat",
                    "rows": [
                        {"id": "model:e8", "title": "E8", "description": "sampai 100 km"},
                        {"id": "model:g6", "title": "G6"},
                    ],
                }
            ],
        },
    } == message_of(rendered)["interactive"]


@pytest.mark.parametrize(
    ("asks", "kind", "action"),
    [
        ("location", "location_request_message", "send_location"),
        ("contact", "request_contact_info", "request_contact_info"),
    ],
)
def test_questions_that_the_app_answers(asks, kind, action):
    """Location and own contact are asked for with Meta's own buttons."""
    assert {"type": kind, "body": {"text": "Di mana?"}, "action": {"name": action}} == message_of(
        Rendered(text="Di mana?", asks=asks)
    )["interactive"]


def test_a_contact_card():
    """It can be tapped to write to the person; a person without a name is their number."""
    shown = message_of(Rendered(text="", card=Card(name="Budi 🛵", phone="6281234567890")))
    nameless = message_of(Rendered(text="", card=Card(name=" ", phone="6281234567890")))

    assert [
        {
            "name": {"formatted_name": "Budi 🛵", "first_name": "Budi 🛵"},
            "phones": [{"phone": "+6281234567890", "wa_id": "6281234567890", "type": "CELL"}],
        }
    ] == shown["contacts"]
    assert "+6281234567890" == nameless["contacts"][0]["name"]["formatted_name"]


def test_a_pin():
    """A place with its name, or without."""
    assert {"latitude": -7.25, "longitude": 112.75, "name": "Toko"} == message_of(
        Rendered(text="", pin=(-7.25, 112.75, "Toko"))
    )["location"]
    assert {"latitude": -7.25, "longitude": 112.75} == message_of(
        Rendered(text="", pin=(-7.25, 112.75, ""))
    )["location"]


@pytest.mark.parametrize(
    "rendered",
    [
        Rendered(text=""),
        Rendered(text=" \n"),
        Rendered(text="a", buttons=tuple(Button(str(n), str(n)) for n in range(4))),
        Rendered(text="a", buttons=(Button("1", "Ya"), Button("1", "Tidak"))),
        Rendered(text="a", buttons=(Button("1", "Ya"), Button("2", "Ya"))),
        Rendered(text="a", buttons=(Button("x" * 257, "Ya"),)),
        Rendered(text="a", buttons=(Button("", "Ya"),)),
        Rendered(text="a", buttons=(Button("1", " "),)),
        Rendered(text="", buttons=(Button("1", "Ya"),)),
        Rendered(text="a", rows=tuple(Row(str(n), "x") for n in range(11)), rows_button="b"),
        Rendered(text="a", rows=(Row("x" * 201, "x"),), rows_button="b"),
        Rendered(text="a", rows=(Row("1", "x"),)),
        Rendered(text="a", asks="location", buttons=(Button("1", "Ya"),)),
        Rendered(text="", card=Card(name="B", phone="62812"), pin=(1, 2, "")),
        Rendered(text="a", card=Card(name="B", phone="62812")),
        Rendered(text="a", pin=(1, 2, "")),
    ],
)
def test_what_no_message_can_hold(rendered):
    """It is refused instead of being sent as something else."""
    with pytest.raises(Unsendable):
        message_of(rendered)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3), st.integers(1, 200))
def test_words_are_cut_to_what_meta_takes(text, titles, times):
    """Whatever the words, the body and each title keep the limits; ids stay whole."""
    buttons = tuple(
        Button(f"CLAIM_{place}", f"{place}{title}") for place, title in enumerate(titles)
    )
    message = message_of(Rendered(text=text * times, buttons=buttons))["interactive"]

    assert units(message["body"]["text"]) <= 1024
    replies = [button["reply"] for button in message["action"]["buttons"]]
    assert [f"CLAIM_{place}" for place in range(len(titles))] == [reply["id"] for reply in replies]
    assert all(1 <= units(reply["title"]) <= 20 for reply in replies)


def units(text):
    """UTF-16 units: what counts where an emoji counts twice."""
    return len(text.encode("utf-16-le")) // 2


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(2, 50))
def test_cutting(text, chars_max):
    """A text that fits stays; what is cut ends with an ellipsis and fits."""
    result = cut(text, chars_max)

    assert units(result) <= chars_max
    assert result == text if units(text) <= chars_max else result.endswith("…")


def test_half_an_emoji():
    """A name that was cut by somebody else is sent all the same."""
    assert "Budi ?" == cut("Budi \ud83d", 20)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=12))
def test_parameters_that_a_template_takes(values):
    """No line breaks, tabs or runs of spaces, none empty, together below the text's limit."""
    use = TemplateUse(purpose="offer", language="id", body=tuple(values))
    components = template_of(use, "lead_offer_v1", "id")["template"]["components"]

    texts = [entry["text"] for component in components for entry in component["parameters"]]
    assert len(values) == len(texts)
    assert all(text == " ".join(text.split()) and text for text in texts)
    assert sum(map(units, texts)) <= 800 + 2 * len(texts)


def test_an_empty_parameter_is_a_dash():
    """Meta refuses an empty one."""
    assert "-" == parameter(" \n ", 10)


@pytest.mark.parametrize("payload", ["", "x" * 129])
def test_a_payload_is_whole_or_refused(payload):
    """A cut payload would be a tap on another lead."""
    use = TemplateUse(purpose="offer", language="id", body=(), payloads=(payload,))

    with pytest.raises(Unsendable):
        template_of(use, "lead_offer_v1", "id")
