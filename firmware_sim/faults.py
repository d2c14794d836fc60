"""What goes wrong on a serial line, on purpose and seeded."""

import random
from dataclasses import dataclass
from enum import Enum, auto


class LineFault(Enum):
    """One way to spoil the next transmission."""

    NOISE = auto()
    """Random bytes before the frame, as when a motor starts beside the cable."""
    HALF_FRAME = auto()
    """The frame stops in the middle; the next one follows without a line end."""
    WRONG_CRC = auto()
    """One byte of the body is flipped."""
    SILENCE = auto()
    """Nothing arrives at all."""


@dataclass(slots=True)
class LineNoise:
    """Spoils frames; the same seed spoils them in the same way."""

    random: random.Random

    def spoil(self, frame: bytes, fault: LineFault) -> bytes:
        """What arrives at the other end instead of the frame."""
        if fault is LineFault.NOISE:
            return self.burst() + frame
        if fault is LineFault.HALF_FRAME:
            return frame[: self.random.randrange(8, max(9, len(frame) - 1))]
        if fault is LineFault.WRONG_CRC:
            where = self.random.randrange(8, len(frame) - 1)
            return frame[:where] + bytes([frame[where] ^ 0x01]) + frame[where + 1 :]
        return b""

    def burst(self) -> bytes:
        """Eight to two hundred random bytes."""
        return self.random.randbytes(self.random.randrange(8, 200))
