"""What one WhatsApp message holds, by its `type`."""

from collections.abc import Callable
from typing import Final

from hub.inbox.incoming import (
    ContactCard,
    Content,
    Media,
    NumberChanged,
    Other,
    Pin,
    Tap,
    Text,
)
from hub.integrations.whatsapp.reading import (
    ID_CHARS_MAX,
    NAME_CHARS_MAX,
    Object,
    degrees,
    mapping,
    objects,
    text,
)
from hub.integrations.whatsapp.senders import bsuid_of, phone_of

PHONES_MAX: Final = 10
KIND_CHARS_MAX: Final = 64
MEDIA: Final = frozenset({"image", "audio", "video", "document", "sticker", "voice"})


def content_of(message: Object) -> tuple[Content, str | None]:
    """What the message says, and what of it could not be read.

    A message that misses its own object is still a message: its sender wrote to us.
    """
    kind = text(message, "type", KIND_CHARS_MAX)
    if kind is None:
        return Other("unknown"), "a message without a type"
    if kind in MEDIA:
        return Media(kind, text(mapping(message.get(kind)), "caption")), None
    reader = READERS.get(kind)
    if reader is None:
        return Other(kind), None
    content = reader(message)
    if content is None:
        return Other(kind), f"a message of type {kind} without what it should hold"
    return content, None


def _text(message: Object) -> Content | None:
    body = text(mapping(message.get("text")), "body")
    return None if body is None else Text(body)


def _location(message: Object) -> Content | None:
    location = mapping(message.get("location"))
    lat, lon = degrees(location, "latitude"), degrees(location, "longitude")
    if lat is None or lon is None:
        return None
    return Pin(
        lat=lat,
        lon=lon,
        name=text(location, "name", NAME_CHARS_MAX),
        address=text(location, "address", 2 * NAME_CHARS_MAX),
    )


def _tap(values: Object, id_name: str, title_name: str) -> Content | None:
    # An id that is too long is none of ours: then only the title is left, as if none had come.
    tapped = text(values, id_name, ID_CHARS_MAX + 1)
    if tapped is not None and len(tapped) > ID_CHARS_MAX:
        tapped = None
    title = text(values, title_name, NAME_CHARS_MAX)
    if tapped is None and title is None:
        return None
    return Tap(tapped, title or "")


def _button(message: Object) -> Content | None:
    """A tap on a template's button, with the payload that we gave it."""
    return _tap(mapping(message.get("button")), "payload", "text")


def _interactive(message: Object) -> Content | None:
    """A tap on a button or a row of our own interactive message."""
    interactive = mapping(message.get("interactive"))
    match text(interactive, "type", KIND_CHARS_MAX):
        case "button_reply" | "list_reply" as kind:
            return _tap(mapping(interactive.get(kind)), "id", "title")
        case str() as kind:
            return Other(kind)
    return None


def _contacts(message: Object) -> Content | None:
    shared = [contact for _, contact in objects(message.get("contacts"))]
    phones = [
        phone
        for contact in shared
        for _, entry in objects(contact.get("phones"))
        if (phone := text(entry, "phone", NAME_CHARS_MAX) or text(entry, "wa_id", NAME_CHARS_MAX))
    ]
    if not shared:
        return None
    origins = {value.get("origin") for value in (message, *shared) if _is_word(value.get("origin"))}
    return ContactCard(tuple(phones[:PHONES_MAX]), own="contact_request" in origins)


def _is_word(value: object) -> bool:
    return isinstance(value, str)


def _system(message: Object) -> Content | None:
    system = mapping(message.get("system"))
    match text(system, "type", KIND_CHARS_MAX):
        case "user_changed_number" | "customer_changed_number":
            phone = phone_of(system, "wa_id") or phone_of(system, "new_wa_id")
            bsuid = bsuid_of(system, "user_id")
            changed = phone is not None or bsuid is not None
            return NumberChanged(phone=phone, bsuid=bsuid) if changed else None
        case "user_changed_user_id":
            bsuid = bsuid_of(system, "user_id")
            previous = bsuid_of(system, "previous_user_id")
            return None if bsuid is None else NumberChanged(bsuid=bsuid, previous_bsuid=previous)
        case str() as kind:
            return Other(kind)
    return None


READERS: Final[dict[str, Callable[[Object], Content | None]]] = {
    "text": _text,
    "location": _location,
    "button": _button,
    "interactive": _interactive,
    "contacts": _contacts,
    "system": _system,
}
