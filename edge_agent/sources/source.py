"""What every source is, and what it says of itself."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from edge_agent.buffer import Capture, Duplicate, Stored
from shared.wire.events import Occurred

Condition = Literal["ok", "waiting", "failed"]
When = Callable[[int, int], Occurred]
"""(monotonic ms, error in ms) → the moment as an event states it."""


class Sink(Protocol):
    """The part of the buffer a source may touch."""

    def put(self, captures: Sequence[Capture]) -> Sequence[Stored | Duplicate]:
        """Store all of them; durable on return. Raises BufferError: then nothing was stored."""
        ...

    def reject(self, source: str, raw: bytes, reason: str) -> None:
        """Keep input that could not be read, within limits, and count it."""
        ...

    def is_sold(self, serial: str) -> bool:
        """Whether this box knows of a sale of the unit that was not reversed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How a source is. `detail` tells a technician what to look at; it holds no personal data."""

    state: Condition
    detail: str
    counters: Mapping[str, int]


class Source(Protocol):
    """A thing that hears facts and puts them into the buffer."""

    @property
    def name(self) -> str:
        """Unique on this box; counters and rejected input carry it."""
        ...

    def run(self, stop: threading.Event) -> None:
        """Listen until `stop` is set. Survives everything outside this box; never returns early."""
        ...

    def state(self) -> SourceState:
        """How it is now; callable from any thread."""
        ...


class Vitals:
    """State and counters of one source: written by its thread, read by any."""

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._lock = threading.Lock()
        self._condition: Condition = "waiting"
        self._detail = "not started"
        self._counters: dict[str, int] = {}

    def are(self, condition: Condition, detail: str = "") -> None:
        """The source is in this condition from now on."""
        with self._lock:
            self._condition, self._detail = condition, detail

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[name] = self._counters.get(name, 0) + by

    def snapshot(self) -> SourceState:
        """Condition and counters at one moment."""
        with self._lock:
            return SourceState(
                state=self._condition, detail=self._detail, counters=dict(self._counters)
            )
