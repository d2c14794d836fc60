"""A stored webhook body of Qontak's in the hub's words. Total: any bytes give items and problems.

Four kinds come to one address: what was written (``message_interaction``), what happened to a room
(``room_interaction``), what became of a broadcast, and Mekari's own ``qontak.chat.room.*``, whose
last message holds Meta's words: a tap's id and the wamid are told nowhere else.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias

from hub.inbox.incoming import (
    Content,
    Item,
    Media,
    Message,
    Other,
    Parsed,
    Sender,
    Status,
    StatusWord,
    Tap,
    Text,
)
from hub.integrations.whatsapp.contents import MEDIA, content_of
from hub.integrations.whatsapp.parse import message_in
from hub.integrations.whatsapp.reading import (
    NAME_CHARS_MAX,
    Object,
    decode,
    identifier,
    mapping,
    objects,
    text,
)
from hub.integrations.whatsapp.senders import Contacts, bsuid_of, phone_of

CUSTOMER: Final = "customer"
OURS: Final = frozenset({"agent", "bot"})
WORDS: Final[dict[str, StatusWord]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "failed": "failed",
}
NOT_YET: Final = frozenset({"created", "pending", "todo", "processing", "queued"})
"""Before anything became of a message."""
SETTLED: Final = frozenset({"resolved"})
"""Nothing can be said in such a room any more."""
CODE: Final = re.compile(r"(?<!\d)(?:#\s*)?(\d{5,6})(?!\d)", re.ASCII)
"""WhatsApp's error code inside Qontak's words."""
TAPS: Final = frozenset({"button", "interactive", "button_reply", "list_reply"})
AGES_MS: Final = range(253_402_300_800_000)


@dataclass(frozen=True, slots=True)
class Problem:
    """What could not be read; never holds what a person wrote."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomNews:
    """Where a person can be answered."""

    number: str
    """Name of our number (``[[numbers]] name``)."""
    phone: str
    room: str
    open: bool
    at_ms: int | None
    """When it was so, by the vendor's clock."""


Found: TypeAlias = Item | RoomNews | Problem


def parse(body: bytes, numbers: Mapping[str, str]) -> Parsed:
    """The items of a body. `numbers` is channel_integration_id to ``[[numbers]] name``.

    What it cannot read is a problem. Never raises.
    """
    items: list[Item] = []
    problems: list[str] = []
    for found in _read(body, numbers):
        if isinstance(found, Problem):
            problems.append(found.what)
        elif not isinstance(found, RoomNews):
            items.append(found)
    return Parsed(tuple(items), tuple(problems))


def rooms(body: bytes, numbers: Mapping[str, str]) -> tuple[RoomNews, ...]:
    """What a body tells of rooms, whatever else it is about. Never raises."""
    return tuple(found for found in _read(body, numbers) if isinstance(found, RoomNews))


def _read(body: bytes, numbers: Mapping[str, str]) -> Iterator[Found]:
    document = decode(body)
    if not isinstance(document, dict):
        yield Problem("the body is not a JSON object")
        return
    document = _unwrapped(document)
    if _is_broadcast(document):
        yield from _broadcast(document, numbers)
    elif isinstance(document.get("last_message"), dict):
        last = mapping(document.get("last_message"))
        yield from _room(document, numbers, instant_ms(document, "updated_at"))
        yield from _written(last, document, numbers)
    elif identifier(document, "room_id") is not None and "participant_type" in document:
        room = mapping(document.get("room"))
        yield from _room(room, numbers, instant_ms(document, "created_at"))
        yield from _written(document, room, numbers)
    elif room := _room_of(document):
        yield from _room(room, numbers, instant_ms(room, "updated_at"))
    else:
        yield Problem("the body is about no message, room or broadcast")


def _unwrapped(document: Object) -> Object:
    """The payload itself: some deliveries put it into an envelope with the event's name."""
    inner = document.get("data")
    named = text(document, "event", NAME_CHARS_MAX) or text(document, "type", NAME_CHARS_MAX)
    return inner if isinstance(inner, dict) and named is not None else document


