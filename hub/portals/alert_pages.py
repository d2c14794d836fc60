"""Alerts: what is wrong, what follows from it, and what to do."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, cast

import orjson
from flask import Response, abort, g, make_response, render_template

from hub.alerts.service import Alerts
from hub.portals.formats import number
from hub.portals.languages import later, say_many
from hub.portals.lead_desk import viewer_of
from hub.portals.lists import Form, JsonRow, Page, Query, as_csv, as_json, page_of, read_slice
from hub.portals.pages import every_form, everyones
from hub.portals.read_models import Slice
from hub.portals.services import portal

NAMES: Final = ("closed", "order")
COLUMNS: Final = (
    *("id", "tier", "rule", "key", "state", "region", "dealer", "serial", "what"),
    *("consequence", "action", "act_by", "owner", "count", "first_at", "last_at", "closed_at"),
    "close_reason",
)
TIERS: Final = {"P0": "bad", "P1": "odd", "P2": "beat"}
STATES: Final = {
    "open": later("open"),
    "acked": later("somebody is at it"),
    "snoozed": later("snoozed"),
    "closed": later("closed"),
}


def _alerts() -> Alerts:
    found = portal().alerts
    if found is None:
        abort(404)
    return found


def _dealers() -> Collection[str] | None:
    who = viewer_of(g.account)
    return None if who.everything or who.regions else who.dealers


def _moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@every_form("/alerts", on=everyones)
def alerts(form: Form) -> Response:
    """Alerts, the longest open first; closed ones on demand."""
    query, reads, dealers = Query(NAMES), _alerts(), _dealers()
    closed = query.one("closed") is not None

    def read(part: Slice) -> list[JsonRow]:
        found = reads.page(
            cast("str | None", part.after), part.limit, only_open=not closed, dealers=dealers
        )
        return cast("list[JsonRow]", found["items"])

    page: Page[JsonRow] = page_of(read_slice(form, str), read, lambda row: str(row["id"]))
    if form == "json":
        return as_json(page, dict)
    if form == "csv":
        return as_csv(page, dict, COLUMNS)
    shown = len(page.rows)
    html = render_template(
        "portals/alerts.html",
        query=query,
        page=page,
        closed=closed,
        marks=TIERS,
        states=STATES,
        moment=_moment,
        subtitle=say_many("%(n)s alert here", "%(n)s alerts here", shown, n=number(shown)),
    )
    return make_response(html)


@every_form("/alerts/<alert>", "json", on=everyones)
def alert(alert: str, form: Form) -> Response:
    """One alert as JSON."""
    del form
    found, dealers = _alerts().show(alert), _dealers()
    if found is None or (dealers is not None and found["dealer"] not in dealers):
        abort(404)
    return Response(orjson.dumps(found), content_type="application/json")
