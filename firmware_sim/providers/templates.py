"""Message templates: submitted, reviewed, paused, re-categorised, and used word by word."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from firmware_sim.providers.message_forms import Form, Option
from firmware_sim.providers.refusals import Refusal

NAME = re.compile(r"[a-z0-9_]{1,512}")
VARIABLE = re.compile(r"\{\{(\d+)\}\}")
BODY_MAX, QUICK_REPLY_MAX, QUICK_REPLIES_MAX, HYDRATED_MAX = 1024, 25, 10, 1024
CATEGORIES = ("UTILITY", "MARKETING", "AUTHENTICATION")
TTL_S = range(30, 12 * 3600 + 1)

UNUSABLE = {"PAUSED": 132015, "DISABLED": 132016}
"""Any other state that is not APPROVED is as if it did not exist."""

Review = Literal["approve", "wait", "reject"]


@dataclass(slots=True, kw_only=True)
class Template:
    """One language of a template, as the vendor keeps it."""

    id: str
    name: str
    language: str
    category: str
    status: str = "PENDING"
    body: str = ""
    quick_replies: tuple[str, ...] = ()
    ttl_s: int | None = None
    components: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "NONE"

    def public(self) -> dict[str, object]:
        """As a listing shows it."""
        shown: dict[str, object] = {
            "id": self.id,
            "name": self.name,
            "language": self.language,
            "status": self.status,
            "category": self.category,
            "components": self.components,
            "rejected_reason": self.reason,
        }
        if self.ttl_s is not None:
            shown["message_send_ttl_seconds"] = self.ttl_s
        return shown

    def refusal(self, form: Form) -> Refusal | None:
        """Why this use of it is refused, if it is."""
        if self.status != "APPROVED":
            code = UNUSABLE.get(self.status, 132001)
            return Refusal(code, f"template {self.name} ({self.language}) is {self.status}")
        expected = len(set(VARIABLE.findall(self.body)))
        if len(form.parameters) != expected:
            return Refusal(132000, f"body takes {expected} parameters, got {len(form.parameters)}")
        if any(index >= len(self.quick_replies) for index in form.payloads):
            return Refusal(132012, f"{self.name} has {len(self.quick_replies)} quick replies")
        if len(self.hydrated(form)) > HYDRATED_MAX:
            return Refusal(132005, f"the text of {self.name} is too long")
        return None

    def hydrated(self, form: Form) -> str:
        """The text with its parameters."""

        def value(match: re.Match[str]) -> str:
            number = int(match[1])
            return form.parameters[number - 1] if number <= len(form.parameters) else match[0]

        return VARIABLE.sub(value, self.body)

    def options(self, form: Form) -> tuple[Option, ...]:
        """Its quick replies; one without a payload answers with its own text."""
        return tuple(
            Option(id=form.payloads.get(index, text), title=text)
            for index, text in enumerate(self.quick_replies)
        )


class TemplateBook:
    """The templates of one business account. The caller's lock guards it."""

    def __init__(self, on_news: Callable[[Template, str, str], None]) -> None:
        """`on_news` hears each change: the template, the field of the webhook, the event."""
        self._on_news = on_news
        self._kept: dict[tuple[str, str], Template] = {}
        self.review: Review = "approve"
        """What the reviewers do with what is submitted next."""

    def all(self) -> list[Template]:
        """In the order they were submitted."""
        return list(self._kept.values())

    def find(self, name: str, language: str) -> Template | None:
        """Exactly this name and language."""
        return self._kept.get((name, language))

    def approved(
        self,
        name: str,
        language: str,
        body: str,
        *,
        quick_replies: tuple[str, ...] = (),
        category: str = "UTILITY",
    ) -> Template:
        """Put an approved template there without a review: a test's short cut."""
        template = Template(
            id=self._next_id(),
            name=name,
            language=language,
            category=category,
            status="APPROVED",
            body=body,
            quick_replies=quick_replies,
        )
        self._kept[name, language] = template
        return template

    def submit(self, body: Mapping[str, Any]) -> Template | Refusal:
        """A new template, reviewed at once as `review` says."""
        wrong = _what_is_wrong(body)
        if wrong:
            return Refusal(100, wrong)
        key = (body["name"], body["language"])
        if key in self._kept:
            return Refusal(100, "there is already content in this language for this template")
        template = Template(
            id=self._next_id(), name=key[0], language=key[1], category=body["category"]
        )
        self._kept[key] = template
        _fill(template, body)
        self._look_at(template)
        return template

    def edit(self, template: Template, body: Mapping[str, Any]) -> Refusal | None:
        """New words or another lifetime: reviewed again. A category stays while approved."""
        full = {
            "name": template.name,
            "language": template.language,
            "category": template.category,
            "components": template.components,
            **body,
        }
        wrong = _what_is_wrong(full)
        if wrong:
            return Refusal(100, wrong)
        _fill(template, full)
        template.status = "PENDING"
        self._look_at(template)
        return None

    def become(self, template: Template, status: str, reason: str = "NONE") -> None:
        """The vendor changes its mind: APPROVED, REJECTED, PAUSED, DISABLED."""
        template.status, template.reason = status, reason
        self._on_news(template, "message_template_status_update", status)

    def recategorise(self, template: Template, category: str) -> None:
        """Utility becomes marketing, and dearer."""
        template.category = category
        self._on_news(template, "template_category_update", category)

    def remove(self, name: str) -> int:
        """Every language of it; returns how many."""
        keys = [key for key in self._kept if key[0] == name]
        for key in keys:
            del self._kept[key]
        return len(keys)

    def _look_at(self, template: Template) -> None:
        if self.review == "approve":
            self.become(template, "APPROVED")
        elif self.review == "reject":
            self.become(template, "REJECTED", "INCORRECT_CATEGORY")

    def _next_id(self) -> str:
        return str(1_500_000_000_000_000 + len(self._kept) + 1)