def _room_of(document: Object) -> Object:
    """The room that a ``room_interaction`` speaks of."""
    for room in (document, mapping(document.get("room"))):
        if identifier(room, "id") is not None and "account_uniq_id" in room:
            return room
    return {}


# --- what was written ---------------------------------------------------------------------------


def _written(message: Object, room: Object, numbers: Mapping[str, str]) -> Iterator[Found]:
    number = _number_of(room, message, numbers)
    if number is None:
        # A channel of the same organisation that is none of ours: Instagram, another number.
        yield Problem("the channel_integration_id is none of [[numbers]]")
        return
    who = text(message, "participant_type", NAME_CHARS_MAX)
    if who == CUSTOMER:
        yield from _message(message, room, number)
    elif who in OURS:
        # Our own words coming back: never a message, only what became of them.
        yield from _status(message, number)
    else:
        yield Problem("neither a customer, an agent nor a bot wrote it")


def _number_of(room: Object, message: Object, numbers: Mapping[str, str]) -> str | None:
    integration = mapping(message.get("channel_integration"))
    known = identifier(room, "channel_integration_id") or identifier(integration, "id")
    return None if known is None else numbers.get(known)


def _message(message: Object, room: Object, number: str) -> Iterator[Found]:
    own_id = identifier(message, "id")
    external_id = identifier(message, "external_id")
    raw, contacts = _raw(message.get("raw_message"))
    read, problem = None, None
    if raw:
        read, problem = message_in(
            raw, Contacts(contacts), alone=True, channel="qontak", number=number
        )
    if read is None:
        plain = _plain(message, room, number, external_id or own_id)
        if isinstance(plain, Problem):
            yield plain
            return
        read, problem = plain
    if problem is not None:
        yield Problem(problem)
    ids = dict.fromkeys(each for each in (external_id, own_id) if each is not None)
    wamid = next((each for each in (read.id, *ids) if each.startswith("wamid.")), read.id)
    aliases = tuple(each for each in dict.fromkeys((read.id, *ids)) if each != wamid)
    yield replace(read, id=wamid, aliases=aliases, sender=_named(read.sender, message, room))


def _raw(value: object) -> tuple[Object, list[Object]]:
    """Meta's message and its contacts, whether Qontak gives a text, a value or an envelope."""
    if isinstance(value, str):
        value = decode(value.encode("utf-8", "replace"))
    held = mapping(value)
    for _, entry in objects(held.get("entry")):
        for _, change in objects(entry.get("changes")):
            held = mapping(change.get("value")) or held
    messages = [message for _, message in objects(held.get("messages"))]
    contacts = [contact for _, contact in objects(held.get("contacts"))]
    if messages:
        # More than one would be told one by one: which of them this one is cannot be known.
        return (messages[0] if len(messages) == 1 else {}), contacts
    return (held, []) if identifier(held, "id") is not None else ({}, [])


def _plain(
    message: Object, room: Object, number: str, message_id: str | None
) -> tuple[Message, str | None] | Problem:
    """A message as Qontak shows it: a tap is its title, without an id."""
    phone, bsuid = _phone_of(room), bsuid_of(room, "account_uniq_id")
    if message_id is None:
        return Problem("a message without an id")
    if phone is None and bsuid is None:
        return Problem("nobody is named as the sender of a message")
    content, problem = _content(message)
    reply = mapping(message.get("reply"))
    read = Message(
        id=message_id,
        channel="qontak",
        number=number,
        sender=Sender(phone=phone, bsuid=bsuid),
        provider_ms=instant_ms(message, "created_at"),
        content=content,
        plain=True,
        context_id=identifier(reply, "external_id") or identifier(reply, "id"),
    )
    return read, problem


def _content(message: Object) -> tuple[Content, str | None]:
    kind = text(message, "type", NAME_CHARS_MAX)
    words = text(message, "text")
    if kind in MEDIA:
        return Media(kind or "", words), None
    if kind in TAPS and words is not None:
        return Tap(None, words), None
    if kind == "text" or (kind is None and words is not None):
        return (Other("text"), "a text without words") if words is None else (Text(words), None)
    # A location or a contact has Meta's form where Qontak passes it on at all.
    return content_of(message)


