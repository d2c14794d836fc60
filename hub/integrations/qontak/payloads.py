"""A message in Qontak's words, inside WhatsApp's limits. Pure.

Qontak has no form for a question for the place, a contact card or a pin: they become words.
"""

from collections.abc import Sequence
from typing import Final

from hub.integrations.whatsapp.payloads import (
    PARAMETERS_CHARS_MAX,
    TEXT_CHARS_MAX,
    Unsendable,
    cut,
    message_of,
    parameter,
)
from hub.integrations.whatsapp.reading import Object
from hub.outbox.messages import Card, Rendered, TemplateUse

MAP: Final = "https://maps.google.com/?q={lat:.6f},{lon:.6f}"


def in_room(rendered: Rendered, room: str) -> tuple[str, Object]:
    """What is sent into an open room, and whether it is ``text`` or ``interactive``.

    Raises Unsendable.
    """
    if rendered.card is not None or rendered.pin is not None or rendered.asks is not None:
        return "text", {"room_id": room, "type": "text", "text": _as_words(rendered)}
    message = message_of(rendered)
    if message["type"] == "text":
        return "text", {"room_id": room, "type": "text", "text": message["text"]["body"]}
    shown = message["interactive"]
    held: Object = {"body": shown["body"]["text"]}
    if shown["type"] == "button":
        held["buttons"] = [button["reply"] for button in shown["action"]["buttons"]]
    else:
        held["lists"] = shown["action"]
    return "interactive", {"room_id": room, "type": shown["type"], "interactive": held}


def _as_words(rendered: Rendered) -> str:
    forms = [rendered.card, rendered.pin, rendered.asks, *rendered.buttons, *rendered.rows]
    if sum(form is not None for form in forms) > 1:
        raise Unsendable("a message has one form: buttons, rows, asks, card or pin")
    said = [rendered.text.strip()]
    if rendered.card is not None:
        said.append(_card(rendered.card))
    if rendered.pin is not None:
        lat, lon, name = rendered.pin
        said.extend((name.strip(), MAP.format(lat=lat, lon=lon)))
    words = "\n".join(line for line in said if line)
    if not words:
        raise Unsendable("there are no words to send")
    return cut(words, TEXT_CHARS_MAX)


def _card(card: Card) -> str:
    return f"{card.name.strip()} +{card.phone}".strip()


def broadcast(
    use: TemplateUse, *, phone: str, template: str, language: str, integration: str
) -> Object:
    """A template to one person; the buttons it has are its own, no id goes with them."""
    body: Sequence[Object] = ()
    if use.body:
        each = max(2, PARAMETERS_CHARS_MAX // len(use.body))
        body = [
            {"key": str(place), "value": f"value_{place}", "value_text": parameter(value, each)}
            for place, value in enumerate(use.body, start=1)
        ]
    return {
        # The name would become the contact's: none is made up.
        "to_name": phone,
        "to_number": phone,
        "message_template_id": template,
        "channel_integration_id": integration,
        "language": {"code": language},
        "parameters": {"body": list(body)},
    }
