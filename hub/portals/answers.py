"""What every answer of the pages carries: headers that keep a browser safe, an id, compression.

Promises: no inline script or style runs, no other site may frame or read a page, and an error
page names the request so that its log line can be found. Answers to boxes are left alone.
"""

import gzip
import secrets
from collections.abc import Callable
from typing import Final

import orjson
from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException

from hub.portals.languages import current_language, later, say

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HSTS: Final = "max-age=31536000; includeSubDomains"
GZIP_BYTES_MIN = 600
GZIP_LEVEL = 5
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


def is_machine_path(path: str) -> bool:
    """Does this address belong to boxes, vendors or monitors rather than people?"""
    return path.startswith(MACHINE_PATHS)


def wants_data() -> bool:
    """Did the request ask for JSON or CSV rather than a page?"""
    return request.path.endswith((".json", ".csv")) or request.accept_mimetypes.best == (
        "application/json"
    )


def problem(status: int, code: str, detail: str) -> Response:
    """An RFC 9457 problem document."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    body["request_id"] = g.get("request_id", "")
    return Response(orjson.dumps(body), status, content_type="application/problem+json")


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
    if is_machine_path(request.path) or error.code is None:
        return error
    if error.response is not None:
        return error
    if wants_data():
        code = (error.name or "error").lower().replace(" ", "-")
        return problem(error.code, code, error.description or "")
    return fault_page(error.code)


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
    app.after_request(guard(secure=secure))
    app.register_error_handler(HTTPException, fault)
