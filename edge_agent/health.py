"""What the box says of itself: heartbeats to the hub, signs of life to the service manager."""

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge_agent import errors
from edge_agent.buffer import Buffer, Capture
from edge_agent.buffer.status import AT, DELIVERY, SOURCES
from edge_agent.delivery import Delivery
from edge_agent.sources.source import Source
from edge_agent.timekeeping import Timekeeper
from shared.checkpoint import parse_checkpoint
from shared.clock import Clock
from shared.systemd_notify import Notifier

OnEvent = Callable[[str, Mapping[str, object]], None]
MAX_COUNTERS = 180
CHECK_MS = 5000


class Health:
    """Puts agent.heartbeat events, keeps what `status` shows, and feeds the watchdog.

    The watchdog is fed only while the buffer answers and every delivery thread is in time, so a
    hung disk or a stuck thread ends in a restart.
    """

    def __init__(
        self,
        *,
        buffer: Buffer,
        delivery: Delivery,
        sources: Sequence[Source],
        timekeeper: Timekeeper,
        clock: Clock,
        notifier: Notifier,
        state_dir: Path,
        version: str,
        heartbeat_ms: int,
        on_event: OnEvent,
    ) -> None:
        """Nothing is said before run()."""
        self._buffer = buffer
        self._delivery = delivery
        self._sources = sources
        self._timekeeper = timekeeper
        self._clock = clock
        self._notifier = notifier
        self._state_dir = state_dir
        self._version = version
        self._heartbeat_ms = heartbeat_ms
        self._on_event = on_event
        self._started_mono_ms = clock.mono_ms()
        self._beat_mono_ms: int | None = None

    def run(self, stop: threading.Event) -> None:
        """Beat and check until `stop`."""
        pause_ms = CHECK_MS
        if self._notifier.watchdog_ms is not None:
            pause_ms = min(pause_ms, self._notifier.watchdog_ms // 3)
        while not stop.is_set():
            self.step()
            stop.wait(pause_ms / 1000)

    def step(self) -> None:
        """One check: a heartbeat if it is due, and the watchdog if all is well."""
        now = self._clock.mono_ms()
        try:
            if self._beat_mono_ms is None or now - self._beat_mono_ms >= self._heartbeat_ms:
                self._beat_mono_ms = now
                self.beat()
            else:
                self._buffer.gen()
            self._buffer.hold_reserve()
        except errors.BufferError as error:
            # A full or failing disk is told to systemctl and does not get the box restarted:
            # a restart would mend neither, and sources go on refusing to acknowledge.
            self._notifier.status(f"buffer: {error}")
            self._on_event("heartbeat_not_stored", {"why": type(error).__name__})
        overdue = self._delivery.overdue()
        if overdue:
            self._on_event("threads_overdue", {"lanes": overdue})
        else:
            self._notifier.watchdog()

    def beat(self) -> None:
        """Store a heartbeat and what `status` shows. Raises BufferError."""
        waiting = self._buffer.backlog()
        note = self._buffer.checkpoint()
        states = {source.name: source.state() for source in self._sources}
        data = {
            "version": self._version,
            "uptime_ms": self._clock.mono_ms() - self._started_mono_ms,
            "backlog": dict(waiting.events),
            "oldest_unsent_ms": waiting.oldest_unsent_ms,
            "buffer_bytes": waiting.buffer_bytes,
            "disk_free_bytes": _disk_free(self._state_dir),
            "ledger_size": None if note is None else parse_checkpoint(note).size,
            "sources": {name: state.state for name, state in states.items()},
            "counters": self._counters(),
        }
        self._buffer.put(
            [Capture(type="agent.heartbeat", data=data, occurred=self._timekeeper.now())]
        )
        self._buffer.save_running(
            {
                "floor_ms": self._timekeeper.floor_ms,
                SOURCES: json.dumps(
                    {name: {"state": s.state, "detail": s.detail} for name, s in states.items()}
                ),
                DELIVERY: json.dumps(self._lanes()),
                AT: json.dumps({"boot": self._clock.boot, "mono_ms": self._clock.mono_ms()}),
            }
        )

    def _counters(self) -> dict[str, int]:
        counters = dict(self._buffer.tallies())
        for source in self._sources:
            for name, value in source.state().counters.items():
                counters[f"{source.name}.{name}"] = value
        for name, value in self._delivery.tallies().items():
            counters[f"hub.{name}"] = value
        return dict(sorted(counters.items())[:MAX_COUNTERS])

    def _lanes(self) -> dict[str, dict[str, object]]:
        return {
            lane: {
                "state": state.state,
                "detail": state.detail[:200],
                "failures": state.failures,
                "last_receipt_mono_ms": state.last_receipt_mono_ms,
            }
            for lane, state in self._delivery.lanes.items()
        }


def _disk_free(folder: Path) -> int | None:
    try:
        room = os.statvfs(folder)
    except OSError:
        return None
    return room.f_bavail * room.f_frsize
