"""A scooter's payload: our names, a maker's names, and everything else that can be in there."""

import json
import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs.scooter_payload import (
    MalformedMapping,
    MalformedScooterPayload,
    PayloadMapping,
    ScooterMessage,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["v", "boot", "c", "state", "bat", "odo_m", "lat", "lon", "id", "fault"]
            ),
            inner,
        )
    ),
    max_leaves=10,
)


def read(payload, mapping=None):
    """What `payload` says."""
    return PayloadMapping(mapping).read(json.dumps(payload).encode())


@given(st.binary() | JSON.map(orjson.dumps))
def test_any_bytes_are_a_message_or_malformed(payload):
    """`read` raises MalformedScooterPayload, and nothing else."""
    try:
        message = PayloadMapping().read(payload)
    except MalformedScooterPayload:
        return
    assert isinstance(message, ScooterMessage)


@pytest.mark.parametrize(
    ("sent", "name", "value"),
    [
        ({"bat": 101}, "battery_pct", None),
        ({"bat": -1}, "battery_pct", None),
        ({"bat": "71"}, "battery_pct", None),
        ({"bat": 70.6}, "battery_pct", 71),
        ({"bat": True}, "battery_pct", None),
        ({"odo_m": 2**60}, "odometer_m", None),
        ({"state": "riding"}, "state", "unknown"),
        ({"boot": 7}, "boot", "7"),
        ({"c": -1}, "counter", None),
        ({"lat": 91, "lon": 0}, "position", None),
        ({"lat": 1}, "position", None),
        ({"fw": "2.4\n.1"}, "firmware", "2.4 .1"),
        ({"id": "2.88213"}, "sale", (2, 88213)),
        ({"id": "2.0"}, "sale", None),
        ({"id": "٢.٣"}, "sale", None),
        ({"fault": {"code": 21}}, "fault_code", "21"),
        ({"up_ms": 5, "vin": "x"}, "extra", {"up_ms": 5}),
    ],
)
def test_a_field_out_of_its_range_is_left_out(sent, name, value):
    """One bad field does not cost the message."""
    assert value == getattr(read({"v": 1, **sent}), name)


def test_a_makers_own_names_need_no_code():
    """Nested names, other units and other words are declared in the settings."""
    mapping = {
        "battery_pct": {"path": "battery.soc", "scale": 100},
        "odometer_m": {"path": "odo_km", "scale": 1000},
        "state": {"path": "mode", "values": {"0": "stock", "1": "sold"}},
        "counter": "seq",
        "boot": "session",
        "extra": ["charge.current_ma"],
    }
    payload = {
        "battery": {"soc": 0.71},
        "odo_km": 3.12,
        "mode": 0,
        "seq": 9,
        "session": "x",
        "charge": {"current_ma": 800},
    }

    message = read(payload, mapping)

    assert (71, 3120, "stock", 9, "x") == (
        message.battery_pct, message.odometer_m, message.state, message.counter, message.boot,
    )  # fmt: skip
    assert {"charge.current_ma": 800} == message.extra


def test_nothing_travels_that_was_not_declared():
    """A maker who adds his own name for a position does not smuggle it into the events."""
    message = read({"v": 1, "gps": {"lat": -6.2}, "latitude": -6.2, "owner": "Siti"})

    assert {} == message.extra
    assert message.position is None


@pytest.mark.parametrize(
    ("mapping", "complaint"),
    [
        ({"battery": "bat"}, "unknown key 'battery'"),
        ({"battery_pct": 3}, "mqtt.mapping.battery_pct: expected a name"),
        ({"battery_pct": {"path": "x", "scale": "2"}}, "battery_pct.scale"),
        ({"state": {"path": "x", "values": 3}}, "state.values"),
        ({"state": {"path": "x", "words": {}}}, "mqtt.mapping.state"),
        ({"extra": "up_ms"}, "mqtt.mapping.extra"),
    ],
)
def test_a_wrong_mapping_is_refused_with_the_key(mapping, complaint):
    """A technician is told which line of the settings is wrong."""
    with pytest.raises(MalformedMapping, match=re.escape(complaint)):
        PayloadMapping(mapping)
