"""A lead and what belongs to it, as the tables hold them. Values only."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hub.leads.states import State

Payment: TypeAlias = Literal["cash", "instalments", "unknown"]
BuyWhen: TypeAlias = Literal["now", "month", "later", "unknown"]
Step: TypeAlias = Literal["nudge", "screened", "route", "claim", "contact", "won_wait"]
"""What `next_step_ms` waits for."""
OfferState: TypeAlias = Literal[
    "queued",
    "sent",
    "delivered",
    "read",
    "failed",
    "skipped",
    "claimed",
    "withdrawn",
    "expired",
    "lost",
]
"""Of an offer; `lost`: its winner gave the lead back or had it taken back."""
Decision: TypeAlias = Literal[
    "won", "yours", "too_slow", "expired", "skipped", "not_offered", "unknown_sender"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """One lead. Who the customer is stands with the contacts, not here."""

    id: str
    contact: str
    state: State
    human: bool = False
    """A person has to look after it: the customer asked for one, or the machine gave up."""
    test: bool = False
    round: int = 1
    ring: int = 0
    """Of this round; 0 before the first offer."""
    source: str = "unknown"
    campaign: str | None = None
    first_touch: str | None = None
    last_touch: str | None = None
    model: str | None = None
    model_said: str | None = None
    """In words of a form that name no model: only the owner reads them."""
    payment: Payment = "unknown"
    buy_when: BuyWhen = "unknown"
    language: Literal["id", "en"] = "id"
    place: str | None = None
    area: str | None = None
    region: str | None = None
    lat_udeg: int | None = None
    lon_udeg: int | None = None
    consent_version: str | None = None
    consent_ms: int | None = None
    screening: str | None = None
    dealer: str | None = None
    rep: str | None = None
    nearest: str | None = None
    received_ms: int
    qualified_ms: int | None = None
    offered_ms: int | None = None
    """When the offers of this round began to go out."""
    claimed_ms: int | None = None
    response_ms: int | None = None
    contacted_ms: int | None = None
    confirmed_ms: int | None = None
    closed_ms: int | None = None
    close_reason: str | None = None
    next_step: Step | None = None
    next_step_ms: int | None = None
    asked_ms: int | None = None
    """When its owner said that it is won and was asked for the serial."""
    reminded: bool = False
    told: bool = False
    """Whether the regional manager was told that nobody claims it."""
    serial: str | None = None
    sale_index: int | None = None
    back: State | None = None
    """The state to fall back to from WON_REPORTED or CLOSED_WON."""
    duplicate_of: str | None = None
    previous: str | None = None
    """An earlier, closed lead of the same person."""
    events: int = 0
    """Entries of its timeline."""
    taps_told: int = 0
    """The last entry of its timeline that was looked at for a fact of its race."""

    @property
    def located(self) -> bool:
        """Whether it is known where the customer is."""
        return self.lat_udeg is not None and self.lon_udeg is not None

    @property
    def screened(self) -> bool:
        """Whether there is nothing that a customer would still be asked."""
        wishes = self.model is not None and self.payment != "unknown" and self.buy_when != "unknown"
        return self.located and wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What of a lead decides a tap: seven of eight taps on it need no more."""

    id: str
    state: State
    rep: str | None
    dealer: str | None
    claimed_ms: int | None
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One lead offered to one person in one round."""

    id: str
    lead: str
    person: str
    dealer: str
    round: int
    ring: int
    state: OfferState
    live: bool
    """Whether a tap may still win."""
    distance_m: int
    offered_ms: int
    margin_ms: int | None = None
    """By how much this person's first tap of the round was too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An entry of a lead's timeline. Ids and plain values, never personal data."""

    seq: int
    at_ms: int
    kind: str
    person: str | None = None
    dealer: str | None = None
    decision: Decision | None = None
    margin_ms: int | None = None
    provider_ms: int | None = None
    ledger_index: int | None = None
    detail: str | None = None
    """What the kind needs besides, as JSON."""
