"""Who makes a script happen: each step in its store, and not longer than the play is to last."""

import itertools
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from firmware_sim.director import LOW_STOCK, Director
from firmware_sim.scenario import Act, Step
from firmware_sim.story import Story
from tests.fakes.manual_clock import ManualClock

LENGTH_MS = 100


@pytest.fixture
def visits():
    """The dealers near which somebody wrote, in order."""
    return []


@pytest.fixture
def director(visits):
    """Of two stores full of scooters, with nobody but customers who write."""
    stores: Any = [
        SimpleNamespace(
            plan=SimpleNamespace(dealer=dealer), garage=SimpleNamespace(stock=[None] * LOW_STOCK)
        )
        for dealer in ("SBY01", "SBY02")
    ]

    def lead(*, near):
        visits.append(near)

    market: Any = SimpleNamespace(lead=lead)
    clock = ManualClock()
    story = Story(clock=clock, tell=lambda _line: None)
    return Director(stores=stores, hub=None, clock=clock, story=story, market=market)


def endless():
    """Somebody writes every millisecond, near one store and the other."""
    return (Step(at_ms=at_ms, store=at_ms % 2, act=Act.LEAD) for at_ms in itertools.count())


def test_a_play_ends_with_its_time_however_many_steps_it_has(director, visits):
    """Up to its last millisecond, each step in its store; trade itself never ends."""
    director.play(endless(), stop=threading.Event(), started_ms=0, length_ms=LENGTH_MS)

    assert ["SBY01", "SBY02"] * (LENGTH_MS // 2) + ["SBY01"] == visits


def test_a_play_that_is_stopped_does_nothing_more(director, visits):
    """Whoever presses ctrl-c waits for no further step."""
    stop = threading.Event()
    stop.set()

    director.play(endless(), stop=stop, started_ms=0)

    assert [] == visits
