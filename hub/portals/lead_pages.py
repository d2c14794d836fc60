"""Leads as a board, one lead with its timeline, and who would get a lead at a place."""

from collections.abc import Sequence
from typing import Final, cast

import orjson
from flask import Response, abort, g, make_response, render_template, request

from hub.leads.board import Identity, Row
from hub.leads.objects import ROUTER_COLUMNS
from hub.leads.places import check_pin, coordinates
from hub.leads.reads import Chosen, Part, Special, Viewer
from hub.leads.records import Lead
from hub.leads.states import STATES
from hub.portals.choices import Menu, store_menu, time_menu, zone_of_choice
from hub.portals.formats import number
from hub.portals.kept_counts import Counts
from hub.portals.languages import later, say, say_many
from hub.portals.lead_desk import LeadDesk, viewer_of
from hub.portals.lead_offers import claim_answer, open_offers
from hub.portals.lead_words import RARE, SOURCES, SPECIALS, WORDS, person_name
from hub.portals.lists import (
    Facet,
    Form,
    JsonRow,
    Page,
    Query,
    as_csv,
    as_json,
    page_of,
    read_slice,
    time_range,
)
from hub.portals.pages import every_form, everyones
from hub.portals.read_models import Count, Entry, EntryFilter, Slice
from hub.portals.searching import stores_named
from hub.portals.services import portal
from hub.portals.words import STATE_NAMES

NAMES: Final = (
    *("q", "state", "special", "source", "dealer", "rep"),
    *("time", "since", "until", "order", "view"),
)
COLUMNS: Final = (
    *("id", "state", "sale_status", "human", "test", "round", "ring", "source", "campaign"),
    *("model", "payment", "buy_when", "language", "area", "region", "dealer", "rep", "masked"),
    *("response_ms", "next_step", "next_step_at", "received_at", "qualified_at", "offered_at"),
    *("claimed_at", "contacted_at", "closed_at", "close_reason", "serial", "sale_ledger_index"),
    "duplicate_of",
)
PIN_FAULTS: Final = {
    "zero": later("That is latitude 0 and longitude 0, where no customer is."),
    "swapped": later("Latitude and longitude have changed places."),
    "abroad": later("That is not in Indonesia."),
}
PLACES_SHOWN: Final = 8
LIFE_SHOWN: Final = 20


def desk() -> LeadDesk:
    """The leads of this hub; a hub without them has no such page."""
    found = portal().leads
    if found is None:
        abort(404)
    return found


def viewer() -> Viewer:
    """Who looks."""
    return viewer_of(g.account)


def _part(asked: Slice) -> Part:
    return Part(
        after=cast("str | None", asked.after),
        before=cast("str | None", asked.before),
        limit=asked.limit,
        order=asked.order,
    )


def read_filter(query: Query) -> Chosen:
    """Which leads the URL asks for; search text is the beginning of an id, or a store."""
    text, dealer, lead = query.one("q"), query.one("dealer"), None
    if text is not None:
        stores = [] if text.lower().startswith("led_") else stores_named(text)
        dealer = stores[0].code if stores else dealer
        lead = None if stores else text.lower()
    special = query.one("special")
    since_ms, until_ms = time_range(query, g.now_ms, zone_of_choice(query))
    return Chosen(
        states=tuple(state for state in STATES if state in query.many("state")),
        special=cast("Special", special) if special in SPECIALS else None,
        source=query.one("source"),
        dealer=dealer,
        rep=query.one("rep"),
        lead=lead,
        since_ms=since_ms,
        until_ms=until_ms,
    )


def _facets(query: Query, counts: Counts) -> list[Facet]:
    facets = [
        query.toggle("special", name, say(label), counts[name])
        for name, label in SPECIALS.items()
        if counts[name].n or query.one("special") == name or name == "late"
    ]
    facets += [
        query.toggle("state", state, say(label), counts[state])
        for state, label in STATE_NAMES.items()
        if counts[state].n or state not in RARE or state in query.many("state")
    ]
    rep = query.one("rep")
    return [*facets, query.chip("rep", str(person_name(rep)))] if rep is not None else facets


def _source_menu(query: Query) -> Menu:
    chosen = query.one("source")
    entries = [Facet(label=say("Any source"), url=query.url(source=None), on=chosen is None)]
    entries += [
        Facet(label=say(label), url=query.url(source=name), on=chosen == name)
        for name, label in SOURCES.items()
    ]
    label = say(SOURCES[chosen]) if chosen in SOURCES else say("Any source")
    return Menu(
        label=label, entries=entries, on=chosen is not None, path=query.path, keep=query.kept()
    )


def _total(chosen: Chosen, counts: Counts) -> Count | None:
    """Of what is shown, where one counter says it."""
    if len(chosen.states) > 1 or (chosen.states and chosen.special):
        return None
    return counts[chosen.states[0] if chosen.states else chosen.special or "all"]


@every_form("/leads", on=everyones)
def leads(form: Form) -> Response:
    """The board: every lead the viewer may see, the newest first."""
    query, who, board = Query(NAMES), viewer(), desk().board
    chosen = read_filter(query)
    if form != "html":
        return _data(form, query, chosen)
    page = page_of(
        read_slice(form, str), lambda part: board.rows(who, chosen, _part(part)), _row_id
    )
    counts = desk().counts(who, chosen)
    everything = desk().counts(who, Chosen())["all"].n
    html = render_template(
        "portals/leads.html",
        query=query,
        page=page,
        any_rows=bool(everything or query.filtered or counts["test"].n),
        facets=_facets(query, counts),
        total=_total(chosen, counts),
        stores=store_menu(query) if who.everything else None,
        sources=_source_menu(query),
        times=time_menu(query),
        keep=query.kept("q"),
        may_explain=may_explain(who),
        may_bring=may_bring(who),
        subtitle=say_many("%(n)s lead", "%(n)s leads", everything, n=number(everything)),
        offers=open_offers(board.offers(who)),
        **WORDS,
    )
    return make_response(html)


