"""Questions about the ledger: pages of entries, one entry with its proof, counters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, and_, func, select
from sqlalchemy.sql.elements import ColumnElement

from hub.ledger.batches import LedgerBatch, batch_of
from hub.ledger.tables import (
    CHECKPOINT,
    CONTRADICTION,
    CONTRADICTION_MORE,
    ENTRY,
    ENTRY_COUNT,
    ENTRY_SERIAL,
)
from shared.wire.events import parse_event

PAGE_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries to list; None means any. Times are when the hub received them."""

    type: str | None = None
    types: tuple[str, ...] = ()
    """Any of these; empty means any at all."""
    dealer: str | None = None
    device: str | None = None
    serial: str | None = None
    indexes: tuple[int, ...] | None = None
    """These entries only."""
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """One entry as it is listed: its place, and its bytes."""

    index: int
    type: str
    dealer: str | None
    device: str
    at_ms: int
    received_ms: int
    batch_id: str
    quarantined: str | None
    serials: tuple[str, ...]
    raw: bytes = field(repr=False)

    @property
    def event(self) -> Mapping[str, object] | None:
        """The event as plain JSON, or None when its bytes are none."""
        try:
            value = orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None


def index_at(connection: Connection, at_ms: int) -> int:
    """The first index whose tree head was made at or after `at_ms`; the size when none was.

    Heads are made in order of time, so a search over their primary key finds it in a few reads.
    """
    low = 0
    high = connection.execute(select(func.max(CHECKPOINT.c.size))).scalar() or 0
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            select(CHECKPOINT.c.size, CHECKPOINT.c.at_ms)
            .where(CHECKPOINT.c.size > middle)
            .order_by(CHECKPOINT.c.size)
            .limit(1)
        ).one()
        if row.at_ms < at_ms:
            low = row.size
        else:
            high = middle
    return low


def terms_of(connection: Connection, wanted: EntryFilter) -> list[ColumnElement[bool]]:
    """The conditions on ENTRY; a serial is a join of its own."""
    terms: list[ColumnElement[bool]] = []
    if wanted.type is not None:
        terms.append(ENTRY.c.type == wanted.type)
    if wanted.types:
        terms.append(ENTRY.c.type.in_(wanted.types))
    if wanted.indexes is not None:
        terms.append(ENTRY.c.index.in_(wanted.indexes))
    if wanted.dealer is not None:
        terms.append(ENTRY.c.dealer == wanted.dealer)
    if wanted.device is not None:
        terms.append(ENTRY.c.device == wanted.device)
    if wanted.since_ms is not None:
        terms.append(ENTRY.c.index >= index_at(connection, wanted.since_ms))
    if wanted.until_ms is not None:
        terms.append(ENTRY.c.index < index_at(connection, wanted.until_ms))
    return terms


def list_entries(
    connection: Connection,
    wanted: EntryFilter,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = 50,
) -> list[EntryRow]:
    """Entries newest first below `before`, or oldest first above `after`; at most `limit`."""
    limit = min(limit, PAGE_MAX)
    query = select(ENTRY)
    terms = terms_of(connection, wanted)
    if wanted.serial is not None:
        query = query.join(
            ENTRY_SERIAL,
            and_(ENTRY_SERIAL.c.index == ENTRY.c.index, ENTRY_SERIAL.c.serial == wanted.serial),
        )
    if before is not None:
        terms.append(ENTRY.c.index < before)
    if after is not None:
        terms.append(ENTRY.c.index > after)
    order = ENTRY.c.index if after is not None else ENTRY.c.index.desc()
    rows = connection.execute(query.where(*terms).order_by(order).limit(limit)).all()
    return with_bytes(connection, rows)


def with_bytes(connection: Connection, rows: Sequence[object]) -> list[EntryRow]:
    """Rows of ENTRY with their events' bytes, in the order given."""
    indexes = [row.index for row in rows]  # type: ignore[attr-defined]
    batches: dict[int, LedgerBatch] = {}
    found: LedgerBatch | None = None
    for index in sorted(indexes):
        if found is None or index >= found.first_index + found.count:
            found = batch_of(connection, index)
        if found is not None:
            batches[index] = found
    listed = []
    for row in rows:
        batch = batches[row.index]  # type: ignore[attr-defined]
        raw = batch.events[row.index - batch.first_index]  # type: ignore[attr-defined]
        listed.append(
            EntryRow(
                index=row.index,  # type: ignore[attr-defined]
                type=row.type,  # type: ignore[attr-defined]
                dealer=row.dealer,  # type: ignore[attr-defined]
                device=row.device,  # type: ignore[attr-defined]
                at_ms=row.at_ms,  # type: ignore[attr-defined]
                received_ms=batch.received_ms,
                batch_id=batch.batch_id,
                quarantined=row.quarantined,  # type: ignore[attr-defined]
                serials=() if row.quarantined else serials_in(raw),  # type: ignore[attr-defined]
                raw=raw,
            )
        )
    return listed


def serials_in(raw: bytes) -> tuple[str, ...]:
    """The serials an event speaks of, each once. The index by serial cannot be asked for this."""
    return tuple(sorted(set(parse_event(raw).serials)))


def one_entry(connection: Connection, index: int) -> EntryRow | None:
    """The entry at `index`, or None when the projections do not hold it (yet)."""
    rows = connection.execute(select(ENTRY).where(ENTRY.c.index == index)).all()
    return with_bytes(connection, rows)[0] if rows else None


def count_entries(
    connection: Connection, *, since_day: int | None = None, dealer: str | None = None
) -> dict[str, int]:
    """How many entries of each type, from maintained counters: never a scan of the ledger."""
    query = select(ENTRY_COUNT.c.type, func.sum(ENTRY_COUNT.c.count)).group_by(ENTRY_COUNT.c.type)
    if since_day is not None:
        query = query.where(ENTRY_COUNT.c.day >= since_day)
    if dealer is not None:
        query = query.where(ENTRY_COUNT.c.dealer == dealer)
    return {kind: int(count) for kind, count in connection.execute(query)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A sealed statement for a place that another one holds: evidence of a copied box."""

    batch_id: str
    device: str
    epoch: int
    lane: str
    seq: int
    code: str
    received_ms: int


def contradictions_beyond(connection: Connection, device: str) -> int:
    """How many more contradicting statements of `device` were refused than are kept."""
    return (
        connection.execute(
            select(CONTRADICTION_MORE.c.count).where(CONTRADICTION_MORE.c.device == device)
        ).scalar()
        or 0
    )


def contradictions(connection: Connection, device: str) -> list[Contradiction]:
    """What was refused of `device` as contradicting, newest first."""
    rows = connection.execute(
        select(CONTRADICTION)
        .where(CONTRADICTION.c.device == device)
        .order_by(CONTRADICTION.c.received_ms.desc())
        .limit(PAGE_MAX)
    )
    return [
        Contradiction(
            batch_id=bytes(row.batch_id).hex(),
            device=row.device,
            epoch=row.epoch,
            lane=row.lane,
            seq=row.seq,
            code=row.code,
            received_ms=row.received_ms,
        )
        for row in rows
    ]
