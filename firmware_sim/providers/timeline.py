"""Things that happen later: one thread, in the order of their time."""

import heapq
import itertools
import threading
from collections.abc import Callable

from shared.clock import Clock

LOOK_MS = 50
"""A test's clock moves without telling anybody, so it is looked at this often."""


class Timeline:
    """Runs actions when they are due, one after the other. Safe from any thread."""

    def __init__(self, clock: Clock) -> None:
        """Nothing runs before `start`."""
        self._clock = clock
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """What was not due yet never happens. Returns when the running action has ended."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Run `action` so much later, after everything that is due until then."""
        due_ms = self._clock.mono_ms() + max(0, delay_ms)
        with self._changed:
            heapq.heappush(self._due, (due_ms, next(self._numbers), action))
            self._changed.notify_all()

    def idle(self) -> bool:
        """Is nothing due now, and nothing under way? What comes later does not count."""
        with self._changed:
            return not self._busy and not self._is_due()

    def _is_due(self) -> bool:
        return bool(self._due) and self._due[0][0] <= self._clock.mono_ms()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                while not self._stopped and not self._is_due():
                    self._changed.wait(self._pause_ms() / 1000 if self._due else None)
                if self._stopped:
                    return
                _, _, action = heapq.heappop(self._due)
                self._busy = True
            action()

    def _pause_ms(self) -> int:
        return max(1, min(LOOK_MS, self._due[0][0] - self._clock.mono_ms()))
