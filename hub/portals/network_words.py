"""What the pages of stores and of people share: who looks, the words, a part of a list."""

from collections.abc import Sequence
from typing import Final, cast

from flask import Response, abort, g, redirect

from hub.leads.reads import Viewer
from hub.portals.languages import later, say
from hub.portals.lead_desk import viewer_of
from hub.portals.lead_words import WHY, dealer_name, person_name
from hub.portals.lists import Row
from hub.portals.network_desk import NetworkDesk, Store
from hub.portals.read_models import Slice
from hub.portals.services import portal
from shared.instants import rfc3339

OUT: Final = frozenset({"not_authorised", "not_opened_yet", "closed_down"})
ROLE_NAMES: Final = {
    "admin": later("Admin"),
    "executive": later("Executive"),
    "regional_manager": later("Regional manager"),
    "technician": later("Technician"),
    "dealer_manager": later("Dealer manager"),
    "rep": later("Rep"),
    "auditor": later("Auditor"),
}
PERSON_STATES: Final = {
    "on_duty": (later("on duty"), "alive"),
    "off": (later("off duty"), "beat"),
    "away": (later("away"), "back"),
    "works": (later("works here"), "hub"),
    "not_agreed": (later("has not agreed to messages"), "odd"),
    "no_phone": (later("no mobile number"), "odd"),
    "left": (later("does not work here now"), ""),
}
ZONES: Final = {"Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT"}


def network() -> NetworkDesk:
    """The registry of this hub."""
    found = portal().network
    if found is None:
        abort(404)
    return found


def viewer() -> Viewer:
    """Who looks."""
    return viewer_of(g.account)


def part_of(rows: Sequence[Row], part: Slice, key: str) -> list[Row]:
    """The part of a short list that a page shows; behind an unknown row there is nothing."""
    ordered = list(rows) if part.order == "newest" else list(rows)[::-1]
    cursor = part.after if part.before is None else part.before
    if cursor is None:
        return ordered[: part.limit]
    place = next((n for n, row in enumerate(ordered) if getattr(row, key) == cursor), None)
    if place is None:
        return []
    if part.before is not None:
        return ordered[max(0, place - part.limit) : place]
    return ordered[place + 1 : place + 1 + part.limit]


def instant(at_ms: int | None) -> str | None:
    """A moment as it is written."""
    return None if at_ms is None else rfc3339(at_ms)


def back_to(path: str) -> Response:
    """After a deed: the page of what it was done to."""
    return cast("Response", redirect(path, 303))


def store_state(store: Store) -> str:
    """Which of `DEALER_STATES` it is in."""
    why = store.why_closed
    if why is None:
        return "open"
    if why in OUT:
        return "out"
    return "paused" if why == "paused" else "closed"


def person_state(state: str) -> str:
    """How somebody stands, in words."""
    return say(PERSON_STATES[state][0])


def person_mark(state: str) -> str:
    """The mark of that."""
    return PERSON_STATES[state][1]


def why_closed(store: Store) -> str:
    """How a store stands, in words."""
    return say("open now") if store.why_closed is None else say(WHY[store.why_closed])


def store_mark(store: Store) -> str:
    """The mark of that."""
    return {"open": "alive", "closed": "beat", "paused": "odd", "out": "back"}[store_state(store)]


WORDS: Final = {
    "dealer_name": dealer_name,
    "person_mark": person_mark,
    "person_name": person_name,
    "person_state": person_state,
    "role_name": lambda role: say(ROLE_NAMES[role]) if role in ROLE_NAMES else role,
    "store_mark": store_mark,
    "why_closed": why_closed,
    "zone_short": lambda zone: ZONES.get(zone, zone),
}
