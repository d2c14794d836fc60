"""Alerts: what is wrong, what follows from it, what to do, and the buttons that say it is done."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, cast

import orjson
from flask import Response, abort, g, make_response, redirect, render_template, request

from hub.alerts.deeds import MINUTE_MS, SNOOZE_MINUTES_MAX, Done
from hub.alerts.service import Alerts
from hub.portals.answers import fault_page, problem, wants_data
from hub.portals.formats import duration, number
from hub.portals.languages import later, say, say_many
from hub.portals.lead_desk import viewer_of
from hub.portals.lead_words import person_name
from hub.portals.lists import Form, JsonRow, Page, Query, as_csv, as_json, page_of, read_slice
from hub.portals.numbers import whole_number
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
DEEDS: Final = {
    "ack": later("Somebody is at it"),
    "snooze": later("Put off for"),
    "resolve": later("Closed"),
    "feedback": later("Judged"),
}
REASONS: Final = {
    "solved": later("solved"),
    "false_alarm": later("a false alarm"),
    "not_needed": later("not needed any more"),
}
OPINIONS: Final = {"useful": later("worth it"), "useless": later("not worth it")}
SNOOZES: Final = (60, 4 * 60, 24 * 60)
"""Minutes."""
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


def _reach() -> tuple[Collection[str] | None, Collection[str]]:
    """Dealers and regions whose alerts they may see; None: everybody's."""
    who = viewer_of(g.account)
    return (None if who.everything else who.dealers), who.regions


def _is_theirs(alert: JsonRow) -> bool:
    dealers, regions = _reach()
    return dealers is None or alert["dealer"] in dealers or alert["region"] in regions


def _moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@every_form("/alerts", on=everyones)
def alerts(form: Form) -> Response:
    """Alerts, the first tier first and the longest open first in each; closed ones on demand."""
    query, reads = Query(NAMES), _alerts()
    dealers, regions = _reach()
    closed = query.one("closed") is not None

    def read(part: Slice) -> list[JsonRow]:
        found = reads.page(
            cast("str | None", part.after),
            part.limit,
            only_open=not closed,
            worst_first=True,
            dealers=dealers,
            regions=regions,
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


@every_form("/alerts/<alert>", "html", "json", on=everyones)
def alert(alert: str, form: Form) -> Response:
    """One alert: what is wrong, what follows, what to do, and what was done about it.

    As JSON with ``?part=occurrences`` every time it was found, as any list.
    """
    found = _found(alert)
    if form == "json" and request.args.get("part") == "occurrences":
        part = read_slice(form, whole_number)
        shown = _alerts().occurrences(alert, cast("int", part.after or 0), part.limit)
        return Response(orjson.dumps(shown), content_type="application/json")
    if form == "json":
        return Response(orjson.dumps(found), content_type="application/json")
    html = render_template(
        "portals/alert.html",
        alert=found,
        history=_alerts().deeds.history(alert),
        may_act=_may_act(found),
        marks=TIERS,
        states=STATES,
        deeds=DEEDS,
        reasons=REASONS,
        opinions=OPINIONS,
        snoozes=SNOOZES,
        moment=_moment,
        person_name=person_name,
        value_text=_value_text,
    )
    return make_response(html)


@everyones.post("/alerts/<alert>/<any(ack,snooze,resolve,feedback):deed>")
def act(alert: str, deed: str) -> Response:
    """What somebody does about it. 409: it is closed. As JSON it answers with the alert."""
    if not _may_act(_found(alert)):
        abort(403)
    deeds, by = _alerts().deeds, viewer_of(g.account).id
    if deed == "ack":
        done = deeds.ack(alert, by=by)
    elif deed == "snooze":
        done = deeds.snooze(alert, by=by, minutes=_minutes())
    elif deed == "resolve":
        done = deeds.resolve(alert, by=by, reason=_chosen("reason", REASONS))
    else:
        done = deeds.feedback(alert, by=by, opinion=_chosen("opinion", OPINIONS))
    if not done:
        return _closed()
    if wants_data():
        return Response(orjson.dumps(_alerts().show(alert)), content_type="application/json")
    return cast("Response", redirect(f"/alerts/{alert}", 303))


def _closed() -> Response:
    text = say("The alert is closed. Nothing was done.")
    if wants_data():
        return problem(409, "closed", text)
    return fault_page(409, title=say("It is not so any more"), text=text)


def _found(alert: str) -> JsonRow:
    found = _alerts().show(alert)
    if found is None or not _is_theirs(found):
        abort(404)
    return found


def _may_act(alert: JsonRow) -> bool:
    """Whoever may decide about leads may about alerts: of their region, or of their dealers."""
    who = viewer_of(g.account)
    return who.acts and (
        who.everything or alert["region"] in who.regions or alert["dealer"] in who.dealers
    )


def _field(name: str) -> str:
    body = request.get_json(silent=True) if request.is_json else request.form
    return str(body.get(name, "")) if isinstance(body, Mapping) else ""


def _chosen(name: str, known: Mapping[str, str]) -> str:
    value = _field(name) or next(iter(known))
    if value not in known:
        abort(422)
    return value


def _minutes() -> int:
    text = _field("minutes") or str(SNOOZES[0])
    try:
        minutes = whole_number(text)
    except ValueError:
        abort(422)
    if not 0 < minutes <= SNOOZE_MINUTES_MAX:
        abort(422)
    return minutes


def _value_text(deed: Done) -> str:
    if deed.deed == "snooze":
        return duration(int(deed.value or 0) * MINUTE_MS)
    known = {**REASONS, **OPINIONS}
    return say(known[deed.value]) if deed.value in known else ""
