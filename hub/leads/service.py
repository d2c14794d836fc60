"""Use cases of leads. Everything happens in the caller's transaction, and once only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal, cast

import structlog
from sqlalchemy import Connection

from hub.inbox.incoming import Message, Tap
from hub.leads import store
from hub.leads.claims import Claims
from hub.leads.custody import Custody
from hub.leads.deliveries import Deliveries
from hub.leads.desk import Desk, detail
from hub.leads.needs import Arrival, Rep
from hub.leads.race import Tapped
from hub.leads.records import Decision, Lead
from hub.leads.rep_words import RepWords
from hub.leads.reports import Report, Reports
from hub.leads.routing import Routing, Stop
from hub.leads.states import OPEN, Refusal
from hub.leads.timeline import store as timeline
from hub.leads.timers import Timers
from hub.leads.titles import Asked, Titles
from hub.leads.winning import Units, Winning
from hub.outbox.service import Change
from hub.store import Database
from shared.identifiers import new_id

PUT_OFF_MS: Final = 60_000
NOBODY: Final = "cus_test"
"""The customer of a test: there is none."""
log = structlog.get_logger()

_TAP: Final = re.compile(
    r"(CLAIM|SKIP|CONTACTED|DEMO|WON|LOST|CALLED_YES|CALLED_NO)_(led_[a-z2-7]{26})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What is known of a lead when it comes."""

    contact: str
    source: str = "unknown"
    campaign: str | None = None
    touch: str | None = None
    """Where it came from, as JSON."""
    language: Literal["id", "en"] = "id"
    consent_version: str | None = None
    consent_ms: int | None = None
    test: bool = False
    previous: str | None = None


