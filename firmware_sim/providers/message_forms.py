"""A message as the Cloud API takes it: read and measured, or refused. No state, no I/O."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from firmware_sim.providers.refusals import Refusal

TEXT_MAX, INTERACTIVE_BODY_MAX, HEADER_MAX, FOOTER_MAX = 4096, 1024, 60, 60
BUTTONS_MAX, BUTTON_TITLE_MAX, BUTTON_ID_MAX = 3, 20, 256
ROWS_MAX, ROW_TITLE_MAX, ROW_DESCRIPTION_MAX, ROW_ID_MAX = 10, 24, 72, 200
OPEN_BUTTON_MAX, SECTION_TITLE_MAX = 20, 24
OPAQUE_MAX, PAYLOAD_MAX = 512, 128

PHONE = re.compile(r"\+?\d{7,15}")
BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


@dataclass(frozen=True, slots=True)
class Option:
    """A button or a row that can be tapped."""

    id: str
    title: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a business wants to say, whatever the vendor's way of writing it."""

    kind: str
    """text, button, list, location_request, contact_request, contacts, location, template, image"""
    text: str = ""
    options: tuple[Option, ...] = ()
    template: str | None = None
    language: str | None = None
    parameters: tuple[str, ...] = ()
    payloads: Mapping[int, str] = field(default_factory=dict)
    """Of a template's quick replies, by index."""
    context: str | None = None
    ours: str | None = None
    """biz_opaque_callback_data"""
    details: Mapping[str, Any] = field(default_factory=dict)
    """The part of the vendor's object that names what was sent (a pin, a contact card)."""


class Unreadable(Exception):
    """It is not a message; carries the refusal."""

    def __init__(self, refusal: Refusal) -> None:
        """The vendor's answer."""
        super().__init__(refusal.details)
        self.refusal = refusal


def read_form(body: Mapping[str, Any]) -> Form:
    """The message in a POST to `/messages`. Raises Unreadable."""
    if body.get("messaging_product") != "whatsapp":
        raise _invalid("messaging_product must be whatsapp")
    kind = body.get("type", "text")
    reader = READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise _invalid(f"type must be one of {', '.join(READERS)}")
    content = body.get(kind)
    if not isinstance(content, (dict, list)):
        raise _missing(str(kind))
    form = reader(content)
    ours = body.get("biz_opaque_callback_data")
    if ours is not None:
        _text({"ours": ours}, "ours", OPAQUE_MAX)
    context = body.get("context")
    return Form(
        kind=form.kind,
        text=form.text,
        options=form.options,
        template=form.template,
        language=form.language,
        parameters=form.parameters,
        payloads=form.payloads,
        details=form.details,
        ours=ours,
        context=context.get("message_id") if isinstance(context, dict) else None,
    )


def _invalid(details: str) -> Unreadable:
    return Unreadable(Refusal(131009, details))


def _missing(name: str) -> Unreadable:
    return Unreadable(Refusal(131008, f"{name} is required"))


