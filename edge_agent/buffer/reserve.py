"""Disk space held back for the moment when there is none left."""

import os
from pathlib import Path


class ReserveFile:
    """A file of real blocks beside the buffer. Releasing it makes room for sales and for the
    very transaction that sheds reports."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        """Nothing is written before hold()."""
        self._path = path
        self._size = size_bytes

    def hold(self) -> bool:
        """Have the reserve on disk; False when there is no room for it now."""
        try:
            if self._path.stat().st_size >= self._size:
                return True
        except OSError:
            pass
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(handle, 0, self._size)
        except OSError:
            self.release()
            return False
        finally:
            os.close(handle)
        return True

    def release(self) -> bool:
        """Give the space back; False when nothing was held."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
