"""Time as an argument: everything that needs it takes a Clock."""

import time
from pathlib import Path
from typing import Protocol

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Wall time, monotonic time and the boot they belong to."""

    @property
    def boot(self) -> str:
        """Id of this boot of the machine; monotonic times of two boots are not comparable."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 by this machine's clock, right or wrong."""
        ...

    def mono_ms(self) -> int:
        """Milliseconds since some moment of this boot; never goes back."""
        ...


class SystemClock:
    """The machine's clocks. Monotonic time counts suspension too (CLOCK_BOOTTIME)."""

    def __init__(self) -> None:
        """Read the boot id; a machine without one gets the process's start as its boot."""
        try:
            self._boot = BOOT_ID_FILE.read_text(encoding="ascii").strip().replace("-", "")[:12]
        except OSError:
            self._boot = f"{time.time_ns():x}"[:12]  # noqa: TID251 - this is the Clock

    @property
    def boot(self) -> str:
        """Id of this boot, twelve characters."""
        return self._boot

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000  # noqa: TID251 - this is the Clock

    def mono_ms(self) -> int:
        """Milliseconds since boot."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
