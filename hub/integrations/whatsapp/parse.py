"""A stored webhook body in the hub's words. Total: any bytes give items and problems, no error."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from hub.inbox.incoming import (
    Channel,
    Item,
    Message,
    Parsed,
    Preference,
    Referral,
    Sender,
    Status,
    StatusWord,
    TemplateNews,
)
from hub.integrations.whatsapp.contents import content_of
from hub.integrations.whatsapp.reading import (
    NAME_CHARS_MAX,
    Object,
    decode,
    identifier,
    instant_ms,
    mapping,
    objects,
    strays,
    text,
    whole,
)
from hub.integrations.whatsapp.senders import Contacts, bsuid_of, digits, phone_of

PROBLEMS_MAX: Final = 50
"""So many are told; the body itself is kept."""
WORDS: Final[dict[str, StatusWord]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}
NOT_OURS_TO_ACT_ON: Final = frozenset(
    {
        # What staff write on the phone itself comes back; it is no customer's message.
        "smb_message_echoes",
        "smb_app_state_sync",
        "history",
        "calls",
        "message_template_quality_update",
        "template_quality_update",
        "message_template_components_update",
        # The same change comes as a system message, in its place among the others.
        "user_id_update",
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What could not be read; never holds what a person wrote."""

    what: str


Found: TypeAlias = Item | Problem


def parse(body: bytes, numbers: Mapping[str, str]) -> Parsed:
    """The items of a body in its order. `numbers` is phone_number_id to ``[[numbers]] name``.

    What it cannot read is a problem and takes nothing else with it. Never raises.
    """
    document = decode(body)
    if not isinstance(document, dict):
        return Parsed((), ("the body is not a JSON object",))
    if document.get("object") != "whatsapp_business_account":
        return Parsed((), ("the body does not speak of a WhatsApp account",))
    items: list[Item] = []
    problems: list[str] = []
    for found in _entries(document, numbers):
        if isinstance(found, Problem):
            problems.append(found.what)
        else:
            items.append(found)
    if len(problems) > PROBLEMS_MAX:
        problems[PROBLEMS_MAX:] = [f"{len(problems) - PROBLEMS_MAX} more problems"]
    return Parsed(tuple(items), tuple(problems))


def _entries(document: Object, numbers: Mapping[str, str]) -> Iterator[Found]:
    yield from _elements("entry", document.get("entry"))
    for entry_place, entry in objects(document.get("entry")):
        yield from _elements(f"entry {entry_place}: changes", entry.get("changes"))
        for place, change in objects(entry.get("changes")):
            where = f"entry {entry_place} change {place}"
            for found in _change(change, numbers):
                yield Problem(f"{where}: {found.what}") if isinstance(found, Problem) else found


def _elements(what: str, value: object) -> Iterator[Found]:
    """A problem for a list that is none, or that holds what cannot be read."""
    if value is not None and (count := strays(value)):
        yield Problem(f"{what}: {count} unreadable")


def _change(change: Object, numbers: Mapping[str, str]) -> Iterator[Found]:
    field = text(change, "field", NAME_CHARS_MAX) or ""
    value = change.get("value")
    reader = FIELDS.get(field)
    if field in NOT_OURS_TO_ACT_ON:
        return
    if reader is None:
        yield Problem(f"field {field!r} is not acted on")
    elif not isinstance(value, dict):
        yield Problem(f"field {field!r} without a value")
    else:
        yield from reader(value, numbers)


def _number_of(value: Object, numbers: Mapping[str, str]) -> str | None:
    number_id = identifier(mapping(value.get("metadata")), "phone_number_id")
    return None if number_id is None else numbers.get(number_id)


def _messages_field(value: Object, numbers: Mapping[str, str]) -> Iterator[Found]:
    for _, error in objects(value.get("errors")):
        code, title = whole(error, "code"), text(error, "title", NAME_CHARS_MAX)
        yield Problem(f"Meta reports error {code}: {title}")
    number = _number_of(value, numbers)
    if number is None:
        # Another number of the same account, or one whose settings are missing here.
        yield Problem("the phone_number_id is none of [[numbers]]")
        return
    for name in ("contacts", "messages", "statuses"):
        yield from _elements(name, value.get(name))
    yield from _messages(value, number)
    for place, status in objects(value.get("statuses")):
        read = _status(status, number)
        yield Problem(f"status {place}: {read.what}") if isinstance(read, Problem) else read


