"""What leads hold of a person: shown to them, and taken away."""

from typing import Any, Final

import orjson
from sqlalchemy import Connection, RowMapping, select, update

from hub.leads import store
from hub.leads.custody import Custody
from hub.leads.desk import detail
from hub.leads.states import OPEN
from hub.leads.tables import LEAD, LEAD_EVENT, LEAD_OFFER
from hub.leads.timeline import store as timeline

KEPT_OF_A_TOUCH: Final = ("source", "campaign", "at_ms")
"""The rest of where a lead came from are numbers that others give a person."""
_NOTHING: Final = {
    "model_said": None,
    "place": None,
    "area": None,
    "lat_udeg": None,
    "lon_udeg": None,
    "screening": None,
    "nearest": None,
}


def leads_of(connection: Connection, contact: str) -> list[str]:
    """Every lead of a person, the oldest first."""
    return list(
        connection.scalars(
            select(LEAD.c.id).where(LEAD.c.contact == contact).order_by(LEAD.c.received_ms)
        )
    )


def is_wanted(connection: Connection, contact: str, since_ms: int) -> bool:
    """Whether a person has a lead that is open, or was at any time since then."""
    still = LEAD.c.closed_ms.is_(None) & LEAD.c.state.in_(sorted(OPEN))
    found = connection.execute(
        select(LEAD.c.id)
        .where(LEAD.c.contact == contact, still | (LEAD.c.closed_ms >= since_ms))
        .limit(1)
    )
    return found.first() is not None


def closed_before(connection: Connection, before_ms: int, limit: int) -> list[tuple[str, str]]:
    """Leads closed before then that still tell of somebody, and whose they are."""
    rows = connection.execute(
        select(LEAD.c.id, LEAD.c.contact)
        .where(LEAD.c.erased_ms.is_(None), LEAD.c.closed_ms < before_ms)
        .order_by(LEAD.c.closed_ms)
        .limit(limit)
    )
    return [(row.id, row.contact) for row in rows]


def forget(connection: Connection, custody: Custody, lead_id: str, *, now_ms: int) -> bool:
    """Take away what a lead tells of a person; one that is open ends. False: it was gone.

    What stays says how the lead went: states, times, dealers, reps, model, sale.
    """
    lead = store.lock(connection, lead_id)
    if lead is None:
        return False
    if lead.state in OPEN:
        custody.opt_out(connection, lead, now_ms)
    changed = connection.execute(
        update(LEAD)
        .where(LEAD.c.id == lead_id, LEAD.c.erased_ms.is_(None))
        .values(
            first_touch=_less(lead.first_touch),
            last_touch=_less(lead.last_touch),
            erased_ms=now_ms,
            **_NOTHING,
        )
    )
    if not changed.rowcount:
        return False
    timeline.note(connection, lead_id, "subject.erased", now_ms, detail=detail(scope="lead"))
    return True


def _less(touch: str | None) -> str | None:
    """Where a lead came from, without whose click it was."""
    if touch is None:
        return None
    known: dict[str, object] = orjson.loads(touch)
    return detail(**{name: known[name] for name in KEPT_OF_A_TOUCH if name in known})


def export(connection: Connection, contact: str) -> list[dict[str, Any]]:
    """Every lead of a person with its timeline and the offers that were made of it."""
    rows = connection.execute(
        select(LEAD).where(LEAD.c.contact == contact).order_by(LEAD.c.received_ms)
    ).mappings()
    return [_whole(connection, row) for row in rows.all()]


def _whole(connection: Connection, lead: RowMapping) -> dict[str, Any]:
    events = connection.execute(
        select(LEAD_EVENT).where(LEAD_EVENT.c.lead == lead["id"]).order_by(LEAD_EVENT.c.seq)
    ).mappings()
    offers = connection.execute(
        select(LEAD_OFFER).where(LEAD_OFFER.c.lead == lead["id"]).order_by(LEAD_OFFER.c.offered_ms)
    ).mappings()
    return {
        **_plain(lead),
        "timeline": [_plain(event) for event in events],
        "offers": [_plain(offer) for offer in offers],
    }


def _plain(row: RowMapping) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}
