"""People: who works where, who is on duty, and what is done for one of them."""

from collections import Counter
from datetime import datetime
from typing import Final

import orjson
import structlog
from flask import Response, abort, g, make_response, render_template, request

from hub.accounts.rules import LINK_LIFE_MS
from hub.accounts.service import NotOurs
from hub.leads.rules import masked
from hub.portals.answers import fault_page
from hub.portals.formats import number, zone_of
from hub.portals.languages import later, say, say_many
from hub.portals.lead_words import dealer_name
from hub.portals.lists import Form, JsonRow, Page, Query, as_csv, as_json, page_of, read_slice
from hub.portals.network_desk import Member
from hub.portals.network_words import ROLE_NAMES, WORDS, back_to, instant, network, part_of, viewer
from hub.portals.pages import every_form, everyones, pages
from hub.portals.read_models import Count
from hub.portals.services import portal
from hub.registry.people.rules import ROLES, Person

NAMES: Final = ("q", "role", "dealer", "order")
COLUMNS: Final = (
    *("id", "name", "role", "dealers", "regions", "phone", "language", "active_from"),
    *("active_until", "deputy", "wa_opt_in_at", "state"),
)
AWAY_FAULTS: Final = {
    "day": later("Both are days, such as 2026-11-22."),
    "order": later("It ends before it begins."),
    "deputy": later("Somebody else has to stand in."),
}
log = structlog.get_logger()


@every_form("/people", on=everyones)
def people(form: Form) -> Response:
    """Everybody the viewer may see, by name."""
    query, desk = Query(NAMES), network()
    everybody = desk.people(viewer())
    text, role, code = (query.one("q") or "").casefold(), query.one("role"), query.one("dealer")
    found = [
        person
        for person in everybody
        if (role is None or person.role == role)
        and (code is None or code in person.dealers)
        and (text in person.name.casefold() or text in person.id.casefold())
    ]
    page: Page[Person] = page_of(
        read_slice(form, str), lambda part: part_of(found, part, "id"), lambda person: person.id
    )
    states = desk.states(page.rows)
    if form == "json":
        return as_json(page, lambda person: person_object(person, states[person.id]))
    if form == "csv":
        return as_csv(page, lambda person: person_object(person, states[person.id]), COLUMNS)
    counts = Counter(person.role for person in everybody)
    facets = [
        query.toggle("role", name, say(ROLE_NAMES[name]), Count(n=counts[name]))
        for name in ROLES
        if counts[name]
    ]
    if code is not None:
        facets.append(query.chip("dealer", str(dealer_name(code))))
    html = render_template(
        "portals/people.html",
        query=query,
        page=page,
        any_rows=bool(everybody),
        facets=facets,
        keep=query.kept("q"),
        total=Count(n=len(found)),
        person_states=states,
        subtitle=say_many("%(n)s person", "%(n)s people", len(everybody), n=number(len(everybody))),
        **WORDS,
    )
    return make_response(html)


def person_object(person: Person, state: str) -> JsonRow:
    """Somebody as the people's file has them, their number masked, and how they stand now."""
    names = [name for name in COLUMNS if hasattr(person, name)]
    return {
        **{name: getattr(person, name) for name in names},
        "phone": masked(person.phone),
        "wa_opt_in_at": instant(person.wa_opt_in_ms),
        "state": state,
    }


@every_form("/people/<person>", "html", "json", on=everyones)
def person(person: str, form: Form) -> Response:
    """One of them: where, since when, when away, and what can be done."""
    if form == "html":
        return _person_page(_member(person))
    found = _member(person)
    body = person_object(found.person, found.state)
    return Response(orjson.dumps(body), content_type="application/json")


def _member(person: str) -> Member:
    found = network().member(viewer(), person)
    if found is None:
        abort(404)
    return found


def _person_page(
    member: Member, *, link: str | None = None, wrong: str | None = None, status: int = 200
) -> Response:
    who, person = viewer(), member.person
    colleagues = [
        other
        for other in network().people(who)
        if other.id != person.id and set(other.dealers).intersection(person.dealers)
    ]
    html = render_template(
        "portals/person.html",
        member=member,
        person=person,
        phone=masked(person.phone),
        colleagues=colleagues,
        acts=network().may_act_on(who, person),
        may_link=g.account.role == "admin",
        may_test=bool(person.dealers) and (who.acts or person.id == who.id),
        link=link,
        link_minutes=LINK_LIFE_MS // 60_000,
        wrong=wrong,
        today=_today(),
        **WORDS,
    )
    return make_response(html, status)


def _today() -> str:
    return datetime.fromtimestamp(g.now_ms // 1000, zone_of(None)).date().isoformat()


@everyones.post("/people/<person>/away")
def away(person: str) -> Response:
    """Away for some days, with somebody who stands in."""
    member = _acted_on(person)
    fault = network().away(
        viewer(),
        member.person,
        from_day=request.form.get("from", ""),
        until_day=request.form.get("until", ""),
        deputy=request.form.get("deputy") or None,
    )
    if fault is not None:
        return _person_page(member, wrong=say(AWAY_FAULTS[fault]), status=422)
    return back_to(f"/people/{person}")


@everyones.post("/people/<person>/off-today")
def off_today(person: str) -> Response:
    """Off for the rest of the day."""
    network().off_today(viewer(), _acted_on(person).person)
    return back_to(f"/people/{person}")


def _acted_on(person: str) -> Member:
    member = _member(person)
    if not network().may_act_on(viewer(), member.person):
        abort(403)
    return member


@everyones.post("/people/<person>/test-offer")
def test_offer(person: str) -> Response:
    """An offer marked as a test, to see that it arrives; its page shows what becomes of it."""
    _acted_on(person)
    leads = portal().leads
    lead = None if leads is None else leads.test_offer(viewer(), person)
    if lead is None:
        abort(404)
    return back_to(f"/leads/{lead}")


@pages.post("/people/<person>/login-link")
def login_link(person: str) -> Response:
    """A link that signs them in once: on this answer alone, for whoever hands it over."""
    if g.account.role != "admin":
        abort(403)
    member = _member(person)
    try:
        path = portal().accounts.person_link(person, now_ms=g.now_ms)
    except NotOurs:
        return fault_page(409, title=say("Not now"), text=say("They do not work here today."))
    log.info("login_link_made", person=person, by=viewer().id)
    return _person_page(member, link=portal().public_url + path)
