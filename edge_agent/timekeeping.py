"""Time on a box without a battery-backed clock.

Every moment is the boot's id and its monotonic clock; wall time is added when something vouches
for it: the hub (an answer bound to our nonce), a synchronised kernel clock, or a hardware clock.
Retries, deadlines and order never use wall time.
"""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.clock import Clock
from shared.wire.events import Occurred

BUILD_FLOOR_MS = 1_795_305_600_000
"""2026-11-22: no time before this program was written is believed."""
DRIFT_PPM = 100
"""How fast the boot's own clock may run away from true time; a Pi's crystal stays below 50."""
RTC_ERR_MS = 60_000
"""A hardware clock says nothing of its error; a minute covers months of drift."""
MARK_ERR_MS = 1000
"""What is promised of a clock of which only is known that something keeps it."""
_TIME_ERROR = 5
_STA_UNSYNC = 0x40

Clockwork = Literal["rtc", "ntp", "hub", "none"]


class _Timex(ctypes.Structure):
    """The head of struct timex (adjtimex(2)); the rest is padding."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_byte * 256),
    )


def kernel_error_ms() -> int | None:
    """Largest error of a kernel clock that NTP keeps, in ms, or None when nothing keeps it."""
    try:
        timex = _Timex()
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    if state < 0:
        # A service without the clock's system calls: timesyncd leaves a mark for such.
        return MARK_ERR_MS if Path("/run/systemd/timesync/synchronized").exists() else None
    if state == _TIME_ERROR or timex.status & _STA_UNSYNC:
        return None
    return int(timex.maxerror) // 1000 + 1


def has_hardware_clock() -> bool:
    """Whether the machine has a clock that runs without power."""
    return Path("/sys/class/rtc/rtc0/since_epoch").exists()


@dataclass(frozen=True, slots=True)
class _Sample:
    """Wall time minus monotonic time, learned from the hub."""

    offset_ms: int
    err_ms: int
    at_mono_ms: int


class Timekeeper:
    """Answers when something happened, and how sure that is. Safe from any thread."""

    def __init__(
        self,
        clock: Clock,
        *,
        floor_ms: int = 0,
        kernel_error: Callable[[], int | None] = kernel_error_ms,
        hardware_clock: Callable[[], bool] = has_hardware_clock,
    ) -> None:
        """`floor_ms`: a time that is known to have passed, kept from earlier runs."""
        self._clock = clock
        self._floor_ms = max(BUILD_FLOOR_MS, floor_ms)
        self._kernel_error = kernel_error
        self._hardware_clock = hardware_clock()
        self._sample: _Sample | None = None
        self._lock = threading.Lock()

    @property
    def floor_ms(self) -> int:
        """The latest time known to have passed; to be kept for the next start."""
        with self._lock:
            if self._sample is None:
                return self._floor_ms
            now = self._sample.offset_ms + self._clock.mono_ms() - self._err_ms(self._sample)
            self._floor_ms = max(self._floor_ms, now)
            return self._floor_ms

    def raise_floor(self, floor_ms: int) -> None:
        """A later time is known to have passed."""
        with self._lock:
            self._floor_ms = max(self._floor_ms, floor_ms)

    def learn(self, hub_ms: int, *, sent_mono_ms: int, err_ms: int = 0) -> bool:
        """Take the hub's time from an answer bound to our nonce; False if it is not believed.

        `sent_mono_ms`: when the request left; `err_ms`: how coarse the hub's statement is. A
        sample replaces the last one only if it is the more exact one by now.
        """
        mono_ms = self._clock.mono_ms()
        rtt_ms = max(0, mono_ms - sent_mono_ms)
        sample = _Sample(hub_ms + rtt_ms // 2 - mono_ms, err_ms + rtt_ms // 2 + 1, mono_ms)
        with self._lock:
            if hub_ms + sample.err_ms < self._floor_ms:
                return False
            if self._sample is None or sample.err_ms <= self._err_ms(self._sample):
                self._sample = sample
            return True

    def occurred(self, mono_ms: int, err_ms: int) -> Occurred:
        """The moment `mono_ms` of this boot, known to within `err_ms` on the boot's clock."""
        wall_ms, clock_err_ms, clockwork = self._wall(mono_ms)
        return Occurred(
            wall_ms=wall_ms,
            err_ms=err_ms + clock_err_ms,
            clock=clockwork,
            boot=self._clock.boot,
            mono_ms=max(0, mono_ms),
        )

    def now(self) -> Occurred:
        """This moment."""
        return self.occurred(self._clock.mono_ms(), 0)

    def authenticated_s(self) -> int | None:
        """Seconds since 1970 if the hub or NTP vouches for them, else None."""
        now = self.now()
        return None if now.wall_ms is None or now.clock == "rtc" else now.wall_ms // 1000

    def signing_s(self) -> int:
        """Seconds since 1970 to sign requests with: the best guess, never below the floor."""
        wall_ms = self.now().wall_ms
        return max(wall_ms or 0, self._floor_ms) // 1000

    def certificates_datable(self) -> bool:
        """Whether the system clock is good enough to judge validity dates of TLS certificates."""
        return self._clock.wall_ms() >= self._floor_ms

    def _wall(self, mono_ms: int) -> tuple[int | None, int, Clockwork]:
        with self._lock:
            if self._sample is not None:
                return self._sample.offset_ms + mono_ms, self._err_ms(self._sample), "hub"
            floor_ms = self._floor_ms
        wall_ms = self._clock.wall_ms() - (self._clock.mono_ms() - mono_ms)
        if wall_ms >= floor_ms:
            kernel_err_ms = self._kernel_error()
            if kernel_err_ms is not None:
                return wall_ms, kernel_err_ms, "ntp"
            if self._hardware_clock:
                return wall_ms, RTC_ERR_MS, "rtc"
        return None, 0, "none"

    def _err_ms(self, sample: _Sample) -> int:
        age_ms = abs(self._clock.mono_ms() - sample.at_mono_ms)
        return sample.err_ms + age_ms * DRIFT_PPM // 1_000_000
