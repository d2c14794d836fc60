"""A customer's messages: what they know becomes a lead, what they forbid ends one.

The words and the order of the questions are `screening`'s; here they meet the tables.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Literal, Protocol

from sqlalchemy import Connection

from hub.inbox.incoming import Message, Pin, Referral, Tap, Text
from hub.leads import screening, store
from hub.leads.answers import Command, command
from hub.leads.desk import DAY_MS, HOUR_MS, Desk, detail
from hub.leads.needs import Arrival
from hub.leads.places import Places, shipped
from hub.leads.questions import CONSENT_VERSION
from hub.leads.records import Lead
from hub.leads.screening import Answered, Say, Screening
from hub.leads.service import Beginning, Leads
from hub.leads.states import CLOSED, OWNED
from hub.leads.timeline import store as timeline
from hub.registry.rules import Model

STEPS: Final = 1_000_000
SCREENED_WITHIN_MS: Final = 20 * HOUR_MS
"""No lead is asked about for longer, whatever its customer writes meanwhile."""
REFERRED_WITHIN_MS: Final = 600_000
"""How much later the second road may tell what a lead began with."""


class People(Protocol):
    """The contacts, as far as a conversation changes them."""

    def renumbered(
        self,
        connection: Connection,
        contact: str,
        *,
        phone: str | None = None,
        bsuid: str | None = None,
        now_ms: int,
    ) -> bool:
        """A key more of a contact we know; False when it is another's."""
        ...

    def consent(
        self, connection: Connection, contact: str, *, version: str, at_ms: int, channel: str
    ) -> None:
        """They agreed to this text."""
        ...

    def opt_out(self, connection: Connection, contact: str, *, channel: str, now_ms: int) -> bool:
        """No more messages."""
        ...

    def opt_in(self, connection: Connection, contact: str, *, channel: str, now_ms: int) -> bool:
        """Messages are welcome again."""
        ...

    def ask_erasure(self, connection: Connection, contact: str, now_ms: int) -> None:
        """They want their data gone."""
        ...

    def speaks(self, connection: Connection, contact: str, language: Literal["id", "en"]) -> None:
        """The language to write in from now on."""
        ...


class Stock(Protocol):
    """What is sold."""

    def models_in(self, connection: Connection) -> Sequence[Model]:
        """Every model, by code."""
        ...


