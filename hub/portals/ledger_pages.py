"""The ledger as a list, one entry, and how to check it."""

from dataclasses import replace
from typing import Final

import orjson
from flask import Response, abort, g, make_response, render_template, request

from hub.errors import LedgerCorrupt
from hub.portals.answers import ParameterRefused
from hub.portals.choices import store_menu, time_menu, zone_of_choice
from hub.portals.facts import facts_of
from hub.portals.formats import NOTHING, counted, day_start_ms, duration, iso, number
from hub.portals.languages import say, say_many
from hub.portals.lead_facts import dealer_in
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
from hub.portals.numbers import whole_number
from hub.portals.pages import every_form, pages
from hub.portals.read_models import Count, Entry, EntryFilter, Slice
from hub.portals.searching import Meaning, as_serial, meaning_of
from hub.portals.sentences import KINDS, kind_of
from hub.portals.services import ledger_state, portal, store_text, zone_for
from hub.portals.steps import steps_of
from shared.wire.events import Activated, Fault, Return, Sale, Void

NAMES: Final = (
    "q",
    "type",
    "dealer",
    "device",
    "serial",
    "time",
    "since",
    "until",
    "quarantined",
    "order",
)
COLUMNS: Final = (
    "index",
    "type",
    "dealer",
    "device",
    "serials",
    "at",
    "received_at",
    "batch_id",
    "quarantined",
    "event",
)
FRESH_MAX = 100
RELATED_MAX = 12
RAW_SHOWN_BYTES_MAX = 33_000


def read_filter(query: Query) -> tuple[EntryFilter, Meaning | None]:
    """Which entries the URL asks for, and what its search text was taken for."""
    since_ms, until_ms = time_range(query, g.now_ms, zone_of_choice(query))
    serial = query.one("serial")
    chosen = EntryFilter(
        types=query.many("type"),
        dealer=query.one("dealer"),
        device=query.one("device"),
        serial=None if serial is None else as_serial(serial) or serial,
        quarantined=query.one("quarantined") is not None,
        since_ms=since_ms,
        until_ms=until_ms,
    )
    text = query.one("q")
    if text is None:
        return chosen, None
    meant = meaning_of(text, size=ledger_state().size)
    chosen = replace(
        chosen,
        dealer=meant.dealer or chosen.dealer,
        device=meant.device or chosen.device,
        serial=meant.serial or chosen.serial,
        indexes=meant.indexes,
    )
    return chosen, meant


def entry_row(entry: Entry) -> JsonRow:
    """One ledger row as the contract has it."""
    event: object = None
    if entry.event is not None or entry.quarantined is not None:
        try:
            event = orjson.loads(entry.raw)
        except orjson.JSONDecodeError:
            event = None
    return {
        "index": entry.index,
        "type": entry.type,
        "dealer": entry.dealer,
        "device": entry.device,
        "serials": list(entry.serials),
        "at": iso(entry.at_ms),
        "received_at": iso(entry.received_ms),
        "batch_id": entry.batch_id,
        "quarantined": entry.quarantined,
        "event": event,
    }


def csv_row(entry: Entry) -> JsonRow:
    """The same row with the event as its original text."""
    text = entry.raw.decode("utf-8", "replace")
    return {**entry_row(entry), "event": text}


def _index(row: Entry) -> int:
    return row.index


def _facets(query: Query, chosen: EntryFilter, counts: dict[str, Count]) -> list[Facet]:
    facets = [_today(query, chosen)]
    known = [kind for kind in KINDS if kind in counts or kind in chosen.types]
    unknown = sorted(kind for kind in counts if kind not in KINDS)
    for kind in (*known, *unknown):
        count = counts.get(kind, Count(n=0))
        if count.n or kind in chosen.types:
            facets.append(query.toggle("type", kind, say(kind_of(kind).many), count))
    if chosen.quarantined:
        facets.append(query.toggle("quarantined", "1", say("Unreadable")))
    for name in ("device", "serial"):
        value = query.one(name)
        if value is not None:
            facets.append(query.chip(name, value[:20], mono=True))
    return facets


def _today(query: Query, chosen: EntryFilter) -> Facet:
    """Today, as a counter and a filter."""
    on = query.one("time") == "today"
    changes: dict[str, object] = {"time": None if on else "today", "since": None, "until": None}
    since_ms = day_start_ms(g.now_ms, zone_of_choice(query))
    count = portal().ledger.count(replace(chosen, since_ms=since_ms, until_ms=None))
    return Facet(label=say("Today"), url=query.url(**changes), on=on, count=count)


def _subtitle(size: int) -> str:
    state = ledger_state()
    entries = say_many("%(n)s entry", "%(n)s entries", size, n=number(size))
    if not state.witnesses or not state.witnesses_possible:
        return entries
    vouched = say(
        "vouched for by %(n)s of %(all)s stores",
        n=number(state.witnesses),
        all=number(state.witnesses_possible),
    )
    return f"{entries} · {vouched}"


def delay(entry: Entry) -> object:
    """How long the entry was on its way, if its box knew the time."""
    event = entry.event
    if event is None or event.occurred.wall_ms is None:
        return NOTHING
    late_ms = entry.received_ms - event.occurred.wall_ms
    return duration(late_ms) if late_ms >= 0 else NOTHING


def error_of(entry: Entry) -> int | None:
    """The uncertainty of an entry's time in ms."""
    return None if entry.event is None else entry.event.occurred.err_ms


