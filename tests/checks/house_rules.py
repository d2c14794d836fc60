"""What holds for every test: it talks to this machine only, and a slow machine is no failure."""

import ipaddress
import os
import sys

from hypothesis import settings


class ReachedOutside(RuntimeError):
    """A test tried to look up or connect to another machine."""


def _is_here(host: str) -> bool:
    # .invalid never resolves (RFC 6761): it is how a test speaks of a machine that is not there.
    if host == "localhost" or host.endswith(".invalid"):
        return True
    try:
        address = ipaddress.ip_address(host.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse_other_machines(event: str, arguments: tuple[object, ...]) -> None:
    match event, arguments:
        case "socket.connect", (_, (str() as host, *_)):
            pass
        case "socket.getaddrinfo", (str() as host, *_):
            pass
        case _:
            return
    if host and not _is_here(host):
        raise ReachedOutside(f"a test wants to reach {host}; stand a fake in for it")


def pytest_configure() -> None:
    """Set both rules up, in every process that runs tests."""
    sys.addaudithook(_refuse_other_machines)
    # Two cores shared by browsers and databases: time per example says nothing about the code.
    # In CI the same examples run each time, so that a red build is about the change.
    settings.register_profile(
        "kickstand", deadline=None, derandomize="CI" in os.environ, print_blob=True
    )
    settings.load_profile("kickstand")
