"""When to commit reports together: often enough for the broker, rarely enough for the card."""

from typing import Final, Generic, TypeVar

T = TypeVar("T")

COUNT_MAX: Final = 100
RETRY_MS: Final = 1000
_LEARN_MIN: Final = 10
_REFILL_MS: Final = 200


class CommitWindow(Generic[T]):
    """Collects items until one of these holds; decides by the times it is given, does no I/O.

    - the oldest item is `commit_ms` old,
    - COUNT_MAX items wait,
    - the broker's in-flight window is nearly full,
    - an urgent item came.

    A broker may hold back more than we allow it (Mosquitto's default is 20 in flight). That shows
    as a commit by age that is refilled at once with the same number: from then on that number is
    the window.
    """

    def __init__(self, *, commit_ms: int, in_flight_max: int) -> None:
        """`in_flight_max`: the receive maximum we announced."""
        self._commit_ms = commit_ms
        self._limit = min(COUNT_MAX, max(1, in_flight_max * 8 // 10))
        self._items: list[T] = []
        self._oldest_ms = 0
        self._urgent = False
        self._not_before_ms = 0
        self._broker_limit: int | None = None
        self._aged: tuple[int, int] | None = None  # size and time of the last commit by age

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._items)

    def add(self, item: T, now_ms: int, *, urgent: bool) -> None:
        """Collect one item."""
        if not self._items:
            self._oldest_ms = now_ms
        self._items.append(item)
        self._urgent = self._urgent or urgent
        if self._aged is not None and len(self._items) == self._aged[0]:
            if now_ms - self._aged[1] <= _REFILL_MS:
                self._broker_limit = self._aged[0]
            self._aged = None

    def wait_ms(self, now_ms: int) -> int | None:
        """How long until a commit is due if nothing more comes; None while nothing waits."""
        if not self._items:
            return None
        full = len(self._items) >= min(self._limit, self._broker_limit or self._limit)
        due_ms = now_ms if full or self._urgent else self._oldest_ms + self._commit_ms
        return max(due_ms, self._not_before_ms) - now_ms

    def is_due(self, now_ms: int) -> bool:
        """Whether to commit now."""
        wait_ms = self.wait_ms(now_ms)
        return wait_ms is not None and wait_ms <= 0

    def take(self, now_ms: int) -> list[T]:
        """Everything that waits, in order."""
        items, self._items = self._items, []
        by_age = not self._urgent and len(items) < self._limit
        if by_age and len(items) >= _LEARN_MIN and self._broker_limit is None:
            self._aged = (len(items), now_ms)
        self._urgent = False
        return items

    def put_back(self, items: list[T], now_ms: int) -> None:
        """They could not be stored: keep them, in order, and try again after RETRY_MS."""
        self._items = items + self._items
        self._not_before_ms = now_ms + RETRY_MS

    def forget_broker(self) -> None:
        """A new connection: what was learned of the broker's window no longer holds."""
        self._broker_limit = None
        self._aged = None
