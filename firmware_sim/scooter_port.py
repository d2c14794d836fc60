"""One scooter on a diagnosis cable: answers read requests on a pty, never sends by itself."""

import threading
from typing import Literal

from firmware_sim import scooter_frames as frames
from firmware_sim.errors import CableBlocked, CableUnplugged, SerialTooLong
from firmware_sim.pseudo_terminal import PseudoTerminal
from firmware_sim.scooter import Scooter

READ_MS = 50
SERIAL, FIRMWARE, MAIN_INFO, CELLS = 0x10, 0x1A, 0xB0, 0x40
CELL_COUNT = 10
NINEBOT_SERIAL_BYTES = 14
"""Registers 0x10 to 0x16; the PIN stands right behind them."""

BusProtocol = Literal["xiaomi55aa", "ninebot5aa5"]


def xiaomi_main_info(scooter: Scooter) -> bytes:
    """Registers 0xB0 to 0xBF: battery, speed, odometer and temperature."""
    return b"".join(
        (
            bytes(8),
            scooter.battery_pct.to_bytes(2, "little"),
            bytes(2),
            (18_000).to_bytes(2, "little"),
            scooter.odometer_m.to_bytes(4, "little"),
            (5).to_bytes(2, "little"),
            (636).to_bytes(2, "little"),
            (280).to_bytes(2, "little"),
            bytes(8),
        )
    )


def ninebot_main_info(scooter: Scooter) -> bytes:
    """Registers 0xB0 to 0xBF of an ES2: status, batteries, mileage, temperature, power."""
    return b"".join(
        (
            bytes(4),
            (0x0A00).to_bytes(2, "little"),
            bytes([scooter.battery_pct, scooter.battery_pct]),
            scooter.battery_pct.to_bytes(2, "little"),
            bytes(4),
            scooter.odometer_m.to_bytes(4, "little"),
            bytes(2),
            (6).to_bytes(2, "little"),
            (250).to_bytes(2, "little"),
            bytes(2),
            (-1).to_bytes(2, "little", signed=True),
            bytes(2),
            b"\xff\xff",
        )
    )


def _version(firmware: str) -> bytes:
    """Version 2.4.1 as 0x0241, little endian."""
    major, minor, patch = (int(part) for part in firmware.split("."))
    return ((major << 8) | (minor << 4) | patch).to_bytes(2, "little")


def _cells(scooter: Scooter) -> bytes:
    """Millivolts per cell, between empty and full."""
    millivolts = 3_300 + 9 * scooter.battery_pct
    return b"".join((millivolts + n % 3).to_bytes(2, "little") for n in range(CELL_COUNT))


class ScooterPort:
    """Serves one scooter's registers until told to stop; `silent` makes it deaf."""

    def __init__(self, *, scooter: Scooter, cable: PseudoTerminal, protocol: BusProtocol) -> None:
        """`cable` need not be plugged in yet.

        Raises SerialTooLong: no scooter of this family could hold such a serial.
        """
        held = len(scooter.serial)
        if protocol == "ninebot5aa5" and held > NINEBOT_SERIAL_BYTES:
            raise SerialTooLong(
                f"{scooter.serial} has {held} characters, a Ninebot's registers hold "
                f"{NINEBOT_SERIAL_BYTES}: give it a shorter serial, or use xiaomi55aa"
            )
        self._scooter, self._cable, self._protocol = scooter, cable, protocol
        start = frames.XIAOMI if protocol == "xiaomi55aa" else frames.NINEBOT
        self._requests = frames.RequestReader(start)
        self.silent = False
        self.answered = 0

    def run(self, stop: threading.Event) -> None:
        """Answer until `stop`."""
        while not stop.is_set():
            for request in self._requests.feed(self._cable.read(READ_MS)):
                reply = self.reply(request)
                if reply is not None and not self.silent:
                    try:
                        self._cable.write(reply)
                        self.answered += 1
                    except (CableUnplugged, CableBlocked):
                        break  # Whoever asked is gone.
            if not self._cable.attached():
                stop.wait(READ_MS / 1000)

    def reply(self, request: frames.ReadRequest) -> bytes | None:
        """The frame that answers a request; None for a register that this scooter lacks."""
        payload = self._payload(request.register)
        if payload is None:
            return None
        payload = payload[: request.length]
        if self._protocol == "xiaomi55aa":
            back = frames.BMS_TO_HOST if request.target == frames.BMS else frames.ESC_TO_HOST
            return frames.xiaomi(back, frames.READ, request.register, payload)
        return frames.ninebot(
            request.target,
            request.source,
            command=frames.NINEBOT_REPLY,
            register=request.register,
            payload=payload,
        )

    def _payload(self, register: int) -> bytes | None:
        if register == SERIAL:
            return self._scooter.serial.encode("ascii")
        if register == FIRMWARE:
            return _version(self._scooter.firmware)
        if register == MAIN_INFO:
            if self._protocol == "xiaomi55aa":
                return xiaomi_main_info(self._scooter)
            return ninebot_main_info(self._scooter)
        if register == CELLS and self._protocol == "xiaomi55aa":
            return _cells(self._scooter)
        return None
