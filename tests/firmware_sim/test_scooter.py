"""The scooter's state machine over its whole product, and what it says in each state."""

import json

import pytest

from firmware_sim.errors import TransitionRefused
from firmware_sim.ground_truth import GroundTruth
from firmware_sim.scooter import TRANSITIONS, Scooter, ScooterEvent, ScooterState, next_state

SERIAL = "KSE8JKT2600000123"


@pytest.fixture
def scooter():
    """A scooter asleep in stock."""
    return Scooter(serial=SERIAL, truth=GroundTruth())


def say(message):
    """What a message says, as a dict."""
    return json.loads(message.payload)


@pytest.mark.parametrize("state", ScooterState)
@pytest.mark.parametrize("event", ScooterEvent)
def test_every_event_in_every_state_leads_somewhere_or_is_refused(state, event):
    """The table is the whole truth; a refusal names both."""
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) in ScooterState
    else:
        with pytest.raises(TransitionRefused, match=f"{state.value} cannot {event.value}"):
            next_state(state, event)


def test_every_state_can_be_reached_and_left():
    """No dead end: even a flat scooter comes back on the charger."""
    assert {state for state, _ in TRANSITIONS} == set(ScooterState)
    assert set(TRANSITIONS.values()) == set(ScooterState)


def test_asleep_in_stock_it_says_nothing_until_it_is_woken(scooter):
    """The command wakes it, its answer names the command, and from then on it says sold."""
    assert scooter.report() is None

    answer = scooter.command(b'{"v":1,"id":"2.88","do":"report"}')

    assert answer is not None
    assert answer.topic == f"scooter/{SERIAL}/ack"
    assert say(answer) == {
        "v": 1,
        "boot": scooter.boot,
        "c": 1,
        "id": "2.88",
        "bat": 87,
        "odo_m": 3,
        "fw": "2.4.1",
    }
    assert say(scooter.report())["state"] == "sold"


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"[]", b'{"v":2,"id":"1.1","do":"report"}', b'{"v":1,"id":"1.1","do":"unlock"}'],
)
def test_a_command_that_it_does_not_understand_wakes_nobody(scooter, payload):
    """Garbage, another version, another verb."""
    assert scooter.command(payload) is None
    assert scooter.state is ScooterState.ASLEEP


def test_riding_moves_it_and_empties_the_battery_until_it_is_flat_and_silent(scooter):
    """A flat scooter neither reports nor answers; the charger brings it back."""
    scooter.millipct = 1_000
    scooter.happen(ScooterEvent.SWITCH_ON)
    scooter.happen(ScooterEvent.RIDE)
    scooter.advance(10_000)
    assert (scooter.odometer_m, scooter.state) == (63, ScooterState.RIDING)

    scooter.advance(60_000)

    assert scooter.state is ScooterState.FLAT
    assert scooter.report() is None
    assert scooter.command(b'{"v":1,"id":"1.1","do":"report"}') is None
    scooter.happen(ScooterEvent.PLUG_IN)
    scooter.advance(5_000)
    assert scooter.battery_pct == 1


def test_the_counter_starts_anew_with_each_boot_and_the_outbox_stays(scooter):
    """What was said before the reboot and not acknowledged is still to be sent."""
    scooter.happen(ScooterEvent.SWITCH_ON)
    before = scooter.report()
    first_boot = scooter.boot

    scooter.reboot()
    after = scooter.report()

    assert scooter.outbox == [before, after]
    assert scooter.boot != first_boot
    assert (say(before)["c"], say(after)["c"]) == (1, 1)
    assert scooter.truth.reports == [(SERIAL, first_boot, 1), (SERIAL, scooter.boot, 1)]


def test_each_fault_is_noted_with_a_detail_of_its_own(scooter):
    """Two equal faults are two facts."""
    scooter.fault("E21", "motor hall sensor")
    scooter.fault("E21", "motor hall sensor")

    assert len(set(scooter.truth.faults)) == 2
