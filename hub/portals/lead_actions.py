"""What people do with a lead: claim it, say how it goes, and as managers hand over and close.

Each is a form with a token and works without a script.
"""

from typing import cast

from flask import Response, abort, redirect, request

from hub.portals.answers import fault_page
from hub.portals.languages import say
from hub.portals.lead_pages import accepts, desk, lead_page, viewer
from hub.portals.lead_words import CLOSE_REASONS
from hub.portals.pages import everyones

READING = "page"


@everyones.post("/leads/<lead>/identity")
def identity(lead: str) -> Response:
    """Who the customer is: shown on this answer alone, and logged before it."""
    found = desk().board.identity(viewer(), lead, why=READING)
    if found is None:
        abort(404)
    return lead_page(lead, found)


@everyones.post("/leads/<lead>/<any(claim,skip,contacted,demo,lost):button>")
def press(lead: str, button: str) -> Response:
    """A button that reps have in WhatsApp as well; its answer stands on the lead's page."""
    who = viewer()
    if desk().board.whole(who, lead) is None:
        abort(404)
    person = desk().press(who, lead, button, request.form.get("person"))
    if person is None:
        return _after(lead, done=False)
    back = f"/leads/{lead}?by={person}" if button == "claim" else f"/leads/{lead}"
    return cast("Response", redirect(back, 303))


@everyones.post("/leads/<lead>/release")
def release(lead: str) -> Response:
    """Back on the market, not to whoever had it."""
    return _after(lead, done=desk().release(viewer(), lead))


@everyones.post("/leads/<lead>/transfer")
def transfer(lead: str) -> Response:
    """To somebody else."""
    return _after(lead, done=desk().transfer(viewer(), lead, accepts("person")))


@everyones.post("/leads/<lead>/close")
def close(lead: str) -> Response:
    """Over, without a sale; the reason is one of a list, so that no name gets into it."""
    reason = accepts("reason")
    if reason not in CLOSE_REASONS:
        abort(400)
    return _after(lead, done=desk().close(viewer(), lead, reason))


def _after(lead: str, *, done: bool) -> Response:
    if done:
        return cast("Response", redirect(f"/leads/{lead}", 303))
    if desk().board.whole(viewer(), lead) is None:
        abort(404)
    return fault_page(
        409,
        title=say("It is not so any more"),
        text=say("The lead has changed meanwhile, or this is not yours to do. Nothing was done."),
    )
