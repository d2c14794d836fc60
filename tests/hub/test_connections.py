"""The server's loop: what waitress promises of connections holds with ours, on real sockets."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from waitress.server import create_server

from firmware_sim.processes import wait_until
from hub.connections import Connections
from tests.fakes.served_app import close_from_its_loop

LARGE = 30_000_000
DEADLINE_MS = 20_000


@dataclass
class Site:
    """A small application behind the loop."""

    port: int
    server: Any
    gates: dict[str, threading.Event]
    """Until they are set, these paths have no answer."""

    @property
    def held(self) -> threading.Event:
        """The gate of `/held`."""
        return self.gates["/held"]

    def at_work(self, count: int) -> None:
        """Wait until so many requests are being worked on."""
        dispatcher = self.server.task_dispatcher
        wait_until(
            lambda: bool(dispatcher.active_count == count),
            what=f"{count} at work",
            deadline_ms=DEADLINE_MS,
        )

    def connect(self) -> socket.socket:
        """A connection that waits no longer than a test may."""
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_MS / 1000)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def listening(self) -> int:
        """To how many connections the loop listens."""
        armed = self.server.asyncore._armed
        return sum(bool(armed.get(fd)) for fd in list(self.server.active_channels))

    def connections(self) -> int:
        """How many the server has."""
        return len(self.server.active_channels)


def ask(path: str) -> bytes:
    """A request as a client writes it."""
    return f"GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n".encode()


def answer(connection: socket.socket) -> bytes:
    """The body of the next answer."""
    read = b""
    while b"\r\n\r\n" not in read:
        piece = connection.recv(65_536)
        assert piece, read
        read += piece
    head, body = read.split(b"\r\n\r\n", 1)
    [length] = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    while len(body) < length:
        piece = connection.recv(1_000_000)
        assert piece
        body += piece
    return body


@pytest.fixture
def by_events_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is seen because time has passed: who is not woken sleeps for an hour."""
    monkeypatch.setattr("hub.connections.LOOK_AT_ALL_S", 3600.0)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Served by four threads."""
    gates = {path: threading.Event() for path in ("/held", "/first", "/second")}

    def application(environ: Any, start: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path in gates:
            gates[path].wait(DEADLINE_MS / 1000)
        sent = environ["wsgi.input"].read()
        body = bytes(LARGE) if path == "/large" else path.encode() + sent
        start("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    settings = {"threads": 4, "channel_timeout": 30, "connection_limit": 100}
    settings["asyncore_loop_timeout"] = 3600
    settings |= getattr(request, "param", {})
    listening = socket.create_server(("127.0.0.1", 0))
    server = create_server(application, sockets=[listening], **settings)
    Connections().watch(server)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield Site(listening.getsockname()[1], server, gates)
    for gate in gates.values():
        gate.set()
    server.task_dispatcher.shutdown()
    close_from_its_loop(server)
    thread.join(DEADLINE_MS / 1000)
    assert not thread.is_alive()


@pytest.mark.usefixtures("by_events_alone")
def test_connections_stay_open_and_each_is_answered(site: Site) -> None:
    """Request after request on each of many, whoever is idle meanwhile."""
    opened = [site.connect() for _ in range(40)]
    for turn in range(5):
        for number, connection in enumerate(opened):
            connection.sendall(ask(f"/{turn}/{number}"))
        for number, connection in enumerate(opened):
            assert answer(connection) == f"/{turn}/{number}".encode()
    assert site.connections() == 40
    for connection in opened:
        connection.close()
    wait_until(lambda: site.connections() == 0, what="all gone", deadline_ms=DEADLINE_MS)


@pytest.mark.usefixtures("by_events_alone")
def test_what_is_written_at_once_is_answered_in_order(site: Site) -> None:
    """Requests that did not wait for each other's answer."""
    with site.connect() as connection:
        connection.sendall(b"".join(ask(f"/{number}") for number in range(20)))
        read = b""
        while b"\r\n\r\n/19" not in read:
            read += connection.recv(65_536)
    places = [read.index(f"\r\n\r\n/{number}".encode()) for number in range(20)]
    assert places == sorted(places)


@pytest.mark.usefixtures("by_events_alone")
def test_a_body_in_pieces_arrives_whole(site: Site) -> None:
    """Each piece wakes the loop again."""
    body = os.urandom(600_000)
    with site.connect() as connection:
        connection.sendall(b"POST /b HTTP/1.1\r\nHost: hub\r\nContent-Length: 600000\r\n\r\n")
        for start in range(0, len(body), 50_000):
            connection.sendall(body[start : start + 50_000])
        assert answer(connection) == b"/b" + body


@pytest.mark.usefixtures("by_events_alone")
def test_a_slow_reader_gets_everything_and_holds_up_nobody(site: Site) -> None:
    """A long answer waits for room in the socket; others are answered meanwhile."""
    with site.connect() as slow, site.connect() as quick:
        slow.sendall(ask("/large"))
        for number in range(20):
            quick.sendall(ask(f"/{number}"))
            assert answer(quick) == f"/{number}".encode()
        assert answer(slow) == bytes(LARGE)
        slow.sendall(ask("/again"))
        assert answer(slow) == b"/again"


