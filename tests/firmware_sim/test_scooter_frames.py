"""The scooter's own encoder of the two diagnosis buses, against frames seen in the wild."""

import pytest

from firmware_sim import scooter_frames as frames
from firmware_sim.errors import SerialTooLong
from firmware_sim.ground_truth import GroundTruth
from firmware_sim.pseudo_terminal import PseudoTerminal
from firmware_sim.scooter import Scooter
from firmware_sim.scooter_port import ScooterPort, ninebot_main_info, xiaomi_main_info

SERIAL = "KSE8JKT2600000123"


@pytest.fixture
def scooter():
    """A scooter with 61 % and 2,186 m on the clock."""
    return Scooter(serial=SERIAL, truth=GroundTruth(), millipct=61_000, odometer_mm=2_186_000)


@pytest.mark.parametrize(
    ("frame", "golden"),
    [
        (frames.xiaomi(0x20, 0x01, 0x10, b"\x0e"), "55aa032001100ebdff"),
        (frames.xiaomi(0x23, 0x01, 0x1A, b"\x34\x01"), "55aa0423011a340188ff"),
        (frames.xiaomi(0x23, 0x01, 0x17, b"123456"), "55aa0823011731323334353687fe"),
        (
            frames.ninebot(0x3E, 0x20, command=1, register=0xB0, payload=b"\x20"),
            "5aa5013e2001b020cffe",
        ),
        (
            frames.ninebot(0x20, 0x3E, command=4, register=0x1A, payload=b"\x39\x01"),
            "5aa502203e041a390147ff",
        ),
    ],
)
def test_frames_equal_the_captured_ones(frame, golden):
    """Byte for byte as in vectors/device-frames.json."""
    assert frame == bytes.fromhex(golden)


def test_the_xiaomi_main_info_equals_the_captured_one(scooter):
    """61 %, standing still, 18.0 km/h on average, 2,186 m, 28.0 degrees."""
    golden = "55aa222301b000000000000000003d00000050468a08000005007c021801000000000000000008fd"

    frame = frames.xiaomi(frames.ESC_TO_HOST, frames.READ, 0xB0, xiaomi_main_info(scooter))

    assert frame == bytes.fromhex(golden)


def test_the_ninebot_main_info_equals_the_captured_one_but_for_the_batteries(scooter):
    """The capture has two unequal batteries (37 and 29 %); ours has one."""
    golden = bytes.fromhex("00000000000a251d2100000000004102000000000600fa000000ffff0000ffff")
    scooter.millipct, scooter.odometer_mm = 33_000, 577_000

    info = ninebot_main_info(scooter)

    assert info[:6] + info[8:] == golden[:6] + golden[8:]


@pytest.mark.parametrize("start", [frames.XIAOMI, frames.NINEBOT])
def test_requests_are_read_between_noise_and_damaged_frames(start):
    """Byte by byte, with half a frame before and a wrong checksum in between."""
    request = (
        frames.xiaomi(0x20, frames.READ, 0x1A, b"\x02")
        if start == frames.XIAOMI
        else frames.ninebot(0x3E, 0x20, command=frames.READ, register=0x1A, payload=b"\x02")
    )
    damaged = request[:-1] + bytes([request[-1] ^ 0xFF])
    reader = frames.RequestReader(start)

    stream = b"\x00\x55" + damaged + request + b"\x07" + request
    read = [found for byte in stream for found in reader.feed(bytes([byte]))]

    assert [(found.register, found.length) for found in read] == [(0x1A, 2)] * 2
    assert reader.damaged == 1


def test_a_serial_that_no_ninebot_could_hold_is_refused(scooter, tmp_path):
    """Seventeen characters in fourteen bytes would be another scooter's name."""
    with pytest.raises(SerialTooLong, match="hold 14"):
        ScooterPort(scooter=scooter, cable=PseudoTerminal(tmp_path / "p"), protocol="ninebot5aa5")


def test_a_read_of_the_serial_is_answered_in_the_asked_length(scooter, tmp_path):
    """Whoever asks for 17 bytes of register 0x10 gets the whole serial."""
    port = ScooterPort(
        scooter=scooter, cable=PseudoTerminal(tmp_path / "port"), protocol="xiaomi55aa"
    )

    reply = port.reply(frames.ReadRequest(0x3E, frames.ESC, 0x10, 17))

    assert reply == frames.xiaomi(frames.ESC_TO_HOST, frames.READ, 0x10, SERIAL.encode())
