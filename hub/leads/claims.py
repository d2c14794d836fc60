"""Competition mode: who tapped, and what that is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from hub.leads import rules, store
from hub.leads.desk import DAY_MS, HOUR_MS, MINUTE_MS, Desk
from hub.leads.needs import Rep
from hub.leads.records import Decision, Lead, Offer, Standing
from hub.leads.routing import Routing

ANSWER_LASTS_MS: Final = 2 * HOUR_MS
CARD_LASTS_MS: Final = DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Tapped:
    """A tap on an offer: by whom, and when it arrived and by which message."""

    lead: str
    person: Rep
    at_ms: int
    """When the hub stored it: decides the margin."""
    message: str
    """The vendor's id of the message: the same tap twice is answered once."""
    provider_ms: int | None


ANSWERS: Final[Mapping[Decision, str]] = {
    "too_slow": "too_slow",
    "yours": "yours",
    "expired": "expired",
    # Forwarded by a colleague: somebody of the network wonders why nothing happens.
    "not_offered": "not_known",
}
"""What a late tap is answered, by its decision."""


class Claims:
    """Decides taps, each in the transaction of its inbox row, in the order of those rows."""

    def __init__(self, desk: Desk, routing: Routing) -> None:
        """`routing` goes on when a ring has been skipped."""
        self._desk = desk
        self._routing = routing

    def claim(self, connection: Connection, tap: Tapped) -> Decision:
        """Give the lead to the first; tell everybody else the truth."""
        found = store.standing(connection, tap.lead, tap.person.id)
        if found is not None and found[0].state == "UNCLAIMED":
            # Looked at first because seven of eight come too late; what decides is this statement.
            won = store.claim(connection, tap.lead, tap.person.id, tap.at_ms)
            if won is not None:
                self._hand_over(connection, won, tap)
                return "won"
            found = store.standing(connection, tap.lead, tap.person.id)
        if found is None:
            return "not_offered"
        lead, offer = found
        decision = rules.late_tap(lead, tap.person.id, offer)
        margin = None
        if decision == "too_slow" and offer is not None:
            margin = self._margin(connection, lead, offer, tap.at_ms)
        self._note(connection, tap, decision, offer=offer, margin=margin)
        self._answer(connection, lead, tap, decision=decision, margin=margin)
        return decision

    def skip(self, connection: Connection, tap: Tapped) -> Decision:
        """Somebody does not want it; a ring that nobody wants makes room for the next."""
        lead = store.lock(connection, tap.lead)
        offer = None if lead is None else store.offer_of(connection, tap.lead, tap.person.id)
        if lead is None or offer is None:
            return "not_offered"
        if lead.state != "UNCLAIMED" or not offer.live:
            decision = rules.late_tap(lead, tap.person.id, offer)
            self._note(connection, tap, decision, offer=offer)
            return decision
        self._note(connection, tap, "skipped", offer=offer)
        if offer.state != "skipped":
            store.change_offer(connection, offer.id, state="skipped")
            self._desk.outbox.withdraw(connection, ref=lead.id, kinds=("offer",), to=tap.person.id)
            store.note(
                connection,
                lead.id,
                "offer.skipped",
                tap.at_ms,
                person=tap.person.id,
                dealer=offer.dealer,
            )
            self.go_on(connection, lead, self._desk.clock.wall_ms())
        return "skipped"

    def go_on(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        """Start the next ring at once when this one is used up."""
        if lead.ring >= self._desk.settings.max_rings:
            return
        if rules.ring_is_over(store.offers_of(connection, lead.id), lead.ring, lead.round):
            self._routing.route(connection, lead, now_ms)

    def _hand_over(self, connection: Connection, lead: Lead, tap: Tapped) -> None:
        """The winner gets everything, the ledger the fact, the customer a name to wait for."""
        now_ms = self._desk.clock.wall_ms()
        self._desk.retract(connection, lead, winner=tap.person.id)
        store.note(
            connection,
            lead.id,
            "tap.received",
            tap.at_ms,
            person=tap.person.id,
            dealer=lead.dealer,
            decision="won",
            provider_ms=tap.provider_ms,
        )
        self.record_hand_off(connection, lead, now_ms)
        self.welcome(connection, lead, key=f"{tap.person.id}/{lead.round}", at_ms=tap.at_ms)

    def welcome(self, connection: Connection, lead: Lead, *, key: str, at_ms: int) -> None:
        """Begin a new owner's time: the card for them, their name for the customer."""
        if lead.rep is None:
            raise AssertionError("nobody to welcome")
        contact_s = self._desk.settings.contact_s
        store.change(
            connection,
            lead.id,
            next_step="contact",
            next_step_ms=self.contact_due_ms(connection, lead, at_ms, contact_s * 500),
            reminded=False,
            contacted_ms=None,
            confirmed_ms=None,
        )
        for kind in ("card", "card_contact"):
            self._desk.say(connection, lead, kind, lead.rep, key=key, lasts_ms=CARD_LASTS_MS)
        owner = {"rep": lead.rep}
        for kind in ("told_customer", "told_place"):
            self._desk.tell_customer(connection, lead, kind, key=key, data=owner)
        self._desk.tell_customer(
            connection,
            lead,
            "checkin",
            key=key,
            data=owner,
            wait_ms=self._desk.settings.confirm_contact_s * 1000,
        )

    def contact_due_ms(
        self, connection: Connection, lead: Lead, start_ms: int, open_ms: int
    ) -> int:
        """When so much of the opening time of the owner's dealer has passed."""
        dealer = self._desk.directory.dealer(connection, lead.dealer or "")
        if dealer is None:
            return start_ms + open_ms
        return self._desk.directory.due_ms(connection, dealer, start_ms, open_ms)

    def record_hand_off(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        """The hand-off as a fact of the ledger and an entry of the timeline."""
        store.note(connection, lead.id, "lead.handoff", now_ms, person=lead.rep, dealer=lead.dealer)
        if lead.test:
            return
        self._desk.facts.append(
            connection,
            "lead.handoff",
            {
                "lead": lead.id,
                "dealer": lead.dealer,
                "person": lead.rep,
                "offered_at": lead.offered_ms,
                "claimed_at": lead.claimed_ms,
                "response_ms": lead.response_ms,
                "ring": lead.ring,
                "taps": store.taps(connection, lead.id),
            },
            now_ms=now_ms,
        )

    @staticmethod
    def _margin(connection: Connection, lead: Standing, offer: Offer, at_ms: int) -> int:
        """Of the first tap: whoever taps again hears the same answer again."""
        if offer.margin_ms is not None:
            return offer.margin_ms
        margin = rules.margin_ms(lead.claimed_ms, at_ms)
        store.change_offer(connection, offer.id, margin_ms=margin)
        return margin

    @staticmethod
    def _note(
        connection: Connection,
        tap: Tapped,
        decision: Decision,
        *,
        offer: Offer | None,
        margin: int | None = None,
    ) -> None:
        store.note(
            connection,
            tap.lead,
            "tap.received",
            tap.at_ms,
            person=tap.person.id,
            dealer=None if offer is None else offer.dealer,
            decision=decision,
            margin_ms=margin,
            provider_ms=tap.provider_ms,
        )

    def _answer(
        self,
        connection: Connection,
        lead: Standing,
        tap: Tapped,
        *,
        decision: Decision,
        margin: int | None,
    ) -> None:
        kind = ANSWERS.get(decision)
        if kind is None:
            return
        # Who taps in a rage is answered once a minute: each answer costs six seconds of the
        # budget for this recipient.
        self._desk.say(
            connection,
            lead,
            kind,
            tap.person.id,
            key=f"{tap.person.id}/{lead.round}/{tap.at_ms // MINUTE_MS}",
            lasts_ms=ANSWER_LASTS_MS,
            data={"margin_ms": margin, "winner": lead.rep, "dealer": lead.dealer},
        )
