"""The read-only API for programs: leads, alerts, inbox and outbox, by bearer token.

Promises: what a token's scopes do not name is refused, a token of one dealer sees that dealer's
alone, and who a customer is stands in an answer only with `customers:read`, each reading logged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson
from flask import Blueprint, Response, request

from hub.accounts.tokens import Token, Tokens
from hub.alerts.service import Alerts
from hub.errors import Refused
from hub.inbox.service import Inbox
from hub.leads.board import Board
from hub.leads.reads import Chosen, Part, Viewer
from hub.outbox.service import Outbox
from shared.wire.problems import Problem

USUAL_LIMIT: Final = 100
LIMIT_MAX: Final = 1000
READING: Final = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the API reads from."""

    tokens: Tokens
    leads: Board
    alerts: Alerts
    inbox: Inbox
    outbox: Outbox


def api_blueprint(sources: Sources) -> Blueprint:
    """`GET /api/v1/leads[/ID]`, `/alerts`, `/inbox` and `/outbox`."""
    api = Blueprint("api", __name__, url_prefix="/api/v1")
    door = _Door(sources)
    for path, scope, view in (
        ("/leads", "leads:read", door.leads),
        ("/leads/<lead>", "leads:read", door.lead),
        ("/alerts", "alerts:read", door.alerts),
        ("/inbox", "inbox:read", door.inbox),
        ("/outbox", "inbox:read", door.outbox),
    ):
        api.add_url_rule(path, view.__name__, door.behind(scope, view), methods=["GET"])
    return api


class _Door:
    """Who may read what, and the answers."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def behind(self, scope: str, view: Callable[..., object]) -> Callable[..., Response]:
        """The view, for who brings a token with this scope."""

        def guarded(**values: str) -> Response:
            try:
                found = view(self._token(scope), **values)
            except Refused as refused:
                return _refusal(refused.problem)
            return _answer(200, orjson.dumps(found), "application/json")

        return guarded

    def _token(self, scope: str) -> Token:
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        token = None
        if kind.lower() == "bearer" and secret:
            token = self._sources.tokens.of_secret(secret.strip())
        if token is None:
            raise Refused(401, "token-needed", "send a live token: Authorization: Bearer …")
        if scope not in token.scopes:
            raise Refused(403, "scope-needed", f"this token has no {scope}")
        return token

    def leads(self, token: Token) -> object:
        """Leads, the oldest first."""
        after, limit = _page()
        part = Part(after=after, limit=limit, order="oldest")
        why = _why(token)
        return self._sources.leads.listed(viewer_of(token), Chosen(tests=True), part, why=why)

    def lead(self, token: Token, lead: str) -> object:
        """One lead."""
        found = self._sources.leads.one(viewer_of(token), lead, why=_why(token))
        if found is None:
            raise Refused(404, "unknown", f"there is no lead {lead[:40]!r}")
        return found

    def alerts(self, token: Token) -> object:
        """Alerts, the oldest first."""
        dealers = None if token.dealer is None else [token.dealer]
        return self._sources.alerts.page(*_page(), dealers=dealers)

    def inbox(self, _token: Token) -> object:
        """What came in, the oldest first; never its bodies."""
        return self._sources.inbox.page(*_page())

    def outbox(self, _token: Token) -> object:
        """What went out, the oldest first; never its words."""
        return self._sources.outbox.page(*_page())


def viewer_of(token: Token) -> Viewer:
    """A token as somebody who looks at leads."""
    return Viewer(
        id=token.id,
        everything=token.dealer is None,
        dealers=frozenset() if token.dealer is None else frozenset({token.dealer}),
        reveals="customers:read" in token.scopes,
    )


def _why(token: Token) -> str | None:
    return READING if "customers:read" in token.scopes else None


def _page() -> tuple[str | None, int]:
    try:
        limit = int(request.args.get("limit", USUAL_LIMIT))
    except ValueError:
        limit = 0
    if limit < 1:
        raise Refused(400, "malformed-limit", f"limit is a whole number from 1 to {LIMIT_MAX}")
    return request.args.get("after") or None, min(limit, LIMIT_MAX)


def _answer(status: int, body: bytes, content_type: str) -> Response:
    answer = Response(body, status, content_type=content_type)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _refusal(problem: Problem) -> Response:
    answer = _answer(problem.status, problem.encode(), "application/problem+json")
    if problem.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
