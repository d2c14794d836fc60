"""Stores: which are open, how many leads each has in hand, and what its manager says of today."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import orjson
from flask import Response, abort, make_response, render_template, request

from hub.portals.formats import number
from hub.portals.languages import later, say, say_many
from hub.portals.lists import Form, JsonRow, Page, Query, as_csv, as_json, page_of, read_slice
from hub.portals.network_desk import Store
from hub.portals.network_words import (
    WORDS,
    ZONES,
    back_to,
    instant,
    network,
    part_of,
    store_state,
    viewer,
)
from hub.portals.pages import every_form, everyones
from hub.portals.read_models import Count
from hub.portals.services import portal
from hub.registry.rules import EDITED, Refusal

NAMES: Final = ("q", "state", "order")
COLUMNS: Final = (
    *("code", "name", "company", "region", "address", "lat", "lon", "timezone", "phone", "email"),
    *("hours", "closed_days", "capacity", "weight", "authorised", "paused_until", "opened_on"),
    *("closed_on", "open", "why_closed", "opens_at", "load"),
)
STATES: Final = {
    "open": later("Open now"),
    "closed": later("Closed now"),
    "paused": later("Paused"),
    "out": later("Not selling"),
}


def _loads() -> Mapping[str, int]:
    leads = portal().leads
    return {} if leads is None else leads.board.loads()


@every_form("/dealers", on=everyones)
def dealers(form: Form) -> Response:
    """Every store the viewer may see, by name."""
    query = Query(NAMES)
    everything = network().stores(viewer(), _loads())
    text, state = (query.one("q") or "").casefold(), query.one("state")
    found = [
        store
        for store in everything
        if (state is None or store_state(store) == state)
        and (text in store.dealer.name.casefold() or text in store.dealer.code.casefold())
    ]
    codes = [_Coded(store) for store in found]
    page: Page[_Coded] = page_of(
        read_slice(form, str), lambda part: part_of(codes, part, "code"), lambda row: row.code
    )
    if form == "json":
        return as_json(page, lambda row: dealer_object(row.store))
    if form == "csv":
        return as_csv(page, lambda row: dealer_object(row.store), COLUMNS)
    counts = Counter(store_state(store) for store in everything)
    html = render_template(
        "portals/dealers.html",
        query=query,
        page=page,
        any_rows=bool(everything),
        facets=[
            query.toggle("state", name, say(label), Count(n=counts[name]))
            for name, label in STATES.items()
        ],
        keep=query.kept("q"),
        total=Count(n=len(found)),
        subtitle=say_many(
            "%(n)s store", "%(n)s stores", len(everything), n=number(len(everything))
        ),
        **WORDS,
    )
    return make_response(html)


class _Coded:
    """A store in a list, known by its code."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.code = store.dealer.code


def dealer_object(store: Store) -> JsonRow:
    """A dealer as the people's and dealers' files have it, and how it stands now."""
    dealer = store.dealer
    names = [name for name in COLUMNS if hasattr(dealer, name)]
    return {
        **{name: getattr(dealer, name) for name in names},
        "paused_until": instant(dealer.paused_until_ms),
        "open": store.why_closed is None,
        "why_closed": store.why_closed,
        "opens_at": instant(store.opens_ms),
        "load": store.load,
    }


@every_form("/dealers/<code>", "html", "json", on=everyones)
def dealer(code: str, form: Form) -> Response:
    """One store: when it is open, who works there, how many leads it has in hand."""
    if form == "html":
        return _dealer_page(code)
    return Response(orjson.dumps(dealer_object(_store(code))), content_type="application/json")


def _store(code: str) -> Store:
    found = network().store(viewer(), code, _loads())
    if found is None:
        abort(404)
    return found


def _dealer_page(
    code: str, refused: Sequence[Refusal] = (), typed: Mapping[str, str] | None = None
) -> Response:
    store, who = _store(code), viewer()
    people = [person for person in network().people(who) if code in person.dealers]
    html = render_template(
        "portals/dealer.html",
        store=store,
        dealer=store.dealer,
        people=people,
        person_states=network().states(people),
        acts=who.acts,
        wide=who.wide,
        zones=ZONES,
        wrong={refusal.column: refusal.message for refusal in refused},
        typed=typed or {},
        **WORDS,
    )
    return make_response(html, 422 if refused else 200)


@everyones.post("/dealers/<code>/edit")
def edit_dealer(code: str) -> Response:
    """Hours, holidays, capacity, a pause; for head office the time zone as well."""
    _store(code)
    cells = {name: request.form[name].strip() for name in EDITED if name in request.form}
    refused = network().change(viewer(), code, cells) if cells else ()
    if refused is None:
        abort(403)
    return _dealer_page(code, refused, cells) if refused else back_to(f"/dealers/{code}")


@everyones.post("/dealers/<code>/closed-today")
def closed_today(code: str) -> Response:
    """Offered no lead until tomorrow."""
    _store(code)
    if not network().closed_today(viewer(), code):
        abort(403)
    return back_to(f"/dealers/{code}")