def _components(body: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    components = body.get("components")
    if not isinstance(components, list):
        return []
    return [
        component
        for component in components
        if isinstance(component, dict) and str(component.get("type", "")).upper() == kind
    ]


def _fill(template: Template, body: Mapping[str, Any]) -> None:
    template.components = list(body["components"])
    template.body = _components(body, "BODY")[0]["text"]
    template.quick_replies = tuple(_quick_replies(body))
    template.ttl_s = body.get("message_send_ttl_seconds", template.ttl_s)


def _quick_replies(body: Mapping[str, Any]) -> list[str]:
    return [
        str(button.get("text", ""))
        for component in _components(body, "BUTTONS")
        for button in component.get("buttons", [])
        if button.get("type") == "QUICK_REPLY"
    ]


def _what_is_wrong(body: Mapping[str, Any]) -> str:
    """The first thing a submission is refused for; empty when nothing is."""
    ttl_s, bodies, replies = (
        body.get("message_send_ttl_seconds"),
        _components(body, "BODY"),
        _quick_replies(body),
    )
    wrong = {
        "name has lower-case letters, digits and underscores only": not NAME.fullmatch(
            str(body.get("name", ""))
        ),
        f"category must be one of {', '.join(CATEGORIES)}": body.get("category") not in CATEGORIES,
        "language is required": not body.get("language"),
        "message_send_ttl_seconds is 30 to 43200": ttl_s is not None and ttl_s not in TTL_S,
        "a template has exactly one BODY": len(bodies) != 1,
        f"there are at most {QUICK_REPLIES_MAX} quick replies": len(replies) > QUICK_REPLIES_MAX,
        f"a quick reply has 1 to {QUICK_REPLY_MAX} characters": not all(
            1 <= len(text) <= QUICK_REPLY_MAX for text in replies
        ),
    }
    first = next((words for words, is_so in wrong.items() if is_so), None)
    return _what_is_wrong_with_words(bodies[0]) if first is None else first


def _what_is_wrong_with_words(component: Mapping[str, Any]) -> str:
    text = component.get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= BODY_MAX:
        return f"body has 1 to {BODY_MAX} characters"
    numbers = sorted({int(number) for number in VARIABLE.findall(text)})
    if numbers != list(range(1, len(numbers) + 1)):
        return "variables are numbered from 1 without gaps"
    if VARIABLE.match(text.strip()) or re.search(r"\{\{\d+\}\}$", text.strip()):
        return "a variable may not stand at the start or the end of the body"
    examples = (component.get("example") or {}).get("body_text") or [[]]
    if numbers and len(examples[0]) != len(numbers):
        return "a body with variables needs an example for each"
    return ""
