"""Qontak's door: whoever knows the word at the end of its address is believed, nobody else.

Qontak signs nothing. Nothing is read here: a delivery is durable before it is answered.
"""

import hmac
from typing import Final

import structlog
from flask import Blueprint, Response
from flask import request as http
from sqlalchemy.exc import SQLAlchemyError

from hub.errors import HubError
from hub.integrations.whatsapp.routes import (
    BODY_BYTES_MAX,
    Keeper,
    Refusals,
    body_within_limit,
    problem,
)

KEPT_HEADERS: Final = ("Content-Type", "User-Agent")
log = structlog.get_logger()


def is_known(given: str, secret: str) -> bool:
    """Whether the word is ours. Constant time; without a secret nobody knows it."""
    known = hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
    return known and bool(secret)


def webhooks(
    inbox: Keeper, secret: str, refusals: Refusals, *, source: str = "qontak"
) -> Blueprint:
    """``POST /webhooks/<source>/<secret>``; `source` is also what the inbox calls it."""
    blueprint = Blueprint(f"webhooks-{source}", __name__, url_prefix=f"/webhooks/{source}")

    @blueprint.post("/<given>")
    def deliver(given: str) -> Response:
        """A delivery: durable before it is answered."""
        if not is_known(given, secret):
            refusals.count("secret")
            log.warning("webhook_refused", source=source, why="secret")
            return problem(404, "not-found", "there is nothing here")
        body = body_within_limit()
        if body is None:
            refusals.count("too-large")
            log.warning("webhook_refused", source=source, why="too-large")
            return problem(413, "too-large", f"at most {BODY_BYTES_MAX} bytes")
        headers = {name: http.headers[name] for name in KEPT_HEADERS if name in http.headers}
        try:
            inbox.keep(source, body, headers)
        except (SQLAlchemyError, HubError) as error:
            log.error("webhook_not_stored", source=source, error=type(error).__name__)  # noqa: TRY400 - a traceback would hold the body
            return problem(503, "not-stored", "come again")
        return Response(status=200, mimetype="text/plain")

    return blueprint
