"""What leads need of the other features, as far as they need it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sqlalchemy import Connection

from hub.leads.records import Lead
from hub.outbox.messages import Draft, Rendered, Withhold
from hub.outbox.messages import Outgoing as Row
from hub.registry.rules import Dealer, Model, Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Rep:
    """A person as far as a lead is concerned."""

    id: str
    name: str
    language: str
    dealers: tuple[str, ...]

    @property
    def first_name(self) -> str:
        """What a customer and the losers are told."""
        return self.name.split(maxsplit=1)[0] if self.name.strip() else "?"


class Directory(Protocol):
    """Dealers, their hours and their people."""

    def dealers(self, connection: Connection) -> Sequence[Dealer]:
        """Every dealer, by code."""
        ...

    def dealer(self, connection: Connection, code: str) -> Dealer | None:
        """One dealer."""
        ...

    def dealer_later(self, connection: Connection, code: str) -> Callable[[], Dealer | None]:
        """The same, asked now and answered later."""
        ...

    def region(self, connection: Connection, code: str) -> Region | None:
        """One region."""
        ...

    def model(self, connection: Connection, code: str) -> Model | None:
        """One model."""
        ...

    def rep(self, connection: Connection, person: str) -> Rep | None:
        """One person, on duty or not."""
        ...

    def on_duty(self, connection: Connection, dealer: Dealer, now_ms: int) -> Sequence[Rep]:
        """Opted-in people of a dealer who may be offered a lead now."""
        ...

    def expected(self, connection: Connection, dealer: Dealer, now_ms: int) -> Sequence[Rep]:
        """Opted-in people of a dealer who may be offered leads today, once it is open."""
        ...

    def hours_today(
        self, connection: Connection, dealer: Dealer, now_ms: int
    ) -> tuple[int, int] | None:
        """When it opens and closes on its day; None: it does not open on it."""
        ...

    def ready(self, connection: Connection, rep: Rep, until_ms: int) -> None:
        """This person is on duty until then, whatever the hours."""
        ...

    def off_today(self, connection: Connection, rep: Rep, now_ms: int) -> None:
        """This person is offered nothing until their dealer's next day."""
        ...

    def closed(self, connection: Connection, dealer: Dealer, now_ms: int) -> str | None:
        """Why a dealer is not open (``closed``, ``paused`` …); None while it is."""
        ...

    def next_open_ms(self, connection: Connection, dealer: Dealer, now_ms: int) -> int | None:
        """When it opens next, `now_ms` if it is open; None: not in sight."""
        ...

    def due_ms(self, connection: Connection, dealer: Dealer, start_ms: int, open_ms: int) -> int:
        """When so much of its opening time has passed since `start_ms`."""
        ...


class Arrival(Protocol):
    """A row of the inbox: when the hub stored what it acts on."""

    @property
    def received_ms(self) -> int:
        """Given in the transaction that stored it, and never less than the row's before."""
        ...


class Outgoing(Protocol):
    """Where messages are put, in the caller's transaction."""

    def enqueue(self, connection: Connection, draft: Draft) -> str:
        """The message's id; the same key again is the same message."""
        ...

    def enqueue_all(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        """The same for several, said to each person in this order."""
        ...

    def newest(self, connection: Connection, *, ref: str, kind: str) -> Mapping[str, object] | None:
        """What the newest message of a kind about `ref` holds, None when there is none."""
        ...

    def withdraw_all(
        self, connection: Connection, refs: Sequence[str], kinds: Collection[str]
    ) -> None:
        """Withhold what has not gone out yet about any of `refs`."""
        ...

    def withdraw(
        self, connection: Connection, *, ref: str, kinds: Collection[str], to: str | None = None
    ) -> None:
        """Withhold what has not gone out yet."""
        ...


class Alarms(Protocol):
    """Where somebody is told that something needs them."""

    def raise_(
        self,
        connection: Connection,
        tier: Literal["P0", "P1", "P2"],
        rule: str,
        key: str,
        *,
        what: str,
        consequence: str,
        action: str,
        region: str | None = None,
        dealer: str | None = None,
        owner: str | None = None,
    ) -> str:
        """The alert's id; the same key again counts up."""
        ...


class Facts(Protocol):
    """The ledger."""

    def append(
        self, connection: Connection, kind: str, data: Mapping[str, object], *, now_ms: int
    ) -> int:
        """Record a fact in the caller's transaction."""
        ...

    def append_all(
        self,
        connection: Connection,
        kind: str,
        facts: Sequence[Mapping[str, object]],
        *,
        now_ms: int,
    ) -> None:
        """The same for several, in this order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who a customer is: shown to the winner alone."""

    id: str
    name: str | None
    phone: str | None
    email: str | None = None
    opted_out: bool = False
    erased: bool = False
    erasure_asked: bool = False
    """They wait for their data to be gone."""


class Customers(Protocol):
    """The contacts."""

    def customer(self, connection: Connection, contact: str) -> Customer | None:
        """Who it is. The caller logs the reading where a person reads it."""
        ...

    def phones(self, connection: Connection, contacts: Collection[str]) -> Mapping[str, str]:
        """The phones of several at once, by contact, for lists that mask them."""
        ...

    def transcript(self, connection: Connection, lead: str, limit: int) -> Sequence[str]:
        """What was said, the oldest first, as lines to read."""
        ...


class Questions(Protocol):
    """The words of the conversation."""

    def render(self, connection: Connection, lead: Lead, row: Row) -> Rendered | Withhold:
        """What a customer is asked or told while they are screened."""
        ...
