"""The busiest doors, straight on WSGI: what boxes and vendors post, a few hundred times a second.

Flask's way to a view (session, contexts, hooks for pages) costs as much as what these doors do.
Everything about them that is rare, such as a wrong method, still goes Flask's way.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from traceback import extract_tb
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
from flask import Flask, Response, request
from werkzeug.wsgi import get_content_length, get_input_stream

from shared.wire.problems import CONTENT_TYPE, Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FRAMES_TOLD: Final = 8
log = structlog.get_logger()
_PHRASES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class BodyTooLarge(Exception):
    """The request's body has more bytes than its door takes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the server handed it over."""

    environ: "WSGIEnvironment"

    @property
    def method(self) -> str:
        """As sent."""
        return str(self.environ["REQUEST_METHOD"])

    @property
    def path(self) -> str:
        """Decoded, as WSGI has it."""
        return str(self.environ["PATH_INFO"])

    @property
    def query(self) -> str:
        """Raw, without the question mark."""
        return str(self.environ.get("QUERY_STRING", ""))

    @property
    def host(self) -> str:
        """As the sender wrote it."""
        return str(self.environ.get("HTTP_HOST", ""))

    def header(self, name: str) -> str:
        """A field's value, empty when it was not sent."""
        key = name.upper().replace("-", "_")
        plain = key in {"CONTENT_TYPE", "CONTENT_LENGTH"}
        return str(self.environ.get(key if plain else f"HTTP_{key}", ""))

    def headers(self, names: Iterable[str]) -> dict[str, str]:
        """Those of these fields that were sent, under the names as given."""
        return {name: value for name in names if (value := self.header(name))}

    @property
    def has_body(self) -> bool:
        """Whether the sender said that bytes follow."""
        return bool(get_content_length(self.environ))

    def body(self, bytes_max: int) -> bytes:
        """The raw bytes. Raises BodyTooLarge, before reading them if their number is known."""
        if (get_content_length(self.environ) or 0) > bytes_max:
            raise BodyTooLarge
        # One byte more tells too many from just enough where the number is not known.
        data = get_input_stream(self.environ, max_content_length=bytes_max + 1).read()
        if len(data) > bytes_max:
            raise BodyTooLarge
        return data


@dataclass(frozen=True, slots=True)
class Answer:
    """What a door says."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def problem(cls, status: int, code: str, detail: str) -> "Answer":
        """A refusal as RFC 9457 wants it."""
        told = Problem(status=status, code=code, detail=detail)
        return cls(status, told.encode(), {"content-type": CONTENT_TYPE})

    def send(self, start_response: "StartResponse") -> list[bytes]:
        """Answer a WSGI server."""
        fields = [*self.headers.items(), ("content-length", str(len(self.body)))]
        start_response(_PHRASES[self.status], fields)
        return [self.body]


Handle: TypeAlias = Callable[[Asked], Answer]


class Doors:
    """A WSGI application: these doors first, everything else is the app's."""

    def __init__(self, app: "WSGIApplication", doors: Mapping[tuple[str, str], Handle]) -> None:
        """`doors`: by method and path; a path that ends in ``/`` takes one more segment."""
        self._app = app
        self._doors = dict(doors)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        key = self._find(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if key is None:
            return self._app(environ, start_response)
        try:
            answer = self._doors[key](Asked(environ))
        except Exception as error:  # noqa: BLE001 - told; the sender keeps it and comes again
            answer = _broken(key[1], error)
        return answer.send(start_response)

    def _find(self, method: str, path: str) -> tuple[str, str] | None:
        above, slash, last = path.rpartition("/")
        if not last:
            return None
        keys = ((method, path), (method, above + slash))
        return next((key for key in keys if key in self._doors), None)


def _broken(door: str, error: Exception) -> Answer:
    """A defect of ours: where it is goes to the journal, under the id that the sender is told.

    Not what it says, which may hold what was sent, nor the whole path, which may hold a secret.
    """
    request_id = f"req_{secrets.token_hex(8)}"
    at = [f"{frame.filename}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
    kind = type(error).__name__
    log.error("door_failed", door=door, error=kind, at=at[-FRAMES_TOLD:], request_id=request_id)
    problem = Problem(
        status=500,
        code="internal-server-error",
        detail="send it again later",
        extra={"request_id": request_id},
    )
    headers = {"content-type": CONTENT_TYPE, "cache-control": "no-store"}
    return Answer(500, problem.encode(), headers)


def put_before(app: Flask, doors: Mapping[tuple[str, str], Handle]) -> None:
    """Let an app's requests pass these doors first, those of its test client included."""
    app.wsgi_app = Doors(app.wsgi_app, doors)  # type: ignore[method-assign]


def through_flask(handle: Callable[..., Answer]) -> Callable[..., Response]:
    """The same door as a view of Flask's, for what need not be quick.

    It is given what Flask found in the path behind the request, but for names with an underscore.
    """

    def view(**values: object) -> Response:
        named = {name: value for name, value in values.items() if not name.startswith("_")}
        answer = handle(Asked(request.environ), **named)
        return Response(answer.body, answer.status, dict(answer.headers))

    return view
