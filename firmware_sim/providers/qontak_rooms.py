"""Qontak's rooms and messages, and the words in which its webhooks tell of them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from firmware_sim.providers.handset import Person

SPACE = uuid.UUID("6f8d1c52-0000-4000-8000-000000000000")
Author = Literal["customer", "agent", "bot"]
SENDER_TYPES = {
    "customer": "Models::Contact",
    "agent": "Models::User",
    "bot": "Models::SystemAccount",
}
# Meta's kinds in Qontak's words; whatever else is text.
KINDS = {"image": "image", "audio": "voice", "document": "document", "location": "location"}


def ident(*parts: object) -> str:
    """The same UUID for the same parts."""
    return str(uuid.uuid5(SPACE, "/".join(str(part) for part in parts)))


def stamp(wall_ms: int) -> str:
    """As Qontak writes times."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True, kw_only=True)
class Room:
    """A conversation of one person with one channel."""

    id: str
    person: Person
    number: str
    integration_id: str
    status: str = "unassigned"
    agents: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    messages: list["RoomMessage"] = field(default_factory=list)

    def take(self, method: str, parts: Sequence[str], body: Mapping[str, Any]) -> bool:
        """A request below this room; False when there is no such path."""
        match method, *parts:
            case ["GET"]:
                pass
            case ["POST" | "DELETE", "agents", agent]:
                self.agents = [each for each in self.agents if each != agent]
                if method == "POST":
                    self.agents.append(agent)
                self.status = "assigned" if self.agents else "unassigned"
            case ["PUT", "resolve"]:
                self.status = "resolved"
            case ["POST", "tags"]:
                self.tags.append(str(body.get("tag")))
            case _:
                return False
        return True

    def public(self, *, is_open: bool) -> dict[str, Any]:
        """As a listing and a webhook show it."""
        hidden = self.person.hides_phone and self.person.bsuid is not None
        return {
            "id": self.id,
            "name": self.person.name,
            "status": self.status,
            "type": "Models::CustomerServiceRoom",
            "tags": self.tags,
            "channel": "wa_cloud",
            "channel_account": "Simulated brand",
            "account_uniq_id": self.person.bsuid if hidden else self.person.phone,
            "channel_integration_id": self.integration_id,
            "session": "open" if is_open else "closed",
            "unread_count": 0,
            "resolved_at": None,
            "resolved_by_id": None,
            "division_id": None,
            "extra": {},
        }


@dataclass(slots=True, kw_only=True)
class RoomMessage:
    """One message in a room. Its id is told again with each status."""

    id: str
    room: Room
    author: Author
    kind: str
    text: str
    wamid: str
    wall_ms: int
    status: str = "created"
    buttons: list[dict[str, Any]] = field(default_factory=list)
    raw: Mapping[str, Any] | None = None
    """Meta's object, which only the developer webhook shows."""

    def public(self) -> dict[str, Any]:
        """As a history shows it."""
        shown: dict[str, Any] = {
            "id": self.id,
            "type": self.kind,
            "room_id": self.room.id,
            "is_campaign": False,
            "sender_id": ident("sender", self.author, self.room.person.phone),
            "sender_type": SENDER_TYPES[self.author],
            "sender": {"name": self.room.person.name, "avatar": None},
            "participant_id": ident("participant", self.author, self.room.id),
            "participant_type": self.author,
            "organization_id": ident("organization"),
            "text": self.text,
            "status": self.status,
            "external_id": self.wamid,
            "local_id": None,
            "created_at": stamp(self.wall_ms),
            "reply": None,
            "buttons": self.buttons,
        }
        if self.kind == "location" and self.raw is not None:
            shown["location"] = self.raw["location"]
        return shown

    def event(self, *, is_open: bool) -> dict[str, Any]:
        """A message_interaction. A tap is plain text: the title, no id."""
        by_customer = self.author == "customer"
        named = "receive_message_from_customer" if by_customer else "receive_message_from_agent"
        return {
            **self.public(),
            "room": self.room.public(is_open=is_open),
            "channel_integration": {
                "id": self.room.integration_id,
                "target_channel": "wa_cloud",
            },
            "data_event": named if self.status == "created" else "status_message",
            "webhook_event": "message_interaction",
        }

    def room_event(self, word: str, *, is_open: bool) -> dict[str, Any]:
        """Mekari's developer webhook: the only one that shows what Meta said."""
        return {
            "event": f"qontak.chat.room.{word}",
            "webhook_event": f"qontak.chat.room.{word}",
            "data": {
                **self.room.public(is_open=is_open),
                "last_message": {**self.public(), "raw_message": self.raw},
            },
        }


def words_of(message: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and text of a message of Meta's, as Qontak shows them."""
    kind = str(message.get("type"))
    match kind:
        case "text":
            return "text", str(message["text"]["body"])
        case "button":
            return "text", str(message["button"]["text"])
        case "interactive":
            answer = message.get("interactive", {})
            chosen = answer.get("button_reply") or answer.get("list_reply") or {}
            return "text", str(chosen.get("title", ""))
    content = message.get(kind)
    caption = content.get("caption") if isinstance(content, dict) else None
    return KINDS.get(kind, kind), str(caption or "")
