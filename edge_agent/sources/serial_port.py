"""A serial device that people unplug: opened by a name that survives, read in chunks."""

import os
import select
import termios
from types import TracebackType
from typing import Final, Self

import serial

SILENCE_MS: Final = 200
"""`SerialPort.read` returns nothing after this long without a byte."""

REOPEN_MS: Final = 250
"""Pause before a lost port is tried again: replugged devices are back well within two seconds."""

_WRITE_MS: Final = 2000
_CHUNK_BYTES: Final = 4096
# pyserial lets the operating system's errors through; a vanished descriptor shows as TypeError.
_LOST: Final = (OSError, termios.error, TypeError, ValueError)


class PortLost(Exception):
    """The port cannot be opened or is gone. The message tells a technician what to look at."""


class SerialPort:
    """An open port, held exclusively: no second program can take bytes away."""

    def __init__(self, path: str, baud: int) -> None:
        """Open `path`, best a by-id or by-path link. Raises PortLost."""
        self._path = path
        try:
            self._port = serial.Serial(
                path,
                baud,
                timeout=SILENCE_MS / 1000,
                write_timeout=_WRITE_MS / 1000,
                exclusive=True,
            )
            self._device = os.fstat(self._port.fileno()).st_rdev
        except _LOST as error:
            raise PortLost(_explain(path, error)) from error

    def __enter__(self) -> Self:
        """The port itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port."""
        self._port.close()

    def read(self) -> bytes:
        """What has arrived, or nothing after SILENCE_MS of silence. Raises PortLost."""
        try:
            # One read of the system's own: pyserial's goes on until it has what was asked for,
            # and throws away what it has when the cable is pulled meanwhile.
            handle = self._port.fileno()
            ready, _, _ = select.select([handle], [], [], SILENCE_MS / 1000)
            if not ready:
                self._check_still_there()
                return b""
            chunk = os.read(handle, _CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except _LOST as error:
            raise PortLost(_explain(self._path, error)) from error
        if not chunk:
            raise PortLost(_explain(self._path, OSError("readable without data")))
        return chunk

    def write(self, data: bytes) -> None:
        """Send `data`. Raises PortLost, also when the other side stopped reading."""
        try:
            self._port.write(data)
        except _LOST as error:
            raise PortLost(_explain(self._path, error)) from error

    def _check_still_there(self) -> None:
        """An unplugged port can stay readable and silent for ever: look at the name instead."""
        if os.stat(self._path).st_rdev != self._device:  # noqa: PTH116 - a device, not a file
            raise PortLost(f"{self._path} is another device now")


def _explain(path: str, error: BaseException) -> str:
    if isinstance(error, FileNotFoundError) or "No such file" in str(error):
        return f"{path} is not there: check cable and power"
    if "lock" in str(error):
        return f"{path} is used by another program: close it"
    if isinstance(error, PermissionError) or "Permission" in str(error):
        return f"{path} may not be opened: add this program's user to the group dialout"
    return f"{path} was lost: check cable and power"
