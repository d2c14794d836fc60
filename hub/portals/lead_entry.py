"""A lead that somebody brings by hand: a customer who stands in the store, or calls it."""

import json
import re
import secrets
from collections.abc import Mapping
from typing import Final, cast

import orjson
from flask import Response, abort, g, make_response, redirect, render_template, request

from hub.errors import Refused
from hub.leads.intake import IntakeAnswer
from hub.leads.lead_rows import LeadRow, by_hand, read_row
from hub.leads.questions import CONSENT_TEXTS, COUNTER_CONSENT_VERSION
from hub.leads.reads import Viewer
from hub.portals.answers import problem, wants_data
from hub.portals.languages import current_language, later, say
from hub.portals.lead_pages import desk, may_bring, viewer
from hub.portals.lead_words import BUY_WHEN, SOURCES, WORDS
from hub.portals.network_words import network
from hub.portals.pages import everyones
from hub.portals.words import PAYMENTS
from hub.registry.people.rules import Person
from hub.registry.rules import Dealer
from shared.instants import rfc3339

KEY: Final = re.compile(r"[!-~]{1,100}", re.ASCII)
FAULTS: Final = {
    "missing": later("A mobile number or an e-mail address is needed."),
    "not_mobile": later("That is no mobile number, such as 0812 3456 7890."),
    "malformed": later("That cannot be read."),
    "unknown_word": later("Choose one of the list."),
    "outside_indonesia": later("That is not in Indonesia."),
    "not_yours": later("That person works at none of your stores."),
}
OUTCOMES: Final = {
    "known": later("This customer has a lead already: what is new was added to it."),
    "offered": later("It is written down and will be offered to reps near the customer."),
    "kept": later("It is written down. As the customer has not agreed, it is given to nobody."),
}


@everyones.get("/portal/leads")
def lead_entry() -> Response:
    """The form, and how the one before it ended."""
    _must_bring(viewer())
    return _entry_page({"rep": "", "source": "walk_in"}, {})


@everyones.post("/portal/leads")
def bring_lead() -> Response:
    """Take a lead in: 201 with it for programs, its page for people; 422 names every field."""
    who = viewer()
    _must_bring(who)
    values = _values()
    try:
        brought = _bring(who, values)
    except Refused as refused:
        return _refused(refused, values)
    if wants_data():
        stated = desk().board.brought(who, brought.lead)
        return Response(orjson.dumps(stated), 201, content_type="application/json")
    if desk().board.whole(who, brought.lead) is not None:
        return cast("Response", redirect(f"/leads/{brought.lead}", 303))
    said = "known" if brought.duplicate_of is not None else "kept"
    if said == "kept" and ("agreed" in values or "consent_version" in values):
        said = "offered"
    return cast("Response", redirect(f"/portal/leads?said={said}", 303))


def _must_bring(who: Viewer) -> None:
    if not may_bring(who):
        abort(403)


def _values() -> dict[str, object]:
    """The fields of the form or of the JSON object; those that are empty do not count."""
    if not request.is_json:
        return {name: value.strip() for name, value in request.form.items() if value.strip()}
    body = request.get_json(silent=True)
    if not isinstance(body, Mapping):
        abort(400)
    return {str(name): value for name, value in body.items() if value is not None and value != ""}


def _bring(who: Viewer, values: Mapping[str, object]) -> IntakeAnswer:
    """Raises Refused with a code for every field that is wrong."""
    rep = _owner(who, values)
    row = _row(values, _store_of(who, rep))
    key = request.headers.get("Idempotency-Key") or str(values.get("key", "")) or None
    if key is not None and KEY.fullmatch(key) is None:
        raise _wrong("key", "malformed")
    said = {name: value for name, value in values.items() if name not in {"csrf_token", "key"}}
    # JSON can hold what orjson does not write: half a character, a number without an end.
    raw = json.dumps(said, sort_keys=True).encode()
    owner = None if rep is None else rep.id
    return desk().bring(who, row, raw=raw, key=key, rep=owner)


def _wrong(field: str, code: str) -> Refused:
    return Refused(422, "malformed-lead", f"{field}: {code}", {"fields": {field: code}})


def _owner(who: Viewer, values: Mapping[str, object]) -> Person | None:
    """Whose it is at once: a rep's own; a manager may name one of their people."""
    wanted = who.only or values.get("rep")
    if wanted is None:
        return None
    for person in _people(who):
        if person.id == wanted:
            return person
    raise _wrong("rep", "not_yours")


def _people(who: Viewer) -> list[Person]:
    """Who may be given it here: people of the viewer's own stores."""
    return [
        person
        for person in network().people(who)
        if person.id == who.only or who.dealers.intersection(person.dealers)
    ]


def _store_of(who: Viewer, rep: Person | None) -> Dealer | None:
    """The store that the customer stands in, if it can be only one."""
    codes = who.dealers if rep is None else who.dealers.intersection(rep.dealers)
    if len(codes) != 1:
        return None
    store = network().store(who, next(iter(codes)), {})
    return None if store is None else store.dealer


def _row(values: Mapping[str, object], store: Dealer | None) -> LeadRow:
    """What was typed, as a row of the file `leads`."""
    said = by_hand(values, None if store is None else (store.lat, store.lon))
    if said.pop("agreed", None):
        said |= {"consent_version": COUNTER_CONSENT_VERSION, "consent_at": rfc3339(g.now_ms)}
    return read_row(said)


def _refused(refused: Refused, values: Mapping[str, object]) -> Response:
    told = refused.problem
    fields = cast("Mapping[str, str]", told.extra.get("fields", {}))
    if wants_data():
        return problem(told.status, told.code, told.detail, **told.extra)
    wrong = {name: say(FAULTS.get(code, FAULTS["malformed"])) for name, code in fields.items()}
    return _entry_page({name: str(value) for name, value in values.items()}, wrong, told.status)


def _entry_page(typed: Mapping[str, str], wrong: Mapping[str, str], status: int = 200) -> Response:
    who = viewer()
    said = OUTCOMES.get(request.args.get("said", ""))
    people = [] if who.only is not None else _people(who)
    html = render_template(
        "portals/lead_entry.html",
        typed=typed,
        wrong=wrong,
        said=None if said is None else say(said),
        key=("key" not in wrong and typed.get("key")) or secrets.token_urlsafe(16),
        people=people,
        store=_store_of(who, None),
        people_choices=[(person.id, person.name) for person in people],
        source_choices=_choices(SOURCES),
        payment_choices=_choices(PAYMENTS),
        buy_when_choices=_choices(BUY_WHEN),
        consent=CONSENT_TEXTS[COUNTER_CONSENT_VERSION][
            "en" if current_language() == "en" else "id"
        ],
        **WORDS,
    )
    return make_response(html, status)


def _choices(words: Mapping[str, str]) -> list[tuple[str, str]]:
    """The words of a list that say something, with their names."""
    return [(word, say(name)) for word, name in words.items() if word != "unknown"]
