"""How many requests a box may make: enough for any honest one, too few to wear the hub out."""

import threading
from dataclasses import dataclass

BURST_S = 60
"""A box may make a minute's requests at once: it gives a ring back, or was away for long."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_ms: int


class Rates:
    """A bucket of requests for each enrolled box, in this process. Safe from any thread."""

    def __init__(self, per_s: int) -> None:
        """`per_s` requests go on and on; BURST_S times as many at once."""
        self._per_s = per_s
        self._full = float(per_s * BURST_S)
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def admit(self, device: str, now_ms: int) -> bool:
        """Whether the box may make one more request at this monotonic instant."""
        with self._lock:
            bucket = self._buckets.setdefault(device, _Bucket(self._full, now_ms))
            gained = (now_ms - bucket.at_ms) * self._per_s / 1000
            bucket.tokens = min(self._full, bucket.tokens + gained)
            bucket.at_ms = now_ms
            if bucket.tokens < 1:
                return False
            bucket.tokens -= 1
            return True