def test_whoever_hangs_up_in_the_middle_is_forgotten(site: Site) -> None:
    """While the request is worked on, while a long answer is read, and half way through a head."""
    held, large, half = site.connect(), site.connect(), site.connect()
    held.sendall(ask("/held"))
    large.sendall(ask("/large"))
    half.sendall(b"GET /x HT")
    wait_until(lambda: site.connections() == 3, what="three", deadline_ms=DEADLINE_MS)
    large.recv(1000)
    for connection in (held, large, half):
        connection.close()
    site.held.set()
    wait_until(lambda: site.connections() == 0, what="all gone", deadline_ms=DEADLINE_MS)
    with site.connect() as connection:
        connection.sendall(ask("/next"))
        assert answer(connection) == b"/next"


@pytest.mark.usefixtures("by_events_alone")
def test_descriptors_are_used_again_without_mistaking_one_for_another(site: Site) -> None:
    """A number of the system's is another connection's as soon as it is free."""
    for number in range(200):
        with site.connect() as connection:
            connection.sendall(ask(f"/{number}"))
            assert answer(connection) == f"/{number}".encode()


@pytest.mark.parametrize("site", [{"channel_timeout": 1, "cleanup_interval": 1}], indirect=True)
def test_idle_connections_are_closed(site: Site) -> None:
    """By time alone, without an event."""
    with site.connect() as connection:
        connection.sendall(ask("/a"))
        assert answer(connection) == b"/a"
        assert connection.recv(1) == b""


@pytest.mark.usefixtures("by_events_alone")
@pytest.mark.parametrize("site", [{"connection_limit": 8}], indirect=True)
def test_above_the_limit_a_connection_waits_until_another_goes(site: Site) -> None:
    """The server accepts again once there is room."""
    opened = [site.connect() for _ in range(6)]
    for connection in opened:
        connection.sendall(ask("/a"))
        assert answer(connection) == b"/a"
    with site.connect() as waiting:
        waiting.sendall(ask("/waiting"))
        for connection in opened:
            connection.close()
        assert answer(waiting) == b"/waiting"


@pytest.mark.usefixtures("by_events_alone")
def test_a_wake_up_that_is_read_with_another_is_not_relied_on(site: Site) -> None:
    """One finishes while the loop is about to read the wake-up before it; the next is heard."""
    waking, go_on = threading.Event(), threading.Event()
    read, turns = site.server.trigger.handle_read, iter([True])

    def handle_read() -> None:
        if next(turns, False):
            waking.set()
            go_on.wait(DEADLINE_MS / 1000)
        read()

    with site.connect() as first, site.connect() as second, site.connect() as third:
        first.sendall(ask("/first"))
        second.sendall(ask("/second"))
        third.sendall(ask("/held"))
        site.at_work(3)
        site.server.trigger.handle_read = handle_read
        site.gates["/first"].set()
        assert answer(first) == b"/first"
        assert waking.wait(DEADLINE_MS / 1000)
        site.gates["/second"].set()
        assert answer(second) == b"/second"
        site.at_work(1)
        go_on.set()
        wait_until(lambda: site.listening() == 2, what="two again", deadline_ms=DEADLINE_MS)
        site.held.set()
        assert answer(third) == b"/held"
        third.sendall(ask("/next"))
        assert answer(third) == b"/next"


@pytest.mark.usefixtures("by_events_alone")
def test_a_connection_that_is_to_end_ends(site: Site) -> None:
    """The client asks for it with its request."""
    with site.connect() as connection:
        connection.sendall(b"GET /a HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
        assert answer(connection) == b"/a"
        assert connection.recv(1) == b""


@pytest.mark.usefixtures("by_events_alone")
def test_who_waits_to_be_told_to_go_on_is_told(site: Site) -> None:
    """Also behind a request that is still being worked on."""
    with site.connect() as connection:
        head = b"POST /b HTTP/1.1\r\nHost: hub\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        connection.sendall(ask("/held") + head)
        site.held.set()
        read = b""
        while b"100 Continue\r\n\r\n" not in read:
            read += connection.recv(100)
        assert read.index(b"/held") < read.index(b"100 Continue")
        connection.sendall(b"hello")
        assert answer(connection) == b"/bhello"


@pytest.mark.usefixtures("by_events_alone")
def test_the_loop_alone_closes(site: Site) -> None:
    """A request, the head of another that waits to be told to go on, and a reset while the first
    is worked on: its thread finds out that nobody is there, beside a loop that is at work."""
    forget, closers = site.server.asyncore.forget, []

    def noting(fd: int) -> None:
        closers.append(site.server.asyncore.is_loops_own_thread())
        forget(fd)

    site.server.asyncore.forget = noting
    head = b"POST /b HTTP/1.1\r\nHost: hub\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    connection = site.connect()
    connection.sendall(ask("/held") + head)
    site.at_work(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    site.held.set()

    wait_until(lambda: site.connections() == 0, what="gone", deadline_ms=DEADLINE_MS)
    assert set(closers) == {True}
    with site.connect() as next_one:
        next_one.sendall(ask("/next"))
        assert answer(next_one) == b"/next"
