"""Ninebot ES and Max family, wired: ``5A A5 | n | source | target | command | register | data``.

n counts the data only; a checksum follows. This module builds reads only: no byte it can make
locks, unlocks or changes a scooter.
"""

from collections.abc import Mapping
from typing import Final

from edge_agent.codecs import scooter_frame
from edge_agent.codecs.scooter_frame import ScooterFrame, StreamDecoder

BAUD: Final = 115_200
CONTROLLER: Final = 0x20
HOST: Final = 0x3E
READ: Final = 0x01
READ_REPLY: Final = 0x04
_START: Final = b"\x5a\xa5"


def _size_of(length: int) -> int:
    return length + 9


def _read(raw: bytes) -> ScooterFrame | None:
    if raw[-2:] != scooter_frame.checksum(raw[2:-2]):
        return None
    return ScooterFrame(raw[3], raw[4], raw[5], raw[6], raw[7:-2])


def decoder() -> StreamDecoder:
    """A decoder for one line."""
    return StreamDecoder(start=_START, size_of=_size_of, read=_read)


def read_request(register: int, count_bytes: int) -> bytes:
    """Ask the controller for `count_bytes` bytes from `register`."""
    body = bytes((1, HOST, CONTROLLER, READ, register, count_bytes))
    return _START + body + scooter_frame.checksum(body)


def is_reply(frame: ScooterFrame) -> bool:
    """Whether the controller answered a read."""
    return frame.source == CONTROLLER and frame.command == READ_REPLY


def readings(frame: ScooterFrame) -> Mapping[str, object]:
    """What the frame says, in our units."""
    if not is_reply(frame):
        return {}
    values = dict(scooter_frame.readings(frame, has_power=True))
    if "battery_pct" in values:
        values["battery_1_pct"], values["battery_2_pct"] = frame.data[6], frame.data[7]
    return values
