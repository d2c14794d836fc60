"""From a rep's word to the sale on the ledger, and from a sale to the lead it came of."""

from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection

from hub.leads import store
from hub.leads.custody import Custody
from hub.leads.desk import DAY_MS, Desk, detail
from hub.leads.needs import Rep
from hub.leads.records import Lead
from hub.leads.states import OPEN, OWNED, Refusal
from hub.leads.timeline import store as timeline
from hub.leads.titles import row_title
from shared import serials

LOOKED_AT: Final = 50
"""Leads of one person or serial that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """What the ledger says of a unit."""

    state: str
    dealer: str | None
    sale_index: int | None
    sale_ms: int | None


class Units(Protocol):
    """What has been sold, as far as the ledger has been followed."""

    def unit(self, connection: Connection, serial: str) -> Sold | None:
        """One unit; None: never heard of."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """A sale that came onto the ledger, or what undid one."""

    index: int
    dealer: str | None
    at_ms: int
    serials: tuple[str, ...]
    contact: str | None = None
    """The customer with the buyer's phone, if there is one."""
    undoes: int | None = None
    """Place of the sale that this void or return undid."""


class Winning:
    """Believes the ledger alone: a rep's word waits for it."""

    def __init__(self, desk: Desk, custody: Custody, units: Units) -> None:
        """Everything happens on the callers' connections."""
        self._desk = desk
        self._custody = custody
        self._units = units

    # --- a rep's word ---

    def report(
        self, connection: Connection, person: Rep, written: str, *, key: str, now_ms: int
    ) -> None:
        """`MENANG <serial>` of a rep, for the lead they mean."""
        every = store.owned_by(connection, person.id, LOOKED_AT)
        fresh = [
            lead for lead in every if lead.state != "WON_REPORTED" or lead.asked_ms is not None
        ]
        # Who has named a serial for each may have mistyped one: they say of which lead.
        owned = fresh or every
        if not owned:
            self._reply(connection, person, key, "no_lead")
            return
        asked = max(owned, key=lambda lead: (lead.asked_ms or 0, lead.id))
        if asked.asked_ms is None and (len(owned) > 1 or not fresh):
            rows = [(f"WON_{lead.id}", row_title(lead)) for lead in owned[:10]]
            self._reply(connection, person, key, "which_lead", rows=rows)
            return
        lead = store.lock(connection, asked.id)
        if lead is None or lead.rep != person.id:
            self._reply(connection, person, key, "no_lead")
            return
        self._named(connection, lead, written, key=key, now_ms=now_ms)

    def _named(
        self, connection: Connection, lead: Lead, written: str, *, key: str, now_ms: int
    ) -> None:
        serial = self._serial(connection, lead, written)
        if serial is None:
            self._tell(connection, lead, "serial_unreadable", key)
            return
        unit = self._units.unit(connection, serial)
        if unit is not None and unit.sale_index is not None and unit.state == "sold":
            theirs = unit.dealer == lead.dealer and (unit.sale_ms or 0) >= lead.received_ms
            if not theirs or store.won_with_sale(connection, unit.sale_index, serial):
                self._tell(connection, lead, "serial_taken", key)
                return
        back = lead.back if lead.state == "WON_REPORTED" else lead.state
        moved = self._desk.move(
            connection,
            lead,
            "report_won",
            now_ms,
            serial=serial,
            back=back,
            asked_ms=None,
            next_step="won_wait",
            next_step_ms=now_ms + self._desk.settings.won_wait_s * 1000,
        )
        if isinstance(moved, Refusal):
            self._tell(connection, lead, "not_now", key)
            return
        timeline.note(
            connection,
            lead.id,
            "won.reported",
            now_ms,
            person=lead.rep,
            dealer=lead.dealer,
            detail=detail(serial=serial),
        )
        if unit is not None and unit.sale_index is not None and unit.state == "sold":
            self._won(connection, moved, serial, sale_index=unit.sale_index, now_ms=now_ms)
        else:
            self._tell(connection, moved, "won_waits", key)

    def _serial(self, connection: Connection, lead: Lead, written: str) -> str | None:
        model = lead.model and self._desk.directory.model(connection, lead.model)
        for pattern in ((model.serial_pattern,) if model else ()) + (serials.DEFAULT_PATTERN,):
            if pattern is None:
                continue
            try:
                return serials.parse(written, pattern)
            except serials.MalformedSerial:
                continue
        return None

    def _tell(self, connection: Connection, lead: Lead, kind: str, key: str) -> None:
        if lead.rep is not None:
            self._desk.say(connection, lead, kind, lead.rep, key=key, lasts_ms=DAY_MS)

    def _reply(
        self, connection: Connection, person: Rep, key: str, text: str, **values: object
    ) -> None:
        self._desk.reply(connection, person.id, text, key=key, **values)

    # --- the ledger's word ---

    def sale(self, connection: Connection, sale: Sale, now_ms: int) -> None:
        """A sale stands: the lead that named its serial has won, and the buyer's own lead too."""
        for serial in sale.serials:
            for lead_id in store.open_with_serial(connection, serial, LOOKED_AT):
                lead = store.lock(connection, lead_id)
                if lead is None or lead.state != "WON_REPORTED":
                    continue
                if lead.dealer == sale.dealer:
                    self._won(connection, lead, serial, sale_index=sale.index, now_ms=now_ms)
        if sale.contact is None:
            return
        newest = store.newest_of(connection, sale.contact)
        lead = None if newest is None else store.lock(connection, newest.id)
        if lead is not None and lead.state in OPEN and lead.received_ms <= sale.at_ms:
            first = sale.serials[0] if sale.serials else None
            self._won(
                connection,
                lead,
                first,
                sale_index=sale.index,
                now_ms=now_ms,
                sold_by=sale.dealer,
            )

    def _won(
        self,
        connection: Connection,
        lead: Lead,
        serial: str | None,
        *,
        sale_index: int,
        now_ms: int,
        sold_by: str | None = None,
    ) -> None:
        held = [
            offer.person
            for offer in store.offers_of(connection, lead.id)
            if offer.live and offer.round == lead.round
        ]
        elsewhere = sold_by is not None and lead.dealer not in {None, sold_by}
        moved = self._custody.end(
            connection,
            lead,
            "sale",
            reason="sold_elsewhere" if elsewhere else "sold",
            now_ms=now_ms,
            sale_index=sale_index,
            serial=serial or lead.serial,
            back=lead.back if lead.state == "WON_REPORTED" else lead.state,
        )
        if isinstance(moved, Refusal):
            return
        if sold_by is not None and sold_by != lead.dealer:
            by = detail(sold_by=sold_by, sale_index=sale_index)
            timeline.note(connection, lead.id, "notice.sent", now_ms, detail=by)
        for person in held if lead.rep is None else []:
            self._desk.say(connection, moved, "sold", person, key=person, lasts_ms=DAY_MS)
        if lead.rep is not None:
            kind = "sold" if elsewhere else "won"
            self._desk.say(
                connection, moved, kind, lead.rep, key=f"{sale_index}/{lead.rep}", lasts_ms=DAY_MS
            )

    def undone(self, connection: Connection, sale: Sale, now_ms: int) -> None:
        """A sale was voided or returned: what it won is open again."""
        if sale.undoes is None:
            return
        for lead_id in store.won_by_sale(connection, sale.undoes):
            lead = store.lock(connection, lead_id)
            if lead is None or (sale.serials and lead.serial not in sale.serials):
                continue
            moved = self._desk.move(
                connection,
                lead,
                "void",
                now_ms,
                sale_index=None,
                closed_ms=None,
                close_reason=None,
                back=None,
            )
            if isinstance(moved, Refusal):
                continue
            timeline.note(
                connection,
                lead.id,
                "lead.released",
                now_ms,
                person=lead.rep,
                dealer=lead.dealer,
                detail=detail(reason="sale_undone", sale_index=sale.undoes, by=sale.index),
            )
            if moved.state == "SCREENING":
                store.change(connection, lead.id, next_step="screened", next_step_ms=now_ms)
            elif moved.state not in OWNED:
                # Its offers were withdrawn: whoever is near is asked anew.
                store.change(
                    connection,
                    lead.id,
                    round=lead.round + 1,
                    ring=0,
                    offered_ms=None,
                    next_step="route",
                    next_step_ms=now_ms,
                )
