"""Segments: what one commit writes, and the numbers its events get."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edge_agent.buffer import settings
from edge_agent.buffer.captures import PRIORITY_OF, Capture, Priority, Stored
from edge_agent.buffer.frames import (
    MAX_SEGMENT_BYTES,
    MAX_SEGMENT_EVENTS,
    Segment,
    decode_frame,
    encode_frame,
)
from edge_agent.errors import BufferDamaged, CaptureRefused
from shared.wire.events import (
    LANE_OF,
    MAX_LOSS_RANGES,
    Attachment,
    MalformedEvent,
    Occurred,
    encode_event,
)

_GROUP_BYTES = MAX_SEGMENT_BYTES // 2
_NEXT_N = "SELECT next_n FROM numbering WHERE lane = :lane AND gen = :gen"
_SET_NEXT_N = """
    INSERT INTO numbering (lane, gen, next_n) VALUES (:lane, :gen, :next_n)
    ON CONFLICT (lane, gen) DO UPDATE SET next_n = excluded.next_n
"""
_INSERT = """
    INSERT INTO segment (lane, priority, gen, first_n, count, bytes, put_running_ms)
    VALUES (:lane, :priority, :gen, :first_n, :count, :bytes, :put_running_ms)
"""
_INSERT_FRAME = "INSERT INTO frame (segment, blob) VALUES (:segment, :blob)"
_FRAME = "SELECT blob FROM frame WHERE segment = :segment"
_DELETE = "DELETE FROM segment WHERE id = :segment"
_DELETE_FRAME = "DELETE FROM frame WHERE segment = :segment"
# The second look at `batch` reads the row itself: a damaged index must not offer what is sealed.
_WAITING = """
    SELECT id, lane, priority, gen, first_n, count, bytes FROM segment
     WHERE lane = :lane AND batch IS NULL AND +batch IS NULL ORDER BY priority, id
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A segment's row, without its blob."""

    id: int
    lane: str
    priority: int
    gen: int
    first_n: int
    count: int
    bytes: int

    @property
    def last_n(self) -> int:
        """Number of the last event."""
        return self.first_n + self.count - 1


def waiting(connection: sqlite3.Connection, lane: str) -> Iterator[Row]:
    """Segments that no batch holds yet, in the order in which they leave, read as they are used.

    The caller must not write before it has taken what it needs.
    """
    for row in connection.execute(_WAITING, {"lane": lane}):
        yield Row(*row)


def any_waiting(connection: sqlite3.Connection, lane: str) -> bool:
    """Whether there is anything to seal."""
    return next(waiting(connection, lane), None) is not None


def read(connection: sqlite3.Connection, segment: int) -> Segment:
    """The segment's events. Raises BufferDamaged when its bytes came back wrong."""
    row = connection.execute(_FRAME, {"segment": segment}).fetchone()
    if row is None:
        raise BufferDamaged(f"the frame of segment {segment} is missing")
    return decode_frame(row[0])


def read_row(connection: sqlite3.Connection, row: Row) -> Segment:
    """The events of a row, which must be the ones the row speaks of. Raises BufferDamaged."""
    segment = read(connection, row.id)
    found = (segment.lane, segment.gen, segment.first_n, len(segment.events))
    if found != (row.lane, row.gen, row.first_n, row.count):
        raise BufferDamaged(f"row and frame of segment {row.id} differ")
    return segment


def insert(connection: sqlite3.Connection, segment: Segment, *, put_running_ms: int) -> int:
    """Store a segment in the caller's transaction; its id."""
    blob = encode_frame(segment)
    values = {
        "lane": segment.lane,
        "priority": int(segment.priority),
        "gen": segment.gen,
        "first_n": segment.first_n,
        "count": len(segment.events),
        "bytes": len(blob),
        "put_running_ms": put_running_ms,
    }
    row = connection.execute(_INSERT, values).lastrowid
    assert row is not None
    connection.execute(_INSERT_FRAME, {"segment": row, "blob": blob})
    return row


def next_n(connection: sqlite3.Connection, lane: str, gen: int) -> int:
    """The number the next event of this lane and generation gets."""
    row = connection.execute(_NEXT_N, {"lane": lane, "gen": gen}).fetchone()
    return 1 if row is None else int(row[0])


def set_next_n(connection: sqlite3.Connection, lane: str, gen: int, number: int) -> None:
    """Move the numbering in the caller's transaction."""
    connection.execute(_SET_NEXT_N, {"lane": lane, "gen": gen, "next_n": number})


