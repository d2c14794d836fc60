"""What happens to a lead because time has passed and nothing else has happened."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection

from hub.leads import rules, store
from hub.leads.claims import Claims
from hub.leads.custody import Custody
from hub.leads.desk import Desk, detail
from hub.leads.records import Lead
from hub.leads.routing import LOOK_AGAIN_MS, Routing
from hub.leads.states import Refusal
from hub.leads.timeline import store as timeline


class Timers:
    """One step of one locked lead whose time has come."""

    def __init__(self, desk: Desk, routing: Routing, claims: Claims, custody: Custody) -> None:
        """Everything happens on the callers' connections."""
        self._desk = desk
        self._routing = routing
        self._claims = claims
        self._custody = custody
        self._steps: Final[Mapping[str, Callable[[Connection, Lead, int], object]]] = {
            "nudge": self._nudge,
            "screened": self._screened,
            "route": self._route,
            "claim": self._unclaimed,
            "contact": self._not_contacted,
            "won_wait": self._no_sale,
        }

    def step(self, connection: Connection, lead_id: str, now_ms: int) -> bool:
        """Do what is due, unless another process has; whether there was anything."""
        lead = store.lock(connection, lead_id)
        if lead is None or lead.next_step is None or lead.next_step_ms is None:
            return False
        if lead.next_step_ms > now_ms:
            return False
        self._steps[lead.next_step](connection, lead, now_ms)
        after = store.get(connection, lead_id)
        if after is not None and after.next_step_ms is not None and after.next_step_ms <= now_ms:
            # What is due for ever would be done for ever: whatever the reason, not at once again.
            store.change(connection, lead_id, next_step_ms=now_ms + LOOK_AGAIN_MS)
        return True

    def qualify(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        """Enough is known, or all that will be: put it on the market if it may be."""
        moved = self._desk.move(
            connection,
            lead,
            "qualify",
            now_ms,
            qualified_ms=now_ms,
            next_step=None,
            next_step_ms=None,
        )
        if isinstance(moved, Refusal):
            return
        timeline.note(connection, lead.id, "lead.qualified", now_ms)
        if not moved.located:
            self._custody.needs_human(connection, moved, "no place is known", now_ms)
        self._routing.route(connection, moved, now_ms)

    # --- each in its turn ---

    def _nudge(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        self._desk.tell_customer(
            connection, lead, "question", key="nudge", data={"question": "nudge"}
        )
        store.change(
            connection,
            lead.id,
            next_step="screened",
            next_step_ms=now_ms + self._desk.settings.screening_s * 1000,
        )

    def _screened(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        if lead.state == "SCREENING":
            self.qualify(connection, lead, now_ms)
        else:
            store.change(connection, lead.id, next_step=None, next_step_ms=None)

    def _route(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        if not self._routing.route(connection, lead, now_ms) and not rules.may_be_routed(lead):
            store.change(connection, lead.id, next_step=None, next_step_ms=None)

    def _unclaimed(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        """The next ring, then the manager, then the next round, then the end."""
        settings = self._desk.settings
        if (
            not lead.test
            and lead.ring < settings.max_rings
            and self._routing.route(connection, lead, now_ms)
        ):
            return
        if lead.test:
            self._custody.end(connection, lead, "expire", reason="unclaimed", now_ms=now_ms)
            return
        self.tell_manager(connection, lead)
        if lead.round < settings.max_rounds:
            self._next_round(connection, lead, now_ms)
        elif lead.told:
            self._custody.end(connection, lead, "expire", reason="unclaimed", now_ms=now_ms)
        else:
            # The manager has heard of it only now: their time, before it ends.
            store.change(
                connection, lead.id, told=True, next_step_ms=now_ms + settings.claim_s * 1000
            )

    def _next_round(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        self._desk.retract(connection, lead, became="expired")
        store.change(
            connection,
            lead.id,
            round=lead.round + 1,
            ring=0,
            told=True,
            offered_ms=None,
            next_step=None,
            next_step_ms=None,
        )
        fresh = store.get(connection, lead.id)
        if fresh is not None:
            self._routing.route(connection, fresh, now_ms)

    def tell_manager(self, connection: Connection, lead: Lead) -> None:
        """Nobody of the last ring claimed it: the region's manager has to know."""
        region = self._desk.directory.region(connection, lead.region or "")
        self._desk.alerts.raise_(
            connection,
            "P0",
            "lead_unclaimed",
            f"lead_unclaimed/{lead.region or '-'}",
            what=f"Nobody claimed lead {lead.id} in {lead.area or lead.region or 'unknown place'}.",
            consequence="The customer has not been called and may buy elsewhere.",
            action="Call the nearest dealers, or hand the lead to a rep.",
            region=lead.region,
            owner=None if region is None else region.manager,
        )

    def _not_contacted(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        if lead.state != "CLAIMED" or lead.rep is None:
            store.change(connection, lead.id, next_step=None, next_step_ms=None)
            return
        if lead.reminded:
            self._custody.put_back(connection, lead, "take_back", reason="contact", now_ms=now_ms)
            return
        due_ms = self._claims.contact_due_ms(
            connection, lead, lead.claimed_ms or now_ms, self._desk.settings.contact_s * 1000
        )
        store.change(connection, lead.id, reminded=True, next_step_ms=max(due_ms, now_ms))
        self._desk.say(
            connection,
            lead,
            "reminder",
            lead.rep,
            key=f"{lead.rep}/{lead.round}",
            now_ms=now_ms,
            not_after_ms=max(due_ms, now_ms),
        )

    def _no_sale(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        """A sale was reported and none came: as it was before."""
        moved = self._desk.move(
            connection, lead, "fall_back", now_ms, back=None, next_step=None, next_step_ms=None
        )
        if isinstance(moved, Refusal):
            return
        fell_back = detail(fell_back_to=moved.state, serial=lead.serial)
        timeline.note(connection, lead.id, "notice.sent", now_ms, detail=fell_back)
        if lead.rep is not None:
            self._desk.say(connection, lead, "fell_back", lead.rep, key=str(now_ms))
