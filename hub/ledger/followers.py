"""Following the ledger: everything that can be computed from it is, in its order, once.

All projections move together, in one transaction with one cursor, so each is at any moment the
exact fold of the same prefix of the ledger, and a rebuild is: empty their tables, start at 0.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from hub.ledger.tables import BATCH, CURSOR, DEVICE_DEALER
from hub.store import Database
from shared.wire.batch import unpack_events
from shared.wire.events import Event, Fact, MalformedEvent, parse_event

CURSOR_NAME = "projections"
TRANSACTION_MS = 20
"""What one step of the followers may hold the writer for: live batches wait behind it."""
CHUNK_MIN, CHUNK_MAX = 200, 4000


class LedgerEntry:
    """One entry of the ledger with its event, parsed once for all projections."""

    __slots__ = (
        "at_ms",
        "batch_id",
        "dealer",
        "device",
        "event",
        "index",
        "lane",
        "quarantined",
        "raw",
        "received_ms",
    )

    def __init__(self, *, index: int, dealer: str | None, batch: "LedgerBatch", raw: bytes) -> None:
        """`dealer` is the one the device belonged to at this place of the ledger."""
        self.index = index
        self.dealer = dealer
        self.device = batch.device
        self.lane = batch.lane
        self.received_ms = batch.received_ms
        self.batch_id = batch.batch_id
        self.raw = raw
        self.event: Event | None = None
        """None when it cannot be read: then `quarantined` says why."""
        self.quarantined: str | None = None
        self.at_ms = batch.received_ms
        """When it happened as far as known, else when the hub received it."""
        try:
            event = parse_event(raw)
        except MalformedEvent as error:
            self.quarantined = str(error)[:400]
            return
        if event.device != batch.device or event.lane != batch.lane:
            self.quarantined = "device or lane differs from the seal's"
            return
        self.event = event
        wall_ms = event.occurred.wall_ms
        if wall_ms is not None:
            self.at_ms = wall_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerBatch:
    """A batch as the ledger holds it."""

    first_index: int
    count: int
    device: str
    epoch: int
    lane: str
    seq: int
    received_ms: int
    batch_id: str
    statement: bytes
    seal: bytes
    events: tuple[bytes, ...]


class Follower(Protocol):
    """A projection: a deterministic fold of the ledger into tables of its own."""

    name: str
    tables: tuple[Table, ...]
    """Everything it writes: a rebuild empties them."""

    def apply(self, connection: Connection, entries: Sequence[LedgerEntry]) -> None:
        """Fold in `entries`, in order. No clock, no randomness, no other feature's tables."""
        ...


def read_batches(connection: Connection, start: int, limit: int) -> list[LedgerBatch]:
    """Batches from entry `start` on (the first of a batch): about `limit` entries, or one batch."""
    rows = connection.execute(
        select(BATCH).where(BATCH.c.first_index >= start).order_by(BATCH.c.first_index).limit(limit)
    )
    found: list[LedgerBatch] = []
    total = 0
    for row in rows:
        batch = as_batch(row)
        found.append(batch)
        total += batch.count
        if total >= limit:
            break
    rows.close()
    return found


def as_batch(row: Sequence[object]) -> LedgerBatch:
    """A row of BATCH as a LedgerBatch."""
    first_index, count, device, epoch, lane, seq, received_ms, digest, statement, seal, packed = row
    events, _ = unpack_events(bytes(packed), count)  # type: ignore[call-overload, arg-type]
    return LedgerBatch(
        first_index=first_index,  # type: ignore[arg-type]
        count=count,  # type: ignore[arg-type]
        device=device,  # type: ignore[arg-type]
        epoch=epoch,  # type: ignore[arg-type]
        lane=lane,  # type: ignore[arg-type]
        seq=seq,  # type: ignore[arg-type]
        received_ms=received_ms,  # type: ignore[arg-type]
        batch_id=bytes(digest).hex(),  # type: ignore[call-overload]
        statement=bytes(statement),  # type: ignore[call-overload]
        seal=bytes(seal),  # type: ignore[call-overload]
        events=events,
    )


