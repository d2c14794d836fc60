"""The other features as leads see them: registry, contacts, sales, ledger, vault."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from hub.contacts.rules import canonical_phone
from hub.contacts.service import Contacts
from hub.leads import store
from hub.leads.needs import Customer, Rep
from hub.leads.timeline import store as timeline
from hub.leads.winning import Sale, Sold, Winning
from hub.ledger.batches import LedgerBatch, batch_of
from hub.ledger.followers import LedgerEntry
from hub.registry.people.rules import Person
from hub.registry.rules import Dealer, Model, Region
from hub.registry.service import Registry
from hub.sales.reads import one_unit
from hub.sales.rules import normal_serial
from hub.store import Database
from hub.vault.service import Vault
from shared.wire.events import Fact, Return, Void
from shared.wire.events import Sale as SaleEvent

CURSOR: Final = "sales"
CHUNK: Final = 200
QUIET_SPAN: Final = 10_000
"""Entries without anything for us that are looked at again rather than written off."""
SALE_TYPES: Final = ("pos.sale", "pos.void", "pos.return")
FACT_TYPES: Final = ("lead.handoff", "lead.race", "lead.closed")


class RegistryDirectory:
    """Implements `hub.leads.needs.Directory` with the registry."""

    def __init__(self, registry: Registry) -> None:
        """Read through the callers' connections."""
        self._registry = registry

    def dealers(self, connection: Connection) -> Sequence[Dealer]:
        """Every dealer, by code."""
        return self._registry.dealers_in(connection)

    def dealer(self, connection: Connection, code: str) -> Dealer | None:
        """One dealer."""
        return self._registry.dealer_in(connection, code)

    def dealer_later(self, connection: Connection, code: str) -> Callable[[], Dealer | None]:
        """The same, asked now and answered later."""
        return self._registry.dealer_later(connection, code)

    def region(self, connection: Connection, code: str) -> Region | None:
        """One region."""
        return self._registry.region_in(connection, code)

    def model(self, connection: Connection, code: str) -> Model | None:
        """One model."""
        return self._registry.model_in(connection, code)

    def rep(self, connection: Connection, person: str) -> Rep | None:
        """One person, on duty or not."""
        found = self._registry.person(connection, person)
        return None if found is None else as_rep(found)

    def on_duty(self, connection: Connection, dealer: Dealer, now_ms: int) -> Sequence[Rep]:
        """Opted-in people of a dealer who may be offered a lead now."""
        people = self._registry.reps_on_duty(connection, dealer, now_ms)
        return [as_rep(person) for person in people]

    def expected(self, connection: Connection, dealer: Dealer, now_ms: int) -> Sequence[Rep]:
        """Opted-in people of a dealer who may be offered leads today, once it is open."""
        people = self._registry.reps_of_day(connection, dealer, now_ms)
        return [as_rep(person) for person in people]

    def hours_today(
        self, _connection: Connection, dealer: Dealer, now_ms: int
    ) -> tuple[int, int] | None:
        """When it opens and closes on its day."""
        hours = self._registry.hours_of_day(dealer, now_ms)
        return None if hours is None else (hours.start_ms, hours.end_ms)

    def ready(self, connection: Connection, rep: Rep, until_ms: int) -> None:
        """On duty until then, whatever the hours."""
        self._registry.ready(connection, rep.id, until_ms)

    def off_today(self, connection: Connection, rep: Rep, now_ms: int) -> None:
        """Offered nothing until the next day where they work."""
        person = self._registry.person(connection, rep.id)
        if person is not None:
            today = self._registry.today(connection, person, now_ms)
            self._registry.off_today(connection, rep.id, today)

    def closed(self, _connection: Connection, dealer: Dealer, now_ms: int) -> str | None:
        """Why a dealer is not open; None while it is."""
        return self._registry.why_closed(dealer, now_ms)

    def next_open_ms(self, _connection: Connection, dealer: Dealer, now_ms: int) -> int | None:
        """When it opens next."""
        return self._registry.next_open_ms(dealer, now_ms)

    def due_ms(self, _connection: Connection, dealer: Dealer, start_ms: int, open_ms: int) -> int:
        """When so much of its opening time has passed; of a dealer that never opens, so much time.

        A clock that never strikes would leave a customer waiting for ever.
        """
        due = self._registry.due_ms(dealer, start_ms, open_ms)
        return start_ms + open_ms if due is None else due


def as_rep(person: Person) -> Rep:
    """A person of the registry, as far as a lead is concerned."""
    return Rep(id=person.id, name=person.name, language=person.language, dealers=person.dealers)


