"""What a message from outside says, in the same words for every vendor. Types only, no I/O."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Channel: TypeAlias = Literal["meta", "qontak", "page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who wrote, as far as the vendor says: at least one of phone and bsuid. On a page neither."""

    phone: str | None = None
    """E.164 without ``+``."""
    bsuid: str | None = None
    """WhatsApp's business-scoped user id."""
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Written words."""

    body: str


@dataclass(frozen=True, slots=True)
class Tap:
    """A button or a row of a list. `id` is None where a channel gives only the title."""

    id: str | None
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A location in degrees, exactly as sent: it may be 0,0, swapped or abroad."""

    lat: float
    lon: float
    name: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class ContactCard:
    """Phone numbers of a shared contact, as written."""

    phones: tuple[str, ...]
    own: bool
    """Whether it answers our request for the sender's own number."""


@dataclass(frozen=True, slots=True)
class Media:
    """Picture, voice note, document, sticker: kept by the vendor, we keep only that it came."""

    kind: str
    caption: str | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """A kind we do not act on (reaction, order, unsupported, edit, revoke …)."""

    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberChanged:
    """The sender's phone or BSUID became another; nothing is merged by machine."""

    phone: str | None = None
    bsuid: str | None = None
    previous_bsuid: str | None = None


Content: TypeAlias = Text | Tap | Pin | ContactCard | Media | Other | NumberChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """The advertisement a conversation began with."""

    source_id: str | None
    click_id: str | None
    headline: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message from a person to one of our numbers."""

    id: str
    """The wamid where the vendor tells it, else the vendor's own id: the same by any road."""
    aliases: tuple[str, ...] = ()
    """Its other ids: it has been seen when any of them was, and then all of them have been."""
    channel: Channel
    number: str
    """Name of our number (``[[numbers]] name``)."""
    sender: Sender
    provider_ms: int | None
    """The vendor's time; a second's resolution and nobody's clock but theirs."""
    content: Content
    context_id: str | None = None
    """The message of ours it answers, by the vendor's id."""
    forwarded: bool = False
    plain: bool = False
    """Only what it shows is told, not what it is: a tap is the words on its button. By another road
    the same message may come whole."""
    referral: Referral | None = None


StatusWord: TypeAlias = Literal["sent", "delivered", "read", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What became of a message of ours. Statuses come repeated and in any order."""

    message_id: str
    channel: Channel
    number: str
    status: StatusWord
    provider_ms: int | None
    code: int | None = None
    """The vendor's error code of a failure."""
    reason: str | None = None
    ours: str | None = None
    """What we gave the vendor to carry along (``biz_opaque_callback_data``): an out_… id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateNews:
    """A template's state or category changed at the vendor."""

    name: str
    language: str
    event: str
    """APPROVED, REJECTED, PAUSED, DISABLED, … or CATEGORY:<new>."""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """The person wants no more of a kind of message, or wants it again."""

    number: str
    sender: Sender
    wanted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTap:
    """A button of our own pages, pressed by somebody who has signed in: who it is, is known."""

    person: str
    """per_…"""
    button: str
    """Its id, as WhatsApp's buttons have it: ``CLAIM_<lead id>`` …"""


Item: TypeAlias = Message | Status | TemplateNews | Preference | PageTap


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a body held, in its order, and what of it could not be read (kept, shown)."""

    items: tuple[Item, ...]
    problems: tuple[str, ...] = ()
