"""What goes wrong at a vendor, before or after it took effect. Planned or by chance."""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

How = Literal["refuse", "hang_up", "server_error", "hang"]
When = Literal["before", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to fail a request."""

    how: How = "refuse"
    """refuse: the error `code`; server_error: a page with 502; hang_up: no answer at all; hang:
    no answer for `hang_ms`, then none."""
    when: When = "before"
    """After: the message goes out and the caller is told that it failed, or nothing."""
    code: int = 131000
    hang_ms: int = 0
    to: str | None = None
    """Only messages to this phone or BSUID."""


TRANSIENT: tuple[Fault, ...] = (
    Fault(how="refuse", code=131000),
    Fault(how="refuse", code=131016),
    Fault(how="refuse", code=2),
    Fault(how="server_error"),
    Fault(how="hang_up"),
    Fault(how="hang_up", when="after"),
    Fault(how="server_error", when="after"),
)
"""What a healthy service does now and then."""


class FaultPlan:
    """Which of the next requests fail. Safe from any thread."""

    def __init__(self, seed: int = 1) -> None:
        """Nothing fails until something is planned."""
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._planned: list[Fault] = []
        self._share, self._kinds = 0.0, TRANSIENT
        self.happened: list[Fault] = []
        """Every fault so far."""

    def next(self, fault: Fault, times: int = 1) -> None:
        """The next so many requests that it fits fail so."""
        with self._lock:
            self._planned.extend([fault] * times)

    def by_chance(self, share: float, kinds: Sequence[Fault] = TRANSIENT) -> None:
        """From now on this share of all requests fails, each in one of these ways."""
        with self._lock:
            self._share, self._kinds = share, tuple(kinds)

    def take(self, to: str | None) -> Fault | None:
        """The fault of a request to this recipient; each planned one is given once."""
        with self._lock:
            fault = self._planned_for(to)
            if fault is None and self._share and self._random.random() < self._share:
                fault = self._random.choice(self._kinds)
            if fault is not None:
                self.happened.append(fault)
            return fault

    def _planned_for(self, to: str | None) -> Fault | None:
        for place, fault in enumerate(self._planned):
            if fault.to in {None, to}:
                return self._planned.pop(place)
        return None
