"""A message in the Cloud API's words, inside its limits. Pure.

What people read is cut to fit; an id is never cut, because it would be another one.
"""

from collections.abc import Sequence
from typing import Final

from hub.integrations.whatsapp.reading import Object
from hub.outbox.messages import Address, Button, Card, Rendered, Row, TemplateUse

TEXT_CHARS_MAX: Final = 4096
BODY_CHARS_MAX: Final = 1024
BUTTONS_MAX, BUTTON_CHARS_MAX, BUTTON_ID_CHARS_MAX = 3, 20, 256
ROWS_MAX, ROW_CHARS_MAX, ROW_ID_CHARS_MAX = 10, 24, 200
DESCRIPTION_CHARS_MAX: Final = 72
OPEN_CHARS_MAX: Final = 20
NAME_CHARS_MAX: Final = 256
PAYLOAD_CHARS_MAX: Final = 128
PARAMETERS_CHARS_MAX: Final = 800
"""Of all parameters together: a template's whole text has at most 1024."""
NOTHING: Final = "-"
"""Stands for an empty parameter, which Meta refuses."""


class Unsendable(ValueError):
    """The message has no form in which Meta takes it: a mistake of ours."""


def cut(text: str, chars_max: int) -> str:
    """The text, or as much of it as fits with an ellipsis. Counted as UTF-16, the strictest way.

    Half an emoji, which no JSON can carry, becomes a question mark.
    """
    text = text.encode("utf-8", "replace").decode()
    if _length(text) <= chars_max:
        return text
    kept = text[: chars_max - 1]
    while _length(kept) > chars_max - 1:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def addressed(address: Address, message: Object, out_id: str) -> Object:
    """The body of the request. By phone where one is known: some messages reach no BSUID."""
    if address.phone is not None:
        to = {"to": address.phone}
    elif address.bsuid is not None:
        to = {"recipient": address.bsuid}
    else:
        raise Unsendable("neither a phone nor a BSUID is known")
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **to,
        **message,
        "biz_opaque_callback_data": out_id,
    }


def message_of(rendered: Rendered) -> Object:
    """What may be sent while the window is open. Raises Unsendable.

    One message has one form: buttons, a list, a question for location or contact, a contact card,
    a pin, or words alone. A card and a pin show no words: whoever has more to say sends two.
    """
    forms = [
        bool(given)
        for given in (rendered.buttons, rendered.rows, rendered.asks, rendered.card, rendered.pin)
    ]
    if sum(forms) > 1:
        raise Unsendable("a message has one form: buttons, rows, asks, card or pin")
    if rendered.card is not None or rendered.pin is not None:
        if rendered.text.strip():
            raise Unsendable("a contact card or a pin shows no words: they are a second message")
        return _contacts(rendered.card) if rendered.card else _location(rendered)
    if not any(forms):
        body = cut(_words(rendered.text), TEXT_CHARS_MAX)
        return {"type": "text", "text": {"preview_url": False, "body": body}}
    body = cut(_words(rendered.text), BODY_CHARS_MAX)
    return {
        "type": "interactive",
        "interactive": {"body": {"text": body}, **_interactive(rendered)},
    }


def _interactive(rendered: Rendered) -> Object:
    match rendered.asks:
        case "location":
            return {"type": "location_request_message", "action": {"name": "send_location"}}
        case "contact":
            return {"type": "request_contact_info", "action": {"name": "request_contact_info"}}
    if rendered.buttons:
        return {"type": "button", "action": {"buttons": _buttons(rendered.buttons)}}
    opens = cut(_words(rendered.rows_button), OPEN_CHARS_MAX)
    sections = [{"title": opens, "rows": _rows(rendered.rows)}]
    return {"type": "list", "action": {"button": opens, "sections": sections}}


def _buttons(buttons: Sequence[Button]) -> list[Object]:
    titles = [cut(_words(button.title), BUTTON_CHARS_MAX) for button in buttons]
    _check(buttons, len(buttons) <= BUTTONS_MAX, BUTTON_ID_CHARS_MAX)
    if len(set(titles)) < len(titles):
        raise Unsendable("two buttons have the same title")
    return [
        {"type": "reply", "reply": {"id": button.id, "title": title}}
        for button, title in zip(buttons, titles, strict=True)
    ]


def _rows(rows: Sequence[Row]) -> list[Object]:
    _check(rows, len(rows) <= ROWS_MAX, ROW_ID_CHARS_MAX)
    shown = []
    for row in rows:
        entry = {"id": row.id, "title": cut(_words(row.title), ROW_CHARS_MAX)}
        if row.description.strip():
            entry["description"] = cut(row.description, DESCRIPTION_CHARS_MAX)
        shown.append(entry)
    return shown


def _check(options: Sequence[Button | Row], few: bool, id_chars_max: int) -> None:  # noqa: FBT001 - the caller's own limit, told in place
    if not few:
        raise Unsendable(f"{len(options)} options are more than a message holds")
    ids = [option.id for option in options]
    if len(set(ids)) < len(ids):
        raise Unsendable("two options have the same id")
    if not all(0 < len(option_id) <= id_chars_max for option_id in ids):
        raise Unsendable(f"an id has 1 to {id_chars_max} characters")


def _words(text: str) -> str:
    if not text.strip():
        raise Unsendable("there are no words to send")
    return text


def _contacts(card: Card) -> Object:
    name = cut(card.name.strip() or f"+{card.phone}", NAME_CHARS_MAX)
    phone = {"phone": f"+{card.phone}", "wa_id": card.phone, "type": "CELL"}
    contact = {"name": {"formatted_name": name, "first_name": name}, "phones": [phone]}
    return {"type": "contacts", "contacts": [contact]}


def _location(rendered: Rendered) -> Object:
    assert rendered.pin is not None
    lat, lon, name = rendered.pin
    place: Object = {"latitude": lat, "longitude": lon}
    if name.strip():
        place["name"] = cut(name, NAME_CHARS_MAX)
    return {"type": "location", "location": place}


def template_of(use: TemplateUse, name: str, language: str) -> Object:
    """What may be sent when the window is closed. Raises Unsendable.

    Its lifetime was given when the template was pushed: a single message has none.
    """
    components: list[Object] = []
    if use.body:
        each = max(2, PARAMETERS_CHARS_MAX // len(use.body))
        parameters = [{"type": "text", "text": parameter(value, each)} for value in use.body]
        components.append({"type": "body", "parameters": parameters})
    for index, payload in enumerate(use.payloads):
        if not 0 < len(payload) <= PAYLOAD_CHARS_MAX:
            raise Unsendable(f"a payload has 1 to {PAYLOAD_CHARS_MAX} characters")
        components.append(
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": str(index),
                "parameters": [{"type": "payload", "payload": payload}],
            }
        )
    held = {"name": name, "language": {"code": language}, "components": components}
    return {"type": "template", "template": held}


def parameter(value: str, chars_max: int) -> str:
    """A template's parameter: one line, no runs of spaces, never empty."""
    return cut(" ".join(value.split()) or NOTHING, chars_max)
