"""Xiaomi M365 family, wired: ``55 AA | L | address | command | register | data | checksum``.

L counts register and command with the data. This module builds reads only: no byte it can make
locks, unlocks or changes a scooter.
"""

from collections.abc import Mapping
from typing import Final

from edge_agent.codecs import scooter_frame
from edge_agent.codecs.scooter_frame import ScooterFrame, StreamDecoder

BAUD: Final = 115_200
TO_CONTROLLER: Final = 0x20
FROM_CONTROLLER: Final = 0x23
FROM_BATTERY: Final = 0x25
READ: Final = 0x01
REGISTER_CELLS: Final = 0x40
_START: Final = b"\x55\xaa"


def _size_of(length: int) -> int:
    return length + 6


def _read(raw: bytes) -> ScooterFrame | None:
    if raw[2] < 2 or raw[-2:] != scooter_frame.checksum(raw[2:-2]):
        return None
    return ScooterFrame(None, raw[3], raw[4], raw[5], raw[6:-2])


def decoder() -> StreamDecoder:
    """A decoder for one line."""
    return StreamDecoder(start=_START, size_of=_size_of, read=_read)


def read_request(register: int, count_bytes: int) -> bytes:
    """Ask the controller for `count_bytes` bytes from `register`."""
    body = bytes((3, TO_CONTROLLER, READ, register, count_bytes))
    return _START + body + scooter_frame.checksum(body)


def is_reply(frame: ScooterFrame) -> bool:
    """Whether the controller answered a read."""
    return frame.target == FROM_CONTROLLER and frame.command == READ


def readings(frame: ScooterFrame) -> Mapping[str, object]:
    """What the frame says, in our units."""
    if frame.target == FROM_BATTERY:
        if frame.command != READ or frame.register != REGISTER_CELLS or len(frame.data) % 2:
            return {}
        words = [scooter_frame.unsigned(frame.data, at) for at in range(0, len(frame.data), 2)]
        return {"cells_mv": [word for word in words if word]}
    return scooter_frame.readings(frame, has_power=False) if is_reply(frame) else {}