class ContactBook:
    """Implements `hub.leads.needs.Customers` with the contacts."""

    def __init__(self, contacts: Contacts) -> None:
        """Read through the callers' connections."""
        self._contacts = contacts

    def customer(self, connection: Connection, contact: str) -> Customer | None:
        """Who it is."""
        found = self._contacts.contact(connection, contact)
        if found is None:
            return None
        return Customer(
            id=found.id,
            name=found.name,
            phone=found.phone,
            email=found.email,
            opted_out=found.opted_out,
            erased=found.erased,
            erasure_asked=found.erasure_asked,
        )

    def phones(self, connection: Connection, contacts: Collection[str]) -> Mapping[str, str]:
        """The phones of several."""
        return self._contacts.phones(connection, contacts)

    def transcript(self, connection: Connection, lead: str, limit: int) -> Sequence[str]:
        """What the customer said, the oldest first."""
        lines = self._contacts.transcript(connection, lead=lead, limit=limit)
        return [f"• {line.text}" for line in lines if line.direction == "in" and line.text]


class SalesUnits:
    """Implements `hub.leads.winning.Units` with the projection of sales."""

    @staticmethod
    def unit(connection: Connection, serial: str) -> Sold | None:
        """One unit; None: never heard of."""
        found = one_unit(connection, serial)
        if found is None:
            return None
        return Sold(
            state=found.state,
            dealer=found.dealer,
            sale_index=found.sale_index,
            sale_ms=found.sold_ms,
        )


class SalesFollowing:
    """Reads sales, their undoing and our own facts off the ledger, each once, in its order."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        winning: Winning,
        *,
        position: Callable[[Connection], int],
    ) -> None:
        """`position`: how far the projections have followed; beyond it nothing is looked at."""
        self._database = database
        self._vault = vault
        self._winning = winning
        self._position = position

    def step(self, now_ms: int) -> int:
        """Take in the next chunk, durable on return; how many entries it spanned (0: caught up)."""
        with self._database.read() as connection:
            start = store.position(connection, CURSOR)
            end = self._position(connection)
            if start >= end:
                return 0
            places = store.entries(
                connection, SALE_TYPES + FACT_TYPES, start=start, end=end, limit=CHUNK
            )
            entries = _entries(connection, places)
            undone = {
                entry.index: store.undone_by(connection, entry.index)
                for entry in entries
                if entry.event is not None and isinstance(entry.event.data, Void | Return)
            }
            stop = places[-1][0] + 1 if len(places) == CHUNK else end
        if not entries and stop - start < QUIET_SPAN:
            # Nearly all of a ledger is telemetry: to pass over it is not worth a commit each time.
            return 0
        # Opened before the write: to decrypt takes longer than everything else together.
        phones = {entry.index: self._phone(entry) for entry in entries}

        def take(connection: Connection) -> int:
            if not store.advance(connection, CURSOR, start, stop):
                return 0
            for entry in entries:
                self._take(
                    connection,
                    entry,
                    undoes=undone.get(entry.index),
                    phone=phones[entry.index],
                    now_ms=now_ms,
                )
            return stop - start

        return self._database.write(take)

    def _phone(self, entry: LedgerEntry) -> str | None:
        """The buyer's phone, however the till writes it, unless there is none or it is erased."""
        event = entry.event
        if event is None or not isinstance(event.data, SaleEvent) or event.data.buyer is None:
            return None
        for attachment in event.attachments:
            buyer = self._vault.buyer(attachment.sha256)
            if buyer is not None and (phone := canonical_phone(buyer.phone)) is not None:
                return phone
        return None

    def _take(
        self,
        connection: Connection,
        entry: LedgerEntry,
        *,
        undoes: int | None,
        phone: str | None,
        now_ms: int,
    ) -> None:
        event = entry.event
        if event is None:
            return
        data = event.data
        if isinstance(data, Fact):
            lead = data.values.get("lead")
            if isinstance(lead, str):
                _place(connection, entry, lead, data)
            return
        named = tuple(serial for text in event.serials if (serial := normal_serial(text)))
        contact = None if phone is None else Contacts.find(connection, phone=phone)
        sale = Sale(
            index=entry.index,
            dealer=entry.dealer,
            at_ms=entry.at_ms,
            serials=named,
            contact=contact,
            undoes=undoes,
        )
        if isinstance(data, SaleEvent):
            self._winning.sale(connection, sale, now_ms)
        else:
            self._winning.undone(connection, sale, now_ms)


def _place(connection: Connection, entry: LedgerEntry, lead: str, fact: Fact) -> None:
    """Note where one of our own facts stands."""
    first, last = fact.values.get("first"), fact.values.get("last")
    if entry.event is not None and entry.event.type != "lead.race":
        kind = entry.event.type
        timeline.placed(connection, kind, lead, at_ms=entry.at_ms, index=entry.index)
    elif isinstance(first, int) and isinstance(last, int):
        timeline.race_placed(connection, lead, first, last, index=entry.index)


def _entries(connection: Connection, places: Sequence[tuple[int, str | None]]) -> list[LedgerEntry]:
    """The entries at these places, in their order; many stand in one batch."""
    found: list[LedgerEntry] = []
    batch: LedgerBatch | None = None
    for index, dealer in places:
        if batch is None or index >= batch.first_index + batch.count:
            batch = batch_of(connection, index)
        if batch is not None:
            raw = batch.events[index - batch.first_index]
            found.append(LedgerEntry(index=index, dealer=dealer, batch=batch, raw=raw))
    return found