def _object(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise _missing(name)
    return value


def _list(parent: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = parent.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _missing(name)
    return value


def _text(parent: Mapping[str, Any], name: str, length_max: int) -> str:
    """A text that is there, not empty and not too long: Meta refuses, it never cuts."""
    value = parent.get(name)
    if value is None:
        raise _missing(name)
    if not isinstance(value, str) or not value.strip():
        raise Unreadable(Refusal(100, f"{name} must be a non-empty string"))
    if len(value) > length_max:
        raise Unreadable(Refusal(100, f"{name} may have {length_max} characters, has {len(value)}"))
    return value


def _read_text(content: Any) -> Form:
    return Form(kind="text", text=_text(content, "body", TEXT_MAX))


def _read_interactive(content: Any) -> Form:
    kind = content.get("type")
    body = _text(_object(content, "body"), "text", INTERACTIVE_BODY_MAX)
    if "footer" in content:
        _text(_object(content, "footer"), "text", FOOTER_MAX)
    header = content.get("header")
    if isinstance(header, dict) and header.get("type") == "text":
        _text(header, "text", HEADER_MAX)
    action = _object(content, "action")
    match kind:
        case "button":
            return Form(kind="button", text=body, options=_buttons(action))
        case "list":
            return Form(kind="list", text=body, options=_rows(action))
        case "location_request_message" if action.get("name") == "send_location":
            return Form(kind="location_request", text=body)
        case "request_contact_info" if action.get("name") == "request_contact_info":
            return Form(kind="contact_request", text=body)
    raise _invalid(f"interactive type {kind} with this action")


def _buttons(action: Mapping[str, Any]) -> tuple[Option, ...]:
    buttons = _list(action, "buttons")
    if not 1 <= len(buttons) <= BUTTONS_MAX:
        raise _invalid(f"a message has 1 to {BUTTONS_MAX} buttons, got {len(buttons)}")
    options = tuple(
        Option(
            id=_text(_object(button, "reply"), "id", BUTTON_ID_MAX),
            title=_text(_object(button, "reply"), "title", BUTTON_TITLE_MAX),
        )
        for button in buttons
        if button.get("type") == "reply"
    )
    if len(options) != len(buttons):
        raise _invalid("a button's type must be reply")
    return _distinct(options, titles=True)


def _rows(action: Mapping[str, Any]) -> tuple[Option, ...]:
    _text(action, "button", OPEN_BUTTON_MAX)
    sections = _list(action, "sections")
    options: list[Option] = []
    for section in sections:
        if len(sections) > 1 or "title" in section:
            _text(section, "title", SECTION_TITLE_MAX)
        for row in _list(section, "rows"):
            described = bool(row.get("description"))
            options.append(
                Option(
                    id=_text(row, "id", ROW_ID_MAX),
                    title=_text(row, "title", ROW_TITLE_MAX),
                    description=_text(row, "description", ROW_DESCRIPTION_MAX) if described else "",
                )
            )
    if not 1 <= len(options) <= ROWS_MAX:
        raise _invalid(f"a list has 1 to {ROWS_MAX} rows, got {len(options)}")
    return _distinct(tuple(options), titles=False)


def _distinct(options: tuple[Option, ...], *, titles: bool) -> tuple[Option, ...]:
    if len({option.id for option in options}) < len(options):
        raise _invalid("two options have the same id")
    if titles and len({option.title for option in options}) < len(options):
        raise _invalid("two buttons have the same title")
    return options


def _read_template(content: Any) -> Form:
    parameters: tuple[str, ...] = ()
    payloads: dict[int, str] = {}
    for component in content.get("components", []):
        kind = str(component.get("type", "")).lower()
        if kind == "body":
            parameters = tuple(_parameter(entry) for entry in _list(component, "parameters"))
        elif kind == "button" and component.get("sub_type") == "quick_reply":
            index = str(component.get("index", ""))
            if not index.isdigit():
                raise Unreadable(Refusal(132012, "a button's index is a number"))
            payloads[int(index)] = _payload(_list(component, "parameters"))
    return Form(
        kind="template",
        template=_text(content, "name", 512),
        language=_text(_object(content, "language"), "code", 10),
        parameters=parameters,
        payloads=payloads,
    )


def _parameter(entry: Mapping[str, Any]) -> str:
    if entry.get("type") != "text":
        raise Unreadable(Refusal(132012, "a body parameter here is a text"))
    text = entry.get("text")
    if not isinstance(text, str) or not text:
        raise Unreadable(Refusal(131008, "a parameter's text is required"))
    if "\n" in text or "\t" in text or "     " in text:
        raise Unreadable(
            Refusal(
                132012,
                "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
            )
        )
    return text


def _payload(parameters: Sequence[Mapping[str, Any]]) -> str:
    if len(parameters) != 1 or parameters[0].get("type") != "payload":
        raise Unreadable(Refusal(132012, "a quick reply takes one payload"))
    return _text(parameters[0], "payload", PAYLOAD_MAX)


def _read_location(content: Any) -> Form:
    for name, limit in (("latitude", 90), ("longitude", 180)):
        try:
            degrees = float(content.get(name))
        except (TypeError, ValueError):
            raise _missing(name) from None
        if not -limit <= degrees <= limit:
            raise _invalid(name)
    return Form(kind="location", text=str(content.get("name") or ""), details=content)


def _read_contacts(content: Any) -> Form:
    if not isinstance(content, list) or not content:
        raise _missing("contacts")
    for contact in content:
        name = _object(contact, "name")
        _text(name, "formatted_name", 256)
        if len([value for value in name.values() if value]) < 2:
            raise _invalid("a contact's name needs formatted_name and one more part")
    names = ", ".join(contact["name"]["formatted_name"] for contact in content)
    return Form(kind="contacts", text=names, details={"contacts": content})


def _read_image(content: Any) -> Form:
    if not (content.get("id") or content.get("link")):
        raise _missing("image.link")
    return Form(kind="image", text=str(content.get("caption") or ""), details=content)


READERS: dict[str, Callable[[Any], Form]] = {
    "text": _read_text,
    "interactive": _read_interactive,
    "template": _read_template,
    "location": _read_location,
    "contacts": _read_contacts,
    "image": _read_image,
}
