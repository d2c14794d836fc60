"""Messages as Qontak takes them: its own shapes, read into those of WhatsApp."""

from collections.abc import Mapping
from typing import Any

from firmware_sim.providers.message_forms import (
    BUTTON_TITLE_MAX,
    BUTTONS_MAX,
    ROW_TITLE_MAX,
    ROWS_MAX,
    Form,
    Option,
)


def values(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the body's parameters, in the order of their keys. Buttons can only be links."""
    given = (body.get("parameters") or {}).get("body") or []
    ordered = sorted(given, key=lambda entry: int(entry.get("key", 0)))
    return tuple(str(entry.get("value_text", "")) for entry in ordered)


def _options(entries: object, most: int, title_max: int) -> tuple[Option, ...] | str:
    if not isinstance(entries, list) or not 1 <= len(entries) <= most:
        return f"there are 1 to {most} options"
    options = tuple(
        Option(
            id=str(entry.get("id", "")),
            title=str(entry.get("title", "")),
            description=str(entry.get("description") or ""),
        )
        for entry in entries
    )
    if not all(option.id and 1 <= len(option.title) <= title_max for option in options):
        return f"an option has an id and a title of 1 to {title_max} characters"
    return options


def interactive(body: Mapping[str, Any]) -> Form | str:
    """Buttons or a list, or what is wrong with it."""
    content: Mapping[str, Any] = body.get("interactive") or {}
    match body.get("type"):
        case "button":
            options = _options(content.get("buttons"), BUTTONS_MAX, BUTTON_TITLE_MAX)
        case "list":
            sections = (content.get("lists") or {}).get("sections") or []
            rows = [row for section in sections for row in section.get("rows", [])]
            options = _options(rows, ROWS_MAX, ROW_TITLE_MAX)
        case _:
            return "type is invalid"
    if isinstance(options, str):
        return options
    text = content.get("body")
    if not isinstance(text, str) or not text:
        return "body can't be blank"
    return Form(kind=str(body["type"]), text=text, options=options)
