"""Competition mode: who tapped, and what that is worth."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy import Connection

from hub.leads import race, rules, store
from hub.leads.desk import DAY_MS, HOUR_MS, MINUTE_MS, Desk
from hub.leads.race import Ending, Late, Tapped, Won
from hub.leads.records import Decision, Lead, Offer
from hub.leads.routing import Routing
from hub.leads.timeline import store as timeline
from hub.leads.timeline.store import Entry
from hub.outbox.messages import Draft
from hub.registry.rules import Dealer

ANSWER_LASTS_MS: Final = 2 * HOUR_MS
CARD_LASTS_MS: Final = DAY_MS


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

    def claim(self, connection: Connection, taps: Sequence[Tapped]) -> list[Decision]:
        """Give each lead to the first; tell everybody else the truth. What each tap was worth.

        They are decided, written down and answered in their order, as if each had come alone.
        """
        now_ms = self._desk.clock.wall_ms()
        find: dict[str, Callable[[], Dealer | None]] = {}

        def ask_for(dealers: Collection[str]) -> None:
            for code in dealers - find.keys():
                find[code] = self._desk.directory.dealer_later(connection, code)

        endings = race.decide(connection, taps, ask_for)
        won = [each for each in endings if isinstance(each, Won)]
        self._desk.retract_all(connection, {each.lead.id: each.tap.person.id for each in won})
        hand_offs = [_hand_off(each) for each in won if not each.lead.test]
        self._desk.facts.append_all(connection, "lead.handoff", hand_offs, now_ms=now_ms)
        dealers = {code: dealer() for code, dealer in find.items()}
        self._begin(connection, [(each.lead, each.tap.at_ms) for each in won], dealers.get)
        store.keep_margins(connection, _new_margins(endings))
        timeline.add(connection, [entry for each in endings for entry in _entries(each, now_ms)])
        drafts = [draft for each in endings for draft in self._answers(each)]
        self._desk.outbox.enqueue_all(connection, drafts)
        return [_decision(each) for each in endings]

    def skip(self, connection: Connection, tap: Tapped) -> Decision:
        """Somebody does not want it; a ring that nobody wants makes room for the next."""
        lead = store.lock(connection, tap.lead)
        offer = None if lead is None else store.offer_of(connection, tap.lead, tap.person.id)
        if lead is None or offer is None:
            return "not_offered"
        if lead.state != "UNCLAIMED" or not offer.live:
            decision = rules.late_tap(lead, tap.person.id, offer)
            timeline.add(connection, [_entry(tap, decision, offer)])
            return decision
        timeline.add(connection, [_entry(tap, "skipped", offer)])
        if offer.state != "skipped":
            store.change_offer(connection, offer.id, state="skipped")
            self._desk.outbox.withdraw(connection, ref=lead.id, kinds=("offer",), to=tap.person.id)
            timeline.note(
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

    def _answers(self, ending: Ending) -> list[Draft]:
        """The card for the winner, their name for the customer; the truth for who was late."""
        if isinstance(ending, Won):
            lead = ending.lead
            return self._welcome(lead, key=f"{ending.tap.person.id}/{lead.round}")
        kind = None if ending is None else ANSWERS.get(ending.decision)
        if ending is None or kind is None:
            return []
        # Who taps in a rage is answered once a minute: each answer costs six seconds of the
        # budget for this recipient.
        tap, stands = ending.tap, ending.lead
        return [
            self._desk.draft(
                stands,
                kind,
                tap.person.id,
                key=f"{tap.person.id}/{stands.round}/{tap.at_ms // MINUTE_MS}",
                lasts_ms=ANSWER_LASTS_MS,
                data={
                    "margin_ms": ending.margin_ms,
                    "winner": stands.rep,
                    "dealer": stands.dealer,
                },
            )
        ]

    def welcome(self, connection: Connection, lead: Lead, *, key: str, at_ms: int) -> None:
        """Begin a new owner's time: the card for them, their name for the customer."""
        find = partial(self._desk.directory.dealer, connection)
        self._begin(connection, [(lead, at_ms)], find)
        self._desk.outbox.enqueue_all(connection, self._welcome(lead, key=key))

    def _welcome(self, lead: Lead, *, key: str) -> list[Draft]:
        if lead.rep is None:
            raise AssertionError("nobody to welcome")
        desk, rep = self._desk, lead.rep
        drafts = [
            desk.draft(lead, kind, rep, key=key, lasts_ms=CARD_LASTS_MS)
            for kind in ("card", "card_contact")
        ]
        checkin_ms = desk.settings.confirm_contact_s * 1000
        for kind, wait_ms in (("told_customer", 0), ("told_place", 0), ("checkin", checkin_ms)):
            draft = desk.for_customer(lead, kind, key=key, data={"rep": rep}, wait_ms=wait_ms)
            drafts += [] if draft is None else [draft]
        return drafts

    def _begin(
        self,
        connection: Connection,
        owned: Sequence[tuple[Lead, int]],
        find: Callable[[str], Dealer | None],
    ) -> None:
        """The time in which new owners have to be in touch, each from a moment on."""
        half_ms = self._desk.settings.contact_s * 500
        store.await_contact(
            connection,
            [
                (lead.id, self._due_ms(connection, find(lead.dealer or ""), at_ms, half_ms))
                for lead, at_ms in owned
            ],
        )

    def contact_due_ms(
        self, connection: Connection, lead: Lead, start_ms: int, open_ms: int
    ) -> int:
        """When so much of the opening time of the owner's dealer has passed."""
        dealer = self._desk.directory.dealer(connection, lead.dealer or "")
        return self._due_ms(connection, dealer, start_ms, open_ms)

    def _due_ms(
        self, connection: Connection, dealer: Dealer | None, start_ms: int, open_ms: int
    ) -> int:
        if dealer is None:
            return start_ms + open_ms
        return self._desk.directory.due_ms(connection, dealer, start_ms, open_ms)


