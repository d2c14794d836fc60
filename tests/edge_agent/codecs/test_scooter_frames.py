"""Xiaomi 55AA and Ninebot 5AA5: published frames, noise, and what is never sent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs import catalogue, ninebot5aa5, scooter_frame, xiaomi55aa

VECTORS = json.loads(
    Path(__file__).parents[2].joinpath("golden/device-frames.json").read_text(encoding="utf-8")
)
CODECS = {"xiaomi55aa": xiaomi55aa, "ninebot5aa5": ninebot5aa5}
OURS = [vector for vector in VECTORS if vector["protocol"] in CODECS]
GOOD = {
    "xiaomi55aa": bytes.fromhex("55aa0423011a340188ff"),
    "ninebot5aa5": bytes.fromhex("5aa502203e041a390147ff"),
}

# What the published vectors call a value → what we call it and how ours follows from theirs.
MEANINGS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "battery_pct": ("battery_pct", int),
    "battery_pct_B4": ("battery_pct", int),
    "speed_m_h": ("speed_m_h", int),
    "speed_B5": ("speed_m_h", int),
    "avg_speed_m_h": ("average_speed_m_h", int),
    "odometer_m": ("odometer_m", int),
    "mileage_m_B7": ("odometer_m", int),
    "op_time_s_BA": ("ride_s", int),
    "temp_c": ("temperature_dc", lambda celsius: round(celsius * 10)),
    "temp_c_BB": ("temperature_dc", lambda celsius: round(celsius * 10)),
    "power_W_BD_signed": ("power_w", int),
    "status_word_B2": ("flags", int),
    "batt1_pct_B3lo": ("battery_1_pct", int),
    "batt2_pct_B3hi": ("battery_2_pct", int),
    "km": ("range_m", lambda km: round(km * 1000)),
    "cells_mV": ("cells_mv", list),
    "meaning": ("firmware", lambda text: text.removeprefix("v")),
    "addr": ("target", int),
    "src": ("source", int),
    "dst": ("target", int),
    "cmd": ("command", int),
    "reg": ("register", int),
    "arg": ("register", int),
    "u16": ("data", lambda word: word.to_bytes(2, "little").hex()),
    "want_bytes": ("data", lambda count: bytes([count]).hex()),
    "want": ("data", lambda count: bytes([count]).hex()),
    "ascii": ("data", lambda text: text.encode().hex()),
}
LOCKS = {"lock", "unlock"}


@pytest.mark.parametrize("vector", OURS, ids=lambda vector: vector["name"])
def test_published_frames_mean_what_their_authors_say(vector):
    """Every value printed beside a published frame is read; corrupt frames are refused."""
    readings = catalogue.decode(vector["protocol"], bytes.fromhex(vector["hex"]))
    frames = [reading for reading in readings if "command" in reading]

    assert vector["valid"] == (len(frames) == 1)
    if not vector["valid"]:
        return
    for name, value in vector["decoded"].items():
        if name == "len" or str(value) in LOCKS:
            continue
        ours, convert = MEANINGS[name]
        assert convert(value) == frames[0][ours], name


@pytest.mark.parametrize("protocol", CODECS)
@given(data=st.data())
def test_noise_between_frames_never_loses_a_good_frame(protocol, data):
    """Any bytes between frames, cut anywhere: once the line is silent, every frame was found."""
    codec, good = CODECS[protocol], GOOD[protocol]
    # Noise whose own bytes make a frame with a right checksum would be a frame, not noise.
    noises = data.draw(st.lists(st.binary(max_size=20), min_size=1, max_size=5))
    stream = b"".join(noise + good for noise in noises)
    size = data.draw(st.integers(1, 40))
    decoder = codec.decoder()

    found = [f for at in range(0, len(stream), size) for f in decoder.feed(stream[at : at + size])]
    found += decoder.flush()

    assert len(noises) <= sum(frame.register == 0x1A for frame in found)


@pytest.mark.parametrize("protocol", CODECS)
@given(chunks=st.lists(st.binary(max_size=300), max_size=6))
def test_any_bytes_are_frames_or_counted_and_nothing_raises(protocol, chunks):
    """The decoders and the readings take any bytes."""
    codec = CODECS[protocol]
    decoder = codec.decoder()

    frames = [frame for chunk in chunks for frame in decoder.feed(chunk)] + decoder.flush()

    for frame in frames:
        codec.readings(frame)


@pytest.mark.parametrize("protocol", CODECS)
@given(register=st.integers(0, 255), count=st.integers(0, 255))
def test_only_reads_can_be_built(protocol, register, count):
    """Whatever register is asked for, the frame is a read: nothing locks, unlocks or writes."""
    codec = CODECS[protocol]

    (frame,) = codec.decoder().feed(codec.read_request(register, count))

    assert 0x01 == frame.command
    assert register == frame.register


def test_requests_equal_the_published_ones():
    """The frames we send are byte for byte the ones an app was heard sending."""
    assert "55aa032001100ebdff" == xiaomi55aa.read_request(0x10, 14).hex()
    assert "5aa5013e2001b020cffe" == ninebot5aa5.read_request(0xB0, 32).hex()


@pytest.mark.parametrize(
    ("data", "serial"),
    [
        (b"KSE8JKT2600000123", "KSE8JKT2600000123"),
        (b"N2GSD1834C0042\0\0\0", "N2GSD1834C0042"),
        (b"13678/00110029000000", "13678/00110029"),
        (b"\xff" * 17, None),
        (b"short", None),
    ],
)
def test_a_serial_is_cut_before_the_pin(data, serial):
    """The registers behind an M365's serial hold its PIN: it is never taken along."""
    assert serial == scooter_frame.serial_text(data)


def test_negative_power_is_not_65_kilowatts():
    """0xFFFF occurs in real rides and means minus one watt."""
    info = scooter_frame.main_info(bytes(26) + b"\xff\xff" + bytes(4), has_power=True)

    assert info is not None
    assert -1 == info.power_w
