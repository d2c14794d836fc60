"""How much may go through one of our numbers now."""

import threading

from hub.outbox.messages import Action
from hub.outbox.rules import Limits
from shared.clock import Clock

SLOW_MS, SLOW_MAX_MS = 1_000, 60_000
STOP_MS = 300_000
"""After the vendor blocked a number one message tries again so much later."""


class Gate:
    """A bucket of messages, and a door that the vendor shuts. Any thread may ask."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        """Begin open and full."""
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = limits.per_second
        self._filled_ms = clock.mono_ms()
        self._shut_until_ms = 0
        self._slowed = 0
        self._stopped = False

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

    def accepted(self) -> bool:
        """The vendor has taken a message; whether it had stopped the number before."""
        with self._lock:
            stopped, self._stopped = self._stopped, False
            self._slowed = 0
        return stopped

    def failed(self, action: Action) -> None:
        """What the vendor said concerns the whole number, or it does not."""
        with self._lock:
            if action == "slow":
                wait_ms = min(SLOW_MS << min(self._slowed, 10), SLOW_MAX_MS)
                self._slowed += 1
            elif action == "stop":
                wait_ms = STOP_MS
                self._stopped = True
            else:
                return
            self._shut_until_ms = max(self._shut_until_ms, self._clock.mono_ms() + wait_ms)
