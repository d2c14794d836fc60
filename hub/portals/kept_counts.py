"""Counters that are counted to the end, kept for as long as they were dear to count."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Final

from hub.portals.read_models import Count
from shared.clock import Clock

Counts = Mapping[str, Count]
SHARE: Final = 200
"""Kept for so many times as long as the counting took: at most half a percent of the time is
spent counting one thing, and a small hub is exact at every moment."""

KEPT_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class _Counted:
    counts: Counts
    until_ms: int


class KeptCounts:
    """Counters by what was asked for."""

    def __init__(self, clock: Clock) -> None:
        """Nothing is kept yet."""
        self._clock = clock
        self._kept: dict[Hashable, _Counted] = {}

    def get(self, asked: Hashable, count: Callable[[], Counts]) -> Counts:
        """The counters for `asked`, counted anew when they are due."""
        begun_ms = self._clock.mono_ms()
        kept = self._kept.get(asked)
        if kept is not None and begun_ms < kept.until_ms:
            return kept.counts
        counts = count()
        now_ms = self._clock.mono_ms()
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[asked] = _Counted(counts, now_ms + SHARE * (now_ms - begun_ms))
        return counts
