"""A real HTTP server on this machine that answers as it is told and remembers what was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG_UP = "hang up"
"""Take the request and close the connection without an answer."""
SILENCE = "silence"
"""Take the request and say nothing until the server is stopped."""
OK = (200, {"messages": [{"id": "wamid.1"}]})


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: object
    """The same for requests over one connection."""


@dataclass
class ScriptedServer:
    """`answers` are given in turn, the last one for ever."""

    url: str = ""
    answers: list[Any] = field(default_factory=lambda: [OK])
    asked: list[Asked] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def next_answer(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Served until the block ends."""
    script = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else None
            script.asked.append(
                Asked(self.command, self.path, dict(self.headers), body, self.client_address)
            )
            answer = script.next_answer()
            if answer == SILENCE:
                script.stopped.wait()
            if answer in (HANG_UP, SILENCE):
                self.close_connection = True
                return
            status, document = answer
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _any  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Tests speak for themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield script
    finally:
        script.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
