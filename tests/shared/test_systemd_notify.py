"""The service manager hears what a program says of itself, word for word."""

import os
import socket

import pytest

from shared.systemd_notify import Notifier


@pytest.fixture
def manager(tmp_path):
    """The listening end that systemd would hold: a bound datagram socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def heard(manager: socket.socket) -> str:
    return manager.recv(4096).decode()


def notifier_for(manager: socket.socket) -> Notifier:
    return Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()})


def test_the_manager_hears_each_step_of_a_service_s_life(manager):
    """Ready, watchdog, status and stopping arrive in order, in systemd's own words."""
    notifier = notifier_for(manager)

    told = [notifier.ready(), notifier.watchdog(), notifier.status("3 unsent"), notifier.stopping()]

    assert [True] * 4 == told
    assert ["READY=1", "WATCHDOG=1", "STATUS=3 unsent", "STOPPING=1"] == [
        heard(manager) for _ in told
    ]


def test_ready_can_say_how_it_is_in_the_same_message(manager):
    """A status given with ready() travels in one datagram, so neither is seen without the other."""
    notifier_for(manager).ready("listening")

    assert "READY=1\nSTATUS=listening" == heard(manager)


def test_a_status_cannot_smuggle_in_another_message(manager):
    """Line breaks separate messages, so a status that holds one is folded into a single line."""
    notifier_for(manager).status("till-1 waits\nSTOPPING=1\r\nMAINPID=1")

    assert "STATUS=till-1 waits STOPPING=1 MAINPID=1" == heard(manager)


def test_an_abstract_socket_is_reached():
    """A name after @ is an abstract address: systemd uses one for some of its containers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + f"kickstand-notify-{os.getpid()}")
        listener.settimeout(5)

        Notifier(f"@kickstand-notify-{os.getpid()}").watchdog()

        assert "WATCHDOG=1" == heard(listener)


def test_outside_systemd_nothing_is_sent():
    """Started by hand there is nobody to tell; that is no error."""
    notifier = Notifier.from_environment({})

    assert not notifier.ready()
    assert notifier.watchdog_ms is None


def test_a_manager_that_is_gone_is_not_hidden(tmp_path):
    """A named socket that nobody listens on raises: the service is about to be killed anyway."""
    with pytest.raises(OSError, match="No such file"):
        Notifier(str(tmp_path / "gone")).watchdog()


@pytest.mark.parametrize(
    ("environment", "expected_ms"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_s_interval_is_read_in_milliseconds(environment, expected_ms):
    """The interval counts only when it is a number and meant for this very process."""
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "@any", **environment})

    assert expected_ms == notifier.watchdog_ms
