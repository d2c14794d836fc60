"""Units as a list, and the life of one scooter."""

from dataclasses import replace
from typing import Final

import orjson
from flask import Response, abort, g, make_response, redirect, render_template, url_for

from hub.portals.choices import store_menu
from hub.portals.formats import iso, number
from hub.portals.languages import later, say, say_many
from hub.portals.ledger_pages import entry_row
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
)
from hub.portals.numbers import whole_number
from hub.portals.pages import every_form
from hub.portals.read_models import Count, Entry, EntryFilter, Slice
from hub.portals.searching import as_serial
from hub.portals.sentences import STATES
from hub.portals.services import portal
from hub.sales.views import SaleFilter, Unit, UnitFilter

NAMES: Final = ("q", "dealer", "state", "model", "quiet", "order")
COLUMNS: Final = (
    "serial",
    "model",
    "dealer",
    "state",
    "sale_index",
    "sold_at",
    "activated_at",
    "seen_at",
    "battery_pct",
    "odometer_m",
    "firmware",
    "fault",
)
SALES_MAX = 20
FACETS: Final = {
    "stock": later("In stock"),
    "sold": later("Sold"),
    "returned": later("Returned"),
    "unknown": later("State unknown"),
}
MARKS: Final = {"stock": "", "sold": "sale", "returned": "back", "unknown": "beat"}


def unit_state(unit: Unit) -> str:
    """What a unit is, in a word or two."""
    if unit.state == "sold" and unit.activated_ms is not None:
        return say("Sold, answered")
    return say(STATES[unit.state])


def unit_mark(unit: Unit) -> str:
    """The mark of a unit's state."""
    if unit.fault is not None:
        return "odd"
    return "alive" if unit.activated_ms is not None else MARKS[unit.state]


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)


def unit_row(unit: Unit) -> JsonRow:
    """One unit as JSON."""
    return {
        "serial": unit.serial,
        "model": unit.model,
        "dealer": unit.dealer,
        "state": unit.state,
        "sale_index": unit.sale_index,
        "sold_at": _iso(unit.sold_ms),
        "activated_at": _iso(unit.activated_ms),
        "seen_at": _iso(unit.seen_ms),
        "battery_pct": unit.battery_pct,
        "odometer_m": unit.odometer_m,
        "firmware": unit.firmware,
        "fault": unit.fault,
    }


def _serial(unit: Unit) -> str:
    return unit.serial


def _facets(query: Query, chosen: UnitFilter) -> tuple[list[Facet], Count]:
    counts = portal().sales.unit_counts(chosen)
    facets = [
        query.toggle("state", state, say(label), counts.get(state, Count(n=0)))
        for state, label in FACETS.items()
    ]
    silent = counts.get("quiet", Count(n=0))
    facets.append(query.toggle("quiet", "1", say("Sold, no answer"), silent))
    model = query.one("model")
    if model is not None:
        facets.append(query.chip("model", model))
    picked = "quiet" if chosen.quiet else chosen.state or "all"
    return facets, counts.get(picked, counts["all"])


@every_form("/units")
def units(form: Form) -> Response:
    """Every scooter the ledger knows, by serial."""
    query = Query(NAMES)
    text = query.one("q")
    chosen = UnitFilter(
        dealer=query.one("dealer"),
        state=query.one("state"),
        model=query.one("model"),
        quiet=query.one("quiet") is not None,
        serial=None if text is None else as_serial(text) or text.upper(),
    )
    reads = portal().sales
    page = page_of(read_slice(form, str), lambda part: reads.units(chosen, part), _serial)
    if form == "json":
        return as_json(page, unit_row)
    if form == "csv":
        return as_csv(page, unit_row, COLUMNS)
    everything = reads.unit_counts(UnitFilter())["all"]
    facets, total = _facets(query, chosen)
    html = render_template(
        "portals/units.html",
        query=query,
        page=page,
        any_rows=everything.n > 0,
        facets=facets,
        total=None if text else total,
        stores=store_menu(query),
        keep=query.kept("q"),
        subtitle=say_many("%(n)s scooter", "%(n)s scooters", everything.n, n=number(everything.n)),
        unit_state=unit_state,
        unit_mark=unit_mark,
    )
    return make_response(html)


def _index(entry: Entry) -> int:
    return entry.index


@every_form("/units/<serial>", "html", "json")
def unit(serial: str, form: Form) -> Response:
    """The life of one scooter: every entry that names it, latest first."""
    normal = as_serial(serial) or serial
    if normal != serial:
        return make_response(redirect(url_for(f"pages.unit_{form}", serial=normal), 302))
    found = portal().sales.unit(serial)
    chosen = EntryFilter(serial=serial)
    reads = portal().ledger
    page = page_of(read_slice(form, whole_number), lambda part: reads.entries(chosen, part), _index)
    if found is None and not page.rows:
        abort(404)
    page = replace(page, rows=_with_reversals(page, serial))
    if found is None:
        found = _bare(serial)
    if form == "json":
        life = [entry_row(entry) for entry in page.rows]
        body = {**unit_row(found), "entries": life, "next": page.older}
        return Response(orjson.dumps(body), content_type="application/json")
    html = render_template(
        "portals/unit.html", unit=found, page=page, unit_state=unit_state, now_ms=g.now_ms
    )
    return make_response(html)


def _with_reversals(page: Page[Entry], serial: str) -> list[Entry]:
    """The page with the voids and returns that name its whole receipt and no serial."""
    rows = {entry.index: entry for entry in page.rows}
    last = min(rows, default=0) if page.older is not None else 0
    first = max(rows, default=0) if page.newer is not None else None
    for sold in portal().sales.sales(SaleFilter(serial=serial), Slice(limit=SALES_MAX)):
        for line in sold.units:
            place = line.undone_index if line.serial == serial else None
            if place is None or place < last or (first is not None and place > first):
                continue
            entry = portal().ledger.entry(place)
            if entry is not None:
                rows[place] = entry
    return [rows[index] for index in sorted(rows, reverse=True)]


def _bare(serial: str) -> Unit:
    """A serial the ledger names but no projection has reached yet."""
    return Unit(
        serial=serial,
        model=None,
        dealer=None,
        state="unknown",
        sale_index=None,
        sold_ms=None,
        activated_ms=None,
        seen_ms=None,
        battery_pct=None,
        odometer_m=None,
        firmware=None,
        fault=None,
    )
