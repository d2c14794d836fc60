"""Published recordings, replayed whole: what an app and a scooter said to each other, and meant.

Source of the M365 session: the protocol notes of CamiAlfa/M365-BLE-PROTOCOL, file `protocolo`
(firmware 1.3.4; frames and their meaning as their author states them). The same frames went over
the one wire to the controller. Source of the ES2 frames: rascafr/9-analyzer @4d1e7fd, as named in
golden/device-frames.json.
"""

import json
from pathlib import Path

import pytest

from edge_agent.codecs import ninebot5aa5, xiaomi55aa

VECTORS = json.loads(
    Path(__file__).parents[2].joinpath("golden/device-frames.json").read_text(encoding="utf-8")
)
# Question, answer, and what the author says that the answer means.
M365: list[tuple[str, str, dict[str, object]]] = [
    ("55aa0320011a02bfff", "55aa0423011a340188ff", {"firmware": "1.3.4"}),
    ("55aa032001670470ff", "55aa0623016715017100e7fe", {}),
    ("55aa0320011706beff", "55aa0823011731323334353687fe", {}),
    ("55aa0320013a049dff", "55aa0623013a7b020a0014ff", {}),
    ("55aa0320013a049dff", "55aa0623013a7c020a0013ff", {}),
    ("55aa0320012502b4ff", "55aa04230125260785ff", {"range_m": 18_300}),
    (
        "55aa032001b0200bff",
        "55aa222301b000000000000000003d00000050468a08000005007c021801000000000000000008fd",
        {
            "battery_pct": 61, "speed_m_h": 0, "average_speed_m_h": 18_000, "odometer_m": 2186,
            "ride_s": 636, "temperature_dc": 280, "error": 0, "warning": 0,
        },
    ),
    (
        "55aa032001b0200bff",
        "55aa222301b000000000000000003d00000050468a080000050074021801000000000000000010fd",
        {"battery_pct": 61, "odometer_m": 2186, "ride_s": 628, "temperature_dc": 280},
    ),
    (
        "55aa032001b0200bff",
        "55aa222301b000000000000000002f000000000086650000000010022c010000000000000000b0fd",
        {"battery_pct": 47, "odometer_m": 25_990, "ride_s": 528, "temperature_dc": 300},
    ),
    (
        "55aa032001b0200bff",
        "55aa222301b0000000000000000063000000000086650000000052002201000000000000000046fd",
        {"battery_pct": 99, "odometer_m": 25_990, "ride_s": 82, "temperature_dc": 290},
    ),
    ("55aa0320017c025dff", "55aa0423017c01005aff", {}),
    ("55aa0320013e029bff", "55aa0423013e180180ff", {}),
    (
        "55aa032201401e7bff",
        "55aa2025014002100a100b10091006100d100e100d100f1007100000000000000000000075fe",
        {"cells_mv": [4098, 4106, 4107, 4105, 4102, 4109, 4110, 4109, 4111, 4103]},
    ),
]  # fmt: skip
STREAM = b"".join(bytes.fromhex(asked + answered) for asked, answered, _ in M365)
# The author put made-up digits into his own serials and left the checksums as they were.
FORGED = bytes.fromhex("55aa1023011031323334352f31323334353637381efd")


@pytest.mark.parametrize("size", [1, 2, 7, 64, 4096])
def test_an_m365_session_means_what_its_author_says(size):
    """Every question and every answer is found in order, however the wire cuts them, and each
    answer has the values that stand beside it."""
    decoder = xiaomi55aa.decoder()

    frames = [
        frame
        for at in range(0, len(STREAM), size)
        for frame in decoder.feed(STREAM[at : at + size])
    ]

    assert (2 * len(M365), 0) == (len(frames), decoder.rejected)
    for (_, _, meaning), asked, answered in zip(M365, frames[::2], frames[1::2], strict=True):
        assert not xiaomi55aa.readings(asked)
        found = xiaomi55aa.readings(answered)
        assert meaning == {name: found[name] for name in meaning}
        assert bool(found) == bool(meaning)


def test_forged_and_torn_frames_of_a_session_cost_only_themselves():
    """Between the frames of the session stand its anonymised serial, whose checksum is wrong, and
    halves of frames: everything else is read as before."""
    decoder = xiaomi55aa.decoder()
    whole = [bytes.fromhex(frame) for asked, answered, _ in M365 for frame in (asked, answered)]
    stream = b"".join(frame + FORGED + frame[: len(frame) // 2] for frame in whole)

    frames = decoder.feed(stream) + decoder.flush()

    # A torn frame may swallow at most the start of what follows it; nothing is made up.
    read = [frame.data for frame in frames]
    told = [frame[6:-2] for frame in whole]
    assert [] == [data for data in read if data not in told]
    assert len(whole) == len(read)
    assert decoder.rejected >= 2 * len(whole) - 1


def test_the_es2_frames_are_read_in_one_stream_byte_by_byte():
    """All valid ES2 frames of the vectors, one behind the other, with the corrupt ones between."""
    mine = [vector for vector in VECTORS if vector["protocol"] == "ninebot5aa5"]
    decoder = ninebot5aa5.decoder()

    stream = b"".join(bytes.fromhex(vector["hex"]) for vector in mine)
    frames = [frame for byte in stream for frame in decoder.feed(bytes([byte]))] + decoder.flush()

    assert sum(vector["valid"] for vector in mine) == len(frames) > 3
