"""Whose turn it may be: the people for whom something waits, each with the time of the next look.

Of thousands of messages that wait for a few people only the first of each may go, and most people
have to wait themselves: for the pair's rate, for another try, for what is being sent to them. So
the sender keeps a line for each person and looks at those whose time has come. It keeps them in
memory: they follow from the outbox, and a sender that begins reads them from it.
"""

import heapq
import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hub.outbox.messages import Road
from hub.outbox.store import Front, OutboxRow


@dataclass(frozen=True, slots=True)
class Line:
    """What waits for one person on one road: the urgent messages, or the others."""

    road: Road
    to: str
    urgent: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can go before `until_ms`; None: before something else to that person has moved."""

    until_ms: int | None
    held: bool = False
    """Not even what is said or moves meanwhile."""


Turn: TypeAlias = OutboxRow | Wait | Literal["empty"]
REPLACED_MAX = 1000
"""So many entries that others have replaced are kept."""
Said: TypeAlias = Wait | Literal["empty"]
"""What a look at a line has shown."""


def turn(front: Front, now_ms: int) -> Turn:
    """What a look at them says: the message that wants to go now, or how long none does."""
    if front.row is None:
        return "empty" if front.next_ms is None else Wait(front.next_ms)
    if front.behind or front.row.state == "sending":
        return Wait(None)
    if front.row.due_ms > now_ms:
        return Wait(front.next_ms)
    return front.row


@dataclass(slots=True)
class _Place:
    """Of a line: when it is looked at next, and until when no news of it change that."""

    due_ms: int | None
    held_ms: int = 0


class Lines:
    """All lines of a sender. A line may be looked at too early, which costs a look; never too late:
    whoever moves a message says so (`hear`). No I/O; of one thread at a time."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._places: dict[Line, _Place] = {}
        # Entries that a later one has replaced are passed over when they come up.
        self._heaps: dict[tuple[Road, bool], list[tuple[int, int, Line]]] = {}
        self._turns = itertools.count()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._places)

    def clear(self) -> None:
        """Forget them all."""
        self._places.clear()
        self._heaps.clear()

    def hear(self, road: Road, to: str, now_ms: int) -> None:
        """Something for `to` was enqueued or moved: look at it now, unless it is held.

        Who is due already keeps their turn: in an overload they would never have one.
        """
        for urgent in (True, False):
            line = Line(road, to, urgent)
            place = self._places.get(line) or _Place(None)
            due_ms = now_ms if place.due_ms is None else min(place.due_ms, now_ms)
            self._put(line, max(due_ms, place.held_ms), place.held_ms)

    def settle(self, line: Line, said: Said) -> None:
        """What a look at a line has shown, and is written down."""
        if said == "empty":
            self._places.pop(line, None)
        elif not said.held:
            place = self._places.get(line)
            self._put(line, said.until_ms, 0 if place is None else place.held_ms)
        elif said.until_ms is not None:
            # The rate is the person's: it holds for all of them.
            for urgent in (True, False):
                each = Line(line.road, line.to, urgent)
                if each in self._places or each == line:
                    self._put(each, said.until_ms, said.until_ms)

    def _put(self, line: Line, due_ms: int | None, held_ms: int) -> None:
        before = self._places.get(line)
        self._places[line] = _Place(due_ms, held_ms)
        if due_ms is not None and (before is None or before.due_ms != due_ms):
            heap = self._heaps.setdefault((line.road, line.urgent), [])
            heapq.heappush(heap, (due_ms, next(self._turns), line))
            if len(heap) > REPLACED_MAX + 2 * len(self._places):
                self._tidy(line.road, urgent=line.urgent)

    def _tidy(self, road: Road, *, urgent: bool) -> None:
        """Forget the entries that others have replaced: they would stay until their time."""
        left: dict[Line, tuple[int, int, Line]] = {}
        for entry in sorted(self._heaps[road, urgent]):
            place = self._places.get(entry[2])
            if place is not None and place.due_ms == entry[0]:
                left.setdefault(entry[2], entry)
        self._heaps[road, urgent] = list(left.values())  # sorted, which a heap may be

    def due(
        self, road: Road, now_ms: int, limit: int, *, urgent: bool, but: Collection[Line] = ()
    ) -> list[Line]:
        """Those whose time has come, the longest due first; none of `but`."""
        heap = self._heaps.get((road, urgent), [])
        taken: list[tuple[int, int, Line]] = []
        found: dict[Line, None] = {}
        for entry in _until(heap, now_ms):
            due_ms, _, line = entry
            place = self._places.get(line)
            if place is None or place.due_ms != due_ms or line in found:
                continue
            taken.append(entry)
            if line not in but:
                found[line] = None
            if len(found) >= limit:
                break
        for entry in taken:
            heapq.heappush(heap, entry)
        return list(found)


def _until(heap: list[tuple[int, int, Line]], now_ms: int) -> Iterator[tuple[int, int, Line]]:
    while heap and heap[0][0] <= now_ms:
        yield heapq.heappop(heap)
