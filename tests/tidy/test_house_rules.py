"""The rules that conftest sets up for every test are in force."""

import socket

import pytest
from hypothesis import settings

from tests.checks.house_rules import ReachedOutside


def test_no_test_reaches_another_machine():
    """Connecting to anything but this machine fails at once, before a packet is sent."""
    with socket.socket() as outward, pytest.raises(ReachedOutside, match="stand a fake in"):
        outward.connect(("192.0.2.1", 9))


def test_no_test_asks_for_another_machine_s_address():
    """Looking up a name fails before a name server is asked."""
    with pytest.raises(ReachedOutside, match=r"hub\.example"):
        socket.create_connection(("hub.example", 443), timeout=1)


def test_this_machine_can_be_reached():
    """Servers that a test has started are reached."""
    with (
        socket.create_server(("localhost", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as connection,
    ):
        assert server.getsockname() == connection.getpeername()


def test_a_slow_machine_fails_no_property():
    """Hypothesis sets no deadline per example: other tests use the same two cores."""
    assert settings.default is not None
    assert settings.default.deadline is None
