"""After a restored card, a clone or a salvage: giving waiting events their place anew.

An event whose very bytes the hub can prove goes to the ring. An event whose number the hub has
with other bytes gets a new number in a new generation. Everything else waits as before.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from edge_agent.buffer import ring, segments, settings
from edge_agent.buffer.segments import Row
from shared.wire import batch as wire
from shared.wire.events import LANES

_UNSEAL_SEGMENTS = """
    UPDATE segment SET batch = NULL
     WHERE batch IN (SELECT id FROM batch WHERE first_index IS NULL)
"""
_RECEIPTED = "SELECT id, segments FROM batch WHERE first_index IS NOT NULL ORDER BY id"
_GIVE_UP_SEGMENTS = "UPDATE segment SET batch = NULL WHERE batch = :batch"
_GIVE_UP = "DELETE FROM batch WHERE id = :batch"
_UNSEAL = "DELETE FROM batch WHERE first_index IS NULL"
_PLACE = """
    INSERT INTO lane (lane, next_seq, last_batch) VALUES (:lane, :next_seq, :last_batch)
    ON CONFLICT (lane) DO UPDATE
       SET next_seq = excluded.next_seq, last_batch = excluded.last_batch, halted = NULL
"""
_SETTLE = """
    INSERT INTO batch (lane, epoch, first_seq, count, bytes, batch_id, statement, seal, segments,
                       first_index, received_ms, receipted_running_ms)
    VALUES (:lane, 0, 0, :count, :bytes, :batch_id, x'', x'', :segments,
            :first_index, :received_ms, :running_ms)
"""
_TAKE = "UPDATE segment SET batch = :batch WHERE id = :segment"
_GAPS = "SELECT lane, gen, first_n, last_n, reason FROM gap ORDER BY lane, gen, first_n"
_ADD_GAP = """
    INSERT INTO gap (lane, gen, first_n, last_n, reason)
    VALUES (:lane, :gen, :first_n, :last_n, :reason)
    ON CONFLICT (lane, gen, first_n) DO UPDATE SET last_n = max(last_n, excluded.last_n)
"""
_DROP_GAP = "DELETE FROM gap WHERE lane = :lane AND gen = :gen AND first_n = :first_n"
_MOVE_ACTIVATION = """
    UPDATE activation SET gen = :new_gen, n = :new_n WHERE gen = :gen AND n = :n
"""
_MOVE_SOLD = "UPDATE sold SET gen = :new_gen, n = :new_n WHERE gen = :gen AND n = :n"


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive capture numbers of one lane and generation."""

    lane: str
    gen: int
    first_n: int
    last_n: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that were issued and cannot be found."""

    span: Span
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a lane of the new epoch begins."""

    next_seq: int
    last_batch: str | None


def unseal(connection: sqlite3.Connection) -> None:
    """Take the batches in flight apart again: their epoch is closed, nobody accepts them."""
    connection.execute(_UNSEAL_SEGMENTS)
    connection.execute(_UNSEAL)


def follow_generation(connection: sqlite3.Connection, begins: str) -> None:
    """The tree head `begins` is what is proven from now on; the one before it is evidence."""
    known = settings.recall(connection, settings.CHECKPOINT)
    if known is not None:
        settings.remember(connection, settings.EVIDENCE + known.partition("\n")[0], known)
    settings.remember(connection, settings.CHECKPOINT, begins)
    settings.remember(connection, settings.DOUBT, "generation")
    _doubt_ring(connection)


def _doubt_ring(connection: sqlite3.Connection) -> None:
    """Let what was receipted wait again: the ledger that holds it has ended.

    All but batches that lack their attachments: erased at the hub, they can only be given back.
    """
    whole = []
    for batch, ids in connection.execute(_RECEIPTED):
        parts = [segments.read(connection, segment) for segment in json.loads(ids)]
        named = wire.attachments_named([event for part in parts for event in part.events])
        if not named or any(part.attachments for part in parts):
            whole.append({"batch": batch})
    connection.executemany(_GIVE_UP_SEGMENTS, whole)
    connection.executemany(_GIVE_UP, whole)
    settings.remember(connection, settings.RING_BYTES, None)


