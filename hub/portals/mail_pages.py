"""What came in and what went out, for admins: why a delivery was kept, why a message did not go."""

from collections.abc import Mapping
from typing import Final, cast

import orjson
from flask import Response, abort, g, make_response, redirect, render_template

from hub.errors import Refused
from hub.inbox.reads import COUNT_MAX, STATES, Kept
from hub.outbox import reads as outbox_reads
from hub.outbox.service import delivery as message_object
from hub.outbox.store import OutboxRow
from hub.portals.answers import fault_page
from hub.portals.choices import Menu
from hub.portals.languages import later, say
from hub.portals.lead_desk import viewer_of
from hub.portals.lead_words import (
    MESSAGE_MARKS,
    message_kind,
    message_state,
    person_name,
)
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
from hub.portals.mail_desk import Content, MailDesk
from hub.portals.pages import every_form, pages
from hub.portals.read_models import Count
from hub.portals.services import portal
from shared.instants import rfc3339

INBOX_NAMES: Final = ("state", "source", "order")
INBOX_COLUMNS: Final = ("id", "source", "received_at", "state", "reason")
OUTBOX_NAMES: Final = ("state", "order")
OUTBOX_COLUMNS: Final = ("id", "to", "channel", "kind", "state", "reason", "at")
BODY_CHARS_MAX: Final = 200_000
INBOX_STATES: Final = {
    "new": later("Waiting"),
    "kept": later("Kept, with a reason"),
    "done": later("Done"),
}
INBOX_MARKS: Final = {"new": "beat", "kept": "odd", "done": "alive"}
SOURCES: Final = {
    "whatsapp": "WhatsApp (Meta)",
    "qontak": "Qontak",
    "page": later("Our own pages"),
}


def _desk() -> MailDesk:
    """The mail of this hub, for admins alone: it may hold anybody's name and number."""
    found = portal().mail
    if found is None:
        abort(404)
    if g.account.role != "admin":
        abort(403)
    return found


def source_name(source: str) -> str:
    """Who delivered it."""
    return say(SOURCES[source]) if source in SOURCES else source


def _count(counts: Mapping[str, int], name: str) -> Count | None:
    n = counts.get(name)
    return None if n is None else Count(n=n, capped=n >= COUNT_MAX)


def _facets(query: Query, names: Mapping[str, str], counts: Mapping[str, int]) -> list[Facet]:
    chosen = query.one("state")
    return [
        Facet(
            label=say(label),
            url=query.url(state=None if chosen == name else name),
            on=chosen == name,
            count=_count(counts, name),
        )
        for name, label in names.items()
    ]


@every_form("/inbox")
def inbox(form: Form) -> Response:
    """Deliveries, the newest first."""
    query, desk = Query(INBOX_NAMES), _desk()
    state, source = query.one("state"), query.one("source")
    if state is not None and state not in STATES:
        abort(400)
    page = page_of(
        read_slice(form, str),
        lambda part: desk.deliveries(state, source, part),
        lambda row: row.id,
    )
    if form == "json":
        return as_json(page, _inbox_object)
    if form == "csv":
        return as_csv(page, _inbox_object, INBOX_COLUMNS)
    counts, sources, any_rows = desk.delivery_counts()
    html = render_template(
        "portals/inbox.html",
        query=query,
        page=page,
        any_rows=any_rows,
        facets=_facets(query, INBOX_STATES, counts),
        sources=_source_menu(query, sources),
        states=INBOX_STATES,
        marks=INBOX_MARKS,
        source_name=source_name,
    )
    return make_response(html)


def _source_menu(query: Query, sources: object) -> Menu:
    chosen = query.one("source")
    entries = [Facet(label=say("Any source"), url=query.url(source=None), on=chosen is None)]
    entries += [
        Facet(label=source_name(name), url=query.url(source=name), on=chosen == name)
        for name in cast("list[str]", sources)
    ]
    label = say("Any source") if chosen is None else source_name(chosen)
    return Menu(
        label=label, entries=entries, on=chosen is not None, path=query.path, keep=query.kept()
    )


def _inbox_object(row: Kept) -> JsonRow:
    return {
        "id": row.id,
        "source": row.source,
        "received_at": rfc3339(row.received_ms),
        "state": row.state,
        "reason": row.reason,
    }


@every_form("/inbox/<delivery>", "html", "json")
def delivery(delivery: str, form: Form) -> Response:
    """One delivery: when, from where, what became of it and why."""
    if form == "html":
        return _delivery_page(delivery)
    found = _desk().delivery(delivery)
    if found is None:
        abort(404)
    return Response(orjson.dumps(_inbox_object(found.row)), content_type="application/json")


def _delivery_page(delivery: str, content: Content | None = None) -> Response:
    desk = _desk()
    found = desk.delivery(delivery)
    if found is None:
        abort(404)
    html = render_template(
        "portals/delivery.html",
        found=found,
        row=found.row,
        days=desk.days,
        body=None if content is None else _readable(content.body),
        headers={} if content is None else content.headers,
        states=INBOX_STATES,
        marks=INBOX_MARKS,
        source_name=source_name,
        person_name=person_name,
    )
    return make_response(html)


def _readable(body: bytes) -> str:
    try:
        text = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except ValueError:
        text = body.decode(errors="replace")
    return text[:BODY_CHARS_MAX]


@pages.post("/inbox/<delivery>/body")
def body(delivery: str) -> Response:
    """What it holds: shown on this answer alone, and logged before it."""
    content = _desk().content(delivery, by=viewer_of(g.account).id)
    if content is None:
        abort(404)
    return _delivery_page(delivery, content)


@pages.post("/inbox/<delivery>/replay")
def replay(delivery: str) -> Response:
    """Let it be acted on once more, for as long as its body is kept."""
    try:
        _desk().replay(delivery, by=viewer_of(g.account).id)
    except Refused as refused:
        if refused.problem.status == 404:
            abort(404)
        text = say("What it held is no longer kept, so it cannot be acted on again.")
        return fault_page(refused.problem.status, title=say("Too late"), text=text)
    return cast("Response", redirect(f"/inbox/{delivery}", 303))


@every_form("/outbox")
def outbox(form: Form) -> Response:
    """Messages of ours, the newest first, and why one did not go."""
    query, desk = Query(OUTBOX_NAMES), _desk()
    state = query.one("state")
    if state is not None and state not in outbox_reads.STATES:
        abort(400)
    page = page_of(
        read_slice(form, str), lambda part: desk.messages(state, part), lambda row: row.id
    )
    if form == "json":
        return as_json(page, message_object)
    if form == "csv":
        return as_csv(page, message_object, OUTBOX_COLUMNS)
    counts, any_rows = desk.message_counts()
    html = render_template(
        "portals/outbox.html",
        query=query,
        page=page,
        any_rows=any_rows,
        facets=_outbox_facets(query, counts),
        message_kind=message_kind,
        message_state=message_state,
        mark=_mark,
        person_name=person_name,
    )
    return make_response(html)


def _outbox_facets(query: Query, counts: Mapping[str, int]) -> list[Facet]:
    chosen = query.one("state")
    return [
        Facet(
            label=message_state(name).capitalize(),
            url=query.url(state=None if chosen == name else name),
            on=chosen == name,
            count=_count(counts, name),
        )
        for name in outbox_reads.STATES
    ]


def _mark(row: OutboxRow) -> str:
    return MESSAGE_MARKS.get(row.state, "")
