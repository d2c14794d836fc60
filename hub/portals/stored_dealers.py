"""The pages' questions about stores, answered by the registry."""

from collections.abc import Sequence

from hub.portals.read_models import Dealer
from hub.registry import rules
from hub.registry.service import Registry
from shared.clock import Clock

KEPT_MS = 10_000


class StoredDealers:
    """Reads the dealers of one hub: all at once, at most every ten seconds."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        """Know nothing yet."""
        self._registry = registry
        self._clock = clock
        self._by_code: dict[str, Dealer] = {}
        self._read_ms: int | None = None

    def _all(self) -> dict[str, Dealer]:
        now_ms = self._clock.mono_ms()
        if self._read_ms is None or now_ms - self._read_ms >= KEPT_MS:
            rows = sorted(self._registry.dealers.all(), key=lambda row: row.name.casefold())
            self._by_code = {row.code: _dealer(row) for row in rows}
            self._read_ms = now_ms
        return self._by_code

    def dealers(self) -> Sequence[Dealer]:
        """Every dealer, by name."""
        return list(self._all().values())

    def dealer(self, code: str) -> Dealer | None:
        """One dealer."""
        return self._all().get(code)


def _dealer(row: rules.Dealer) -> Dealer:
    return Dealer(code=row.code, name=row.name, region=row.region, timezone=row.timezone)
