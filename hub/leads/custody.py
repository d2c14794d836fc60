"""Whose a lead is after the race: given back, taken back, handed over, ended."""

from typing import Final, Literal

from sqlalchemy import Connection

from hub.leads import store
from hub.leads.claims import Claims
from hub.leads.desk import CUSTOMER_KINDS, DAY_MS, Desk, detail
from hub.leads.needs import Rep
from hub.leads.records import Lead
from hub.leads.routing import Routing
from hub.leads.states import BEFORE_CLAIM, OWNED, Refusal
from hub.leads.timeline import store as timeline
from shared.identifiers import new_id

Reason = Literal["contact", "denied", "released", "transferred"]
OWNER_KINDS: Final = ("card", "card_contact", "reminder", "ask_serial")
_TIMELINE: Final[dict[str, str]] = {
    "lose": "lead.lost",
    "expire": "lead.expired",
    "sale": "lead.won",
}


class Custody:
    """Moves locked leads between owners, the market and their end."""

    def __init__(self, desk: Desk, routing: Routing, claims: Claims) -> None:
        """Everything happens on the callers' connections."""
        self._desk = desk
        self._routing = routing
        self._claims = claims

    def put_back(
        self,
        connection: Connection,
        lead: Lead,
        event: Literal["release", "take_back", "deny"],
        *,
        reason: Reason,
        now_ms: int,
    ) -> bool:
        """To the market again in a new round, not to whoever had it; False: not in this state."""
        loser = lead.rep
        moved = self._desk.move(
            connection,
            lead,
            event,
            now_ms,
            rep=None,
            dealer=None,
            round=lead.round + 1,
            ring=0,
            offered_ms=None,
            claimed_ms=None,
            response_ms=None,
            contacted_ms=None,
            confirmed_ms=None,
            asked_ms=None,
            back=None,
            reminded=False,
            next_step=None,
            next_step_ms=None,
        )
        if isinstance(moved, Refusal):
            return False
        self._leave(connection, lead, reason, now_ms)
        timeline.note(
            connection,
            lead.id,
            "lead.released",
            now_ms,
            person=loser,
            dealer=lead.dealer,
            detail=detail(reason=reason),
        )
        self._routing.route(connection, moved, now_ms)
        return True

    def _leave(self, connection: Connection, lead: Lead, reason: str, now_ms: int) -> None:
        """The owner is told that it is theirs no more, and loses what was still to be said."""
        self._desk.outbox.withdraw(
            connection, ref=lead.id, kinds=("told_customer", "told_place", "checkin")
        )
        if lead.rep is None:
            return
        self._desk.outbox.withdraw(connection, ref=lead.id, kinds=OWNER_KINDS, to=lead.rep)
        held = store.offer_of(connection, lead.id, lead.rep)
        if held is not None:
            store.change_offer(connection, held.id, state="lost", live=False)
        self._desk.say(
            connection,
            lead,
            "taken_back",
            lead.rep,
            key=f"{lead.rep}/{lead.round}",
            data={"reason": reason},
            lasts_ms=DAY_MS,
            now_ms=now_ms,
        )

    def hand_to(
        self, connection: Connection, lead: Lead, person: Rep, dealer: str, *, by: str, now_ms: int
    ) -> bool:
        """A manager decides whose it is; the winner's card goes to them."""
        if lead.rep == person.id and lead.state in OWNED:
            return True
        moved = self._desk.move(
            connection,
            lead,
            "transfer",
            now_ms,
            rep=person.id,
            dealer=dealer,
            claimed_ms=now_ms,
            response_ms=lead.response_ms,
            offered_ms=lead.offered_ms or now_ms,
            contacted_ms=None,
            confirmed_ms=None,
            closed_ms=None,
            close_reason=None,
            reminded=False,
            next_step=None,
            next_step_ms=None,
        )
        if isinstance(moved, Refusal):
            return False
        self._desk.retract(connection, lead, became="withdrawn")
        if lead.state in OWNED:
            self._leave(connection, lead, "transferred", now_ms)
        timeline.note(
            connection,
            lead.id,
            "lead.transferred",
            now_ms,
            person=person.id,
            dealer=dealer,
            detail=detail(by=by, before=lead.rep),
        )
        key = f"{person.id}/{new_id('key')}"
        self._desk.say(connection, moved, "given", person.id, key=key, lasts_ms=DAY_MS)
        self._claims.welcome(connection, moved, key=key, at_ms=now_ms)
        return True

    def end(
        self,
        connection: Connection,
        lead: Lead,
        event: Literal["lose", "expire", "sale", "opt_out"],
        *,
        reason: str,
        now_ms: int,
        **values: object,
    ) -> Lead | Refusal:
        """Close it: nobody is offered it any more, and the ledger hears how it ended."""
        moved = self._desk.move(connection, lead, event, now_ms, close_reason=reason, **values)
        if isinstance(moved, Refusal):
            return moved
        self._desk.retract(connection, lead, became="expired" if event == "expire" else "withdrawn")
        self._desk.outbox.withdraw(connection, ref=lead.id, kinds=CUSTOMER_KINDS)
        if lead.rep is not None:
            self._desk.outbox.withdraw(connection, ref=lead.id, kinds=("reminder", "ask_serial"))
        timeline.note(
            connection,
            lead.id,
            _TIMELINE.get(event, "lead.lost"),
            now_ms,
            person=moved.rep,
            dealer=moved.dealer,
            detail=detail(reason=reason, sale_index=moved.sale_index),
        )
        self._desk.close_fact(connection, moved, now_ms)
        return moved

    def opt_out(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        """The customer wants no more messages: nothing more is said, the rep is told."""
        moved = self.end(connection, lead, "opt_out", reason="opted_out", now_ms=now_ms)
        if isinstance(moved, Refusal) or lead.state in BEFORE_CLAIM or lead.rep is None:
            return
        self._desk.say(connection, lead, "stopped", lead.rep, key="1", lasts_ms=DAY_MS)

    def needs_human(self, connection: Connection, lead: Lead, why: str, now_ms: int) -> None:
        """The machine gives up on something: somebody at head office has to look after it."""
        if lead.human:
            return
        store.change(connection, lead.id, human=True)
        timeline.note(connection, lead.id, "lead.human", now_ms, detail=detail(why=why))
        self._desk.alerts.raise_(
            connection,
            "P1",
            "lead_human",
            f"lead_human/{lead.id}",
            what=f"Lead {lead.id}: {why}",
            consequence="The customer waits for a person's answer.",
            action="Open the lead and answer, or hand it to a rep.",
            region=lead.region,
            dealer=lead.dealer,
        )
