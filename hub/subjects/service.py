"""One person across contacts, leads, messages, raw bodies and the vault: shown, and erased."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from hub.contacts import store as contact_rows
from hub.contacts.erasures import Erased
from hub.contacts.service import Contacts
from hub.inbox import store as inbox
from hub.leads import erasing
from hub.leads.questions import CONSENT_TEXTS
from hub.leads.service import Leads
from hub.outbox import store as outbox
from hub.outbox.service import delivery
from hub.store import Database
from hub.subjects.documents import times_in
from hub.subjects.people import Person
from hub.vault.service import Vault
from shared.clock import Clock
from shared.instants import rfc3339

SCAN: Final = 2000
"""Bodies searched by one statement."""
FILED: Final = 50
"""Buyers looked into by one step: it costs the worker some 20 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an erasure took away: an id and numbers."""

    subject: str
    leads: int
    bodies: int
    purchases: int


class Subjects:
    """Export and erasure of one person. Each method makes its own transactions."""

    def __init__(
        self,
        database: Database,
        *,
        contacts: Contacts,
        leads: Leads,
        vault: Vault,
        clock: Clock,
    ) -> None:
        """Touch nothing yet."""
        self.database = database
        self.contacts = contacts
        self._leads = leads
        self._vault = vault
        self._clock = clock
        self.on_erased: list[Callable[[Connection, str], object]] = []
        """Told of every contact that is gone, in the transaction that erases it."""

    # --- to see ---

    def export(self, person: Person, *, by: str, reason: str) -> dict[str, Any] | None:
        """All that is stored about a person, as JSON holds it; None when that is nothing.

        That `by` has read it, and why, is written down first.
        """
        self.file_buyers()
        now_ms = self._clock.wall_ms()

        def read(connection: Connection) -> dict[str, Any] | None:
            contact = self._find(connection, person)
            purchases = self._purchases(connection, person, contact)
            if contact is None and not purchases:
                return None
            known: dict[str, Any] = {}
            if contact is not None:
                self.contacts.read_identity(connection, contact, by=by, why=reason, now_ms=now_ms)
                known = self._known(connection, contact)
            document: dict[str, Any] = times_in(
                {"subject": contact, "exported_ms": now_ms, **known, "purchases": purchases}
            )
            return document

        found: dict[str, Any] | None = self.database.write(read)
        return found

    def _known(self, connection: Connection, contact: str) -> dict[str, Any]:
        leads = erasing.export(connection, contact)
        messages = [
            {**delivery(row), "about": row.ref, "said": dict(row.data)}
            for lead in leads
            for row in outbox.of_ref(connection, lead["id"])
            if row.to == contact
        ]
        bodies = [
            {
                "id": inbox_id,
                "source": source,
                "received_at": rfc3339(received_ms),
                # Where others appear in the same delivery, their part is not this person's to see.
                "body": None if body is None else body.decode(errors="replace"),
            }
            for inbox_id, source, received_ms, body in inbox.bodies_of(connection, contact)
        ]
        held = self.contacts.export(connection, contact) or {}
        agreed = {str(each["version"]) for each in held.get("consents", ())} & CONSENT_TEXTS.keys()
        held["consent_texts"] = {version: CONSENT_TEXTS[version] for version in sorted(agreed)}
        return {**held, "leads": leads, "messages": messages, "inbox": bodies}

    def _purchases(
        self, connection: Connection, person: Person, contact: str | None
    ) -> list[dict[str, Any]]:
        """What tills told of them, as the vault holds it."""
        items = []
        for item in self._vault.of_phones(connection, self._hashes(connection, person, contact)):
            buyer = self._vault.buyer_in(connection, item.sha256)
            if buyer is not None:
                items.append(
                    {
                        "name": buyer.name,
                        "phone": buyer.phone,
                        "commitment": buyer.commitment,
                        "device": item.device,
                        "received_ms": item.received_ms,
                    }
                )
        return items

    # --- to be forgotten ---

    def erase(self, person: Person, *, reason: str) -> Outcome | None:
        """Take away everything about a person, everywhere; None when there is nothing.

        A buyer who never wrote to us gets an id for it, so that it stands on the ledger and in the
        journal like any other. Raises OSError when it cannot be written down.
        """
        with self.database.read() as connection:
            contact = self._find(connection, person)
        if contact is None:
            self.file_buyers()
            contact = self.database.write(lambda connection: self._buyer(connection, person))
        return None if contact is None else self.erase_contact(contact, reason=reason)

    def _buyer(self, connection: Connection, person: Person) -> str | None:
        """A contact for somebody whom only the vault knows."""
        if not self._vault.of_phones(connection, self._hashes(connection, person, None)):
            return None
        now_ms = self._clock.wall_ms()
        return self.contacts.meet(connection, phone=person.canonical, now_ms=now_ms)

    def erase_contact(
        self, contact: str, *, reason: str, with_purchases: bool = True
    ) -> Outcome | None:
        """The same for somebody whose id is known; None: erased before.

        Without purchases the buyer's name and phone stay with the sale, as long as sales are kept.
        """
        if with_purchases:
            self.file_buyers()
        with self.database.read() as connection:
            known = contact_rows.keys(connection, contact)
        marks = [value for kind, value in known if kind != "email"]
        bodies = self._naming(marks)
        now_ms = self._clock.wall_ms()

        def write(connection: Connection) -> Outcome | None:
            hashes = self._hashes(connection, Person(), contact) if with_purchases else ()
            items = tuple(item.sha256 for item in self._vault.of_phones(connection, hashes))
            erased = self.contacts.erase(
                connection,
                contact,
                reason=reason,
                now_ms=now_ms,
                scope="all" if with_purchases else "contact",
                items=items,
            )
            return None if erased is None else self._rest(connection, erased, bodies, now_ms)

        outcome: Outcome | None = self.database.write(write)
        return outcome

    def reapply(self) -> int:
        """Erase again whom a restored backup brought back; how many. For every start."""
        now_ms = self._clock.wall_ms()

        def again(connection: Connection) -> list[Erased]:
            found = self.contacts.reapply(connection, now_ms=now_ms)
            for erased in found:
                self._rest(connection, erased, (), now_ms)
            return found

        found: list[Erased] = self.database.write(again)
        marks = [mark for erased in found for mark in (*erased.phones, *erased.bsuids)]
        bodies = self._naming(marks)
        self.database.write(lambda connection: inbox.drop(connection, bodies))
        return len(found)

    def _rest(
        self, connection: Connection, erased: Erased, bodies: Iterable[int], now_ms: int
    ) -> Outcome:
        """What the other features hold of somebody whose contact is gone, in its transaction."""
        leads = erasing.leads_of(connection, erased.contact)
        for lead in leads:
            self._forget_lead(connection, lead, erased.contact, now_ms)
        for told in self.on_erased:
            told(connection, erased.contact)
        dropped = inbox.erase(connection, erased.contact)
        dropped += inbox.drop(connection, bodies, erased.bodies)
        return Outcome(
            subject=erased.contact,
            leads=len(leads),
            bodies=dropped,
            purchases=self._vault.erase(connection, erased.items, now_ms=now_ms),
        )

    def _forget_lead(self, connection: Connection, lead: str, contact: str, now_ms: int) -> bool:
        gone = erasing.forget(connection, self._leads.custody, lead, now_ms=now_ms)
        outbox.blank(connection, lead, contact, now_ms)
        contact_rows.blank_lead(connection, lead)
        return gone

    # --- retention ---

    def forget_lead(self, lead: str, contact: str, *, fact: Callable[[Connection], object]) -> bool:
        """Take away what one closed lead tells of somebody, and state it; False: it was gone."""
        now_ms = self._clock.wall_ms()

        def write(connection: Connection) -> bool:
            gone = self._forget_lead(connection, lead, contact, now_ms)
            if gone:
                fact(connection)
            return gone

        forgotten: bool = self.database.write(write)
        return forgotten

    # --- finding ---

    def file_buyers(self) -> int:
        """Make every buyer in the vault one that is found by the phone; how many were new."""
        total = 0
        while count := self._vault.file(self.contacts.fingerprint):
            total += count
        return total

    def file_some(self) -> int:
        """The same for the next few; 0: all are found."""
        return self._vault.file(self.contacts.fingerprint, FILED)

    def _find(self, connection: Connection, person: Person) -> str | None:
        return self.contacts.find(
            connection, phone=person.canonical, bsuid=person.bsuid, email=person.email
        )

    def _hashes(self, connection: Connection, person: Person, contact: str | None) -> Sequence[str]:
        phones = {person.canonical} if person.canonical else set()
        if contact is not None:
            known = contact_rows.keys(connection, contact)
            phones |= {value for kind, value in known if kind == "phone"}
        hashes = (self.contacts.fingerprint(phone) for phone in sorted(phones))
        return [each for each in hashes if each is not None]

    def _naming(self, marks: Sequence[str]) -> list[int]:
        """Bodies in which one of these stands. Read in pieces: nobody waits for it."""
        found: list[int] = []
        after: int | None = 0
        wanted = [mark.encode() for mark in marks]
        while after is not None and wanted:
            with self.database.read() as connection:
                some, after = inbox.naming(connection, wanted, after=after, limit=SCAN)
            found += some
        return found