@every_form("/ledger")
def ledger(form: Form) -> Response:
    """The ledger, newest entry first."""
    query = Query(NAMES)
    chosen, meant = read_filter(query)
    reads = portal().ledger
    asked = read_slice(form, whole_number)
    page = page_of(asked, lambda part: reads.entries(chosen, part), _index)
    if form == "json":
        return as_json(page, entry_row)
    if form == "csv":
        return as_csv(page, csv_row, COLUMNS)
    counts = dict(reads.counts_by_type(replace(chosen, types=())))
    state = ledger_state()
    first = asked.after is None and asked.before is None and asked.order == "newest"
    html = render_template(
        "portals/ledger.html",
        query=query,
        page=page,
        state=state,
        total=_total(chosen, counts),
        facets=_facets(query, chosen, counts),
        stores=store_menu(query),
        times=time_menu(query),
        meaning=None if meant is None else meant.note,
        subtitle=_subtitle(state.size),
        live=_live(query, page) if first else None,
        keep=query.kept("q"),
        delay=delay,
        error_of=error_of,
    )
    return make_response(html)


def _total(chosen: EntryFilter, counts: dict[str, Count]) -> Count:
    if chosen.quarantined or chosen.indexes is not None:
        return portal().ledger.count(chosen)
    kept = [count for kind, count in counts.items() if not chosen.types or kind in chosen.types]
    return Count(n=sum(c.n for c in kept), capped=any(c.capped for c in kept))


def _live(query: Query, page: Page[Entry]) -> str | None:
    if not page.rows:
        return None
    url = query.url("/fresh")
    return f"{url}{'&' if '?' in url else '?'}before={page.rows[0].index}"


@pages.get("/ledger/fresh")
def fresh() -> Response:
    """How many entries came since the list was drawn: a line above it, or nothing."""
    query = Query(NAMES)
    query.path = "/ledger"
    chosen, _ = read_filter(query)
    try:
        shown = whole_number(request.args.get("before", ""))
    except ValueError:
        raise ParameterRefused("before") from None
    newer = portal().ledger.entries(chosen, Slice(before=shown, limit=FRESH_MAX))
    if not newer:
        return make_response("")
    n = counted(Count(n=len(newer), capped=len(newer) == FRESH_MAX))
    text = say_many("%(n)s new entry", "%(n)s new entries", len(newer), n=n)
    return make_response(render_template("portals/fresh.html", url=query.url(), text=text))


def _found(index: int) -> Entry:
    entry = portal().ledger.entry(index)
    if entry is None:
        abort(404)
    return entry


def _same_receipt(entry: Entry) -> list[Entry]:
    """Sale, voids and returns of the receipt; a void of a whole receipt names no serial."""
    data = None if entry.event is None else entry.event.data
    if not isinstance(data, Sale | Void | Return):
        return []
    places = portal().sales.receipts(data.receipt, RELATED_MAX)
    others = [portal().ledger.entry(index) for index in places]
    return [
        other
        for other in others
        if other is not None
        and other.dealer == entry.dealer
        and other.event is not None
        and isinstance(other.event.data, Sale | Void | Return)
        and other.event.data.till == data.till
    ]


def related_to(entry: Entry) -> list[Entry]:
    """Other entries about the same receipt or activation, oldest first; few by nature."""
    if entry.event is None or not isinstance(
        entry.event.data, Sale | Void | Return | Activated | Fault
    ):
        return []
    reads = portal().ledger
    found: dict[int, Entry] = {}
    kinds = ("pos.sale", "pos.void", "pos.return", "scooter.activated")
    for serial in entry.serials[:RELATED_MAX]:
        chosen = EntryFilter(serial=serial, types=kinds)
        for other in reads.entries(chosen, Slice(limit=RELATED_MAX)):
            found[other.index] = other
    for other in _same_receipt(entry):
        found[other.index] = other
    found.pop(entry.index, None)
    return [found[index] for index in sorted(found)][:RELATED_MAX]


@every_form("/ledger/entry/<int:index>", "html", "json")
def entry_page(index: int, form: Form) -> Response:
    """One entry: its facts, its way here, its bytes, its proof, its neighbours."""
    entry = _found(index)
    if form == "json":
        body = {**entry_row(entry), "raw": entry.raw.decode("utf-8", "replace")}
        return Response(orjson.dumps(body), content_type="application/json")
    dealer = entry.dealer or dealer_in(None if entry.event is None else entry.event.data)
    zone = zone_for(dealer)
    related = related_to(entry)
    proof, provable = None, True
    try:
        proof = portal().ledger.proof(index)
    except LedgerCorrupt:
        provable = False
    html = render_template(
        "portals/entry.html",
        entry=entry,
        facts=facts_of(entry, None if dealer is None else store_text(dealer), zone),
        proof=proof,
        provable=provable,
        raw=entry.raw[:RAW_SHOWN_BYTES_MAX].decode("utf-8", "replace"),
        related=related,
        size=ledger_state().size,
        steps=steps_of(entry, proof, related),
    )
    return make_response(html)


@pages.get("/ledger/entry/<int:index>.tlog-proof")
def proof_file(index: int) -> Response:
    """The entry's proof as a C2SP tlog-proof file."""
    try:
        proof = portal().ledger.proof(index)
    except LedgerCorrupt:
        abort(503)
    if proof is None:
        abort(404)
    answer = Response(proof.text, content_type="text/plain; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{index}.tlog-proof"'
    return answer


@pages.get("/ledger/verify")
def verify() -> Response:
    """How anybody can check the ledger without trusting this hub."""
    html = render_template("portals/verify.html", state=ledger_state(), vkey=portal().vkey)
    return make_response(html)


@pages.get("/ledger/kickstand_verify.py")
def verifier() -> Response:
    """The single-file verifier, as this hub ships it."""
    answer = Response(portal().verifier(), content_type="text/x-python; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="kickstand_verify.py"'
    return answer
