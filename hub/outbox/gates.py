"""How much may go through one of our numbers now."""

import threading

from hub.outbox.rules import Limits
from shared.clock import Clock

SLOW_MS, SLOW_MAX_MS = 1_000, 60_000


class Gate:
    """A bucket of messages that the vendor may slow. Any thread may ask.

    That a number is blocked stands in the database: it may be told to another process.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        """Begin open and full."""
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = limits.per_second
        self._filled_ms = clock.mono_ms()
        self._shut_until_ms = 0
        self._slowed = 0

    def open(self) -> bool:
        """Whether anything may go."""
        return self._clock.mono_ms() >= self._shut_until_ms

    def take(self) -> bool:
        """Take one message's share; False when there is none now."""
        with self._lock:
            now_ms = self._clock.mono_ms()
            more = (now_ms - self._filled_ms) * self.limits.per_second / 1000
            self._tokens = min(self._tokens + more, max(1.0, self.limits.per_second))
            self._filled_ms = now_ms
            if self._tokens < 1 or now_ms < self._shut_until_ms:
                return False
            self._tokens -= 1
            return True

    def accepted(self) -> None:
        """The vendor has taken a message."""
        with self._lock:
            self._slowed = 0

    def slow(self) -> None:
        """The vendor has said that it was too fast."""
        with self._lock:
            wait_ms = min(SLOW_MS << min(self._slowed, 10), SLOW_MAX_MS)
            self._slowed += 1
            self._shut_until_ms = max(self._shut_until_ms, self._clock.mono_ms() + wait_ms)
