"""Disk space held back for the moment when there is none left."""

import os
from contextlib import suppress
from pathlib import Path

_LEFT_BYTES = 64 * 1024
"""What is never taken of a nearly full disk: others have to write a line too."""


class ReserveFile:
    """A file of real blocks beside the buffer, to be given back when they are needed."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        """Nothing is written before hold()."""
        self._path = path
        self._size = size_bytes

    def hold(self) -> bool:
        """Have the reserve on disk, or as much of it as there is room for; whether it is whole."""
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError:
            return False
        try:
            held = os.fstat(handle).st_size
            if held < self._size:
                disk = os.fstatvfs(handle)
                room = disk.f_bavail * disk.f_frsize - _LEFT_BYTES
                held += max(0, min(self._size - held, room))
                with suppress(OSError):  # somebody else was faster: another time
                    os.posix_fallocate(handle, 0, held)
            return os.fstat(handle).st_size >= self._size
        finally:
            os.close(handle)

    def release(self) -> bool:
        """Give the space back; False when nothing was held."""
        try:
            held = self._path.stat().st_size
            self._path.unlink()
        except OSError:
            return False
        return held > 0
