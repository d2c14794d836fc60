"""Our templates as files: one for each name and language, in `templates/`.

A file says what its parameters are (in the order of the renderer's `body`) and which taps its
buttons make (in the order of `payloads`). Words that are in use are never edited here: new words
are a new name, so that the old ones stay approved until the new ones are.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from hub.integrations.whatsapp.reading import Object

FOLDER: Final = "templates"
LANGUAGES: Final = ("id", "en")
LIFETIME_S_MIN, LIFETIME_S_MAX = 30, 12 * 3600
"""What Meta takes for a utility template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFile:
    """One language of a template."""

    name: str
    language: str
    category: str
    purpose: str
    parameters: tuple[str, ...]
    """What stands for {{1}}, {{2}} …"""
    body: str
    example: tuple[str, ...]
    taps: tuple[str, ...]
    """What each button's payload begins with."""
    buttons: tuple[str, ...]

    def submission(self, lifetime_s: int | None) -> Object:
        """What is posted for review. A message older than `lifetime_s` is not delivered."""
        asked: Object = {
            "name": self.name,
            "language": self.language,
            "category": self.category,
            "components": self.components(),
        }
        if lifetime_s is not None:
            asked["message_send_ttl_seconds"] = bounded_s(lifetime_s)
        return asked

    def components(self) -> list[Object]:
        """Body and buttons in Meta's words."""
        components: list[Object] = [
            {"type": "BODY", "text": self.body, "example": {"body_text": [list(self.example)]}}
        ]
        if self.buttons:
            replies = [{"type": "QUICK_REPLY", "text": text} for text in self.buttons]
            components.append({"type": "BUTTONS", "buttons": replies})
        return components


def bounded_s(lifetime_s: int) -> int:
    """The nearest lifetime that Meta takes."""
    return min(max(lifetime_s, LIFETIME_S_MIN), LIFETIME_S_MAX)


@cache
def template_files() -> dict[tuple[str, str], TemplateFile]:
    """Every file, by name and language."""
    found = {}
    for file in files(__package__).joinpath(FOLDER).iterdir():
        if file.name.endswith(".json"):
            values: dict[str, Any] = orjson.loads(file.read_bytes())
            lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
            template = TemplateFile(**(values | lists))
            found[template.name, template.language] = template
    return dict(sorted(found.items()))
