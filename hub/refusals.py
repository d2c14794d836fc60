"""Counting what was turned away."""

import threading


class Refusals:
    """How many requests were turned away, by why. For any thread."""

    def __init__(self, *whys: str) -> None:
        """None yet; `whys` are told from the beginning."""
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(whys, 0)

    def count(self, why: str) -> None:
        """One more."""
        with self._lock:
            self._counts[why] = self._counts.get(why, 0) + 1

    def counts(self) -> dict[str, int]:
        """By why, since this process began."""
        with self._lock:
            return dict(self._counts)
