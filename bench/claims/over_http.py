"""Taps as signed webhooks over real HTTP to real processes of the hub."""

import hashlib
import hmac
import itertools
import re
import signal
import socket
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sqlalchemy import text

from bench.claims.crowd import crowd
from bench.claims.market import SECRET, tap_of, write_settings
from firmware_sim.ports import LOOPBACK, free_port
from firmware_sim.processes import Program, python_program, wait_until
from hub.wiring import Hub

READY_MS: Final = 60_000
LOOK_S: Final = 0.004
"""How often it is looked for what has been decided; the figures come from the hub's own clock."""
DECIDED = text(
    "SELECT inbox.seq, inbox.state, inbox_body.body FROM inbox"
    " JOIN inbox_body ON inbox_body.seq = inbox.seq"
    " WHERE inbox.seq > :after ORDER BY inbox.seq LIMIT 256"
)
WAITED = text(
    "SELECT outbox.created_ms - lead_event.at_ms FROM lead_event"
    " JOIN outbox ON outbox.ref = lead_event.lead AND outbox.recipient = lead_event.person"
    " AND outbox.kind = CASE WHEN lead_event.decision = 'won' THEN 'card' ELSE 'too_slow' END"
    " WHERE lead_event.kind = 'tap.received'"
)
NUMBER = re.compile(rb"wamid\.(\d+)")


def _part(turn: int, processes: int, database: str | None) -> list[str]:
    """What a process is for."""
    if database is not None or processes == 1:
        return ["serve"]
    return ["work"] if turn else ["serve", "--no-worker"]


class _Takes(BaseHTTPRequestHandler):
    """Meta as far as a race needs it: every message is taken at once."""

    protocol_version = "HTTP/1.1"
    numbers = itertools.count()

    def do_POST(self) -> None:
        """Take a message."""
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = b'{"messages":[{"id":"wamid.out%d"}]}' % next(self.numbers)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
        """Say nothing."""


class Served:
    """Processes of the hub on one database, for as long as the context lasts."""

    def __init__(
        self, hub: Hub, folder: str, tappers: int, *, processes: int, database: str | None
    ) -> None:
        """On PostgreSQL each serves; on SQLite one serves and another does the work beside it."""
        self._hub, self._tappers = hub, tappers
        self.stored_ms: list[float] = []
        """From sending each tap to its 200."""
        self._ports: list[int] = []
        self._programs: list[Program] = []
        self._ready = 0
        self._meta = ThreadingHTTPServer((LOOPBACK, 0), _Takes)
        threading.Thread(target=self._meta.serve_forever, daemon=True).start()
        api_url = f"http://{LOOPBACK}:{self._meta.server_port}"
        for turn in range(processes):
            port = free_port()
            settings = write_settings(
                folder, tappers, database=database, port=port, api_url=api_url
            )
            part = _part(turn, processes, database)
            if part[0] == "serve":
                self._ports.append(port)
            self._programs.append(
                Program(
                    f"hub-{turn}",
                    python_program("hub", "--config", str(settings), *part),
                    log=Path(folder) / f"hub-{turn}.log",
                    on_line=self._heard,
                )
            )
            wait_until(
                lambda: self._ready == len(self._programs),
                what=f"hub {turn}",
                deadline_ms=READY_MS,
            )

    def __enter__(self) -> Self:
        """All of them answer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """They end in order."""
        for program in self._programs:
            program.stop(signal.SIGTERM)
        self._meta.shutdown()

    def _heard(self, line: str) -> None:
        self._ready += "listening on http" in line or line.strip() == "working"

    def race(
        self, leads: Sequence[str], connections: int, *, rate: float | None = None
    ) -> list[float]:
        """Ms from each tap's arrival to its decision, by the hub's clock.

        Each connection taps again when its tap is decided, or, with `rate`, so many tap in a
        second whatever becomes of it.
        """
        bodies = [
            tap_of(lead, turn, index * self._tappers + turn)
            for index, lead in enumerate(leads)
            for turn in range(self._tappers)
        ]
        decided = [threading.Event() for _ in bodies]
        stored = [0.0] * len(bodies)
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(decided, stop), daemon=True)
        watcher.start()
        local, turns = threading.local(), itertools.count()
        pause, first_tap = threading.Event(), time.perf_counter()

        def tap(number: int) -> None:
            if not hasattr(local, "socket"):
                port = self._ports[next(turns) % len(self._ports)]
                local.socket = socket.create_connection((LOOPBACK, port))
                local.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if rate is not None:
                pause.wait(max(0.0, first_tap + number / rate - time.perf_counter()))
            began = time.perf_counter()
            post(local.socket, bodies[number])
            stored[number] = (time.perf_counter() - began) * 1000
            if rate is None:
                decided[number].wait()

        crowd(connections, len(bodies), tap)
        for each in decided:
            each.wait()
        stop.set()
        watcher.join()
        self.stored_ms = stored
        with self._hub.database.read() as connection:
            # Decided within the millisecond of its arrival counts as one.
            return [max(1.0, float(row[0])) for row in connection.execute(WAITED)]

    def _watch(self, decided: Sequence[threading.Event], stop: threading.Event) -> None:
        after = 0
        while not stop.wait(LOOK_S):
            with self._hub.database.read() as connection:
                rows = connection.execute(DECIDED, {"after": after}).all()
            for seq, state, body in rows:
                if state == "new":
                    break
                after = seq
                found = NUMBER.search(bytes(body))
                if found is not None:
                    decided[int(found[1])].set()


def post(connection: socket.socket, body: bytes) -> None:
    """Deliver a signed webhook; returns when it was answered 200."""
    signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST /webhooks/whatsapp HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: sha256={signed}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError("the hub hung up")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(answer.decode("latin-1")[:200])
