"""Messages of our own to ourselves: they show what the broker lets us hear, and what has waited.

A broker keeps what its access list hides from us to itself, without a word. After every sign-in
one marker a topic is sent to ourselves, by the same ways that scooters' messages take. What comes
behind the last marker did not wait at the broker; a marker that never comes names the line that is
missing in the list.
"""

from collections.abc import Iterable
from typing import Final

CATCH_UP_MS: Final = 60_000
"""By then markers are back, or hidden: a broker hands out its whole queue in less."""


class OwnMarker:
    """The markers of one connection after the other; decides by the times it is given, no I/O."""

    def __init__(self, user: str, kinds: Iterable[str], *, catch_up_ms: int = CATCH_UP_MS) -> None:
        """`user`: our name at the broker, under which it lets us write."""
        self._user = user
        self._topics = {f"scooter/{user}/{kind}": kind for kind in kinds}
        self._catch_up_ms = catch_up_ms
        self._payload = b""
        self._since_ms: int | None = None
        self._waiting: dict[str, int | None] = {}  # kind → message id once it is sent
        self._refused: set[str] = set()
        self._hidden: set[str] = set()

    def begin(self, token: str, now_ms: int) -> list[tuple[str, bytes]]:
        """A new connection: (topic, payload) of what to send, in this order.

        `token` was never used before.
        """
        self._payload = f"caught up {token}".encode()
        self._since_ms = now_ms
        self._waiting = dict.fromkeys(self._topics.values())
        self._refused.clear()
        self._hidden.clear()
        return [(topic, self._payload) for topic in self._topics]

    def is_ours(self, topic: str) -> bool:
        """Whether a message is a marker, of this connection or of an earlier one."""
        return topic in self._topics

    def sent(self, topic: str, mid: int) -> None:
        """The marker left under this message id."""
        if (kind := self._topics[topic]) in self._waiting:
            self._waiting[kind] = mid

    def refused(self, mid: int) -> None:
        """The broker says (MQTT 5) that we may not write this."""
        for kind, sent in self._waiting.items():
            if sent == mid:
                self._refused.add(kind)

    def came(self, topic: str, payload: bytes) -> bool:
        """A marker is back; True when nothing behind it has waited."""
        if payload != self._payload:
            return False
        kind = self._topics[topic]
        self._waiting.pop(kind, None)
        self._refused.discard(kind)
        self._hidden.discard(kind)
        return kind == list(self._topics.values())[-1]

    def is_due(self, now_ms: int) -> bool:
        """Whether the time for markers has just run out; True once a connection."""
        if self._since_ms is None or now_ms - self._since_ms <= self._catch_up_ms:
            return False
        self._since_ms = None
        self._hidden = set(self._waiting) - self._refused
        return True

    def hides(self) -> bool:
        """Whether messages of scooters are, as far as we know, kept from us."""
        return bool(self._hidden)

    def complaint(self) -> str:
        """What is missing in the broker's access list, or nothing."""
        kinds = list(self._topics.values())
        if self._hidden:
            kind = min(self._hidden, key=kinds.index)
            return (
                f"the broker keeps scooters' {kind} messages from us: its access list lacks "
                f"`topic read scooter/+/{kind}` below `user {self._user}`"
                f" (or the marker's `pattern write scooter/%u/{kind}`)"
            )
        if self._refused:
            kind = min(self._refused, key=kinds.index)
            return (
                "the broker refuses our marker, so reports that waited cannot be told from fresh "
                f"ones: its access list lacks `pattern write scooter/%u/{kind}`"
            )
        return ""
