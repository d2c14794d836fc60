"""Real parts for sources: a buffer on disk, ptys that can be unplugged, threads that end."""

import contextlib
import os
import select
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.buffer import Buffer, connect_readonly, segments
from shared.clock import SystemClock
from shared.crypto.encryption import DecryptionKey
from shared.wire.events import Occurred, parse_event

DEADLINE_S = 10
CLOCK = SystemClock()


def occurred(mono_ms, err_ms):
    """The moment as an event states it, on a box that does not know the time."""
    return Occurred(wall_ms=None, err_ms=err_ms, clock="none", boot=CLOCK.boot, mono_ms=mono_ms)


def eventually(condition: Callable[[], object], deadline_s: float = DEADLINE_S):
    """The first true value of `condition`; fails after the deadline."""
    pause = threading.Event()
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        pause.wait(0.005)
    pytest.fail(f"not within {deadline_s} s: {condition}")


class Line:
    """A serial line: what is plugged in at the far end of a by-id path."""

    def __init__(self, path: Path) -> None:
        """Nothing is plugged in yet."""
        self.path = path
        self._far = -1

    def plug(self):
        """A device appears under the path, as whatever tty is free."""
        self._far, near = os.openpty()
        tty.setraw(near)
        link = self.path.with_suffix(".new")
        link.symlink_to(os.ttyname(near))
        link.rename(self.path)
        self._near = near
        os.set_blocking(self._far, False)

    def unplug(self, *, vanish=True):
        """The device is gone; the path too, unless udev is slow."""
        os.close(self._far)
        os.close(self._near)
        self._far = -1
        if vanish:
            self.path.unlink()

    def send(self, data):
        """Bytes from the device, as fast as the near end takes them."""
        while data:
            _, writable, _ = select.select([], [self._far], [], DEADLINE_S)
            assert writable
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(self._far, data) :]

    def received(self):
        """Bytes that reached the device since the last call."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._far, 65536)
        return b""

    def close(self):
        """Unplug if plugged."""
        if self._far >= 0:
            self.unplug(vanish=False)


@pytest.fixture
def line(tmp_path) -> Iterator[Line]:
    """A serial line with a device plugged in."""
    line = Line(tmp_path / "by-id-till")
    line.plug()
    yield line
    line.close()


class Store:
    """A buffer on disk, and what is in it."""

    def __init__(self, path: Path) -> None:
        """Create the buffer."""
        self.path = path
        self.buffer = Buffer(
            path, device="dev_test", clock=CLOCK, now=lambda: occurred(CLOCK.mono_ms(), 0)
        )

    def _segments(self):
        connection = connect_readonly(self.path)
        try:
            ids = connection.execute("SELECT id FROM segment ORDER BY id").fetchall()
            return [segments.read(connection, segment) for (segment,) in ids]
        finally:
            connection.close()

    def events(self, kind=""):
        """Every event that waits in the file, parsed; of one kind if given."""
        events = [parse_event(raw) for segment in self._segments() for raw in segment.events]
        return [event for event in events if event.type.startswith(kind)]

    def attachments(self):
        """Every attachment in the file."""
        return [item for segment in self._segments() for item in segment.attachments]

    def rejected(self):
        """(source, reason, raw) of everything that was kept as unreadable."""
        connection = connect_readonly(self.path)
        try:
            return connection.execute(
                "SELECT source, reason, raw FROM rejected ORDER BY id"
            ).fetchall()
        finally:
            connection.close()

    def everything(self):
        """All that is kept, unpacked: events, attachments, rejected input."""
        parts = [raw for segment in self._segments() for raw in segment.events]
        return b"\n".join([*parts, *self.attachments(), *(raw for _, _, raw in self.rejected())])


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    """A fresh buffer."""
    store = Store(tmp_path / "buffer.db")
    yield store
    store.buffer.close()


@pytest.fixture(scope="session")
def hub_key():
    """The hub's encryption key."""
    return DecryptionKey.generate()


@pytest.fixture
def running():
    """Starts sources in threads and ends them after the test."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def run(source):
        def body():
            try:
                source.run(stop)
            except BaseException as error:
                errors.append(error)
                raise

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        threads.append(thread)
        return source

    run.stop = stop  # type: ignore[attr-defined]
    yield run
    stop.set()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    assert [] == errors
