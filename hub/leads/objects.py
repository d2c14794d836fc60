"""A lead in the words of the contract: the object of the API, of ``.json`` and of the commands."""

from collections.abc import Sequence
from typing import Final

import orjson

from hub.leads.needs import Customer
from hub.leads.records import Happened, Lead
from hub.leads.rules import masked
from hub.leads.states import State, sale_status
from shared.instants import rfc3339

HIDDEN: Final = "•••"
"""In the place of a number that is not known, or was erased."""


def at(at_ms: int | None) -> str | None:
    """A moment as it is written."""
    return None if at_ms is None else rfc3339(at_ms)


def masked_of(customer: Customer | None) -> str:
    """A customer as anybody may see them."""
    return HIDDEN if customer is None else masked_phone(customer.phone)


def masked_phone(phone: str | None) -> str:
    """A number as anybody may see it."""
    return masked(phone) or HIDDEN


def lead_object(
    lead: Lead,
    customer: Customer | None,
    timeline: Sequence[Happened],
    *,
    revealed: bool = False,
    original: State | None = None,
) -> dict[str, object]:
    """The lead. Who it is stands in it only when `revealed`: the caller has logged that."""
    known = customer if revealed else None
    owner = None if lead.rep is None else {"dealer": lead.dealer, "rep": lead.rep}
    return {
        "id": lead.id,
        "state": lead.state,
        "sale_status": sale_status(lead.state, original or lead.back),
        "human": lead.human,
        "test": lead.test,
        "round": lead.round,
        "ring": lead.ring,
        "source": lead.source,
        "campaign": lead.campaign,
        "first_touch": _touch(lead.first_touch),
        "last_touch": _touch(lead.last_touch),
        "model": lead.model,
        "payment": lead.payment,
        "buy_when": lead.buy_when,
        "language": lead.language,
        "area": lead.area,
        "region": lead.region,
        "customer": {
            "id": lead.contact,
            "masked": masked_of(customer),
            "consent_version": lead.consent_version,
            "name": None if known is None else known.name,
            "phone": None if known is None else known.phone,
        },
        "owner": owner,
        "response_ms": lead.response_ms,
        "next_step": lead.next_step,
        "next_step_at": at(lead.next_step_ms),
        "serial": lead.serial,
        "sale_ledger_index": lead.sale_index,
        "duplicate_of": lead.duplicate_of,
        "previous": lead.previous,
        "nearest": nearest_of(lead),
        "received_at": at(lead.received_ms),
        "qualified_at": at(lead.qualified_ms),
        "offered_at": at(lead.offered_ms),
        "claimed_at": at(lead.claimed_ms),
        "contacted_at": at(lead.contacted_ms),
        "closed_at": at(lead.closed_ms),
        "close_reason": lead.close_reason,
        "timeline": [entry_object(entry) for entry in timeline],
    }


def entry_object(entry: Happened) -> dict[str, object]:
    """An entry of the timeline."""
    return {
        "seq": entry.seq,
        "at": rfc3339(entry.at_ms),
        "kind": entry.kind,
        "person": entry.person,
        "dealer": entry.dealer,
        "decision": entry.decision,
        "margin_ms": entry.margin_ms,
        "provider_at": at(entry.provider_ms),
        "ledger_index": entry.ledger_index,
        "detail": _json(entry.detail),
    }


def nearest_of(lead: Lead) -> list[dict[str, object]]:
    """Which dealers were near, who was chosen, and why not the others."""
    kept = _json(lead.nearest)
    rows = kept.get("rows") if isinstance(kept, dict) else None
    return rows if isinstance(rows, list) else []


def router_row(lead: Lead, customer: Customer | None) -> dict[str, object]:
    """A lead as the claim router's sheet has it; who it is stays masked."""
    payload = {
        "customer": masked_of(customer),
        "source": lead.source,
        "campaign": lead.campaign,
        "model": lead.model,
        "payment": lead.payment,
        "buy_when": lead.buy_when,
        "area": lead.area,
        "language": lead.language,
        "received_at": rfc3339(lead.received_ms),
    }
    velocity = None if lead.response_ms is None else lead.response_ms / 1000
    return {
        "Lead ID": lead.id,
        "Raw Payload": orjson.dumps(payload).decode(),
        "Status": lead.state,
        "Claimed By": lead.rep,
        "Broadcast Time": at(lead.offered_ms),
        "Response Velocity (s)": velocity,
    }


ROUTER_COLUMNS: Final = (
    "Lead ID",
    "Raw Payload",
    "Status",
    "Claimed By",
    "Broadcast Time",
    "Response Velocity (s)",
)


def _touch(text: str | None) -> object:
    """Where somebody came from, each key of the contract's; None of nothing."""
    kept = _json(text)
    if not isinstance(kept, dict):
        return None
    at_ms = kept.pop("at_ms", None)
    return {"source": None, "campaign": None, "click_id": None, **kept, "at": at(at_ms)}


def _json(text: str | None) -> object:
    return None if text is None else orjson.loads(text)
