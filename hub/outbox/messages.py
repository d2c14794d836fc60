"""What is to be said, what it looks like, and what became of it. Types only, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from sqlalchemy import Connection

Role: TypeAlias = Literal["customers", "reps"]
Medium: TypeAlias = Literal["whatsapp", "mail"]
State: TypeAlias = Literal[
    "queued", "sending", "accepted", "delivered", "read", "failed", "withheld"
]


@dataclass(frozen=True, slots=True)
class Road:
    """To whom, and by what."""

    role: Role
    channel: Medium = "whatsapp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message to enqueue. `key` is its identity: the same key again enqueues nothing."""

    key: str
    to: str
    """per_… or cus_…; dlr_ and its code for a dealer's mailbox."""
    role: Role
    """Which of our numbers speaks: the one that serves this role."""
    kind: str
    """What is said, e.g. ``offer``, ``too_slow``, ``card``, ``question``: the renderer knows."""
    ref: str
    """led_… or alr_…"""
    data: Mapping[str, object] = field(default_factory=dict)
    """Ids and plain values for the renderer; never personal data."""
    not_before_ms: int = 0
    not_after_ms: int
    """Later it would be untrue or unwanted: then it is withheld, not sent."""
    urgent: bool = False
    """Somebody has just acted and waits for it: it overtakes whatever is not."""
    channel: Medium = "whatsapp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A stored row, as the renderer sees it."""

    id: str
    to: str
    role: Role
    kind: str
    ref: str
    data: Mapping[str, object]
    created_ms: int


@dataclass(frozen=True, slots=True)
class Button:
    """A reply button: at most 3 a message, a title of at most 20 characters."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a list: at most 10 a message."""

    id: str
    title: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A contact card."""

    name: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUse:
    """The approved template for a closed window: a list of `[templates]`, first approved wins."""

    purpose: str
    """Name of the list: offer, won, reminder, greeting, checkin, customer_update, p0."""
    language: str
    body: tuple[str, ...]
    payloads: tuple[str, ...] = ()
    """Of the quick-reply buttons, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The words. With an open window the message, with a closed one the template, if it has one."""

    text: str
    buttons: tuple[Button, ...] = ()
    rows: tuple[Row, ...] = ()
    rows_button: str = ""
    asks: Literal["location", "contact"] | None = None
    card: Card | None = None
    pin: tuple[float, float, str] | None = None
    """lat, lon, name of a place to show."""
    template: TemplateUse | None = None
    ttl_ms: int | None = None
    subject: str = ""
    """Of an e-mail."""


@dataclass(frozen=True, slots=True)
class Withhold:
    """It must not be said any more; `reason` is shown in the outbox."""

    reason: str


class Renderer(Protocol):
    """Puts a row into words, from the tables as they are now."""

    def render(self, connection: Connection, row: Outgoing) -> Rendered | Withhold:
        """No writes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a person is reached: by phone or bsuid, a mailbox by e-mail."""

    phone: str | None
    bsuid: str | None
    email: str | None = None


class Addresses(Protocol):
    """Who is behind per_… and cus_…, now."""

    def address(self, connection: Connection, to: str) -> Address | Withhold:
        """Withhold for those who are erased, have opted out or have no address."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor took it; delivery is told later by a status."""

    provider_id: str


Action: TypeAlias = Literal[
    "retry",  # transient: again, with exponential back-off
    "pair",  # too fast for this recipient: 6 s x 4^n, others go on
    "slow",  # too fast for this number: everything through it waits
    "template",  # the window is closed: again as a template
    "unreachable",  # this person cannot be reached: failed, whoever asked is told
    "permanent",  # a mistake of ours or a refusal: failed, shown to an admin
    "spam",  # too many blocked it: it writes to nobody first, who wrote is answered; alert
    "wait",  # nobody may be written to first now: this message waits, others go on
    "stop",  # the account is blocked or unpaid: everything through it waits, alert
    "unknown",  # no answer: it may have been sent
]


@dataclass(frozen=True, slots=True)
class Failed:
    """The vendor refused, or nobody answered."""

    action: Action
    code: int | None
    reason: str
    answered: bool = False
    """Of an unknown outcome: there was an answer, such as one that cannot be read. To ask again and
    again would only give it again."""


class Channel(Protocol):
    """One of our numbers at a vendor. Blocking; called from the sender's threads."""

    name: str
    """``[[numbers]] name``."""

    def send(
        self, address: Address, rendered: Rendered, *, window_open: bool, out_id: str
    ) -> Accepted | Failed:
        """Send one message. Never raises for what the network or the vendor does."""
        ...
