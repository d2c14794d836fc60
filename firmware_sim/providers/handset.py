"""A person with WhatsApp: what they get, and what they write, tap and share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from firmware_sim.providers.message_forms import Form, Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message of a business, as the network took it."""

    id: str
    """The wamid."""
    number: str
    """Phone of the business number."""
    to: str
    """Phone of the person, even when it was addressed by BSUID."""
    form: Form
    text: str
    """As it reads on the screen."""
    options: tuple[Option, ...]
    """What can be tapped."""
    wall_ms: int
    mono_ms: int
    ttl_ms: int | None = None

    @property
    def kind(self) -> str:
        """text, button, list, template, location_request, …"""
        return self.form.kind

    def option(self, prefix: str) -> Option | None:
        """The first option whose id begins so."""
        return next((each for each in self.options if each.id.startswith(prefix)), None)


class Network(Protocol):
    """Where a person's messages go."""

    def write(self, person: "Person", number: str, content: Mapping[str, Any]) -> str:
        """To a business number; returns the wamid."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Person:
    """Who has a phone. Everything may be changed at any time."""

    phone: str
    """E.164 without +."""
    network: Network
    bsuid: str | None = None
    name: str = ""
    hides_phone: bool = False
    """Has a username: webhooks name only the BSUID."""
    on_whatsapp: bool = True
    online: bool = True
    """A phone that is off gets its messages later, unless their lifetime is over."""
    reads: bool = True
    stopped_marketing: bool = False
    omits_context: bool = False
    """Taps on templates come without a context, as some do."""
    on_message: Callable[[Sent], None] | None = None
    """Called on the network's thread: must not wait."""
    received: list[Sent] = field(default_factory=list)
    waiting: list[Sent] = field(default_factory=list)
    """Sent while the phone was off."""

    def text(self, number: str, body: str, **more: Any) -> str:
        """Write words. `more`: referral, context and the like, as in Meta's object."""
        return self.network.write(self, number, {"type": "text", "text": {"body": body}, **more})

    def pin(
        self, number: str, lat: float, lon: float, *, place: str | None = None, **more: Any
    ) -> str:
        """Share a location; only a chosen place has a name."""
        location: dict[str, Any] = {"latitude": lat, "longitude": lon}
        if place is not None:
            location |= {"name": place, "address": place}
        return self.network.write(self, number, {"type": "location", "location": location, **more})

    def tap(self, sent: Sent, option: Option) -> str:
        """Tap a button or a row of this message, as often as one likes: none is ever disabled."""
        content: dict[str, Any]
        if sent.kind == "template":
            content = {
                "type": "button",
                "button": {"payload": option.id, "text": option.title},
            }
        elif sent.kind == "list":
            row = {"id": option.id, "title": option.title, "description": option.description}
            content = {
                "type": "interactive",
                "interactive": {"type": "list_reply", "list_reply": row},
            }
        else:
            content = {
                "type": "interactive",
                "interactive": {
                    "type": "button_reply",
                    "button_reply": {"id": option.id, "title": option.title},
                },
            }
        if not self.omits_context:
            content["context"] = {"from": sent.number, "id": sent.id}
        return self.network.write(self, sent.number, content)

    def share_contact(self, sent: Sent, phone: str | None = None) -> str:
        """Answer a request for the number: one's own, or somebody else's card."""
        card = {
            "name": {"first_name": self.name or "-", "formatted_name": self.name or "-"},
            "phones": [{"phone": f"+{phone or self.phone}", "wa_id": phone or self.phone}],
            "origin": "contact_request" if phone is None else "other",
        }
        return self.network.write(
            self,
            sent.number,
            {
                "type": "contacts",
                "contacts": [card],
                "context": {"from": sent.number, "id": sent.id},
            },
        )
