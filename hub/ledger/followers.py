"""Following the ledger: everything that can be computed from it is, in its order, once.

All projections move together, in one transaction with one cursor, so each is at any moment the
exact fold of the same prefix of the ledger, and a rebuild is: empty their tables, start at 0.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from sqlalchemy import Connection, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError

from hub.ledger.batches import LedgerBatch, Recent, read_batches
from hub.ledger.tables import CURSOR, DEVICE_DEALER
from hub.store import Database, Statement
from hub.store.savepoint import savepoint
from shared.wire.events import Event, Fact, MalformedEvent, parse_event

CURSOR_NAME = "projections"
TRANSACTION_MS = 20
"""What one step of the followers may hold the writer for: live batches wait behind it."""
CHUNK_MIN, CHUNK_MAX = 400, 4000


Write = Callable[[Connection], None]
"""A projection's part of a transaction."""
_POSITION = Statement("SELECT next_index FROM projection_cursor WHERE name = :name")
_MOVE = Statement(
    "UPDATE projection_cursor SET next_index = :end"
    " WHERE name = :name AND next_index = :start RETURNING next_index"
)


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

    def __init__(self, *, index: int, dealer: str | None, batch: LedgerBatch, raw: bytes) -> None:
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


class Follower(Protocol):
    """A projection: a deterministic fold of the ledger into tables of its own."""

    name: str
    tables: tuple[Table, ...]
    """Everything it writes: a rebuild empties them."""

    def fold(self, entries: Sequence[LedgerEntry]) -> Write:
        """Fold in `entries`, in order. No clock, no randomness, no other feature's tables.

        What needs no database is done at once; what it returns is called in the transaction.
        """
        ...


class Followers:
    """Runs all projections in lockstep behind the ledger."""

    def __init__(
        self, database: Database, followers: Sequence[Follower], recent: Recent | None = None
    ) -> None:
        """The order of `followers` is the order in which they see each chunk.

        `recent`: where this process keeps what it has placed itself.
        """
        self._database = database
        self._followers = tuple(followers)
        self._recent = recent or Recent()
        self._chunk = 500
        self._dealers: dict[str, str] | None = None
        self._dealers_at = -1
        self._stepping = threading.Lock()
        self.behind = False
        """Whether the last step was a whole chunk: more is likely to wait."""

    def position(self, connection: Connection) -> int:
        """How many entries the projections hold."""
        found = _POSITION.rows(connection, name=CURSOR_NAME)
        return found[0][0] if found else 0

    def step(self) -> int:
        """Fold in the next chunk; how many entries it had (0: caught up).

        It may have to be done again after a power cut: whatever is durable later comes behind it.
        """
        with self._stepping:
            return self._step()

    def _step(self) -> int:
        chunk = self._chunk
        start, batches, dealers = self._next()
        self.behind = False
        if not batches:
            return 0
        entries = self._entries(batches, dealers)
        writes = [follower.fold(entries) for follower in self._followers]
        # Until the write is through, nobody knows what the dealers are.
        self._dealers_at = -1
        moved, took_ms = self._database.write(
            lambda connection: self._timed(connection, start, entries[-1].index + 1, writes),
            flush=False,
        )
        self._dealers_at = start + len(entries) if moved else -1
        self.behind = len(entries) >= chunk
        self._adapt(took_ms)
        return len(entries)

    def _next(self) -> tuple[int, Sequence[LedgerBatch], dict[str, str]]:
        """Where the projections are, what comes next, and whose each device is there."""
        if self._dealers is not None and self._dealers_at >= 0:
            batches = self._recent.run(self._dealers_at, self._chunk)
            if batches:
                # Another process may have been faster: the cursor will say so.
                return self._dealers_at, batches, self._dealers
        with self._database.read() as connection:
            start = self.position(connection)
            batches = read_batches(connection, start, self._chunk)
            if self._dealers is None or self._dealers_at != start:
                rows = connection.execute(select(DEVICE_DEALER.c.device, DEVICE_DEALER.c.dealer))
                self._dealers = {row.device: row.dealer for row in rows}
                self._dealers_at = start
        return start, batches, self._dealers

    def _timed(
        self, connection: Connection, start: int, end: int, writes: Sequence[Write]
    ) -> tuple[bool, float]:
        """Apply, and how many ms it held the writer; the wait before it does not count."""
        began = time.perf_counter()
        moved = self._apply(connection, start, end, writes)
        return moved, (time.perf_counter() - began) * 1000

    def _adapt(self, took_ms: float) -> None:
        """Let a whole chunk take no longer than TRANSACTION_MS."""
        if took_ms > TRANSACTION_MS:
            self._chunk = max(CHUNK_MIN, self._chunk // 2)
        elif self.behind and took_ms < TRANSACTION_MS / 2:
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

    def _apply(self, connection: Connection, start: int, end: int, writes: Sequence[Write]) -> bool:
        """Move the cursor and write, unless another process has done so; whether it was us."""
        moved = _MOVE.rows(connection, name=CURSOR_NAME, start=start, end=end)
        if not moved:
            if start or self.position(connection):
                return False
            try:
                with savepoint(connection):
                    connection.execute(insert(CURSOR).values(name=CURSOR_NAME, next_index=end))
            except IntegrityError:  # another process was faster to begin
                return False
        for write in writes:
            write(connection)
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
