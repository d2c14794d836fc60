"""Dealers and their people, and customers, as leads need them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection

from hub.contacts.service import Contacts
from hub.leads.needs import Customer, Rep
from hub.registry.people.rules import Person
from hub.registry.rules import Dealer, Model, Region
from hub.registry.service import Registry

ON_DUTY_MAX: Final = 200
NEVER_MS: Final = 4_102_444_800_000
"""2100: an SLA clock of a dealer that never opens again."""


def rep_of(person: Person) -> Rep:
    """A person as far as a lead is concerned."""
    return Rep(
        id=person.id, name=person.name, language=person.language, dealers=tuple(person.dealers)
    )


class Market:
    """Implements `hub.leads.needs.Directory`."""

    def __init__(self, registry: Registry) -> None:
        """Ask `registry`."""
        self._registry = registry

    def dealers(self, connection: Connection) -> Sequence[Dealer]:
        """Every dealer, by code."""
        return self._registry.dealers_in(connection)

    def dealer(self, connection: Connection, code: str) -> Dealer | None:
        """One dealer."""
        return self._registry.dealer_in(connection, code)

    def region(self, connection: Connection, code: str) -> Region | None:
        """One region."""
        return self._registry.region_in(connection, code)

    def model(self, connection: Connection, code: str) -> Model | None:
        """One model."""
        return self._registry.model_in(connection, code)

    def models(self, connection: Connection) -> Sequence[Model]:
        """Every model, by code."""
        return self._registry.models_in(connection)

    def rep(self, connection: Connection, person: str) -> Rep | None:
        """One person, on duty or not."""
        found = self._registry.person(connection, person)
        return None if found is None else rep_of(found)

    def on_duty(self, connection: Connection, dealer: Dealer, now_ms: int) -> Sequence[Rep]:
        """Opted-in people of a dealer who may be offered a lead now."""
        people = self._registry.reps_on_duty(connection, dealer, now_ms, ON_DUTY_MAX)
        return [rep_of(person) for person in people]

    def ready(self, connection: Connection, rep: Rep, until_ms: int) -> None:
        """On duty until then, whatever the hours."""
        self._registry.ready(connection, rep.id, until_ms)

    def off_today(self, connection: Connection, rep: Rep, now_ms: int) -> None:
        """Offered nothing until the next day of theirs."""
        person = self._registry.person(connection, rep.id)
        if person is not None:
            day = self._registry.today(connection, person, now_ms)
            self._registry.off_today(connection, rep.id, day)

    def closed(self, _connection: Connection, dealer: Dealer, now_ms: int) -> str | None:
        """Why a dealer is not open; None while it is."""
        return self._registry.why_closed(dealer, now_ms)

    def next_open_ms(self, _connection: Connection, dealer: Dealer, now_ms: int) -> int | None:
        """When it opens next, `now_ms` if it is open; None: never."""
        return self._registry.next_open_ms(dealer, now_ms)

    def due_ms(self, _connection: Connection, dealer: Dealer, start_ms: int, open_ms: int) -> int:
        """When so much of its opening time has passed since `start_ms`."""
        due_ms = self._registry.due_ms(dealer, start_ms, open_ms)
        return NEVER_MS if due_ms is None else due_ms


class Clientele:
    """Implements `hub.leads.needs.Customers`."""

    def __init__(self, contacts: Contacts) -> None:
        """Ask `contacts`."""
        self._contacts = contacts

    def customer(self, connection: Connection, contact: str) -> Customer | None:
        """Who it is. The caller logs the reading where a person reads it."""
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
        )

    def transcript(self, connection: Connection, lead: str, limit: int) -> Sequence[str]:
        """What was said, the oldest first, as lines to read."""
        return [
            f"{datetime.fromtimestamp(line.at_ms / 1000, UTC):%d/%m %H:%M} "
            f"{'→' if line.direction == 'out' else '←'} {line.text}"
            for line in self._contacts.transcript(connection, lead=lead, limit=limit)
            if line.text
        ]
