"""Sales as a list, and one receipt."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Final

import orjson
from flask import Response, abort, g, make_response, render_template
from markupsafe import Markup, escape

from hub.portals.choices import store_menu, time_menu, zone_of_choice
from hub.portals.formats import NOTHING, day_start_ms, iso, number, percent
from hub.portals.languages import later, say, say_many
from hub.portals.ledger_pages import related_to
from hub.portals.lists import (
    Facet,
    Form,
    JsonRow,
    Query,
    as_csv,
    as_json,
    page_of,
    read_slice,
    time_range,
)
from hub.portals.numbers import whole_number
from hub.portals.pages import every_form
from hub.portals.read_models import Count
from hub.portals.searching import as_serial
from hub.portals.services import portal
from hub.portals.words import PAYMENTS
from hub.sales.views import Sale, SaleFilter

NAMES: Final = (
    "q",
    "dealer",
    "state",
    "payment",
    "flagged",
    "time",
    "since",
    "until",
    "order",
)
COLUMNS: Final = (
    "index",
    "dealer",
    "device",
    "till",
    "receipt",
    "at",
    "received_at",
    "state",
    "payment",
    "operator",
    "serials",
    "models",
    "list_idr",
    "discount_idr",
    "total_idr",
    "flags",
)
STATES: Final = {
    "final": later("Final"),
    "part": later("Partly undone"),
    "voided": later("Cancelled"),
    "returned": later("Came back"),
}
MARKS: Final = {"final": "sale", "part": "back", "voided": "back", "returned": "back"}
FLAGS: Final = {
    "serial_missing": later("A unit on this receipt has no serial."),
    "serial_malformed": later("A serial on this receipt is not one; the text is kept as it came."),
    "serial_repeated": later("The same serial stands on this receipt twice."),
    "already_sold": later("A serial on this receipt was sold before and has not come back."),
    "arithmetic": later("List price less discount is not what was paid."),
    "price_zero": later("A unit on this receipt cost nothing."),
    "activated_before_sale": later("The scooter answered before it was sold."),
    "receipt_reused": later("Another sale has the same receipt number and other content."),
    "capture_repeated": later("The box gave the number of this capture twice: a copied card?"),
    "no_units": later("The receipt names no unit at all."),
}


def sale_state(sale: Sale) -> str:
    """What became of a sale."""
    return say("Flagged") if sale.flags and sale.state == "final" else say(STATES[sale.state])


def sale_mark(sale: Sale) -> str:
    """The mark of a sale's state."""
    return "odd" if sale.flags else MARKS[sale.state]


def flag_text(flag: str) -> str:
    """A flag as a sentence."""
    return say(FLAGS[flag]) if flag in FLAGS else flag.replace("_", " ")


def payment_of(sale: Sale) -> str:
    """Cash or instalments."""
    return say(PAYMENTS.get(sale.payment, PAYMENTS["unknown"]))


def discount_of(sale: Sale) -> int:
    """What was given away on this receipt, in rupiah."""
    return sum(unit.discount_idr for unit in sale.units)


def discount_share(sale: Sale) -> str:
    """The discount as a share of the list price."""
    list_idr = sum(unit.list_idr for unit in sale.units)
    return percent(round(100 * discount_of(sale) / list_idr)) if list_idr else ""


def models_of(sale: Sale) -> Markup:
    """The models on a receipt, each once."""
    models = sorted({unit.model for unit in sale.units if unit.model})
    return escape(", ".join(models)) if models else NOTHING


def sale_row(sale: Sale) -> JsonRow:
    """One sale as JSON."""
    return {
        "index": sale.index,
        "dealer": sale.dealer,
        "device": sale.device,
        "till": sale.till,
        "receipt": sale.receipt,
        "at": iso(sale.at_ms),
        "received_at": iso(sale.received_ms),
        "state": sale.state,
        "payment": sale.payment,
        "operator": sale.operator,
        "units": [_unit_row(asdict(unit)) for unit in sale.units],
        "total_idr": sale.total_idr,
        "flags": list(sale.flags),
    }


def _unit_row(unit: dict[str, object]) -> JsonRow:
    activated_ms = unit.pop("activated_ms")
    unit["activated_at"] = iso(activated_ms) if isinstance(activated_ms, int) else None
    return unit


