"""The boxes in the stores as a list, and one box."""

from collections.abc import Mapping
from typing import Final

import orjson
from flask import Response, abort, g, make_response, render_template
from markupsafe import Markup

from hub.portals.choices import store_menu
from hub.portals.facts import CLOCK_NAMES
from hub.portals.formats import NOTHING, duration, iso, number
from hub.portals.languages import later, say, say_many
from hub.portals.lists import (
    Facet,
    Form,
    JsonRow,
    Query,
    as_csv,
    as_json,
    page_of,
    read_slice,
)
from hub.portals.pages import every_form
from hub.portals.read_models import Count, Device, DeviceFilter, EntryFilter, Hole, Slice
from hub.portals.searching import stores_named
from hub.portals.sentences import LANE_NAMES, LOSS_REASONS
from hub.portals.services import portal
from hub.portals.stored_devices import SILENT_MS

NAMES: Final = ("q", "dealer", "trouble", "order")
COLUMNS: Final = (
    "device",
    "dealer",
    "state",
    "enrolled_at",
    "seen_at",
    "version",
    "backlog_sale",
    "backlog_vehicle",
    "backlog_system",
    "oldest_unsent_ms",
    "clock",
    "clock_err_ms",
    "epoch",
    "declared",
    "undeclared",
    "suspected_clone",
)
HOLES_MAX = 100
LATEST = 8
TROUBLES: Final = {
    "silent": later("Silent"),
    "backlog": later("Backlog"),
    "undeclared": later("Undeclared holes"),
    "clock": later("No clock"),
    "clone": later("Suspected clones"),
}
SOURCE_STATES: Final = {
    "ok": later("working"),
    "waiting": later("waiting for its device"),
    "failed": later("failed"),
}


def backlog_of(device: Device) -> int:
    """Events the box holds and has not delivered."""
    return sum(device.backlog.values())


def _silent(device: Device) -> bool:
    return device.seen_ms is None or g.now_ms - device.seen_ms >= SILENT_MS


def device_state(device: Device) -> str:
    """The worst true thing about a box, in a word or two."""
    if device.suspected_clone:
        return say("Suspected clone")
    if device.state != "active":
        return say("Suspended") if device.state == "suspended" else say("Retired")
    if device.seen_ms is None:
        return say("Never heard")
    if _silent(device):
        return say("Silent")
    if device.undeclared:
        return say("Undeclared holes")
    return say("Working")


def device_mark(device: Device) -> str:
    """The mark of that."""
    if device.suspected_clone:
        return "bad"
    if device.state != "active":
        return "beat"
    return "odd" if _silent(device) or device.undeclared else "alive"


def clock_of(device: Device) -> Markup:
    """Where the box has its time from, and how wrong it may be."""
    if device.clock is None:
        return NOTHING
    name = say(CLOCK_NAMES.get(device.clock, CLOCK_NAMES["none"]))
    if device.clock == "none" or device.clock_err_ms is None:
        return Markup('<span class="flag">{}</span>').format(name)
    error = duration(device.clock_err_ms)
    return Markup('{} <span class="soft">± {}</span>').format(name, error)


def lane_name(lane: str) -> str:
    """A lane in words."""
    return say(LANE_NAMES.get(lane, lane))


def loss_reason(reason: str) -> str:
    """Why events were lost, in words."""
    return say(LOSS_REASONS[reason]) if reason in LOSS_REASONS else reason


def source_state(state: str) -> str:
    """How a source of the box is."""
    return say(SOURCE_STATES.get(state, state))


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)


def device_row(device: Device) -> JsonRow:
    """One box as JSON."""
    return {
        "device": device.device,
        "dealer": device.dealer,
        "state": device.state,
        "enrolled_at": _iso(device.enrolled_ms),
        "seen_at": _iso(device.seen_ms),
        "version": device.version,
        "backlog": dict(device.backlog),
        "oldest_unsent_ms": device.oldest_unsent_ms,
        "clock": device.clock,
        "clock_err_ms": device.clock_err_ms,
        "uptime_ms": device.uptime_ms,
        "disk_free_bytes": device.disk_free_bytes,
        "sources": dict(device.sources),
        "epoch": device.epoch,
        "declared": device.declared,
        "undeclared": device.undeclared,
        "suspected_clone": device.suspected_clone,
    }


def csv_row(device: Device) -> JsonRow:
    """One box as a flat row."""
    lanes = ("sale", "vehicle", "system")
    backlog = {f"backlog_{lane}": device.backlog.get(lane) for lane in lanes}
    return {**device_row(device), **backlog}


def hole_row(hole: Hole) -> JsonRow:
    """One hole as JSON; `reason` is null when it was not declared."""
    return {
        "lane": hole.lane,
        "gen": hole.gen,
        "first_n": hole.first_n,
        "last_n": hole.last_n,
        "reason": hole.reason,
        "ledger_index": hole.index,
    }


def _id(device: Device) -> str:
    return device.device


def read_filter(query: Query) -> DeviceFilter:
    """Which boxes the URL asks for; search text is a box id, or a store."""
    text, dealer, device = query.one("q"), query.one("dealer"), None
    if text is not None:
        stores = [] if text.startswith("dev_") else stores_named(text)
        dealer = stores[0].code if stores else dealer
        device = None if stores else text.lower()
    return DeviceFilter(dealer=dealer, trouble=query.one("trouble"), device=device)


def _facets(query: Query, counts: Mapping[str, Count]) -> list[Facet]:
    return [
        query.toggle("trouble", trouble, say(label), counts.get(trouble, Count(n=0)))
        for trouble, label in TROUBLES.items()
    ]


@every_form("/devices")
def devices(form: Form) -> Response:
    """Every box, by store."""
    query = Query(NAMES)
    chosen = read_filter(query)
    reads = portal().devices
    page = page_of(read_slice(form, str), lambda part: reads.devices(chosen, part, g.now_ms), _id)
    if form == "json":
        return as_json(page, device_row)
    if form == "csv":
        return as_csv(page, csv_row, COLUMNS)
    counts = reads.device_counts(DeviceFilter(dealer=chosen.dealer, device=chosen.device), g.now_ms)
    everything = reads.device_counts(DeviceFilter(), g.now_ms)["all"]
    html = render_template(
        "portals/devices.html",
        query=query,
        page=page,
        any_rows=everything.n > 0,
        facets=_facets(query, counts),
        total=counts.get(chosen.trouble or "all"),
        stores=store_menu(query),
        keep=query.kept("q"),
        subtitle=say_many("%(n)s box", "%(n)s boxes", everything.n, n=number(everything.n)),
        **WORDS,
    )
    return make_response(html)


@every_form("/devices/<device>", "html", "json")
def device(device: str, form: Form) -> Response:
    """One box: how it is, what it still holds, what it lost."""
    found = portal().devices.device(device, g.now_ms)
    if found is None:
        abort(404)
    holes = portal().devices.holes(device, HOLES_MAX)
    if form == "json":
        body = {**device_row(found), "holes": [hole_row(hole) for hole in holes]}
        return Response(orjson.dumps(body), content_type="application/json")
    latest = portal().ledger.entries(EntryFilter(device=device), Slice(limit=LATEST))
    html = render_template("portals/device.html", device=found, holes=holes, latest=latest, **WORDS)
    return make_response(html)


WORDS: Final = {
    "backlog_of": backlog_of,
    "clock_of": clock_of,
    "device_mark": device_mark,
    "device_state": device_state,
    "lane_name": lane_name,
    "loss_reason": loss_reason,
    "source_state": source_state,
}