class Followers:
    """Runs all projections in lockstep behind the ledger."""

    def __init__(self, database: Database, followers: Sequence[Follower]) -> None:
        """The order of `followers` is the order in which they see each chunk."""
        self._database = database
        self._followers = tuple(followers)
        self._chunk = 500
        self._dealers: dict[str, str] | None = None
        self._dealers_at = -1
        self._stepping = threading.Lock()

    def position(self, connection: Connection) -> int:
        """How many entries the projections hold."""
        found = connection.execute(
            select(CURSOR.c.next_index).where(CURSOR.c.name == CURSOR_NAME)
        ).scalar()
        return found or 0

    def step(self) -> int:
        """Fold in the next chunk, durable on return; how many entries it had (0: caught up)."""
        with self._stepping:
            return self._step()

    def _step(self) -> int:
        with self._database.read() as connection:
            start = self.position(connection)
            batches = read_batches(connection, start, self._chunk)
            if not batches:
                return 0
            if self._dealers is None or self._dealers_at != start:
                rows = connection.execute(select(DEVICE_DEALER.c.device, DEVICE_DEALER.c.dealer))
                self._dealers = {row.device: row.dealer for row in rows}
        entries = self._entries(batches, self._dealers)
        # Until the write is through, nobody knows what the dealers are.
        self._dealers_at = -1
        moved, took_ms = self._database.write(
            lambda connection: self._timed(connection, start, entries)
        )
        self._dealers_at = start + len(entries) if moved else -1
        self._adapt(took_ms)
        return len(entries)

    def _timed(
        self, connection: Connection, start: int, entries: Sequence[LedgerEntry]
    ) -> tuple[bool, float]:
        """Apply, and how many ms it held the writer; the wait before it does not count."""
        began = time.perf_counter()
        moved = self._apply(connection, start, entries)
        return moved, (time.perf_counter() - began) * 1000

    def _adapt(self, took_ms: float) -> None:
        if took_ms > TRANSACTION_MS:
            self._chunk = max(CHUNK_MIN, self._chunk // 2)
        elif took_ms < TRANSACTION_MS / 2:
            self._chunk = min(CHUNK_MAX, self._chunk * 2)

    @staticmethod
    def _entries(batches: Sequence[LedgerBatch], dealers: dict[str, str]) -> list[LedgerEntry]:
        entries = []
        for batch in batches:
            for offset, raw in enumerate(batch.events):
                entry = LedgerEntry(
                    index=batch.first_index + offset,
                    dealer=dealers.get(batch.device),
                    batch=batch,
                    raw=raw,
                )
                if batch.lane == "hub":
                    dealer = _enrolled(entry)
                    if dealer is not None:
                        dealers[dealer[0]] = entry.dealer = dealer[1]
                entries.append(entry)
        return entries

    def _apply(self, connection: Connection, start: int, entries: Sequence[LedgerEntry]) -> bool:
        """Fold `entries` in unless another process has done so; whether it was us."""
        end = entries[-1].index + 1
        changed = connection.execute(
            update(CURSOR)
            .where(CURSOR.c.name == CURSOR_NAME, CURSOR.c.next_index == start)
            .values(next_index=end)
        ).rowcount
        if not changed:
            if self.position(connection) != start or start:
                return False
            try:
                with connection.begin_nested():
                    connection.execute(insert(CURSOR).values(name=CURSOR_NAME, next_index=end))
            except IntegrityError:  # another process was faster to begin
                return False
        for follower in self._followers:
            follower.apply(connection, entries)
        return True

    def catch_up(self) -> int:
        """Step until nothing is left; how many entries were folded in."""
        total = 0
        while found := self.step():
            total += found
        return total

    def reset(self) -> None:
        """Empty every projection and begin at 0, in one transaction."""

        def empty(connection: Connection) -> None:
            for follower in self._followers:
                for table in reversed(follower.tables):
                    connection.execute(delete(table))
            connection.execute(delete(CURSOR))

        self._dealers = None
        self._database.write(empty)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every projected table."""
        return tuple(table for follower in self._followers for table in follower.tables)


def _enrolled(entry: LedgerEntry) -> tuple[str, str] | None:
    """Device and dealer of a ``device.enrolled`` fact."""
    event = entry.event
    if event is None or event.type != "device.enrolled" or not isinstance(event.data, Fact):
        return None
    device, dealer = event.data.values.get("device"), event.data.values.get("dealer")
    if isinstance(device, str) and isinstance(dealer, str):
        return device, dealer
    return None
