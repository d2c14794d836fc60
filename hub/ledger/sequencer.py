"""The sequencer: the only one who gives a fact its place on the ledger.

Batches of boxes and the hub's own pending facts are ordered in groups: one durable transaction
stores a group, and only after its commit is the new tree head signed. A power cut before the
commit leaves nothing, after it everything but the signature, which is made again at need.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson
from sqlalchemy import Connection, insert, select, text

from hub.errors import LedgerCorrupt, Refused
from hub.ledger.batches import LedgerBatch, Recent
from hub.ledger.claims import clear, refusal, standing
from hub.ledger.evidence import keep_evidence
from hub.ledger.generations import OPENED, fact_of, record, refuse_newer
from hub.ledger.live_tree import LiveTree
from hub.ledger.placed import Placed, stored_place
from hub.ledger.tables import (
    BATCH,
    EPOCH,
    LANE_HEAD,
    PENDING,
)
from hub.ledger.tree import Tree, newest_checkpoint
from hub.store import Database, Statement, Values, WideStatement, bulk_insert, bulk_upsert
from shared.clock import Clock
from shared.crypto.keys import SigningKey
from shared.generation import Opening
from shared.identifiers import HUB_DEVICE
from shared.wire import batch as wire
from shared.wire.events import Occurred, encode_event

GROUP_BATCHES_MAX = 64
"""Batches of one transaction: bounds how long a commit takes and how much is lost with it."""
FACTS_MAX = 200
ADVISORY_LOCK = 0x6B6963_6B73_7461
"""The PostgreSQL advisory lock that makes one transaction at a time the sequencer."""

UnfitKeys = Callable[[Connection, Collection[str]], Mapping[str, Refused]]

_HEADS = WideStatement(
    EPOCH,
    ("device",),
    "SELECT said.device, (SELECT max(epoch) FROM epoch WHERE epoch.device = said.device),"
    " head.epoch, head.lane, head.next_seq, head.last_batch"
    " FROM said LEFT JOIN lane_head AS head ON head.device = said.device",
)
_PENDING = Statement("SELECT id, type, data, at_ms FROM ledger_pending ORDER BY id LIMIT :limit")
_NO_LONGER_PENDING = WideStatement(
    PENDING, ("id",), "DELETE FROM ledger_pending WHERE id IN (SELECT id FROM said)"
)
_HUB_EPOCH = Statement("SELECT epoch FROM epoch WHERE device = :device AND epoch = :epoch")
_HUB_HEAD = Statement(
    "SELECT next_seq, last_batch FROM lane_head"
    " WHERE device = :device AND epoch = :epoch AND lane = 'hub'"
)
_KEEP_CHECKPOINT = Statement(
    "INSERT INTO checkpoint (size, root, at_ms) VALUES (:size, :root, :at_ms)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A verified batch that waits for its place."""

    device: str
    body: wire.Body
    received_ms: int
    attach: Callable[[Connection], None] | None = None
    """Stores the attachments, in the very transaction that stores the batch."""
    known: int = 0
    """The largest ledger that was ever proven to its box, as the box says."""
    keyid: str = ""
    """Of the key that sealed it; the hub's own facts name none."""


_Lane: TypeAlias = tuple[str, int, str]
"""Device, epoch, lane."""


@dataclass(slots=True)
class _Head:
    next_seq: int
    last_batch: bytes


@dataclass(slots=True)
class _Group:
    """What one transaction adds."""

    rows: list[Values] = field(default_factory=list)
    """Of BATCH, in the order of its columns."""
    heads: dict[_Lane, _Head] = field(default_factory=dict)
    moved: set[_Lane] = field(default_factory=set)
    epochs: dict[str, int] = field(default_factory=dict)
    read_only: bool = False
    """The ledger is a restored one: only what it has already is answered for."""
    answers: list[Placed | Refused] = field(default_factory=list)
    placed: dict[bytes, Placed] = field(default_factory=dict)
    unfit: Mapping[str, Refused] = field(default_factory=dict)
    """Keys that may seal nothing at this place of the ledger, and why."""


