"""Frames of two scooter diagnosis buses, as a scooter writes them.

`55 AA` is the Xiaomi M365 family, `5A A5` the Ninebot ES and Max family. Both end in the
complement of the 16-bit sum, little endian; Xiaomi counts two header bytes into its length.
"""

from collections.abc import Iterator
from dataclasses import dataclass

XIAOMI, NINEBOT = b"\x55\xaa", b"\x5a\xa5"
READ = 0x01
NINEBOT_REPLY = 0x04
ESC, ESC_TO_HOST = 0x20, 0x23
BMS, BMS_TO_HOST = 0x22, 0x25
APP = 0x3E
XIAOMI_OVERHEAD_BYTES, NINEBOT_OVERHEAD_BYTES = 6, 9


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Somebody asks unit `target` for `length` bytes from `register` on."""

    source: int
    target: int
    register: int
    length: int


def checksum(body: bytes) -> bytes:
    """0xFFFF XOR the 16-bit sum of `body`, little endian."""
    return (0xFFFF ^ (sum(body) & 0xFFFF)).to_bytes(2, "little")


def xiaomi(direction: int, command: int, register: int, payload: bytes) -> bytes:
    """A 55 AA frame."""
    body = bytes([len(payload) + 2, direction, command, register]) + payload
    return XIAOMI + body + checksum(body)


def ninebot(source: int, target: int, *, command: int, register: int, payload: bytes) -> bytes:
    """A 5A A5 frame."""
    body = bytes([len(payload), source, target, command, register]) + payload
    return NINEBOT + body + checksum(body)


class RequestReader:
    """Bytes from the bus in, read requests out; a damaged frame is skipped and counted."""

    def __init__(self, start: bytes) -> None:
        """`start` is XIAOMI or NINEBOT."""
        self._start = start
        self._pending = b""
        self.damaged = 0

    def feed(self, data: bytes) -> Iterator[ReadRequest]:
        """Every complete read request so far, in order."""
        self._pending += data
        while (where := self._pending.find(self._start)) >= 0:
            self._pending = self._pending[where:]
            if len(self._pending) < 3 or len(self._pending) < self._frame_bytes():
                return
            frame = self._pending[: self._frame_bytes()]
            if checksum(frame[2:-2]) != frame[-2:]:
                self.damaged += 1
                self._pending = self._pending[1:]
                continue
            self._pending = self._pending[len(frame) :]
            request = self._request(frame)
            if request is not None:
                yield request
        self._pending = self._pending[-1:]  # Half a start mark, perhaps.

    def _frame_bytes(self) -> int:
        if self._start == XIAOMI:
            return self._pending[2] + XIAOMI_OVERHEAD_BYTES
        return self._pending[2] + NINEBOT_OVERHEAD_BYTES

    def _request(self, frame: bytes) -> ReadRequest | None:
        if self._start == XIAOMI:
            if frame[2] < 3 or frame[4] != READ:
                return None
            return ReadRequest(APP, frame[3], frame[5], frame[6])
        if frame[2] < 1 or frame[5] != READ:
            return None
        return ReadRequest(frame[3], frame[4], frame[6], frame[7])
