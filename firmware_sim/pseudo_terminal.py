"""One end of a serial cable, as a pty whose other end is found at a stable path.

The path is a symbolic link, as udev's by-id names are, so unplugging removes it and replugging
brings a new terminal to the same name.
"""

import os
import pty
import select
import threading
import tty
from pathlib import Path

from firmware_sim.errors import CableBlocked, CableUnplugged

READ_BYTES = 4096
WRITE_DEADLINE_MS = 5_000


class PseudoTerminal:
    """A serial port that a program may open at `path`. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Not plugged in yet."""
        self.path = path
        self._master: int | None = None
        self._lock = threading.Lock()

    def plug(self) -> None:
        """A fresh terminal at the path; plugging twice changes nothing."""
        with self._lock:
            if self._master is not None:
                return
            master, slave = pty.openpty()
            tty.setraw(slave)
            # Opened and closed once, the terminal reports a hang-up until somebody opens it:
            # that is how `attached` sees the reader. Raw mode stays with the terminal.
            name = os.ttyname(slave)
            os.close(slave)
            os.set_blocking(master, False)
            self._link(name)
            self._master = master

    def _link(self, name: str) -> None:
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(name)
        fresh.replace(self.path)

    def unplug(self) -> None:
        """Pull the cable: the reader gets a hang-up, unread bytes are gone."""
        with self._lock:
            if self._master is None:
                return
            self.path.unlink(missing_ok=True)
            os.close(self._master)
            self._master = None

    @property
    def plugged(self) -> bool:
        """Is the cable in?"""
        return self._master is not None

    def attached(self) -> bool:
        """Has a program opened the other end?"""
        with self._lock:
            return self._master is not None and not self._events(self._master, 0, 0) & (
                select.POLLHUP
            )

    @staticmethod
    def _events(master: int, wanted: int, timeout_ms: int) -> int:
        poll = select.poll()
        poll.register(master, wanted)
        ready = poll.poll(timeout_ms)
        return ready[0][1] if ready else 0

    def write(self, data: bytes) -> None:
        """Put all bytes on the line.

        Raises:
            CableUnplugged: the cable is out.
            CableBlocked: the other end read nothing for five seconds.
        """
        with self._lock:
            rest = memoryview(data)
            while rest:
                if self._master is None:
                    raise CableUnplugged(f"{self.path} is unplugged")
                try:
                    rest = rest[os.write(self._master, rest) :]
                except BlockingIOError:
                    if not self._events(self._master, select.POLLOUT, WRITE_DEADLINE_MS) & (
                        select.POLLOUT
                    ):
                        raise CableBlocked(f"nobody reads {self.path}") from None

    def read(self, timeout_ms: int) -> bytes:
        """What has come in; b"" after `timeout_ms` without anything, or with nobody there."""
        master = self._master
        if master is None:
            return b""
        if not self._events(master, select.POLLIN, timeout_ms) & select.POLLIN:
            return b""
        with self._lock:
            if self._master is None:
                return b""
            try:
                return os.read(self._master, READ_BYTES)
            except OSError:  # EIO: the other end has just been closed
                return b""