def place(connection: sqlite3.Connection, places: Mapping[str, Place]) -> None:
    """Set each lane's next position."""
    for lane, found in places.items():
        values = {"lane": lane, "next_seq": found.next_seq, "last_batch": found.last_batch}
        connection.execute(_PLACE, values)


def waiting_spans(connection: sqlite3.Connection) -> list[Span]:
    """What waits, as spans of at most one batch's worth of numbers."""
    spans: list[Span] = []
    for lane in LANES:
        rows = sorted(segments.waiting(connection, lane), key=lambda row: (row.gen, row.first_n))
        for row in rows:
            last = spans[-1] if spans else None
            if (
                last is not None
                and (last.lane, last.gen, last.last_n + 1) == (lane, row.gen, row.first_n)
                and row.last_n - last.first_n < 50_000
            ):
                spans[-1] = Span(lane, row.gen, last.first_n, row.last_n)
            else:
                spans.append(Span(lane, row.gen, row.first_n, row.last_n))
    return spans


def events_of(connection: sqlite3.Connection, span: Span) -> tuple[bytes, ...] | None:
    """The waiting events of a span, or None when not all of them are here."""
    found: dict[int, bytes] = {}
    for row in _rows_in(connection, span):
        part = segments.read_row(connection, row)
        for offset, event in enumerate(part.events):
            found[row.first_n + offset] = event
    numbers = range(span.first_n, span.last_n + 1)
    if not all(n in found for n in numbers):
        return None
    return tuple(found[n] for n in numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the ledger has the events of a span, as the hub proved it."""

    batch_id: str
    first_index: int
    """Of the span's first event."""
    received_ms: int
    body: wire.Body | None
    """The whole batch, so that it can be given back one day; None: the hub did not say."""
    batch_first_index: int = 0
    """Of the whole batch."""


def settle(
    connection: sqlite3.Connection, span: Span, standing: Standing, *, running_ms: int
) -> int:
    """Move the events of a span to the ring: the hub proved that it has these very bytes.

    The bytes that the ring grew by.
    """
    ids: list[int] = []
    size = 0
    for row in _rows_in(connection, span):
        ids.append(_isolate(connection, row, span))
        size += row.bytes
    if standing.body is not None:
        # The batch as it was sealed holds them, and perhaps more that this card never saw.
        segments.delete(connection, ids)
        return ring.keep(
            connection,
            standing.body,
            first_index=standing.batch_first_index,
            received_ms=standing.received_ms,
            running_ms=running_ms,
        )
    values = {
        "lane": span.lane,
        "count": span.last_n - span.first_n + 1,
        "bytes": size,
        "batch_id": standing.batch_id,
        "segments": json.dumps(ids),
        "first_index": standing.first_index,
        "received_ms": standing.received_ms,
        "running_ms": running_ms,
    }
    number = connection.execute(_SETTLE, values).lastrowid
    connection.executemany(_TAKE, [{"batch": number, "segment": segment} for segment in ids])
    return size


def renumber(
    connection: sqlite3.Connection, device: str, spans: Sequence[Span], *, new_gen: int
) -> int:
    """Give the waiting events of `spans` numbers in `new_gen`; how many moved.

    Only these, and what names a sale that moves (activations, their answers): an event that keeps
    its number is known again when the same card image is restored once more.
    """
    moved: dict[tuple[int, int], int] = {}
    total = 0
    for lane in LANES:
        own = [span for span in spans if span.lane == lane]
        for span in own:
            for row in _rows_in(connection, span):
                _isolate(connection, row, span)
        next_n = segments.next_n(connection, lane, new_gen)
        # In order of capture: a sale comes before what names it.
        rows = sorted(segments.waiting(connection, lane), key=lambda row: (row.gen, row.first_n))
        for row in rows:
            part = segments.read_row(connection, row)
            if not (_inside(row, own) or any(_names(event, moved) for event in part.events)):
                continue
            if lane == "sale":
                moved.update({(row.gen, row.first_n + i): next_n + i for i in range(row.count)})
            fresh = replace(
                part,
                gen=new_gen,
                first_n=next_n,
                events=tuple(
                    _renumbered(event, (device, new_gen, next_n + i), moved=moved)
                    for i, event in enumerate(part.events)
                ),
            )
            segments.delete(connection, [row.id])
            segments.insert(connection, fresh, put_running_ms=0)
            next_n += row.count
            total += row.count
        segments.set_next_n(connection, lane, new_gen, next_n)
    for (gen, n), new_n in moved.items():
        values = {"gen": gen, "n": n, "new_gen": new_gen, "new_n": new_n}
        connection.execute(_MOVE_ACTIVATION, values)
        connection.execute(_MOVE_SOLD, values)
    settings.count(connection, "renumbered", total)
    return total


def _inside(row: Row, spans: Sequence[Span]) -> bool:
    return any(
        row.gen == span.gen and span.first_n <= row.first_n and row.last_n <= span.last_n
        for span in spans
    )


def gaps(connection: sqlite3.Connection) -> list[Gap]:
    """Holes whose fate is not known yet."""
    return [
        Gap(Span(lane, gen, first_n, last_n), reason)
        for lane, gen, first_n, last_n, reason in connection.execute(_GAPS)
    ]


def add_gap(connection: sqlite3.Connection, gap: Gap) -> None:
    """Note a hole in the caller's transaction."""
    values = {
        "lane": gap.span.lane,
        "gen": gap.span.gen,
        "first_n": gap.span.first_n,
        "last_n": gap.span.last_n,
        "reason": gap.reason,
    }
    connection.execute(_ADD_GAP, values)


def drop_gap(connection: sqlite3.Connection, span: Span) -> None:
    """The hole's fate is known."""
    values = {"lane": span.lane, "gen": span.gen, "first_n": span.first_n}
    connection.execute(_DROP_GAP, values)


def _rows_in(connection: sqlite3.Connection, span: Span) -> list[Row]:
    return [
        row
        for row in segments.waiting(connection, span.lane)
        if row.gen == span.gen and row.first_n <= span.last_n and row.last_n >= span.first_n
    ]


def _isolate(connection: sqlite3.Connection, row: Row, span: Span) -> int:
    """Id of a segment with just the part of `row` inside `span`; the rest is stored beside it."""
    if span.first_n <= row.first_n and row.last_n <= span.last_n:
        return row.id
    part = segments.read_row(connection, row)
    segments.delete(connection, [row.id])
    first = max(span.first_n, row.first_n)
    last = min(span.last_n, row.last_n)
    inner = 0
    for low, high in ((row.first_n, first - 1), (first, last), (last + 1, row.last_n)):
        if low > high:
            continue
        events = part.events[low - row.first_n : high - row.first_n + 1]
        # Only segments of several reports are ever split, and reports carry no attachments.
        piece = replace(part, first_n=low, events=events)
        number = segments.insert(connection, piece, put_running_ms=0)
        inner = number if low == first else inner
    return inner


def _sale_of(event: Any) -> tuple[int, int] | None:
    """Generation and number of the sale that an event names, or None."""
    sale = event["data"].get("sale") if isinstance(event.get("data"), dict) else None
    return (int(sale["gen"]), int(sale["n"])) if isinstance(sale, dict) else None


def _names(raw: bytes, moved: Mapping[tuple[int, int], int]) -> bool:
    """Whether an event names a sale that moves."""
    return bool(moved) and b'"sale":{' in raw and _sale_of(orjson.loads(raw)) in moved


def _renumbered(
    raw: bytes, name: tuple[str, int, int], *, moved: Mapping[tuple[int, int], int]
) -> bytes:
    event = orjson.loads(raw)
    event["device"], event["gen"], event["n"] = name
    sale = _sale_of(event)
    if sale is not None and sale in moved:
        event["data"]["sale"] = {"gen": name[1], "n": moved[sale]}
    return orjson.dumps(event)