def _messages(value: Object, number: str) -> Iterator[Found]:
    contacts = Contacts([contact for _, contact in objects(value.get("contacts"))])
    messages = objects(value.get("messages"))
    ours = digits(mapping(value.get("metadata")), "display_phone_number")
    for place, message in messages:
        alone = len(messages) == 1
        read, problem = message_in(message, contacts, alone=alone, channel="meta", number=number)
        if problem is not None:
            yield Problem(f"message {place}: {problem}")
        if read is not None and (ours is None or read.sender.phone != ours):
            yield read  # an echo of our own is no message


def message_in(
    message: Object, contacts: Contacts, *, alone: bool, channel: Channel, number: str
) -> tuple[Message | None, str | None]:
    """A message in Meta's words, by whichever vendor it came, and what of it was unreadable."""
    sender = contacts.sender_of(message, alone=alone)
    message_id = identifier(message, "id")
    if message_id is None:
        return None, "no id"
    if sender is None:
        return None, "nobody is named as its sender"
    content, problem = content_of(message)
    context = mapping(message.get("context"))
    read = Message(
        id=message_id,
        channel=channel,
        number=number,
        sender=sender,
        provider_ms=instant_ms(message, "timestamp"),
        content=content,
        context_id=identifier(context, "id"),
        forwarded=True in (context.get("forwarded"), context.get("frequently_forwarded")),
        referral=_referral(message.get("referral")),
    )
    return read, problem


def _referral(value: object) -> Referral | None:
    """Whence the conversation came: the advertisement, and the click where there was one."""
    referral = mapping(value)
    source_id = identifier(referral, "source_id")
    click_id = text(referral, "ctwa_clid", 2 * NAME_CHARS_MAX)
    if source_id is None and click_id is None:
        return None
    return Referral(
        source_id=source_id,
        click_id=click_id,
        headline=text(referral, "headline", NAME_CHARS_MAX),
    )


def _status(status: Object, number: str) -> Status | Problem:
    message_id = identifier(status, "id")
    named = text(status, "status", NAME_CHARS_MAX) or ""
    word = WORDS.get(named)
    if message_id is None:
        return Problem("no id")
    if word is None:
        return Problem(f"{named!r} is no status we know")
    errors = objects(status.get("errors"))
    error = errors[0][1] if errors and word == "failed" else {}
    reason = text(error, "title", NAME_CHARS_MAX) or text(error, "message", NAME_CHARS_MAX)
    return Status(
        message_id=message_id,
        channel="meta",
        number=number,
        status=word,
        provider_ms=instant_ms(status, "timestamp"),
        code=whole(error, "code"),
        reason=reason,
        ours=text(status, "biz_opaque_callback_data", 2 * NAME_CHARS_MAX),
    )


def _preferences(value: Object, numbers: Mapping[str, str]) -> Iterator[Found]:
    number = _number_of(value, numbers)
    if number is None:
        yield Problem("the phone_number_id is none of [[numbers]]")
        return
    yield from _elements("user_preferences", value.get("user_preferences"))
    for place, preference in objects(value.get("user_preferences")):
        phone, bsuid = phone_of(preference, "wa_id"), bsuid_of(preference, "user_id")
        wanted = {"stop": False, "resume": True}.get(
            text(preference, "value", NAME_CHARS_MAX) or ""
        )
        if wanted is None or (phone is None and bsuid is None):
            yield Problem(f"preference {place}: nobody's, or neither stop nor resume")
        else:
            sender = Sender(phone=phone, bsuid=bsuid)
            yield Preference(number=number, sender=sender, wanted=wanted)


def _template_status(value: Object, _numbers: Mapping[str, str]) -> Iterator[Found]:
    event = text(value, "event", NAME_CHARS_MAX)
    reason = text(value, "reason", NAME_CHARS_MAX)
    yield _news(value, event, None if reason == "NONE" else reason)


def _template_category(value: Object, _numbers: Mapping[str, str]) -> Iterator[Found]:
    """A category that will change is told with the category it will have, and so with its price."""
    coming = text(value, "correct_category", NAME_CHARS_MAX)
    category = coming or text(value, "new_category", NAME_CHARS_MAX)
    event = None if category is None else f"CATEGORY:{category}"
    yield _news(value, event, None if coming is None else "announced")


def _news(value: Object, event: str | None, reason: str | None) -> Found:
    name = text(value, "message_template_name", 2 * NAME_CHARS_MAX)
    language = text(value, "message_template_language", NAME_CHARS_MAX)
    if event is None or name is None or language is None:
        return Problem("a template's news without its name, language or event")
    return TemplateNews(name=name, language=language, event=event, reason=reason)


FIELDS: Final[dict[str, Callable[[Object, Mapping[str, str]], Iterator[Found]]]] = {
    "messages": _messages_field,
    "user_preferences": _preferences,
    "message_template_status_update": _template_status,
    "template_category_update": _template_category,
}