def delete(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Remove segments and their frames."""
    values = [{"segment": segment} for segment in ids]
    connection.executemany(_DELETE, values)
    connection.executemany(_DELETE_FRAME, values)


class Writer:
    """Numbers and groups captures inside one transaction. Nothing is visible before finish()."""

    def __init__(
        self, connection: sqlite3.Connection, *, device: str, gen: int, running_ms: int
    ) -> None:
        """`gen` is the current generation."""
        self._connection = connection
        self._device = device
        self._gen = gen
        self._running_ms = running_ms
        self._next_n: dict[str, int] = {}
        self._open: dict[str, _Group] = {}
        self.lanes: set[str] = set()

    def add(self, capture: Capture) -> Stored:
        """Give the capture its number. Raises CaptureRefused."""
        lane = LANE_OF[capture.type]
        n = self._next_n[lane] if lane in self._next_n else self._load_n(lane)
        self._next_n[lane] = n + 1
        raw = self._encode(capture, lane, n)
        size = len(raw)
        if capture.attachments:
            size += sum(map(len, capture.attachments))
            if size > _GROUP_BYTES:
                raise CaptureRefused(f"{capture.type} with {size} bytes and attachments")
        priority = PRIORITY_OF[capture.type]
        group = self._open.get(lane)
        if group is None or not group.takes(priority, size):
            if group is not None:
                self._close(lane)
            group = self._open[lane] = _Group(lane, priority, n)
        group.events.append(raw)
        if capture.attachments:
            group.attachments.extend(capture.attachments)
        group.bytes += size
        return Stored(self._gen, lane, n)

    def add_loss(
        self, *, lane: str, gen: int, ranges: Sequence[tuple[int, int]], reason: str, now: Occurred
    ) -> int:
        """Declare numbers that will never come; the count of them."""
        merged = merge_ranges(ranges)
        for at in range(0, len(merged), MAX_LOSS_RANGES):
            part = merged[at : at + MAX_LOSS_RANGES]
            lost = sum(last - first + 1 for first, last in part)
            data = {
                "lane": lane,
                "gen": gen,
                "ranges": [list(pair) for pair in part],
                "count": lost,
                "reason": reason,
            }
            self.add(Capture(type="agent.loss", data=data, occurred=now))
        total = sum(last - first + 1 for first, last in merged)
        settings.count(self._connection, f"lost_{lane}", total)
        return total

    def finish(self) -> None:
        """Write segments and numbers in the caller's transaction."""
        for lane in tuple(self._open):
            self._close(lane)
        for lane, number in self._next_n.items():
            set_next_n(self._connection, lane, self._gen, number)

    def _encode(self, capture: Capture, lane: str, n: int) -> bytes:
        attachments = capture.attachments
        try:
            return encode_event(
                type=capture.type,
                device=self._device,
                gen=self._gen,
                lane=lane,
                n=n,
                occurred=capture.occurred,
                data=capture.data,
                attachments=[_named(item) for item in attachments] if attachments else (),
                authenticated_by=capture.authenticated_by,
            )
        except (MalformedEvent, TypeError) as error:
            raise CaptureRefused(f"{capture.type}: {error}") from error

    def _load_n(self, lane: str) -> int:
        return next_n(self._connection, lane, self._gen)

    def _close(self, lane: str) -> None:
        group = self._open.pop(lane)
        segment = Segment(
            lane=lane,
            priority=group.priority,
            gen=self._gen,
            first_n=group.first_n,
            events=tuple(group.events),
            attachments=tuple(group.attachments),
        )
        insert(self._connection, segment, put_running_ms=self._running_ms)
        self.lanes.add(lane)


class _Group:
    """Consecutive events of a lane that will share a segment."""

    __slots__ = ("attachments", "bytes", "events", "first_n", "lane", "priority")

    def __init__(self, lane: str, priority: Priority, first_n: int) -> None:
        self.lane = lane
        self.priority = priority
        self.first_n = first_n
        self.events: list[bytes] = []
        self.attachments: list[bytes] = []
        self.bytes = 0

    def takes(self, priority: Priority, size: int) -> bool:
        """Only reports share a segment; everything else stands alone, so it leaves alone."""
        return (
            priority is Priority.REPORT
            and self.priority is Priority.REPORT
            and len(self.events) < MAX_SEGMENT_EVENTS
            and self.bytes + size <= _GROUP_BYTES
        )


def _named(item: bytes) -> Attachment:
    return Attachment(hashlib.sha256(item).hexdigest(), len(item))


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers as ascending ranges that neither touch nor overlap."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