class Sequencer:
    """Orders batches and facts. One per process; across processes the database decides."""

    def __init__(
        self,
        database: Database,
        live: LiveTree,
        *,
        clock: Clock,
        hub_key: SigningKey,
        generation: int = 1,
    ) -> None:
        """Touch nothing yet: the tree is loaded by the first transaction.

        `generation`: of the ledger; the hub's own facts have an epoch in each.
        """
        self._database = database
        self._live = live
        self._clock = clock
        self._hub_key = hub_key
        self.generation = generation
        self._waiting: list[tuple[Incoming, Future[Placed]]] = []
        self._waiting_lock = threading.Lock()
        self.recent = Recent()
        """What this process placed last, for its followers."""
        self.unfit_keys: UnfitKeys = lambda _connection, _keyids: {}
        """Asked inside each transaction which keys may not seal what it places."""
        self.listeners: list[Callable[[], None]] = []
        """Called after a commit that made the ledger longer, on the writer's thread."""

    def submit(self, incoming: Incoming) -> "Future[Placed]":
        """Queue a batch; the future holds its place once it is durable, or a Refused."""
        future: Future[Placed] = Future()
        with self._waiting_lock:
            self._waiting.append((incoming, future))
            wake = len(self._waiting) == 1
        if wake:
            self._database.submit(self._take, self._answer).add_done_callback(self._drop)
        return future

    def refuse_read_only(self, connection: Connection) -> None:
        """Raises Refused 503 while nothing new may be placed."""
        found = standing(connection)
        if found.is_read_only(self.generation):
            raise refusal(found.size)

    @property
    def waiting(self) -> int:
        """Batches that have no place yet."""
        return len(self._waiting)

    def _drop(self, job: "Future[object]") -> None:
        """Fail a group whose transaction failed: nothing of it is on disk."""
        error = job.exception()
        if error is None:
            return
        self._forget_tree(job)
        with self._waiting_lock:
            failed, self._waiting = self._waiting, []
        for _, future in failed:
            if not future.done():
                future.set_exception(error)

    def _take(self, connection: Connection) -> list[Placed | Refused]:
        with self._waiting_lock:
            group = [incoming for incoming, _ in self._waiting[:GROUP_BATCHES_MAX]]
        return self.sequence(connection, group)

    def _answer(self, answers: list[Placed | Refused]) -> None:
        count = len(answers)
        with self._waiting_lock:
            done, self._waiting = self._waiting[:count], self._waiting[count:]
            more = bool(self._waiting)
        if more:
            self._database.submit(self._take, self._answer).add_done_callback(self._drop)
        self.recent.keep(
            _as_placed(incoming, answer)
            for (incoming, _), answer in zip(done, answers, strict=True)
            # Else it stood before, and wherever the ledger ends now.
            if isinstance(answer, Placed) and answer.size == answer.first_index + answer.count
        )
        self._committed()
        for (_, future), answer in zip(done, answers, strict=True):
            if isinstance(answer, Refused):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _committed(self) -> None:
        self._live.committed()
        for listener in self.listeners:
            listener()

    def sequence_facts(self) -> int:
        """Give the hub's pending facts their places; how many there were."""
        job = self._database.submit(self._facts, self._after_facts)
        job.add_done_callback(self._forget_tree)
        found: int = job.result()
        return found

    def _forget_tree(self, job: "Future[object]") -> None:
        """After a failed transaction, commit included, the tree may be ahead of the disk."""
        if job.exception() is not None:
            self._live.forget()

    def _after_facts(self, found: int) -> int:
        if found:
            self._committed()
        return found

    def _facts(self, connection: Connection) -> int:
        # Before anything is read: another process may be about to place these very facts.
        lock_ledger(connection)
        if standing(connection).is_read_only(self.generation):
            return 0
        rows = _PENDING.rows(connection, limit=FACTS_MAX)
        if rows:
            self._append_facts(connection, rows)
        return len(rows)

    def sequence(
        self, connection: Connection, batches: Sequence[Incoming]
    ) -> list[Placed | Refused]:
        """Place `batches` in the caller's transaction; an answer for each, in order.

        On any error the tree in memory is dropped: it may be ahead of the disk.
        """
        try:
            with self._live.lock:
                lock_ledger(connection)
                found = standing(connection)
                refuse_newer(found.generation, self.generation)
                tree = self._live.current(connection, (found.size, found.root))
                group = _Group()
                # Here and not at the door: what counts is the key's state at the leaf's place.
                keyids = {incoming.keyid for incoming in batches if incoming.keyid}
                group.unfit = self.unfit_keys(connection, keyids) if keyids else {}
                self._read_heads(connection, batches, group)
                size = tree.size
                group.read_only = found.is_read_only(self.generation)
                for incoming in batches:
                    answer = self._place(connection, incoming, group, size)
                    group.answers.append(answer)
                    if isinstance(answer, Placed) and answer.first_index == size:
                        size += answer.count
                        tree.append(
                            wire.leaf_hashes(
                                incoming.body.events,
                                bytes.fromhex(incoming.body.batch_id),
                                incoming.received_ms,
                            )
                        )
                self._store(connection, tree, group)
        except BaseException:
            self._live.forget()
            raise
        return group.answers

    def _read_heads(
        self, connection: Connection, batches: Sequence[Incoming], group: _Group
    ) -> None:
        devices = sorted({incoming.device for incoming in batches})
        rows = _HEADS.rows(connection, [(device,) for device in devices])
        for device, open_epoch, epoch, lane, next_seq, last_batch in rows:
            if open_epoch is not None:
                group.epochs[device] = open_epoch
            if lane is not None:
                group.heads[device, epoch, lane] = _Head(next_seq, bytes(last_batch))

    def _place(
        self, connection: Connection, incoming: Incoming, group: _Group, size: int
    ) -> Placed | Refused:
        statement = incoming.body.statement
        digest = bytes.fromhex(incoming.body.batch_id)
        key = (incoming.device, statement.epoch, statement.lane)
        head = group.heads.get(key, _Head(1, b""))
        expected = head.last_batch.hex() or None
        if group.read_only or incoming.known > size:
            # A box that has seen a longer ledger proven must not write to a shorter one; nor is
            # what does not fit here evidence against it.
            return (
                group.placed.get(digest)
                or stored_place(connection, digest, incoming.device)
                or refusal(size)
            )
        if statement.first_seq != head.next_seq or statement.prev != expected:
            return self._stored_or_refused(connection, incoming, group, head)
        current = group.epochs.get(incoming.device)
        if current != statement.epoch:
            return Refused(
                409, "epoch-closed", f"epoch {statement.epoch} is closed; {current} is open"
            )
        if incoming.keyid in group.unfit:
            return group.unfit[incoming.keyid]
        placed = Placed(
            batch_id=incoming.body.batch_id,
            first_index=size,
            count=statement.count,
            received_ms=incoming.received_ms,
            size=size + statement.count,
        )
        group.placed[digest] = placed
        group.heads[key] = _Head(head.next_seq + statement.count, digest)
        group.moved.add(key)
        group.rows.append(
            (
                size,
                statement.count,
                *(incoming.device, statement.epoch, statement.lane, statement.first_seq),
                incoming.received_ms,
                digest,
                incoming.body.statement_bytes,
                incoming.body.seal,
                incoming.body.events_bytes,
            )
        )
        if incoming.attach is not None:
            incoming.attach(connection)
        return placed

    def _stored_or_refused(
        self, connection: Connection, incoming: Incoming, group: _Group, head: _Head
    ) -> Placed | Refused:
        """The old place of a batch that was stored before, or why it cannot have one."""
        digest = bytes.fromhex(incoming.body.batch_id)
        known = group.placed.get(digest) or stored_place(connection, digest, incoming.device)
        if known is not None:
            return known
        statement = incoming.body.statement
        seq = statement.first_seq
        if seq > head.next_seq:
            return Refused(409, "seq-gap", f"next is {head.next_seq}, this begins at {seq}")
        code = "seq-conflict"
        if seq < head.next_seq:
            same_place = connection.execute(
                select(BATCH.c.batch_id).where(
                    BATCH.c.device == incoming.device,
                    BATCH.c.epoch == statement.epoch,
                    BATCH.c.lane == statement.lane,
                    BATCH.c.seq == seq,
                )
            ).first()
            code = "seq-conflict" if same_place else "seq-overlap"
        keep_evidence(connection, incoming.body, code, received_ms=incoming.received_ms)
        return Refused(409, code, f"position {seq} already holds another statement; both are kept")

    def _store(self, connection: Connection, tree: Tree, group: _Group) -> None:
        if not group.rows:
            # A group in which everything was refused or known must write no tree head.
            return
        bulk_insert(connection, BATCH, group.rows)
        heads = [(key, group.heads[key]) for key in sorted(group.moved)]
        bulk_upsert(
            connection, LANE_HEAD, [(*key, head.next_seq, head.last_batch) for key, head in heads]
        )
        tree.flush(connection)
        _KEEP_CHECKPOINT.run(
            connection, [{"size": tree.size, "root": tree.root(), "at_ms": self._clock.wall_ms()}]
        )

    def _append_facts(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Seal pending facts as one batch of device ``hub`` and place it."""
        self._hub_epoch(connection)
        found = _HUB_HEAD.rows(connection, device=HUB_DEVICE, epoch=self.generation)
        head = found[0] if found else None
        first = head[0] if head else 1
        now_ms = self._clock.wall_ms()
        events = []
        for offset, (_, kind, data, at_ms) in enumerate(rows):
            events.append(
                encode_event(
                    type=kind,
                    device=HUB_DEVICE,
                    gen=self.generation,
                    lane="hub",
                    n=first + offset,
                    occurred=self._occurred(at_ms),
                    data=orjson.loads(data),
                )
            )
        statement = wire.Statement(
            device=HUB_DEVICE,
            # Facts of an earlier generation may be lost: nothing of this one takes their places.
            epoch=self.generation,
            lane="hub",
            first_seq=first,
            count=len(events),
            root=wire.event_root(events).hex(),
            prev=bytes(head[1]).hex() if head else None,
            checkpoint=None,
            ranges=(wire.CaptureRange(self.generation, first, first + len(events) - 1),),
            sealed=self._occurred(now_ms),
        ).encode()
        body = wire.decode_body(
            wire.encode_body(statement, wire.seal(statement, self._hub_key), events)
        )
        incoming = Incoming(device=HUB_DEVICE, body=body, received_ms=now_ms)
        [answer] = self.sequence(connection, [incoming])
        if isinstance(answer, Refused):
            raise answer
        _NO_LONGER_PENDING.run(connection, [(row[0],) for row in rows])

    def _hub_epoch(self, connection: Connection) -> None:
        mine = {"device": HUB_DEVICE, "epoch": self.generation}
        if not _HUB_EPOCH.rows(connection, **mine):
            connection.execute(insert(EPOCH).values(**mine, nonce="", reason="first", opened_ms=0))

    def begin_generation(self, opening: Opening) -> None:
        """Make `opening` the first leaf of its generation, which is this process's; durable.

        What kept the ledger read-only is over in the same transaction.
        """

        def begin(connection: Connection) -> None:
            lock_ledger(connection)
            if newest_checkpoint(connection) != (opening.begins.size, opening.begins.root):
                raise LedgerCorrupt("the generation was opened for another ledger than this")
            clear(connection)
            record(connection, opening)
            fact = {"type": OPENED, "data": orjson.dumps(fact_of(opening))}
            placed = insert(PENDING).values(**fact, at_ms=opening.opened_ms).returning(PENDING)
            self._append_facts(connection, connection.execute(placed).all())

        job = self._database.submit(begin, lambda _none: self._committed())
        job.add_done_callback(self._forget_tree)
        job.result()

    def _occurred(self, at_ms: int) -> Occurred:
        return Occurred(
            wall_ms=at_ms,
            err_ms=0,
            clock="ntp",
            boot=self._clock.boot,
            mono_ms=self._clock.mono_ms(),
        )


def _as_placed(incoming: Incoming, placed: Placed) -> LedgerBatch:
    statement = incoming.body.statement
    return LedgerBatch(
        first_index=placed.first_index,
        count=placed.count,
        device=incoming.device,
        epoch=statement.epoch,
        lane=statement.lane,
        seq=statement.first_seq,
        received_ms=placed.received_ms,
        batch_id=placed.batch_id,
        statement=incoming.body.statement_bytes,
        seal=incoming.body.seal,
        events=incoming.body.events,
    )


def lock_ledger(connection: Connection) -> None:
    """Be the only sequencer until this transaction ends; on SQLite its only writer is."""
    if connection.dialect.name != "sqlite":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
