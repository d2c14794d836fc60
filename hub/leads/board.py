"""Looking at leads: lists, one lead, who a customer is, and who would get a lead at a place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from hub.leads import objects, reads, store
from hub.leads.desk import Desk
from hub.leads.needs import Customer, Rep
from hub.leads.places import Places, shipped
from hub.leads.reads import Chosen, Part, Viewer
from hub.leads.records import Happened, Lead, Offer
from hub.leads.routing import Routing, Stop
from hub.leads.states import BEFORE_CLAIM, State
from hub.leads.timeline import store as timeline
from hub.outbox.service import Outbox
from hub.outbox.store import OutboxRow
from hub.store import Database

T = TypeVar("T")
TRANSCRIPT_LINES: Final = 100
OFFERS_SHOWN: Final = 20
_FOR_ALL: Final = frozenset({"lead.received", "lead.qualified", "lead.waiting", "lead.handoff"})
"""What a dealer that was offered a lead and did not get it may read besides its own."""


class Readings(Protocol):
    """The contacts' log of who was shown who a customer is."""

    def read_identity(
        self, connection: Connection, contact: str, *, by: str, why: str, now_ms: int
    ) -> None:
        """Log one reading in the caller's transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """A lead in a list, and its customer as anybody may see them."""

    lead: Lead
    masked: str


@dataclass(frozen=True, slots=True)
class Offered:
    """A lead that somebody may still claim, and by which offer."""

    lead: Lead
    offer: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """One lead with all that belongs to it, as far as its viewer may see it."""

    lead: Lead
    masked: str
    timeline: Sequence[Happened]
    messages: Sequence[OutboxRow]
    original: State | None
    may_know: bool
    """May the viewer be shown who the customer is?"""
    may_act: bool
    """May the viewer hand it over, release and close it?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a customer is, and what was said. Its reading stands in the log."""

    name: str | None
    phone: str | None
    email: str | None
    transcript: Sequence[str]


class Board:
    """The leads of one database, for people and machines that look."""

    def __init__(
        self,
        database: Database,
        desk: Desk,
        readings: Readings,
        *,
        places: Callable[[], Places] = shipped,
    ) -> None:
        """Read with what `desk` holds; log readings with `readings`; look up with `places`."""
        self.places: Final = places
        self._database = database
        self._desk = desk
        self._readings = readings
        self._routing = Routing(desk)

    # --- lists ---

    def rows(self, viewer: Viewer, chosen: Chosen, part: Part) -> list[Row]:
        """A page of leads."""
        with self._database.read() as connection:
            leads = reads.page(connection, viewer, chosen, part, now_ms=self._desk.clock.wall_ms())
            contacts = {lead.contact for lead in leads}
            phones = self._desk.customers.phones(connection, contacts)
            return [Row(lead, objects.masked_phone(phones.get(lead.contact))) for lead in leads]

    def counts(self, viewer: Viewer, chosen: Chosen) -> dict[str, int]:
        """How many there are of every state and special kind, and in ``all``."""
        with self._database.read() as connection:
            return reads.counts(connection, viewer, chosen, self._desk.clock.wall_ms())

    def unclaimed(self, viewer: Viewer) -> int:
        """How many nobody has yet."""
        with self._database.read() as connection:
            return reads.open_count(connection, viewer, sorted(BEFORE_CLAIM))

    def offers(
        self, viewer: Viewer, *, lead: str | None = None, limit: int = OFFERS_SHOWN
    ) -> list[Offered]:
        """What the viewer's people may claim now, the newest first."""
        with self._database.read() as connection:
            found = reads.open_offers(connection, viewer, limit, lead=lead)
            return [Offered(*each) for each in found]

    def listed(
        self, viewer: Viewer, chosen: Chosen, part: Part, *, why: str | None = None
    ) -> dict[str, object]:
        """A page of leads in the contract's words, as every list is answered.

        With `why` who the customers are stands in it where the viewer may know it, and every
        reading is in the log before anything is answered.
        """
        one_more = replace(part, limit=part.limit + 1)

        def work(connection: Connection) -> dict[str, object]:
            now_ms = self._desk.clock.wall_ms()
            leads = reads.page(connection, viewer, chosen, one_more, now_ms=now_ms)
            shown = leads[: part.limit]
            return {
                "items": [self._object(connection, viewer, lead, why) for lead in shown],
                "next": shown[-1].id if len(leads) > part.limit else None,
            }

        return self._reading(work, why)

    def router_rows(self, viewer: Viewer, chosen: Chosen, part: Part) -> list[dict[str, object]]:
        """A page of leads as the claim router's sheet has them, the customers masked."""
        with self._database.read() as connection:
            leads = reads.page(connection, viewer, chosen, part, now_ms=self._desk.clock.wall_ms())
            return [objects.router_row(lead, self._customer(connection, lead)) for lead in leads]

    # --- one lead ---

    def whole(self, viewer: Viewer, lead: str) -> Whole | None:
        """One lead with its timeline and messages; None when the viewer has no such lead."""
        with self._database.read() as connection:
            found = reads.one(connection, viewer, lead)
            if found is None:
                return None
            return Whole(
                lead=found,
                masked=self._masked(connection, found),
                timeline=self._timeline(connection, viewer, found),
                messages=Outbox.of(connection, found.id) if viewer.owns(found) else [],
                original=self._original(connection, found),
                may_know=viewer.may_know(found),
                may_act=viewer.may_act(found),
            )

    def one(self, viewer: Viewer, lead: str, *, why: str | None = None) -> dict[str, object] | None:
        """One lead in the contract's words; see `listed` for `why`."""

        def work(connection: Connection) -> dict[str, object] | None:
            found = reads.one(connection, viewer, lead)
            return None if found is None else self._object(connection, viewer, found, why)

        return self._reading(work, why)

    def brought(self, viewer: Viewer, lead: str) -> dict[str, object]:
        """A lead that the viewer has just brought, in the contract's words, whoever gets it.

        Masked, and without what others do about it.
        """
        with self._database.read() as connection:
            found = store.get(connection, lead)
            if found is None:
                raise LookupError(lead)
            return self._object(connection, viewer, found, None)

    def identity(self, viewer: Viewer, lead: str, *, why: str) -> Identity | None:
        """Who the customer of a lead is, once the reading is in the log; None: not for them."""

        def work(connection: Connection) -> Identity | None:
            found = reads.one(connection, viewer, lead)
            if found is None or not viewer.may_know(found):
                return None
            customer = self._customer(connection, found)
            self._log(connection, viewer, found, why)
            return Identity(
                name=None if customer is None else customer.name,
                phone=None if customer is None else customer.phone,
                email=None if customer is None else customer.email,
                transcript=self._desk.customers.transcript(connection, found.id, TRANSCRIPT_LINES),
            )

        return self._database.write(work)

    # --- people and places ---

    def rep(self, person: str) -> Rep | None:
        """A person whom a lead names."""
        with self._database.read() as connection:
            return self._desk.directory.rep(connection, person)

    def reps_of(self, dealer: str) -> list[Rep]:
        """Who of a dealer may be given a lead now."""
        with self._database.read() as connection:
            found = self._desk.directory.dealer(connection, dealer)
            if found is None:
                return []
            now_ms = self._desk.clock.wall_ms()
            return list(self._desk.directory.on_duty(connection, found, now_ms))

    def nearest(self, lat: float, lon: float, at_ms: int | None = None) -> list[Stop]:
        """Who would get a lead at this place, and why not the others; now, or at a time."""
        now_ms = self._desk.clock.wall_ms() if at_ms is None else at_ms
        with self._database.read() as connection:
            return self._routing.explain(connection, lat, lon, now_ms)

    def loads(self) -> Mapping[str, int]:
        """How many leads each dealer has in hand, of those its capacity is held against."""
        with self._database.read() as connection:
            return store.loads(connection)

    # --- parts ---

    def _reading(self, work: Callable[[Connection], T], why: str | None) -> T:
        if why is not None:
            return self._database.write(work)
        with self._database.read() as connection:
            return work(connection)

    def _object(
        self, connection: Connection, viewer: Viewer, lead: Lead, why: str | None
    ) -> dict[str, object]:
        revealed = why is not None and viewer.may_know(lead)
        if revealed and why is not None:
            self._log(connection, viewer, lead, why)
        return objects.lead_object(
            lead,
            self._customer(connection, lead),
            self._timeline(connection, viewer, lead),
            revealed=revealed,
            original=self._original(connection, lead),
        )

    def _log(self, connection: Connection, viewer: Viewer, lead: Lead, why: str) -> None:
        self._readings.read_identity(
            connection,
            lead.contact,
            by=viewer.id,
            why=f"{why} {lead.id}",
            now_ms=self._desk.clock.wall_ms(),
        )

    def _customer(self, connection: Connection, lead: Lead) -> Customer | None:
        return self._desk.customers.customer(connection, lead.contact)

    def _masked(self, connection: Connection, lead: Lead) -> str:
        return objects.masked_of(self._customer(connection, lead))

    @staticmethod
    def _timeline(connection: Connection, viewer: Viewer, lead: Lead) -> list[Happened]:
        entries = timeline.events_of(connection, lead.id)
        if viewer.owns(lead):
            return entries
        return [
            entry for entry in entries if entry.dealer in viewer.dealers or (entry.kind in _FOR_ALL)
        ]

    @staticmethod
    def _original(connection: Connection, lead: Lead) -> State | None:
        if lead.duplicate_of is None:
            return None
        return reads.states_of(connection, [lead.duplicate_of]).get(lead.duplicate_of)
