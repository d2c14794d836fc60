"""Taps as signed webhooks over real HTTP to real processes of the hub."""

import hashlib
import hmac
import itertools
import re
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Connection, text

from bench.claims.market import SECRET, tap_of, write_settings
from firmware_sim.ports import LOOPBACK, free_port
from firmware_sim.processes import Program, python_program, wait_until
from hub.store import Statement
from hub.wiring import Hub

READY_MS: Final = 60_000
LOOK_S: Final = 0.004
"""How often it is looked for what has been decided; the figures come from the hub's own clock."""
DECIDED = Statement(
    "SELECT inbox.seq, inbox_body.body FROM inbox"
    " JOIN inbox_body ON inbox_body.seq = inbox.seq"
    " WHERE inbox.seq > :after AND inbox.state <> 'new' ORDER BY inbox.seq LIMIT 256"
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
        self._seen = 0
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
        taps = [
            signed(tap_of(lead, turn, index * self._tappers + turn))
            for index, lead in enumerate(leads)
            for turn in range(self._tappers)
        ]
        with self._hub.database.look() as looking:
            if not self._hub.database.is_sqlite:
                # No plan is kept that was made while nothing had been decided.
                driver: Any = looking.connection.driver_connection
                driver.prepare_threshold = None
            decided = partial(self._decided, looking)
            with _Crowd(taps, self._ports, connections, decided) as crowd:
                self.stored_ms = crowd.tap_all(rate)
        with self._hub.database.read() as connection:
            # Decided within the millisecond of its arrival counts as one.
            return [max(1.0, float(row[0])) for row in connection.execute(WAITED)]

    def _decided(self, connection: Connection) -> list[int]:
        """The numbers of the taps that have been decided since the last look."""
        rows = DECIDED.rows(connection, after=self._seen)
        # They are decided in their order: none comes behind one that was seen.
        self._seen = rows[-1][0] if rows else self._seen
        return [int(found[1]) for _, body in rows if (found := NUMBER.search(bytes(body)))]


class _Crowd:
    """Everybody who taps, in one thread: what they cost is taken from the hub they wait for."""

    def __init__(
        self,
        taps: Sequence[bytes],
        ports: Sequence[int],
        connections: int,
        decided: Callable[[], list[int]],
    ) -> None:
        """`taps`: what each sends; `decided`: the numbers of those decided since the last call."""
        self._taps, self._decided = taps, decided
        self._selector = selectors.DefaultSelector()
        self._idle: deque[socket.socket] = deque()
        for turn in range(connections):
            made = socket.create_connection((LOOPBACK, ports[turn % len(ports)]))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(made, selectors.EVENT_READ)
            self._idle.append(made)
        self._began_s = [0.0] * len(taps)
        self._stored_ms = [0.0] * len(taps)
        self._sent: dict[socket.socket, int] = {}
        """The tap whose 200 a connection waits for."""
        self._stored: dict[int, socket.socket] = {}
        """By which connection a tap that is not decided yet was stored."""
        self._open = set(range(len(taps)))
        """The taps that are not decided."""

    def __enter__(self) -> Self:
        """They are connected."""
        return self

    def __exit__(self, *_error: object) -> None:
        """They hang up."""
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def tap_all(self, rate: float | None) -> list[float]:
        """Ms from sending each tap to its 200."""
        began_s = look_s = time.perf_counter()
        number = 0
        while self._open or self._sent:
            now_s = time.perf_counter()
            while self._idle and number < len(self._taps):
                if rate is not None and now_s < began_s + number / rate:
                    break
                self._send(self._idle.popleft(), number)
                number += 1
            if now_s >= look_s:
                look_s = now_s + LOOK_S
                self._look(paced=rate is not None)
            wait_s = look_s - now_s
            if rate is not None and self._idle and number < len(self._taps):
                wait_s = min(wait_s, began_s + number / rate - now_s)
            for key, _ in self._selector.select(max(0.0, wait_s)):
                assert isinstance(key.fileobj, socket.socket)
                self._hear(key.fileobj, paced=rate is not None)
        return self._stored_ms

    def _send(self, by: socket.socket, number: int) -> None:
        self._sent[by] = number
        self._began_s[number] = time.perf_counter()
        by.sendall(self._taps[number])

    def _hear(self, by: socket.socket, *, paced: bool) -> None:
        answer = by.recv(4096)
        while b"\r\n\r\n" not in answer and (piece := by.recv(4096)):
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(answer.decode("latin-1")[:200] or "the hub hung up")
        number = self._sent.pop(by)
        self._stored_ms[number] = (time.perf_counter() - self._began_s[number]) * 1000
        if paced or number not in self._open:
            self._idle.append(by)
        else:
            self._stored[number] = by

    def _look(self, *, paced: bool) -> None:
        for number in self._decided():
            self._open.discard(number)
            by = self._stored.pop(number, None)
            if by is not None and not paced:
                self._idle.append(by)


def signed(body: bytes) -> bytes:
    """A webhook as Meta posts it."""
    proof = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST /webhooks/whatsapp HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: sha256={proof}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
