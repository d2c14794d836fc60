"""Clocks of simulated machines: true time moves for all, each reads it in its own way."""


class TrueTime:
    """What really passes, in ms."""

    def __init__(self, start_ms: int) -> None:
        """Begin."""
        self.now_ms = start_ms

    def pass_ms(self, ms: int) -> None:
        """Move on."""
        self.now_ms += ms


class MachineClock:
    """A machine's clocks: monotonic since its boot, wall time right or wrong."""

    def __init__(self, true: TrueTime, name: str) -> None:
        """First boot, right clock."""
        self._true = true
        self._name = name
        self._boots = 0
        self._started_ms = true.now_ms
        self.wrong_by_ms = 0

    @property
    def boot(self) -> str:
        """Id of this boot."""
        return f"{self._name}-{self._boots}"

    def wall_ms(self) -> int:
        """Wall time as this machine believes it."""
        return max(0, self._true.now_ms + self.wrong_by_ms)

    def mono_ms(self) -> int:
        """Since this boot."""
        return self._true.now_ms - self._started_ms

    def reboot(self) -> None:
        """A new boot: monotonic time begins again."""
        self._boots += 1
        self._started_ms = self._true.now_ms