def _hand_off(won: Won) -> dict[str, object]:
    """A hand-off as a fact of the ledger, with how many had tapped until then."""
    lead = won.lead
    return {
        "lead": lead.id,
        "dealer": lead.dealer,
        "person": lead.rep,
        "offered_at": lead.offered_ms,
        "claimed_at": lead.claimed_ms,
        "response_ms": lead.response_ms,
        "ring": lead.ring,
        "taps": won.before + 1,
    }


def _decision(ending: Ending) -> Decision:
    if isinstance(ending, Won):
        return "won"
    return "not_offered" if ending is None else ending.decision


def _new_margins(endings: Iterable[Ending]) -> list[tuple[str, int]]:
    """By how much each late tap that is its sender's first was too late, by offer."""
    return [
        (each.offer.id, each.margin_ms)
        for each in endings
        if isinstance(each, Late)
        and each.offer is not None
        and each.offer.margin_ms is None
        and each.margin_ms is not None
    ]


def _entries(ending: Ending, now_ms: int) -> list[Entry]:
    """What stands of a tap on the timeline."""
    if ending is None:
        return []
    if isinstance(ending, Late):
        return [_entry(ending.tap, ending.decision, ending.offer, ending.margin_ms)]
    lead = ending.lead
    return [
        replace(_entry(ending.tap, "won", None), dealer=lead.dealer),
        Entry(lead=lead.id, at_ms=now_ms, kind="lead.handoff", person=lead.rep, dealer=lead.dealer),
    ]


def _entry(
    tap: Tapped, decision: Decision, offer: Offer | None, margin_ms: int | None = None
) -> Entry:
    return Entry(
        lead=tap.lead,
        at_ms=tap.at_ms,
        kind="tap.received",
        person=tap.person.id,
        dealer=None if offer is None else offer.dealer,
        decision=decision,
        margin_ms=margin_ms,
        provider_ms=tap.provider_ms,
    )