class Leads:
    """The life of every lead."""

    def __init__(self, database: Database, desk: Desk, units: Units) -> None:
        """Work with what `desk` holds; `units` knows what has been sold."""
        self._database = database
        self._desk = desk
        self.routing: Final = Routing(desk)
        self.claims: Final = Claims(desk, self.routing)
        self.custody: Final = Custody(desk, self.routing, self.claims)
        self.winning: Final = Winning(desk, self.custody, units)
        self._reports = Reports(desk, self.custody)
        self._titles = Titles(desk)
        self._rep_words = RepWords(desk, self.winning)
        self._deliveries = Deliveries(desk, self.routing, self.claims)
        self._timers = Timers(desk, self.routing, self.claims, self.custody)

    # --- beginning ---

    def begin(self, connection: Connection, start: Beginning, now_ms: int) -> Lead:
        """A new lead of a customer, to be screened."""
        lead = Lead(
            id=new_id("led"),
            contact=start.contact,
            state="SCREENING",
            test=start.test,
            source=start.source,
            campaign=start.campaign,
            first_touch=start.touch,
            last_touch=start.touch,
            language=start.language,
            consent_version=start.consent_version,
            consent_ms=start.consent_ms,
            previous=start.previous,
            received_ms=now_ms,
        )
        store.create(connection, lead)
        previous = {"previous": start.previous} if start.previous else {}
        timeline.note(
            connection,
            lead.id,
            "lead.received",
            now_ms,
            detail=detail(source=lead.source, **previous),
        )
        return replace(lead, events=1)

    def qualify(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        """Enough is known of a locked lead, or all that will be: to the market if it may be."""
        self._timers.qualify(connection, lead, now_ms)

    # --- taps ---

    def tap(
        self,
        connection: Connection,
        party: Rep | str | None,
        tap: Tap,
        *,
        message: Message,
        row: Arrival,
    ) -> Decision | None:
        """Decide a tap of `party` (a rep, cus_… or nobody we know); None: it is no tap of ours."""
        person = party if isinstance(party, Rep) else None
        if isinstance(party, str) and party.startswith("per_"):
            person = self._desk.directory.rep(connection, party)
        if tap.id is None and party is not None:
            button = self.meant(connection, person or str(party), tap.title, row.received_ms)
            tap = Tap(None if button == "asked" else button, tap.title)
        found = _TAP.fullmatch(tap.id or "")
        if found is None:
            if tap.id == "READY" and person is not None:
                self._rep_words.ready(connection, person, key=message.id, now_ms=row.received_ms)
            return None
        kind, lead = found.groups()
        if kind in {"CALLED_YES", "CALLED_NO"}:
            yes = kind == "CALLED_YES"
            who = party.id if isinstance(party, Rep) else party
            self._reports.called(connection, lead, yes=yes, party=who, row=row)
            return None
        if person is None:
            return self._stranger(connection, lead, message, row)
        if kind in {"CLAIM", "SKIP"}:
            tapped = self.tapped(lead, person, message, row)
            return (
                self.claim(connection, [tapped])[0]
                if kind == "CLAIM"
                else self.claims.skip(connection, tapped)
            )
        self._reports.owner(connection, cast("Report", kind), lead, person=person, row=row)
        return None

    def meant(
        self, connection: Connection, party: Rep | str, title: str, now_ms: int
    ) -> str | Asked | None:
        """The id of the button that a title stands on, where a channel gives no id.

        ``asked``: it could be about several leads, and the rep has been asked. None: just words.
        """
        if isinstance(party, Rep):
            return self._titles.of_rep(connection, party, title)
        return self._titles.of_customer(connection, party, title, now_ms)

    @staticmethod
    def claims_lead(tap: Tap) -> str | None:
        """The lead that a tap wants; None: it is another button."""
        found = _TAP.fullmatch(tap.id or "")
        return found[2] if found is not None and found[1] == "CLAIM" else None

    @staticmethod
    def tapped(lead: str, person: Rep, message: Message, row: Arrival) -> Tapped:
        """A tap of a person on an offer, to be decided by `claim`."""
        return Tapped(
            lead=lead,
            person=person,
            at_ms=row.received_ms,
            message=message.id,
            provider_ms=message.provider_ms,
        )

    def claim(self, connection: Connection, taps: Sequence[Tapped]) -> list[Decision]:
        """Decide taps on *Claim* in their order; what each was worth."""
        return self.claims.claim(connection, taps)

    @staticmethod
    def _stranger(connection: Connection, lead: str, message: Message, row: Arrival) -> Decision:
        """A forwarded button in a stranger's hand is worth nothing, and is seen."""
        if store.get(connection, lead) is not None:
            tapped = timeline.Entry(
                lead=lead,
                at_ms=row.received_ms,
                kind="tap.received",
                decision="unknown_sender",
                provider_ms=message.provider_ms,
            )
            timeline.add(connection, [tapped])
        return "unknown_sender"

    def rep_message(
        self, connection: Connection, person: str, message: Message, row: Arrival
    ) -> None:
        """Words of a rep: SIAP, LEAD, MENANG <serial>, LIBUR; others get the list of them."""
        rep = self._desk.directory.rep(connection, person)
        if rep is not None:
            self._rep_words.hear(connection, rep, message, row)

    def opted_out(self, connection: Connection, contact: str, now_ms: int) -> None:
        """A customer wants no more messages: their open lead ends, whoever has it is told."""
        newest = store.newest_of(connection, contact)
        lead = None if newest is None else store.lock(connection, newest.id)
        if lead is not None and lead.state in OPEN:
            self.custody.opt_out(connection, lead, now_ms)

    # --- what becomes of messages ---

    def offer_status(self, connection: Connection, change: Change) -> None:
        """An offer went out, arrived, was read or could not be delivered: then another's turn."""
        if change.kind == "offer":
            self._deliveries.offer(connection, change)
        elif change.ref.startswith("led_"):
            self._deliveries.notice(connection, change)

    # --- time ---

    def step(self, now_ms: int, limit: int = 50) -> int:
        """Do what has fallen due, each lead in a transaction of its own; how many there were.

        A lead that cannot be moved is put off and logged; it keeps no other waiting.
        """
        with self._database.look() as connection:
            due = store.due(connection, now_ms, limit)
        for lead in due:
            try:
                self._database.write(partial(self._timers.step, lead_id=lead, now_ms=now_ms))
            except Exception:
                log.exception("lead_step_failed", lead=lead)
                self._database.write(
                    partial(store.change, lead=lead, next_step_ms=now_ms + PUT_OFF_MS)
                )
        return len(due)

    def idle(self, now_ms: int) -> bool:
        """Whether nothing is due."""
        with self._database.look() as connection:
            return not store.due(connection, now_ms, 1)

    # --- a manager's word ---

    def test_offer(self, connection: Connection, person: str, now_ms: int) -> str | None:
        """Send a person an offer that is marked as a test and counted nowhere; the lead's id.

        None: there is no such person, or they work for no dealer.
        """
        rep = self._desk.directory.rep(connection, person)
        code = rep.dealers[0] if rep is not None and rep.dealers else ""
        dealer = self._desk.directory.dealer(connection, code)
        if rep is None or dealer is None:
            return None
        lead = self.begin(connection, Beginning(contact=NOBODY, test=True), now_ms)
        moved = self._desk.move(
            connection,
            lead,
            "qualify",
            now_ms,
            qualified_ms=now_ms,
            area=dealer.name,
            region=dealer.region,
            lat_udeg=round(dealer.lat * 1e6),
            lon_udeg=round(dealer.lon * 1e6),
        )
        if not isinstance(moved, Refusal):
            self.routing.offer_to(connection, moved, rep, dealer, now_ms=now_ms)
        return lead.id

    def release(self, connection: Connection, lead_id: str, *, by: str, now_ms: int) -> bool:
        """Take a lead from its owner and put it back on the market; False: it has none."""
        del by  # who did it stands in the portal's log
        lead = store.lock(connection, lead_id)
        if lead is None or lead.rep is None:
            return False
        return self.custody.put_back(connection, lead, "release", reason="released", now_ms=now_ms)

    def transfer(
        self, connection: Connection, lead_id: str, person: str, *, by: str, now_ms: int
    ) -> bool:
        """Give a lead to a rep; False: not to them, or not in this state."""
        lead = store.lock(connection, lead_id)
        rep = self._desk.directory.rep(connection, person)
        if lead is None or rep is None or not rep.dealers:
            return False
        dealer = lead.dealer if lead.dealer in rep.dealers else rep.dealers[0]
        return self.custody.hand_to(connection, lead, rep, dealer, by=by, now_ms=now_ms)

    def close(self, connection: Connection, lead_id: str, *, reason: str, now_ms: int) -> bool:
        """Close a lead without a sale; False: it is closed."""
        lead = store.lock(connection, lead_id)
        if lead is None:
            return False
        moved = self.custody.end(connection, lead, "lose", reason=reason, now_ms=now_ms)
        if isinstance(moved, Refusal):
            return False
        if lead.rep is not None:
            self._desk.say(
                connection,
                lead,
                "taken_back",
                lead.rep,
                key=f"closed/{lead.rep}",
                data={"reason": "closed"},
            )
        return True

    # --- explaining ---

    def nearest(self, connection: Connection, lat: float, lon: float, now_ms: int) -> list[Stop]:
        """Who would get a lead at this place now, and why not the others."""
        return self.routing.explain(connection, lat, lon, now_ms)