class Conversation:
    """Hears customers. Everything happens on the caller's connection, once for each message."""

    def __init__(
        self,
        desk: Desk,
        leads: Leads,
        people: People,
        stock: Stock,
        *,
        places: Callable[[], Places] = shipped,
    ) -> None:
        """Nothing is read yet. `places`: what is known of places at that moment."""
        self._places = places
        self._desk = desk
        self._leads = leads
        self._people = people
        self._stock = stock

    def hear(
        self, connection: Connection, contact: str, message: Message, row: Arrival
    ) -> str | None:
        """Act on what a customer sent; the lead it belongs to, None when there is none."""
        newest = store.newest_of(connection, contact)
        lead = None if newest is None else store.lock(connection, newest.id)
        open_lead = lead if lead is not None and self._is_same(lead, row.received_ms) else None
        order = _order(message)
        if order in {"stop", "erase"}:
            if open_lead is not None:
                # Who works on it is told, and nothing more is said in its name.
                self._leads.custody.opt_out(connection, open_lead, row.received_ms)
            self._leave(connection, contact, lead, message=message, row=row, erase=order == "erase")
            return lead.id if lead else None
        if order == "start":
            self._people.opt_in(
                connection, contact, channel=message.channel, now_ms=row.received_ms
            )
        customer = self._desk.customers.customer(connection, contact)
        if customer is None or customer.opted_out or customer.erasure_asked:
            # They asked for silence and are left in peace until they say START; "thank you" to
            # the answer that their data will be gone begins nothing.
            return lead.id if lead else None
        if order == "start" and lead is not None:
            self._say(connection, lead, Say("welcome_back"), key=message.id)
        if open_lead is None:
            open_lead = self._begin(connection, contact, newest, message=message, row=row)
        elif open_lead.consent_version is None:
            open_lead = self._agreed(connection, open_lead, message, row.received_ms)
        return self._answer(connection, open_lead, message, row, has_phone=bool(customer.phone))

    def _is_same(self, lead: Lead, now_ms: int) -> bool:
        """Open, and young enough to be still about what they want now."""
        days = self._desk.settings.same_person_days
        return lead.state not in CLOSED and now_ms - lead.received_ms <= days * DAY_MS

    # --- beginning and end ---

    def _begin(
        self,
        connection: Connection,
        contact: str,
        former: Lead | None,
        *,
        message: Message,
        row: Arrival,
    ) -> Lead:
        now_ms = row.received_ms
        self._consents(connection, contact, message, now_ms)
        referral = message.referral
        return self._leads.begin(
            connection,
            Beginning(
                contact=contact,
                source="whatsapp_ad" if referral is not None else "whatsapp",
                campaign=referral.source_id if referral is not None else None,
                touch=_touch(referral, now_ms),
                language=former.language if former is not None else "id",
                consent_version=CONSENT_VERSION,
                consent_ms=now_ms,
                previous=former.id if former is not None else None,
            ),
            now_ms,
        )

    def referred(
        self, connection: Connection, contact: str, referral: Referral, row: Arrival
    ) -> None:
        """The advertisement of a message that was heard before without it."""
        newest = store.newest_of(connection, contact)
        lead = None if newest is None else store.lock(connection, newest.id)
        if lead is None or lead.source != "whatsapp" or lead.campaign is not None:
            return
        if row.received_ms - lead.received_ms > REFERRED_WITHIN_MS:
            return  # it is about a message in the middle of what was begun otherwise
        touch = _touch(referral, lead.received_ms)
        store.change(
            connection,
            lead.id,
            source="whatsapp_ad",
            campaign=referral.source_id,
            first_touch=touch,
            last_touch=touch,
        )

    def _consents(
        self, connection: Connection, contact: str, message: Message, now_ms: int
    ) -> None:
        """Who writes to us first wants to be answered: that, and the text we show, is consent."""
        self._people.consent(
            connection, contact, version=CONSENT_VERSION, at_ms=now_ms, channel=message.channel
        )

    def _agreed(self, connection: Connection, lead: Lead, message: Message, now_ms: int) -> Lead:
        """A form's lead that had to be left alone: its person writes now, and it goes on."""
        self._consents(connection, lead.contact, message, now_ms)
        store.change(connection, lead.id, consent_version=CONSENT_VERSION, consent_ms=now_ms)
        if lead.state == "QUALIFIED" and lead.next_step is None and lead.located:
            store.change(connection, lead.id, next_step="route", next_step_ms=now_ms)
        if lead.screened:
            # Nothing is left to ask, and what they agree to has to be said.
            self._say(connection, lead, Say("noted", {"first": True}), key=f"{message.id}/agreed")
        return store.lock(connection, lead.id) or lead

    def _leave(
        self,
        connection: Connection,
        contact: str,
        lead: Lead | None,
        *,
        message: Message,
        row: Arrival,
        erase: bool,
    ) -> None:
        """STOP is answered by silence; who wants their data gone is told that it will be."""
        now_ms = row.received_ms
        if not erase:
            self._people.opt_out(connection, contact, channel=message.channel, now_ms=now_ms)
            return
        self._people.ask_erasure(connection, contact, now_ms)
        if lead is not None:
            self._say(connection, lead, Say("erasing"), key=message.id)

    # --- answers ---

    def _answer(
        self,
        connection: Connection,
        lead: Lead,
        message: Message,
        row: Arrival,
        *,
        has_phone: bool,
    ) -> str:
        models = [(m.code, m.name) for m in self._stock.models_in(connection) if m.active]
        told = _from_lead(lead, has_phone=has_phone, has_models=bool(models))
        talked = screening.load(lead.screening)
        state = told if talked is None else _with(talked, told)
        if lead.state in OWNED and not isinstance(message.content, Pin | Tap | Text):
            return lead.id
        answered = screening.answer(state, message.content, models=models, places=self._places())
        lead = self._keep(connection, lead, answered, row)
        if answered.phone is not None and not self._people.renumbered(
            connection, lead.contact, phone=answered.phone, now_ms=row.received_ms
        ):
            self._leads.custody.needs_human(
                connection, lead, "gave the number of another customer", row.received_ms
            )
        # To somebody whose lead has an owner nobody but that owner speaks, unless a fact changed
        # or they ask for somebody else.
        asks_a_person = answered.state.human and not state.human
        if lead.state not in OWNED or answered.learned or asks_a_person:
            for number, say in enumerate(answered.says):
                self._say(connection, lead, say, key=f"{message.id}/{number}")
        self._go_on(connection, lead, answered, row)
        if lead.state in OWNED and not isinstance(message.content, Tap):
            self._tell_owner(connection, lead, row.received_ms)
        return lead.id

    def _tell_owner(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        """Who writes wants an answer of whoever has their lead; once a day is enough."""
        if lead.rep is not None:
            key = f"{lead.rep}/{now_ms // DAY_MS}"
            self._desk.say(connection, lead, "again", lead.rep, key=key, lasts_ms=DAY_MS)

    def _keep(self, connection: Connection, lead: Lead, answered: Answered, row: Arrival) -> Lead:
        """What is known now, in the lead's row and in its timeline."""
        state = answered.state
        values: dict[str, object] = {
            "screening": screening.dump(state),
            "language": state.language,
            "model": state.model,
            "model_said": lead.model_said if state.model is None else None,
            "payment": state.payment,
            "buy_when": state.buy_when,
            "place": state.place,
            "area": state.area,
            "lat_udeg": None if state.lat is None else round(state.lat * STEPS),
            "lon_udeg": None if state.lon is None else round(state.lon * STEPS),
        }
        if lead.state == "SCREENING":
            values |= self._waits(lead, row.received_ms)
        store.change(connection, lead.id, **values)
        if state.language != lead.language:
            self._people.speaks(connection, lead.contact, state.language)
        if answered.learned:
            timeline.note(
                connection,
                lead.id,
                "answer.given",
                row.received_ms,
                detail=detail(learned=list(answered.learned)),
            )
        changed = store.get(connection, lead.id)
        if changed is None:
            raise AssertionError("a locked lead is gone")
        return changed

    def _waits(self, lead: Lead, now_ms: int) -> dict[str, object]:
        """One reminder after a while, then the lead goes out with what is known; whoever goes on
        writing without an answer does not keep it from the market for a day either."""
        settings = self._desk.settings
        remind_ms = now_ms + settings.nudge_s * 1000
        ends_ms = remind_ms + settings.screening_s * 1000
        last_ms = lead.received_ms + SCREENED_WITHIN_MS
        if ends_ms > last_ms:
            return {"next_step": "screened", "next_step_ms": max(now_ms, last_ms)}
        return {"next_step": "nudge", "next_step_ms": remind_ms}

    def _say(self, connection: Connection, lead: Lead, say: Say, *, key: str) -> None:
        self._desk.say(
            connection, lead, "question", lead.contact, key=key, data=say.data, lasts_ms=DAY_MS
        )

    def _go_on(self, connection: Connection, lead: Lead, answered: Answered, row: Arrival) -> None:
        """To the market once nothing is left to ask; a person looks after those who want one."""
        state = answered.state
        if state.human:
            self._leads.custody.needs_human(
                connection, lead, "the customer asks for a person", row.received_ms
            )
        if lead.state == "SCREENING" and state.done:
            self._leads.qualify(connection, lead, row.received_ms)
        elif lead.state == "QUALIFIED" and "location" in answered.learned:
            # It waited for this, or at another place: who is near is another question now.
            store.change(connection, lead.id, next_step="route", next_step_ms=row.received_ms)


def _touch(referral: Referral | None, at_ms: int) -> str:
    if referral is None:
        return detail(source="whatsapp", at_ms=at_ms)
    return detail(
        source="whatsapp_ad",
        campaign=referral.source_id,
        click_id=referral.click_id,
        at_ms=at_ms,
    )


def _order(message: Message) -> Command | None:
    content = message.content
    if isinstance(content, Text):
        return command(content.body)
    return command(content.title) if isinstance(content, Tap) and content.id is None else None


def _with(talked: Screening, told: Screening) -> Screening:
    """A conversation that goes on, with what a form has told of its lead meanwhile."""
    new = [question for question in told.settled if question not in talked.settled]
    known: dict[str, object] = {
        name: getattr(told, name) for name in ("model", "payment", "buy_when") if name in new
    }
    if "location" in new:
        known |= {"lat": told.lat, "lon": told.lon, "area": told.area, "place": told.place}
    return replace(talked, settled=(*talked.settled, *new), **known)  # type: ignore[arg-type]


def _from_lead(lead: Lead, *, has_phone: bool, has_models: bool) -> Screening:
    """A conversation with somebody of whom a form or an advertisement told something."""
    at = None
    if lead.lat_udeg is not None and lead.lon_udeg is not None:
        at = (lead.lat_udeg / STEPS, lead.lon_udeg / STEPS, lead.area or "")
    begun = screening.begin(
        language=lead.language,
        has_phone=has_phone,
        has_models=has_models,
        model=lead.model,
        payment=lead.payment,
        buy_when=lead.buy_when,
        at=at,
    )
    return replace(begun, place=lead.place, human=lead.human)
