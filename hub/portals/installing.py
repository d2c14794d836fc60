"""Puts the pages into a Flask app."""

from typing import cast

from flask import Flask, Response, abort, current_app, redirect, request

from hub.portals import (
    alert_pages,
    dealer_pages,
    device_pages,
    lead_actions,
    lead_entry,
    lead_pages,
    ledger_pages,
    mail_pages,
    people_pages,
    sale_pages,
    unit_pages,
)
from hub.portals.answers import install_answers
from hub.portals.assets import assets
from hub.portals.languages import install_languages
from hub.portals.login import DEALER_HOME as LEADS_HOME
from hub.portals.login import HOME, csrf, gate, meet, own
from hub.portals.numbers import install_numbers
from hub.portals.pages import everyones, pages
from hub.portals.services import EXTENSION, Portal, install_templates

FORM_BYTES_MAX = 64 * 1024
SECTIONS = (
    ledger_pages,
    unit_pages,
    sale_pages,
    lead_pages,
    lead_entry,
    lead_actions,
    alert_pages,
    device_pages,
    dealer_pages,
    people_pages,
    mail_pages,
)
"""Importing a section registers its addresses with the blueprint."""
BOXES_SECTIONS = (ledger_pages, unit_pages, sale_pages, device_pages)
"""What `serve --only leads` leaves to the other processes of the hub."""


def install(app: Flask, services: Portal) -> None:
    """Serve the pages from `app`. Requests of boxes and vendors pass untouched.

    The tables must exist: the key of the forms is read, or made, here.
    """
    app.extensions[EXTENSION] = services
    app.secret_key = services.accounts.portal_key()
    prefix = "__Host-" if services.secure else ""
    app.config.update(
        SESSION_COOKIE_NAME=f"{prefix}kickstand-form",
        SESSION_COOKIE_SECURE=services.secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        # Checked by `meet`, for people only; no Referer is sent, Sec-Fetch-Site is looked at.
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_SSL_STRICT=False,
        WTF_CSRF_TIME_LIMIT=None,
        MAX_FORM_MEMORY_SIZE=FORM_BYTES_MAX,
    )
    install_numbers(app)
    install_answers(app, secure=services.secure)
    install_languages(app)
    install_templates(app)
    csrf.init_app(app)
    if services.only_leads:
        app.before_request(_leave_to_others)
    app.before_request(meet)
    for blueprint in (assets, gate, own, pages, everyones):
        app.register_blueprint(blueprint)


def _leave_to_others() -> Response | None:
    """Of a hub that serves leads alone the pages of boxes and sales are not here."""
    if request.path in {"/", HOME}:
        return cast("Response", redirect(LEADS_HOME, 302))
    view = current_app.view_functions.get(request.endpoint or "")
    others = {section.__name__ for section in BOXES_SECTIONS}
    if view is not None and view.__module__ in others:
        abort(404)
    return None