def _named(sender: Sender, message: Object, room: Object) -> Sender:
    """The sender with what the room adds: a number only where Meta itself told none."""
    name = sender.name or text(mapping(message.get("sender")), "name", NAME_CHARS_MAX)
    phone = sender.phone or _phone_of(room)
    return replace(sender, phone=phone, name=name or text(room, "name", NAME_CHARS_MAX))


def _phone_of(room: Object) -> str | None:
    return phone_of(room, "account_uniq_id")


# --- what became of ours ------------------------------------------------------------------------


def _status(message: Object, number: str) -> Iterator[Found]:
    message_id = identifier(message, "id")
    named = text(message, "status", NAME_CHARS_MAX)
    if named is None or named in NOT_YET:
        return
    word = WORDS.get(named)
    if message_id is None or word is None:
        yield Problem(f"{named!r} of a message of ours is no status we know, or has no id")
        return
    reason = _reason(message, "error_message", "whatsapp_error_message") if word == "failed" else ""
    yield Status(
        message_id=message_id,
        channel="qontak",
        number=number,
        status=word,
        provider_ms=instant_ms(message, "updated_at"),
        code=code_in(reason),
        reason=reason or None,
    )


def _is_broadcast(document: Object) -> bool:
    event = text(document, "data_event", NAME_CHARS_MAX)
    return event == "broadcast_log_status" or "messages_broadcast_id" in document


def _broadcast(document: Object, numbers: Mapping[str, str]) -> Iterator[Found]:
    broadcast = identifier(document, "messages_broadcast_id")
    named = text(document, "status", NAME_CHARS_MAX) or ""
    word = WORDS.get(named)
    if named in NOT_YET:
        return
    if broadcast is None or word is None:
        yield Problem(f"{named!r} of a broadcast is no status we know, or has no id")
        return
    number = numbers.get(identifier(document, "channel_integration_id") or "")
    if number is None:
        # It says which broadcast, and that is enough: only its name for the number is missing.
        number = next(iter(numbers.values()), "") if len(numbers) == 1 else ""
    reason = _reason(document, "whatsapp_error_message") if word == "failed" else ""
    yield Status(
        message_id=broadcast,
        channel="qontak",
        number=number,
        status=word,
        provider_ms=instant_ms(document, "updated_at"),
        code=code_in(reason),
        reason=reason or None,
    )


def _reason(values: Object, *names: str) -> str:
    for name in names:
        told = text(values, name, NAME_CHARS_MAX)
        if told is not None:
            return told
    return ""


def code_in(words: str) -> int | None:
    """WhatsApp's error code that a sentence of Qontak's holds."""
    found = CODE.search(words)
    return int(found[1]) if found else None


# --- rooms --------------------------------------------------------------------------------------


def _room(room: Object, numbers: Mapping[str, str], at_ms: int | None) -> Iterator[RoomNews]:
    number = numbers.get(identifier(room, "channel_integration_id") or "")
    room_id, phone = identifier(room, "id"), _phone_of(room)
    if number is None or room_id is None or phone is None:
        return
    yield RoomNews(
        number=number,
        phone=phone,
        room=room_id,
        open=is_open(room),
        at_ms=at_ms,
    )


def is_open(room: Object) -> bool:
    """Whether something can be said in this room."""
    settled = text(room, "status", NAME_CHARS_MAX) in SETTLED
    return not settled and text(room, "session", NAME_CHARS_MAX) not in {"closed", "expired"}


def instant_ms(values: Object, name: str) -> int | None:
    """A time as Qontak writes it, RFC 3339, in milliseconds; None when it is none."""
    written = text(values, name, NAME_CHARS_MAX)
    if written is None:
        return None
    try:
        instant = datetime.fromisoformat(written)
        at = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        at_ms = round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return at_ms if at_ms in AGES_MS else None
