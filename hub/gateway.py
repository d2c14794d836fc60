"""From a stored delivery to what it changes: read, told apart by who speaks, acted on once.

Everything a delivery changes is written in the one transaction that closes its row, so a crash
repeats it wholly or not at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, TypeAlias

from sqlalchemy import Connection

from hub.contacts.service import Contacts
from hub.inbox.incoming import (
    ContactCard,
    Media,
    Message,
    NumberChanged,
    Other,
    PageTap,
    Parsed,
    Pin,
    Preference,
    Sender,
    Status,
    Tap,
    TemplateNews,
    Text,
)
from hub.inbox.service import InboxRow, Outcome, first_time, first_times, seen
from hub.leads.conversation import Conversation
from hub.leads.neighbours import as_rep
from hub.leads.service import Leads
from hub.outbox.service import Outbox
from hub.registry.people.rules import Person
from hub.registry.service import Registry

Parse: TypeAlias = Callable[[bytes], Parsed]
REASON_CHARS = 400
CLAIM_MARK: Final = b"CLAIM_"
"""What stands in the body of a tap on *Claim*; one that is written another way is handled alone."""


class Gateway:
    """Acts on what the inbox holds."""

    def __init__(
        self,
        *,
        parsers: Mapping[str, Parse],
        registry: Registry,
        contacts: Contacts,
        outbox: Outbox,
        leads: Leads,
        conversation: Conversation,
        rooms: Callable[[Connection, InboxRow], None] | None = None,
        on_template: Callable[[Connection, TemplateNews], object],
    ) -> None:
        """`parsers` by the inbox's source; `rooms` is told of every row, before it is acted on."""
        self._parsers = parsers
        self._registry = registry
        self._contacts = contacts
        self._outbox = outbox
        self._leads = leads
        self._conversation = conversation
        self._rooms = rooms
        self._on_template = on_template

    def handle(self, connection: Connection, row: InboxRow) -> Outcome:
        """Act on one delivery in the caller's transaction (hub.inbox.service.Handle)."""
        parse = self._parsers.get(row.source)
        if parse is None:
            return Outcome("kept", f"nothing here reads {row.source}")
        parsed = parse(row.body)
        if self._rooms is not None:
            self._rooms(connection, row)
        subjects = [
            subject
            for item in parsed.items
            if (subject := self._act(connection, item, row)) is not None
        ]
        reason = "; ".join(parsed.problems)[:REASON_CHARS] or None
        return Outcome("kept" if reason else "done", reason, tuple(dict.fromkeys(subjects)))

    def handle_run(self, connection: Connection, rows: Sequence[InboxRow]) -> list[Outcome]:
        """Act on the first rows together as far as each is a tap on *Claim*.

        Implements `hub.inbox.service.HandleRun`. In a race nearly all are, and what such a tap
        costs alone is the number of questions that it asks. They are decided in their order.
        """
        run = self._claims_at_the_head(rows)
        if len(run) < 2:
            return []
        for claim in run:
            if self._rooms is not None:
                self._rooms(connection, claim.row)
        self._recognise(connection, run)
        outcomes: list[Outcome] = []
        for of_reps, part in groupby(run, lambda claim: claim.person is not None):
            # Whatever else there is has its turn behind those who tapped before it.
            act = self._decide if of_reps else self._otherwise
            outcomes += act(connection, list(part))
        return outcomes

    def _recognise(self, connection: Connection, run: Sequence["_Claim"]) -> None:
        """Which of them are new, and who of the network sent those."""
        asked = [(claim.phone, claim.row.received_ms) for claim in run]
        senders = self._registry.people_by_phone(connection, asked)
        keys = [(f"message/{claim.message.id}", claim.row.received_ms) for claim in run]
        for claim, is_fresh in zip(run, first_times(connection, keys), strict=True):
            claim.fresh = is_fresh
        for claim, person in zip(run, senders(), strict=True):
            claim.person = person if claim.fresh else None

    def _decide(self, connection: Connection, run: Sequence["_Claim"]) -> list[Outcome]:
        """Taps of reps, whose windows they open."""
        known = [(claim, claim.person) for claim in run if claim.person is not None]
        self._registry.learn_bsuids(
            connection,
            [
                (person.id, claim.message.sender.bsuid)
                for claim, person in known
                if claim.message.sender.bsuid is not None
            ],
        )
        self._outbox.opened_all(
            connection,
            [
                (claim.message.number, person.id, _wrote_ms(claim.message, claim.row))
                for claim, person in known
            ],
        )
        self._leads.claim(
            connection,
            [
                self._leads.tapped(claim.lead, as_rep(person), claim.message, claim.row)
                for claim, person in known
            ],
        )
        return [Outcome("done", None, (person.id,)) for _, person in known]

    def _otherwise(self, connection: Connection, run: Sequence["_Claim"]) -> list[Outcome]:
        """Taps of others, and what was seen before."""
        outcomes = []
        for claim in run:
            subject = None
            if claim.fresh:
                subject = self._fresh(connection, claim.message, claim.row)
            else:
                self._whole(connection, claim.message, claim.row)
            outcomes.append(Outcome("done", None, () if subject is None else (subject,)))
        return outcomes

    def _claims_at_the_head(self, rows: Sequence[InboxRow]) -> "list[_Claim]":
        run: list[_Claim] = []
        for row in rows:
            claim = self._claim_in(row)
            if claim is None:
                break
            run.append(claim)
        return run

    def _claim_in(self, row: InboxRow) -> "_Claim | None":
        """The tap on *Claim* that a delivery is, if it is that and nothing else."""
        parse = self._parsers.get(row.source)
        if parse is None or CLAIM_MARK not in row.body:
            return None
        parsed = parse(row.body)
        if parsed.problems or len(parsed.items) != 1:
            return None
        message = parsed.items[0]
        if not isinstance(message, Message) or message.plain or message.aliases:
            return None
        phone, content = message.sender.phone, message.content
        lead = self._leads.claims_lead(content) if isinstance(content, Tap) else None
        return None if phone is None or lead is None else _Claim(row, message, phone, lead)

    def _act(self, connection: Connection, item: object, row: InboxRow) -> str | None:
        """Act on one item; whose it is."""
        if isinstance(item, Message):
            return self._message(connection, item, row)
        if isinstance(item, Status):
            key = f"status/{item.message_id}/{item.status}"
            if first_time(connection, key, now_ms=row.received_ms):
                self._outbox.on_status(connection, item)
        elif isinstance(item, TemplateNews):
            self._on_template(connection, item)
        elif isinstance(item, Preference):
            return self._preference(connection, item, row)
        elif isinstance(item, PageTap):
            return self._page_tap(connection, item, row)
        return None

    def _page_tap(self, connection: Connection, tap: PageTap, row: InboxRow) -> str | None:
        """By the same function as a tap in WhatsApp, in the same order; no window opens by it."""
        person = self._registry.person(connection, tap.person)
        if person is None:
            return None
        pressed = Tap(tap.button, "")
        message = Message(
            id=row.id,
            channel="page",
            number=row.source,
            sender=Sender(),
            provider_ms=None,
            content=pressed,
        )
        self._leads.tap(connection, person.id, pressed, message=message, row=row)
        return person.id

    def _message(self, connection: Connection, message: Message, row: InboxRow) -> str | None:
        # Every id is remembered: by another road the same message may bring another of them.
        ids = (message.id, *message.aliases)
        fresh = [
            first_time(connection, f"message/{known}", now_ms=row.received_ms) for known in ids
        ]
        if not all(fresh):
            self._whole(connection, message, row)
            return None
        return self._fresh(connection, message, row)

    def _fresh(self, connection: Connection, message: Message, row: InboxRow) -> str | None:
        """Act on a message that was not seen before; whose it is."""
        if isinstance(message.content, NumberChanged):
            return self._renumbered(connection, message.sender, message.content, row)
        at_ms = _wrote_ms(message, row)
        person = self._person(connection, message.sender, row)
        if message.plain:
            message = self._read_title(connection, message, row, person)
        if person is not None:
            self._outbox.opened(connection, message.number, person.id, at_ms)
            self._from_person(connection, person, message, row)
            return person.id
        if isinstance(message.content, Tap) and self._stranger_taps(connection, message, row):
            return None
        contact = self._contacts.meet(
            connection,
            phone=message.sender.phone,
            bsuid=message.sender.bsuid,
            name=message.sender.name,
            now_ms=row.received_ms,
        )
        self._outbox.opened(connection, message.number, contact, at_ms)
        lead = self._conversation.hear(connection, contact, message, row)
        self._contacts.keep(
            connection,
            contact=contact,
            lead=lead,
            direction="in",
            at_ms=row.received_ms,
            kind=_kind(message),
            text=_words(message),
            number=message.number,
            message_id=message.id,
            inbox=row.id,
        )
        return contact

    def _read_title(
        self, connection: Connection, message: Message, row: InboxRow, person: Person | None
    ) -> Message:
        """A tap shown as the words on its button, as the tap that it can only be.

        Else it is remembered that this message may come whole.
        """
        content, sender = message.content, message.sender
        title = content.body if isinstance(content, Text) else None
        if isinstance(content, Tap) and content.id is None:
            title = content.title
        button, party = None, None
        if title is not None:
            party = (
                as_rep(person)
                if person is not None
                else self._contacts.find(connection, phone=sender.phone, bsuid=sender.bsuid)
            )
        if title is not None and party is not None:
            button = self._leads.meant(connection, party, title, row.received_ms)
        if button is None or button == "asked":
            for known in (message.id, *message.aliases):
                first_time(connection, f"plain/{known}", now_ms=row.received_ms)
                if isinstance(content, Other):
                    first_time(connection, f"empty/{known}", now_ms=row.received_ms)
        # Who has been asked which lead they mean has tapped all the same: "asked" is no button.
        return message if button is None else replace(message, content=Tap(button, title or ""))

    def _whole(self, connection: Connection, message: Message, row: InboxRow) -> None:
        """Act on what a message says more than when it came by another road, once."""
        content, referral = message.content, message.referral
        tapped = isinstance(content, Tap) and content.id is not None
        placed = isinstance(content, Pin | ContactCard)
        if message.plain or not (tapped or placed or referral is not None):
            return
        ids = (message.id, *message.aliases)
        if not any(seen(connection, f"plain/{known}") for known in ids):
            return
        if not first_time(connection, f"whole/{message.id}", now_ms=row.received_ms):
            return
        person = self._person(connection, message.sender, row)
        contact = None
        if person is None:
            phone, bsuid = message.sender.phone, message.sender.bsuid
            contact = self._contacts.find(connection, phone=phone, bsuid=bsuid)
        if isinstance(content, Tap) and tapped:
            party = contact if person is None else as_rep(person)
            self._leads.tap(connection, party, content, message=message, row=row)
        if contact is not None and placed and any(seen(connection, f"empty/{k}") for k in ids):
            self._conversation.hear(connection, contact, message, row)
        if contact is not None and referral is not None:
            self._conversation.referred(connection, contact, referral, row)

    def _renumbered(
        self, connection: Connection, sender: Sender, changed: NumberChanged, row: InboxRow
    ) -> str | None:
        """The vendor's word, not the customer's: it opens no window and begins no conversation."""
        contact = self._contacts.find(
            connection, phone=sender.phone, bsuid=changed.previous_bsuid or sender.bsuid
        )
        if contact is not None:
            self._contacts.renumbered(
                connection,
                contact,
                phone=changed.phone,
                bsuid=changed.bsuid,
                now_ms=row.received_ms,
            )
        return contact

    def _person(self, connection: Connection, sender: Sender, row: InboxRow) -> Person | None:
        """Somebody of the network, by phone or by a WhatsApp id that came with it before."""
        found = None
        if sender.phone is not None:
            found = self._registry.person_by_phone(connection, sender.phone, now_ms=row.received_ms)
            if found is not None and sender.bsuid is not None:
                self._registry.learn_bsuid(connection, found.id, sender.bsuid)
        elif sender.bsuid is not None:
            found = self._registry.person_by_bsuid(connection, sender.bsuid, now_ms=row.received_ms)
        return found

    def _from_person(
        self, connection: Connection, person: Person, message: Message, row: InboxRow
    ) -> None:
        content = message.content
        if isinstance(content, Tap):
            rep = as_rep(person)
            decided = self._leads.tap(connection, rep, content, message=message, row=row)
            if decided is not None:
                return
        self._leads.rep_message(connection, person.id, message, row)

    def _stranger_taps(self, connection: Connection, message: Message, row: InboxRow) -> bool:
        """Whether it is a tap on a lead: by a customer we know, or forwarded to somebody else."""
        assert isinstance(message.content, Tap)
        contact = self._contacts.find(
            connection, phone=message.sender.phone, bsuid=message.sender.bsuid
        )
        if contact is not None:
            self._outbox.opened(connection, message.number, contact, row.received_ms)
        decided = self._leads.tap(connection, contact, message.content, message=message, row=row)
        return decided is not None

    def _preference(
        self, connection: Connection, preference: Preference, row: InboxRow
    ) -> str | None:
        sender = preference.sender
        contact = self._contacts.find(connection, phone=sender.phone, bsuid=sender.bsuid)
        if contact is None:
            return None
        change = self._contacts.opt_in if preference.wanted else self._contacts.opt_out
        change(connection, contact, channel=preference.number, now_ms=row.received_ms)
        if not preference.wanted:
            self._leads.opted_out(connection, contact, row.received_ms)
        return contact


@dataclass(slots=True)
class _Claim:
    """A delivery that is a tap on *Claim* and nothing else."""

    row: InboxRow
    message: Message
    phone: str
    lead: str
    fresh: bool = False
    """Whether it comes for the first time."""
    person: Person | None = None
    """Of the network, who sent a fresh one."""


def _wrote_ms(message: Message, row: InboxRow) -> int:
    """When a message was written: never after it came in, whatever the vendor's clock says."""
    return min(row.received_ms, message.provider_ms or row.received_ms)


def _kind(message: Message) -> str:
    content = message.content
    if isinstance(content, Media):
        return content.kind
    return type(content).__name__.lower()


def _words(message: Message) -> str | None:
    """What stands in the transcript."""
    content = message.content
    if isinstance(content, Text):
        return content.body
    if isinstance(content, Tap):
        return content.title
    if isinstance(content, Pin):
        return content.name or content.address or f"{content.lat:.5f}, {content.lon:.5f}"
    if isinstance(content, ContactCard):
        return ", ".join(content.phones)
    return content.caption if isinstance(content, Media) else None
