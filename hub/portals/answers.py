"""What every answer of the pages carries: headers that keep a browser safe, an id, compression.

Promises: no inline script or style runs, no other site may frame or read a page, and an error
names the request so that its log line can be found. Every error that no door answers itself is
made here: a problem document for programs, a page for people. Answers to boxes are left alone.
"""

import gzip
import secrets
from collections.abc import Callable
from typing import Final

from flask import Flask, Response, abort, g, render_template, request
from werkzeug.exceptions import BadRequest, HTTPException

from hub.portals.languages import current_language, later, say
from shared.wire.problems import CONTENT_TYPE, Problem

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HSTS: Final = "max-age=31536000; includeSubDomains"
GZIP_BYTES_MIN = 600
GZIP_LEVEL = 5
SHOWN_CHARS = 40
DATA_TYPES: Final = ("application/json", "application/problem+json")
COMPRESSED_TYPES: Final = frozenset(
    {"text/html", "text/csv", "text/plain", "application/json", "application/problem+json"}
)
MACHINE_PATHS: Final = (
    "/v1/",
    "/api/",
    "/webhooks/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/ledger/checkpoint",
    "/ledger/key",
    "/ledger/generations",
    *(f"/ledger/{digit}" for digit in range(1, 10)),
    "/ledger/tile/",
    "/ledger/proof/",
)
"""Doors of machines: their answers are made, and signed, elsewhere."""
MACHINE_ROOTS: Final = frozenset({"/v1", "/api", "/api/v1", "/webhooks", "/ledger/tile"})

FAULTS: Final = {
    400: (later("That address is not quite right"), later("A part of it cannot be read.")),
    401: (later("Please sign in"), later("Your session has ended, or there was none.")),
    403: (later("Not allowed"), later("This form came from another site or is too old.")),
    404: (later("Nothing is here"), later("It may have been mistyped, or never existed.")),
    405: (later("Not that way"), later("This address answers to something else.")),
    413: (later("Too large"), later("What was sent is larger than this hub takes.")),
    429: (later("Too many tries"), later("Wait a quarter of an hour, then try again.")),
    500: (later("Something broke"), later("It was noted, with the number below.")),
    503: (later("Not ready"), later("The hub cannot reach its database; try again in a moment.")),
}


class ParameterRefused(BadRequest):
    """A value of the query cannot be read: 400, with the name of its parameter."""

    def __init__(self, name: str) -> None:
        """Keep the name for the page."""
        value = request.args.get(name, "")[:SHOWN_CHARS]
        self.parameter: Final = name
        self.shown: Final = f"{name}={value}"
        super().__init__(f"{name}: {value!r} cannot be read")


def is_machine_path(path: str) -> bool:
    """Does this address belong to boxes, vendors or monitors rather than people?"""
    return path.startswith(MACHINE_PATHS) or path in MACHINE_ROOTS


def refuse_nul() -> None:
    """PostgreSQL keeps no NUL in a text: what holds one is asked of nobody, and is a 400."""
    if "\0" in request.path:
        abort(400)
    for name, value in request.args.items(multi=True):
        if "\0" in name + value:
            raise ParameterRefused(name)
    people = not is_machine_path(request.path)
    if people and any("\0" in value for value in request.form.values()):
        abort(400)


def wants_data() -> bool:
    """Did the request ask for JSON or CSV rather than a page?"""
    # Whoever takes anything gets a page; so do those who would rather have one.
    wanted = request.accept_mimetypes.best_match(("text/html", *DATA_TYPES))
    return request.path.endswith((".json", ".csv")) or wanted in DATA_TYPES


def problem(status: int, code: str, detail: str, **extra: object) -> Response:
    """An RFC 9457 problem document with the request's id; `extra` are members of its own."""
    told = Problem(
        status=status,
        code=code,
        detail=detail,
        extra={**extra, "request_id": g.get("request_id", "")},
    )
    # An error may be over with the next request; no cache may keep it.
    headers = {"Cache-Control": "no-store"}
    return Response(told.encode(), status, headers, content_type=CONTENT_TYPE)


def fault_page(status: int, *, title: str | None = None, text: str | None = None) -> Response:
    """An error as a page in the reader's language, with the request's id."""
    usual = FAULTS.get(status, FAULTS[500 if status >= 500 else 400])
    html = render_template(
        "portals/fault.html",
        status=status,
        title=title or say(usual[0]),
        text=text or say(usual[1]),
    )
    return Response(html, status, content_type="text/html; charset=utf-8")


def fault(error: HTTPException) -> Response | HTTPException:
    """Answer an HTTP error the way the request asked."""
    if error.code is None or error.response is not None:
        return error
    refused = error if isinstance(error, ParameterRefused) else None
    if is_machine_path(request.path) or wants_data():
        answer = _problem_of(error, error.code, refused)
    elif refused is not None:
        text = say("“%(part)s” in it cannot be read.", part=refused.shown)
        answer = fault_page(error.code, text=text)
    else:
        answer = fault_page(error.code)
    # What the status asks for besides, such as which methods are allowed.
    for name, value in error.get_headers():
        answer.headers.setdefault(name, value)
    return answer


def _problem_of(error: HTTPException, status: int, refused: ParameterRefused | None) -> Response:
    code = error.name.lower().replace(" ", "-")
    extra = {} if refused is None else {"parameter": refused.parameter}
    return problem(status, code, error.description or error.name, **extra)


def number_request() -> None:
    """Give the request an id for its log lines and error pages."""
    g.request_id = f"req_{secrets.token_hex(8)}"


def guard(*, secure: bool) -> Callable[[Response], Response]:
    """The after-request step that adds every header and compresses."""

    def step(answer: Response) -> Response:
        if is_machine_path(request.path):
            return answer
        headers = answer.headers
        headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        headers.setdefault("Cache-Control", "no-store")
        if secure:
            headers.setdefault("Strict-Transport-Security", HSTS)
        if "request_id" in g:
            headers["X-Request-Id"] = g.request_id
        if answer.mimetype == "text/html":
            headers["Content-Language"] = current_language()
        return _compressed(answer)

    return step


def _compressed(answer: Response) -> Response:
    if answer.mimetype not in COMPRESSED_TYPES or answer.is_streamed:
        return answer
    answer.headers.add("Vary", "Accept-Encoding, Cookie, Accept-Language")
    if "Content-Encoding" in answer.headers or request.accept_encodings.quality("gzip") <= 0:
        return answer
    body = answer.get_data()
    if len(body) >= GZIP_BYTES_MIN:
        answer.set_data(gzip.compress(body, GZIP_LEVEL, mtime=0))
        answer.headers["Content-Encoding"] = "gzip"
    return answer


def install_answers(app: Flask, *, secure: bool) -> None:
    """Number every request, guard every answer, show errors as pages."""
    app.before_request(number_request)
    app.before_request(refuse_nul)
    app.after_request(guard(secure=secure))
    app.register_error_handler(HTTPException, fault)