def _row_id(row: Row) -> str:
    return row.lead.id


def _data(form: Form, query: Query, chosen: Chosen) -> Response:
    who, board = viewer(), desk().board
    router = form == "csv" and query.one("view") == "router"

    def read(part: Slice) -> list[dict[str, object]]:
        if router:
            return board.router_rows(who, chosen, _part(part))
        return cast("list[dict[str, object]]", board.listed(who, chosen, _part(part))["items"])

    key = "Lead ID" if router else "id"
    page: Page[JsonRow] = page_of(read_slice(form, str), read, lambda row: str(row[key]))
    if form == "json":
        return as_json(page, dict)
    if router:
        return as_csv(page, dict, ROUTER_COLUMNS)
    return as_csv(page, _flat, COLUMNS)


def _flat(lead: JsonRow) -> JsonRow:
    owner = cast("dict[str, object]", lead["owner"] or {})
    customer = cast("dict[str, object]", lead["customer"])
    masked = {"masked": customer["masked"]}
    return {**lead, "dealer": owner.get("dealer"), "rep": owner.get("rep"), **masked}


@every_form("/leads/<lead>", "html", "json", on=everyones)
def lead(lead: str, form: Form) -> Response:
    """One lead: whose, since when, what happened, what was said to whom."""
    if form == "html":
        return lead_page(lead)
    found = desk().board.one(viewer(), lead)
    if found is None:
        abort(404)
    return Response(orjson.dumps(found), content_type="application/json")


def lead_page(lead: str, identity: Identity | None = None) -> Response:
    """Its page; who the customer is only on the answer to the form that asks for it."""
    who = viewer()
    found = desk().board.whole(who, lead)
    if found is None:
        abort(404)
    pressed_by = request.args.get("by")
    html = render_template(
        "portals/lead.html",
        whole=found,
        lead=found.lead,
        identity=identity,
        answer=claim_answer(found, pressed_by) if pressed_by is not None else None,
        offers=open_offers(desk().board.offers(who, lead=lead)),
        may_report=found.lead.rep is not None and found.lead.rep == who.only,
        candidates=desk().candidates(who, found.lead) if found.may_act else [],
        sold_unit=_life_elsewhere(who, found.lead),
        **WORDS,
    )
    return make_response(html)


def _life_elsewhere(who: Viewer, lead: Lead) -> Sequence[Entry]:
    """What the ledger says of the scooter that another store sold to the customer of this lead.

    For head office alone: it tells what others sell, and for how much.
    """
    if lead.close_reason != "sold_elsewhere" or lead.serial is None or not who.everything:
        return ()
    return portal().ledger.entries(EntryFilter(serial=lead.serial), Slice(limit=LIFE_SHOWN))


@every_form("/leads/nearest", "html", "json", on=everyones)
def nearest(form: Form) -> Response:
    """Who would get a lead at this place now, and why not the others."""
    who = viewer()
    if not may_explain(who):
        abort(403)
    query = Query(("q", "lat", "lon"))
    pin, fault = _pin(query)
    stops = [] if pin is None else desk().board.nearest(*pin)
    if form == "json":
        if pin is None:
            abort(400)
        return Response(
            orjson.dumps({"items": [stop.as_json() for stop in stops], "next": None}),
            content_type="application/json",
        )
    text = query.one("q")
    html = render_template(
        "portals/lead_nearest.html",
        query=query,
        pin=pin,
        fault=fault,
        stops=stops,
        places=desk().board.places().resolve(text)[:PLACES_SHOWN]
        if text is not None and pin is None
        else [],
        **WORDS,
    )
    return make_response(html)


def may_bring(who: Viewer) -> bool:
    """Reps, and whoever decides about leads, write down who comes into a store."""
    return who.acts or who.only is not None


def may_explain(who: Viewer) -> bool:
    """Who decides about leads may see why one goes where it goes; reps do not."""
    return who.everything or (who.acts and who.only is None)


def _pin(query: Query) -> tuple[tuple[float, float] | None, str | None]:
    """The place that is meant, or what is wrong with it."""
    lat, lon, text = query.one("lat"), query.one("lon"), query.one("q")
    pin = None
    if lat is not None and lon is not None:
        try:
            pin = (float(lat), float(lon))
        except ValueError:
            return None, say("Latitude and longitude are numbers, such as -7.2575 and 112.7521.")
    elif text is not None:
        pin = coordinates(text)
        if pin is None:
            found = desk().board.places().resolve(text)
            if len(found) == 1:
                pin = (found[0].lat, found[0].lon)
            elif not found:
                return None, say("No place of this name is known.")
    if pin is None:
        return None, None
    fault = PIN_FAULTS.get(check_pin(*pin))
    return (None, say(fault)) if fault is not None else (pin, None)


def accepts(field: str) -> str:
    """A field of a form; a missing one is a 400."""
    value = request.form.get(field, "").strip()
    if not value:
        abort(400)
    return value
