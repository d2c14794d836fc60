"""The stretch of network between two programs."""

import socket
import threading

import pytest

from firmware_sim.network import Link

TIMEOUT_S = 5


@pytest.fixture
def echo():
    """A server that sends back what it gets; yields its port."""
    door = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = door.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,)).start()

    def answer(connection):
        with connection:
            while data := connection.recv(100):
                connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield door.getsockname()[1]
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    thread.join()


@pytest.fixture
def link(echo):
    """A link to the echo."""
    made = Link(echo)
    made.start()
    yield made
    made.stop()


def connect(link):
    """A connection through the link."""
    return socket.create_connection(("127.0.0.1", link.port), timeout=TIMEOUT_S)


def test_bytes_go_both_ways(link):
    """A link without faults is invisible."""
    with connect(link) as line:
        line.sendall(b"hello")
        assert line.recv(100) == b"hello"


def test_a_link_that_goes_down_cuts_and_refuses_until_it_is_up_again(link):
    """Old connections end, new ones end at once, later ones work."""
    with connect(link) as line:
        line.sendall(b"a")
        assert line.recv(100) == b"a"
        link.up = False
        assert line.recv(100) == b""
    with connect(link) as line:
        assert line.recv(100) == b""

    link.up = True

    with connect(link) as line:
        line.sendall(b"b")
        assert line.recv(100) == b"b"


def test_a_silent_link_keeps_its_connections_and_forwards_nothing(link):
    """As a dead mobile connection: no error, no byte, and afterwards everything."""
    with connect(link) as line:
        link.silent = True
        line.sendall(b"late")
        line.settimeout(0.2)
        with pytest.raises(TimeoutError):
            line.recv(100)
        line.settimeout(TIMEOUT_S)
        link.silent = False
        assert line.recv(100) == b"late"
