"""A clock that moves only when a test says so."""


class ManualClock:
    """Wall and monotonic time stand still until advance(); reboot() begins a new boot."""

    def __init__(self, *, wall_ms: int = 1_800_000_000_000, mono_ms: int = 1_000) -> None:
        """Begin at these times."""
        self._wall_ms = wall_ms
        self._mono_ms = mono_ms
        self._boots = 1

    @property
    def boot(self) -> str:
        """Id of this boot."""
        return f"boot{self._boots}"

    def wall_ms(self) -> int:
        """Milliseconds since 1970, right or wrong."""
        return self._wall_ms

    def mono_ms(self) -> int:
        """Milliseconds of this boot."""
        return self._mono_ms

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self._wall_ms += ms
        self._mono_ms += ms

    def set_wall(self, wall_ms: int) -> None:
        """The wall clock jumps."""
        self._wall_ms = wall_ms

    def reboot(self, *, wall_ms: int | None = None) -> None:
        """A new boot, perhaps in 1970."""
        self._boots += 1
        self._mono_ms = 1_000
        if wall_ms is not None:
            self._wall_ms = wall_ms
