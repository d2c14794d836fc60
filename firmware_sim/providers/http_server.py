"""A small HTTP server on the loopback, one thread per connection, that can also hang up."""

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from firmware_sim.ports import LOOPBACK

BODY_BYTES_MAX = 4 * 2**20
IDLE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller wants."""

    method: str
    path: str
    """As sent, without the query."""
    target: str
    """Path and query as sent, which signatures cover."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> dict[str, Any] | None:
        """The body as an object; None when it is none."""
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(self.body)
            if isinstance(value, dict):
                return value
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body: bytes and text as they are, all else as JSON."""

    status: int
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HangUp:
    """No answer: the connection is cut, as by a crash or a timeout on the way."""


class LoopbackServer:
    """Calls `answer` for each request, on the connection's own thread."""

    def __init__(self, answer: Callable[[Request], Answer | HangUp], *, port: int = 0) -> None:
        """Bound at once, so that `url` is known; answers from `start` on."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer), "owner": self})
        self._server = _Server((LOOPBACK, port), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="provider",
            daemon=True,
        )
        self.url = f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Cut every connection and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        with self._lock:
            open_now = list(self._open)
        for connection in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def came(self, connection: socket.socket) -> None:
        """A connection was opened."""
        with self._lock:
            self._open.add(connection)

    def left(self, connection: socket.socket) -> None:
        """A connection is closed."""
        with self._lock:
            self._open.discard(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who hangs up is no error of ours; everything else is printed as usual."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # headers and body in one packet: else each answer waits 40 ms for an ACK
    disable_nagle_algorithm = True
    answer: Callable[[Request], Answer | HangUp]
    owner: LoopbackServer

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(IDLE_S)
        self.owner.came(self.connection)

    def finish(self) -> None:
        self.owner.left(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: callers keep their own record."""

    def _serve(self) -> None:
        length_text = self.headers.get("Content-Length") or "0"
        length_bytes = int(length_text) if length_text.isdigit() else BODY_BYTES_MAX + 1
        if length_bytes > BODY_BYTES_MAX:
            self.close_connection = True
            self._say(Answer(413))
            return
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            target=self.path,
            query={name: values[-1] for name, values in parse_qs(parts.query).items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length_bytes),
        )
        match type(self).answer(request):
            case HangUp():
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
            case Answer() as answer:
                self._say(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base's names

    def _say(self, answer: Answer) -> None:
        match answer.body:
            case bytes() as body:
                kind = "application/octet-stream"
            case str() as text:
                body, kind = text.encode(), "text/html; charset=utf-8"
            case value:
                body, kind = orjson.dumps(value), "application/json; charset=UTF-8"
        self.send_response(answer.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
