"""A hub, a box that may deliver, and the door between them."""

import pytest

from tests.fakes.hub_boxes import Box, DoorClient, running
from tests.fakes.manual_clock import ManualClock


@pytest.fixture
def clock():
    """The hub's clock; boxes in these tests go by it unless they say otherwise."""
    return ManualClock()


@pytest.fixture
def hub(tmp_path, sqlite_url, clock):
    """A hub on SQLite: what the door says does not depend on the engine below."""
    with running(tmp_path, sqlite_url, clock=clock) as opened:
        yield opened


@pytest.fixture
def door(hub):
    """A client that verifies every answer's signature."""
    return DoorClient(hub)


@pytest.fixture
def box(hub):
    """An enrolled box."""
    return Box(1).enrolled(hub)
