"""What the two wired scooter protocols share: a two-byte start, a length, an inverted sum.

Registers hold 16-bit little-endian words; speed and power are signed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

REGISTER_SERIAL: Final = 0x10
REGISTER_FIRMWARE: Final = 0x1A
REGISTER_RANGE: Final = 0x25
REGISTER_MAIN: Final = 0xB0
MAIN_BYTES: Final = 32
SERIAL_BYTES: Final = 17


@dataclass(frozen=True, slots=True)
class ScooterFrame:
    """A frame whose checksum is right. `source` is None where the protocol names only a route."""

    source: int | None
    target: int
    command: int
    register: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MainInfo:
    """The registers from 0xB0. Speeds in metres an hour; power is negative when braking."""

    error: int
    warning: int
    flags: int
    battery_pct: int
    speed_m_h: int
    average_speed_m_h: int
    odometer_m: int
    ride_s: int
    temperature_dc: int
    """Tenths of a degree Celsius."""

    power_w: int | None


def checksum(body: bytes) -> bytes:
    """0xFFFF xor the 16-bit sum of `body`, little-endian."""
    return (0xFFFF ^ (sum(body) & 0xFFFF)).to_bytes(2, "little")


def unsigned(data: bytes, at: int) -> int:
    """The word at byte `at`."""
    return int.from_bytes(data[at : at + 2], "little")


def signed(data: bytes, at: int) -> int:
    """The word at byte `at`, two's complement."""
    return int.from_bytes(data[at : at + 2], "little", signed=True)


def main_info(data: bytes, *, has_power: bool) -> MainInfo | None:
    """The registers from 0xB0, or None when `data` is too short for them."""
    if len(data) < 24:
        return None
    return MainInfo(
        error=unsigned(data, 0),
        warning=unsigned(data, 2),
        flags=unsigned(data, 4),
        battery_pct=unsigned(data, 8),
        speed_m_h=signed(data, 10),
        average_speed_m_h=unsigned(data, 12),
        odometer_m=int.from_bytes(data[14:18], "little"),
        ride_s=unsigned(data, 20),
        temperature_dc=signed(data, 22),
        power_w=signed(data, 26) if has_power and len(data) >= 28 else None,
    )


def firmware(data: bytes) -> str | None:
    """``1.3.4`` from the word 0x0134, or None when `data` is no word."""
    if len(data) < 2:
        return None
    word = unsigned(data, 0)
    return f"{word >> 8}.{word >> 4 & 0xF}.{word & 0xF}"


def serial_text(data: bytes) -> str | None:
    """The ASCII serial in `data`, or None when it is none.

    An M365 has 14 characters with a slash, and its PIN stands in the registers right after them:
    that is cut off, however many bytes were read.
    """
    raw = data.split(b"\0", 1)[0].strip()
    if raw[5:6] == b"/":
        raw = raw[:14]
    if not 8 <= len(raw) <= 20 or not raw.isascii():
        return None
    text = raw.decode("ascii")
    return text if text.isprintable() else None


class StreamDecoder:
    """Frames of a stream, however it is cut into chunks; noise never costs a good frame."""

    def __init__(
        self,
        *,
        start: bytes,
        size_of: Callable[[int], int],
        read: Callable[[bytes], ScooterFrame | None],
    ) -> None:
        """`size_of` tells a frame's length from its third byte, `read` checks a whole one."""
        self._start = start
        self._size_of = size_of
        self._read = read
        self._held = b""
        self.rejected = 0
        """Frame starts that turned out to be none."""

    def feed(self, chunk: bytes) -> list[ScooterFrame]:
        """The frames that are complete now, in order."""
        self._held += chunk
        frames: list[ScooterFrame] = []
        at = 0
        while (at := self._held.find(self._start, at)) >= 0:
            if len(self._held) < at + 3:
                break
            end = at + self._size_of(self._held[at + 2])
            if len(self._held) < end:
                break
            frame = self._read(self._held[at:end])
            if frame is None:
                self.rejected += 1
                at += 1
            else:
                frames.append(frame)
                at = end
        keep = at if at >= 0 else max(len(self._held) - 1, 0)
        self._held = self._held[keep:]
        if self._held and self._held[0] != self._start[0]:
            self._held = b""
        return frames

    def flush(self) -> list[ScooterFrame]:
        """The line is silent: a start whose frame never ended was none; read what it hid."""
        frames: list[ScooterFrame] = []
        while len(self._held) >= 2 and self._held.startswith(self._start):
            self.rejected += 1
            held, self._held = self._held[1:], b""
            frames += self.feed(held)
        self._held = b""
        return frames


def readings(frame: ScooterFrame, *, has_power: bool) -> Mapping[str, object]:
    """What a reply says, in our units; empty for requests, writes and unknown registers."""
    data = frame.data
    if frame.register == REGISTER_FIRMWARE and len(data) == 2:
        return {"firmware": firmware(data)}
    if frame.register == REGISTER_RANGE and len(data) == 2:
        return {"range_m": unsigned(data, 0) * 10}
    if frame.register == REGISTER_SERIAL and serial_text(data) is not None:
        return {"serial": serial_text(data)}
    info = main_info(data, has_power=has_power) if frame.register == REGISTER_MAIN else None
    if info is None:
        return {}
    values = {name: getattr(info, name) for name in MainInfo.__slots__}
    return {name: value for name, value in values.items() if value is not None}
