"""Use cases of leads. Everything happens in the caller's transaction, and once only."""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from sqlalchemy import Connection

from hub.inbox.incoming import Message, Tap
from hub.leads import store
from hub.leads.claims import Claims, Tapped
from hub.leads.desk import Desk, detail
from hub.leads.needs import Arrival, Rep
from hub.leads.records import Decision, Lead
from hub.leads.routing import Routing, Stop
from hub.leads.states import Refusal
from shared.identifiers import new_id

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

    def __init__(self, desk: Desk) -> None:
        """Work with what `desk` holds."""
        self._desk = desk
        self.routing: Final = Routing(desk)
        self.claims: Final = Claims(desk, self.routing)

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
        store.note(
            connection,
            lead.id,
            "lead.received",
            now_ms,
            detail=detail(source=lead.source, **previous),
        )
        return replace(lead, events=1)

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
        store.note(connection, lead.id, "lead.qualified", now_ms)
        self.routing.route(connection, moved, now_ms)

    # --- taps ---

    def tap(
        self,
        connection: Connection,
        party: str | None,
        tap: Tap,
        *,
        message: Message,
        row: Arrival,
    ) -> Decision | None:
        """Decide a tap of `party` (per_…, cus_… or nobody we know); None: it is no tap of ours."""
        found = _TAP.fullmatch(tap.id or "")
        if found is None:
            return None
        kind, lead = found.groups()
        person = None
        if party is not None and party.startswith("per_"):
            person = self._desk.directory.rep(connection, party)
        if kind not in {"CLAIM", "SKIP"}:
            return None
        if person is None:
            return self._stranger(connection, lead, message, row)
        return self._compete(connection, kind, self._tapped(lead, person, message, row))

    @staticmethod
    def _tapped(lead: str, person: Rep, message: Message, row: Arrival) -> Tapped:
        return Tapped(
            lead=lead,
            person=person,
            at_ms=row.received_ms,
            message=message.id,
            provider_ms=message.provider_ms,
        )

    def _compete(self, connection: Connection, kind: str, tap: Tapped) -> Decision:
        claims = self.claims
        return claims.claim(connection, tap) if kind == "CLAIM" else claims.skip(connection, tap)

    @staticmethod
    def _stranger(connection: Connection, lead: str, message: Message, row: Arrival) -> Decision:
        """A forwarded button in a stranger's hand is worth nothing, and is seen."""
        if store.get(connection, lead) is not None:
            store.note(
                connection,
                lead,
                "tap.received",
                row.received_ms,
                decision="unknown_sender",
                provider_ms=message.provider_ms,
            )
        return "unknown_sender"

    # --- explaining ---

    def nearest(self, connection: Connection, lat: float, lon: float, now_ms: int) -> list[Stop]:
        """Who would get a lead at this place now, and why not the others."""
        return self.routing.explain(connection, lat, lon, now_ms)