def csv_row(sale: Sale) -> JsonRow:
    """One sale as a flat row."""
    return {
        **sale_row(sale),
        "serials": [unit.serial or unit.serial_raw for unit in sale.units],
        "models": [unit.model for unit in sale.units],
        "list_idr": sum(unit.list_idr for unit in sale.units),
        "discount_idr": discount_of(sale),
    }


def _index(sale: Sale) -> int:
    return sale.index


def read_filter(query: Query) -> SaleFilter:
    """Which sales the URL asks for."""
    since_ms, until_ms = time_range(query, g.now_ms, zone_of_choice(query))
    text = query.one("q")
    serial = None if text is None else as_serial(text)
    return SaleFilter(
        dealer=query.one("dealer"),
        state=query.one("state"),
        payment=query.one("payment"),
        flagged=query.one("flagged") is not None,
        receipt=None if serial is not None else text,
        serial=serial,
        since_ms=since_ms,
        until_ms=until_ms,
    )


def _facets(query: Query, chosen: SaleFilter, counts: Mapping[str, Count]) -> list[Facet]:
    on = query.one("time") == "today"
    changes: dict[str, object] = {"time": None if on else "today", "since": None, "until": None}
    today_ms = day_start_ms(g.now_ms, zone_of_choice(query))
    today = portal().sales.sale_counts(replace(chosen, since_ms=today_ms, until_ms=None))["all"]
    facets = [Facet(label=say("Today"), url=query.url(**changes), on=on, count=today)]
    for state, label in STATES.items():
        facets.append(query.toggle("state", state, say(label), counts.get(state, Count(n=0))))
    flagged = counts.get("flagged", Count(n=0))
    facets.append(query.toggle("flagged", "1", say("Flagged"), flagged))
    for payment in ("cash", "instalments"):
        count = counts.get(payment, Count(n=0))
        label = say(PAYMENTS[payment])
        facets.append(query.toggle("payment", payment, label[:1].upper() + label[1:], count))
    return facets


def _total(chosen: SaleFilter, counts: Mapping[str, Count]) -> Count | None:
    """How many the list holds, when one counter says it."""
    picked = [chosen.state, chosen.payment, "flagged" if chosen.flagged else None]
    names = [name for name in picked if name]
    return counts.get(names[0] if names else "all") if len(names) < 2 else None


@every_form("/sales")
def sales(form: Form) -> Response:
    """Every receipt on the ledger, latest first."""
    query = Query(NAMES)
    chosen = read_filter(query)
    reads = portal().sales
    page = page_of(read_slice(form, whole_number), lambda part: reads.sales(chosen, part), _index)
    if form == "json":
        return as_json(page, sale_row)
    if form == "csv":
        return as_csv(page, csv_row, COLUMNS)
    everything = reads.sale_counts(SaleFilter())["all"]
    counts = reads.sale_counts(replace(chosen, state=None, payment=None, flagged=False))
    html = render_template(
        "portals/sales.html",
        query=query,
        page=page,
        any_rows=everything.n > 0,
        facets=_facets(query, chosen, counts),
        total=_total(chosen, counts),
        stores=store_menu(query),
        times=time_menu(query),
        keep=query.kept("q"),
        subtitle=say_many("%(n)s sale", "%(n)s sales", everything.n, n=number(everything.n)),
        **WORDS,
    )
    return make_response(html)


@every_form("/sales/<int:index>", "html", "json")
def sale(index: int, form: Form) -> Response:
    """One receipt: what was sold, for how much, and what became of it."""
    found = portal().sales.sale(index)
    if found is None:
        abort(404)
    if form == "json":
        return Response(orjson.dumps(sale_row(found)), content_type="application/json")
    entry = portal().ledger.entry(index)
    related = (
        []
        if entry is None
        else sorted([entry, *related_to(entry)], key=lambda other: other.index, reverse=True)
    )
    html = render_template("portals/sale.html", sale=found, related=related, **WORDS)
    return make_response(html)


WORDS: Final = {
    "discount_of": discount_of,
    "discount_share": discount_share,
    "flag_text": flag_text,
    "models_of": models_of,
    "payment_of": payment_of,
    "sale_mark": sale_mark,
    "sale_state": sale_state,
}
