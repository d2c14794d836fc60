"""What became of messages, as far as it changes a lead: who was reached is who was asked."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from hub.leads import rules, store
from hub.leads.claims import Claims
from hub.leads.desk import MINUTE_MS, Desk, detail
from hub.leads.records import Lead, Offer, OfferState
from hub.leads.routing import Routing
from hub.leads.screening import REMARKS
from hub.leads.timeline import store as timeline
from hub.outbox.service import Change

_FORWARD: Final[Mapping[OfferState, int]] = {"queued": 0, "sent": 1, "delivered": 2, "read": 3}
_BECAME: Final[Mapping[str, OfferState]] = {
    "accepted": "sent",
    "delivered": "delivered",
    "read": "read",
    "failed": "failed",
    "withheld": "failed",
}


class Deliveries:
    """Follows the outbox, in the transactions in which its rows change."""

    def __init__(self, desk: Desk, routing: Routing, claims: Claims) -> None:
        """`routing` finds others for those who could not be reached."""
        self._desk = desk
        self._routing = routing
        self._claims = claims

    def offer(self, connection: Connection, change: Change) -> None:
        """An offer's message moved on. Statuses may come late: an offer only moves forward."""
        became = _BECAME.get(change.state)
        lead = store.lock(connection, change.ref)
        offer = store.offer(connection, str(change.data.get("offer")))
        if became is None or lead is None or offer is None:
            return
        if became == "failed":
            self._failed(connection, offer, change)
            return
        if _FORWARD.get(offer.state, 9) >= _FORWARD[became]:
            return
        store.change_offer(connection, offer.id, state=became)
        self._note(connection, offer, f"offer.{became}", change)

    def _failed(self, connection: Connection, offer: Offer, change: Change) -> None:
        """Not reached. Nobody of the dealer reached: the next dealer has its place at once."""
        if not offer.live or offer.state == "failed":
            return  # withheld because somebody has it, or known already
        store.change_offer(connection, offer.id, state="failed")
        self._note(connection, offer, "offer.failed", change)
        lead = store.lock(connection, offer.lead)
        if lead is None or lead.state != "UNCLAIMED" or lead.round != offer.round:
            return
        offers = store.offers_of(connection, lead.id)
        if offer.dealer in rules.unreached_dealers(offers, offer.ring, offer.round):
            self._unreached(connection, lead, offer)

    def _unreached(self, connection: Connection, lead: Lead, offer: Offer) -> None:
        """Others there who may be written to freely; else its mailbox, and the next dealer."""
        now_ms = self._desk.clock.wall_ms()
        current = offer.ring == lead.ring
        if current and self._routing.ask_others_there(connection, lead, offer, now_ms):
            return
        due_ms = lead.next_step_ms if lead.next_step == "claim" else None
        lasts_ms = max(MINUTE_MS, (due_ms or now_ms) - now_ms)
        self._desk.mail_dealer(connection, lead, offer.dealer, lasts_ms=lasts_ms, now_ms=now_ms)
        if current and self._routing.route(connection, lead, now_ms, want=1):
            return
        again = store.lock(connection, lead.id)
        if again is not None:
            self._claims.go_on(connection, again, now_ms)

    def notice(self, connection: Connection, change: Change) -> None:
        """Something else was said about a lead: its timeline shows that it went out."""
        if change.state != "accepted" or store.lock(connection, change.ref) is None:
            return
        said = {"what": change.kind, "out": change.id}
        question = str(change.data.get("question", "")) if change.kind == "question" else ""
        if question:
            said["question"] = question
        timeline.note(
            connection,
            change.ref,
            "question.asked" if question and question not in REMARKS else "notice.sent",
            change.at_ms,
            person=change.to if change.to.startswith("per_") else None,
            detail=detail(**said),
        )

    @staticmethod
    def _note(connection: Connection, offer: Offer, kind: str, change: Change) -> None:
        timeline.note(
            connection,
            offer.lead,
            kind,
            change.at_ms,
            person=offer.person,
            dealer=offer.dealer,
            detail=detail(out=change.id, code=change.code, reason=change.reason),
        )
