"""What owners and customers report about a lead: contacted, test ride, lost, called or not."""

from collections.abc import Mapping
from typing import Final, Literal

from sqlalchemy import Connection

from hub.leads import store
from hub.leads.custody import Custody
from hub.leads.desk import DAY_MS, Desk
from hub.leads.needs import Arrival, Rep
from hub.leads.records import Lead
from hub.leads.states import OWNED, Event, Refusal
from hub.leads.timeline import store as timeline

Report = Literal["CONTACTED", "DEMO", "WON", "LOST"]
_EVENT: Final[Mapping[Report, Event]] = {"CONTACTED": "contact", "DEMO": "demo"}
_NOTED: Final[Mapping[Report, tuple[str, str]]] = {
    "CONTACTED": ("lead.contacted", "noted_contacted"),
    "DEMO": ("lead.demo", "noted_demo"),
}


class Reports:
    """Believes the owner about their lead and the customer about being called."""

    def __init__(self, desk: Desk, custody: Custody) -> None:
        """Everything happens on the callers' connections."""
        self._desk = desk
        self._custody = custody

    # --- the owner ---

    def owner(
        self, connection: Connection, report: Report, lead_id: str, *, person: Rep, row: Arrival
    ) -> None:
        """A tap of whoever has the lead; from anybody else it is answered and changes nothing."""
        lead = store.lock(connection, lead_id)
        if lead is None:
            return
        if lead.rep != person.id or lead.state not in OWNED:
            self._answer(connection, lead, "not_now", person=person, row=row)
        elif report == "LOST":
            self._custody.end(
                connection, lead, "lose", reason="rep_lost", now_ms=self._desk.clock.wall_ms()
            )
            self._answer(connection, lead, "noted_lost", person=person, row=row)
        elif report == "WON":
            store.change(connection, lead.id, asked_ms=row.received_ms)
            self._answer(connection, lead, "ask_serial", person=person, row=row)
        else:
            self._progress(connection, lead, report, person=person, row=row)

    def _progress(
        self, connection: Connection, lead: Lead, report: Report, *, person: Rep, row: Arrival
    ) -> None:
        kind, noted = _NOTED[report]
        moved = self._desk.move(
            connection,
            lead,
            _EVENT[report],
            row.received_ms,
            contacted_ms=lead.contacted_ms or row.received_ms,
            next_step=None,
            next_step_ms=None,
        )
        if isinstance(moved, Refusal):
            # Said before, or further along already: true all the same, and nothing new.
            self._answer(connection, lead, noted, person=person, row=row)
            return
        self._desk.outbox.withdraw(connection, ref=lead.id, kinds=("reminder",))
        timeline.note(
            connection, lead.id, kind, row.received_ms, person=person.id, dealer=lead.dealer
        )
        self._answer(connection, lead, noted, person=person, row=row)

    def _answer(
        self, connection: Connection, lead: Lead, kind: str, *, person: Rep, row: Arrival
    ) -> None:
        self._desk.say(connection, lead, kind, person.id, key=f"{person.id}/{row.received_ms}")

    # --- the customer ---

    def called(
        self, connection: Connection, lead_id: str, *, yes: bool, party: str | None, row: Arrival
    ) -> None:
        """The customer's own word on whether somebody called."""
        lead = store.lock(connection, lead_id)
        if lead is None or lead.contact != party or lead.rep is None or lead.state not in OWNED:
            return
        asked_ms = (lead.claimed_ms or 0) + self._desk.settings.confirm_contact_s * 1000
        if row.received_ms < asked_ms:
            return  # an old button, about somebody who had the lead before
        if yes:
            self._confirmed(connection, lead, row.received_ms)
            return
        timeline.note(
            connection,
            lead.id,
            "contact.denied",
            row.received_ms,
            person=lead.rep,
            dealer=lead.dealer,
        )
        put = self._custody.put_back(
            connection, lead, "deny", reason="denied", now_ms=self._desk.clock.wall_ms()
        )
        if put:
            self._desk.tell_customer(connection, lead, "sorry", key=str(lead.round))

    def _confirmed(self, connection: Connection, lead: Lead, at_ms: int) -> None:
        if lead.confirmed_ms is not None:
            return
        store.change(connection, lead.id, confirmed_ms=at_ms)
        timeline.note(
            connection, lead.id, "contact.confirmed", at_ms, person=lead.rep, dealer=lead.dealer
        )
        if lead.state == "CLAIMED":
            self._desk.move(
                connection,
                lead,
                "contact",
                at_ms,
                contacted_ms=at_ms,
                next_step=None,
                next_step_ms=None,
            )
            timeline.note(
                connection, lead.id, "lead.contacted", at_ms, person=lead.rep, dealer=lead.dealer
            )
        self._desk.tell_customer(connection, lead, "thanks", key=str(lead.round), lasts_ms=DAY_MS)
