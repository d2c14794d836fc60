"""Refilling a restored hub from the boxes' rings: the same leaves at their very places.

What boxes give back waits aside, on disk, until it reaches without a gap to a tree head that this
ledger's key once signed. Only when the recomputed root is that of the signed head are the batches
placed. So nobody can invent a past: a box may offer what it likes, the old root decides.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, select, update

from hub.errors import LedgerCorrupt, Refused
from hub.ledger import claims
from hub.ledger.claims import RefillState
from hub.ledger.live_tree import LiveTree
from hub.ledger.placed import stored_place
from hub.ledger.sequencer import Sequencer, lock_ledger
from hub.ledger.tables import BATCH, CHECKPOINT, LANE_HEAD, REFILL_BATCH
from hub.ledger.tree import Tree, newest_checkpoint
from hub.store import Database
from hub.vault import store as vault
from shared import merkle
from shared.checkpoint import Checkpoint, MalformedNote, NoteKey, NoteUnsigned, open_checkpoint
from shared.clock import Clock
from shared.wire import batch as wire

TRIES_MAX = 100_000
"""Batches hashed in one search for the right cover; an honest network needs each of them once."""
log = structlog.get_logger()
_LIGHT = select(
    REFILL_BATCH.c.batch_id,
    REFILL_BATCH.c.first_index,
    REFILL_BATCH.c.count,
    REFILL_BATCH.c.received_ms,
)
_EVENTS = select(REFILL_BATCH.c.events).where(REFILL_BATCH.c.batch_id == bindparam("batch"))
_BATCH_COLUMNS = [column.name for column in BATCH.columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A batch that a box keeps, with the place that its receipt proved."""

    device: str
    body: wire.Body
    first_index: int
    received_ms: int


@dataclass(frozen=True, slots=True)
class _Aside:
    """What of a batch aside its leaves depend on."""

    batch_id: bytes
    count: int
    received_ms: int

    def leaves(self, packed: bytes) -> list[bytes]:
        events, _ = wire.unpack_events(packed, self.count)
        return wire.leaf_hashes(events, self.batch_id, self.received_ms)


_Path = tuple[Any, _Aside] | None
"""The way back to the tree: what was before, and the batch."""


class _Edge:
    """Complete subtrees from left to right: enough to go on from a tree and to know the root."""

    __slots__ = ("nodes", "size")

    def __init__(self, size: int, nodes: tuple[tuple[int, bytes], ...]) -> None:
        self.size = size
        self.nodes = nodes

    @classmethod
    def of(cls, tree: Tree, connection: Connection) -> "_Edge":
        levels = [level for level in range(tree.size.bit_length()) if tree.size >> level & 1]
        return cls(
            tree.size,
            tuple(
                (level, tree.node(level, (tree.size >> level) - 1, connection))
                for level in reversed(levels)
            ),
        )

    def extended(self, leaves: Sequence[bytes]) -> "_Edge":
        nodes = list(self.nodes)
        for leaf in leaves:
            level, node = 0, leaf
            while nodes and nodes[-1][0] == level:
                node = merkle.node_hash(nodes.pop()[1], node)
                level += 1
            nodes.append((level, node))
        return _Edge(self.size + len(leaves), tuple(nodes))

    def root(self) -> bytes:
        found: bytes | None = None
        for _, node in reversed(self.nodes):
            found = node if found is None else merkle.node_hash(node, found)
        return merkle.EMPTY_ROOT if found is None else found


class Refill:
    """Takes tree heads and batches back from boxes."""

    def __init__(
        self,
        database: Database,
        live: LiveTree,
        sequencer: Sequencer,
        *,
        clock: Clock,
        keys: Sequence[NoteKey],
    ) -> None:
        """`keys` are those under which this ledger's tree heads were ever signed, newest last."""
        self._database = database
        self._live = live
        self._sequencer = sequencer
        self._clock = clock
        self._keys = tuple(keys)

    def state(self) -> RefillState:
        """How far it is."""
        with self._database.read() as connection:
            return claims.refill_state(connection, self._sequencer.generation)

    def claim(self, device: str, note: str) -> RefillState:
        """A box shows the largest tree head that it holds; the hub's state after it.

        One that is larger than the ledger makes this hub read-only, on disk, until it is refilled.
        Raises Refused: 400 when the head is not signed by this ledger, 409 ``history-forked`` when
        it is and the ledger of that size has another root.
        """
        try:
            head = self._opened(note)
        except (MalformedNote, NoteUnsigned) as error:
            raise Refused(400, "checkpoint-invalid", str(error)) from error

        def take(connection: Connection) -> int:
            tree = self._tree(connection)
            claims.drop_foreign(connection, self._keys[-1].name)
            if head.size > tree.size:
                claims.note_claim(
                    connection,
                    device,
                    size=head.size,
                    root=head.root,
                    note=note,
                    now_ms=self._clock.wall_ms(),
                )
                return self._advance(connection, tree)
            found = merkle.root(head.size, lambda level, index: tree.node(level, index, connection))
            if found != head.root:
                log.error("history_forked", device=device, size=head.size)
                raise Refused(
                    409,
                    "history-forked",
                    f"at {head.size} entries this ledger has another root than the one it "
                    "signed for you: it went on after a restore",
                )
            return 0

        before = self.state()
        self._write(take)
        state = self.state()
        if state.target is not None and state.target != before.target:
            log.warning("read_only", size=state.size, target=state.target, device=device)
        return state

    def _opened(self, note: str) -> Checkpoint:
        for key in self._keys[:-1]:
            with suppress(NoteUnsigned):
                return open_checkpoint(note, key)
        return open_checkpoint(note, self._keys[-1])

    def offer(self, offered: Offered) -> tuple[int, tuple[str, ...]]:
        """Take one batch back; the ledger's size after it, and attachments that are nowhere.

        The seal was checked. Raises Refused 409: ``place-taken`` when another entry stands there,
        ``not-wanted`` when no box holds a tree head that reaches so far.
        """

        def take(connection: Connection) -> int:
            tree = self._tree(connection)
            if offered.first_index < tree.size:
                self._known(connection, offered)
                return 0
            self._stage(connection, offered)
            return self._advance(connection, tree)

        self._write(take)
        with self._database.read() as connection:
            size, _ = newest_checkpoint(connection)
            named = () if offered.body.attachments else wire.attachments_named(offered.body.events)
            missing = vault.absent(connection, named)
        if missing:
            log.warning(
                "refill_lacks_attachments", batch_id=offered.body.batch_id, count=len(missing)
            )
        return size, tuple(missing)

    def aside(self) -> list[str]:
        """Ids of the batches that wait for those before them, each lane's in its order."""
        table = REFILL_BATCH.c
        order = (table.device, table.epoch, table.lane, table.seq)
        with self._database.read() as connection:
            rows = connection.scalars(select(table.batch_id).order_by(*order))
            return [bytes(batch).hex() for batch in rows]

    def body_aside(self, batch_id: str) -> wire.Body:
        """A batch that waits, as its box gave it back."""
        query = select(REFILL_BATCH).where(REFILL_BATCH.c.batch_id == bytes.fromhex(batch_id))
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one()
        events, _ = wire.unpack_events(bytes(row["events"]), row["count"])
        attachments = wire.unpack_attachments(bytes(row["attachments"]))
        body = wire.encode_body(bytes(row["statement"]), bytes(row["seal"]), events, attachments)
        return wire.decode_body(body, bare=True)

    def drop_aside(self, batch_id: str) -> None:
        """Forget a batch that waited: it has a place now."""
        digest = bytes.fromhex(batch_id)
        self._database.write(
            lambda connection: connection.execute(
                delete(REFILL_BATCH).where(REFILL_BATCH.c.batch_id == digest)
            )
        )

    def _tree(self, connection: Connection) -> Tree:
        lock_ledger(connection)
        return self._live.current(connection)

    def _write(self, work: Any) -> int:
        def locked(connection: Connection) -> int:
            with self._live.lock:
                found: int = work(connection)
                return found

        job: Future[int] = self._database.submit(locked, self._committed)
        if job.exception() is not None:
            # After a failed transaction, commit included, the tree may be ahead of the disk.
            self._live.forget()
        return job.result()

    def _committed(self, placed: int) -> int:
        if placed:
            log.warning("refilled", entries=placed)
            self._live.committed()
            for listener in self._sequencer.listeners:
                listener()
        return placed

    @staticmethod
    def _known(connection: Connection, offered: Offered) -> None:
        found = stored_place(connection, bytes.fromhex(offered.body.batch_id), offered.device)
        place = None if found is None else (found.first_index, found.received_ms)
        if place != (offered.first_index, offered.received_ms):
            raise Refused(409, "place-taken", f"entry {offered.first_index} is another one here")

    @staticmethod
    def _stage(connection: Connection, offered: Offered) -> None:
        statement = offered.body.statement
        digest = bytes.fromhex(offered.body.batch_id)
        first, end = offered.first_index, offered.first_index + statement.count
        table = REFILL_BATCH.c
        largest = max((size for size, _ in claims.claims_above(connection, first)), default=0)
        # Nothing above the largest signed head can ever be proven; below it a box has room for
        # each entry once, so it cannot fill the disk.
        if end > largest:
            raise Refused(409, "not-wanted", f"no signed tree head reaches entry {end - 1}")
        connection.execute(delete(REFILL_BATCH).where(table.batch_id == digest))
        overlapping = connection.execute(
            select(func.count())
            .select_from(REFILL_BATCH)
            .where(
                table.device == offered.device,
                table.first_index < end,
                table.first_index + table.count > first,
            )
        ).scalar_one()
        if overlapping:
            raise Refused(409, "place-taken", "this box has offered another batch for that place")
        connection.execute(
            insert(REFILL_BATCH).values(
                batch_id=digest,
                first_index=first,
                count=statement.count,
                device=offered.device,
                epoch=statement.epoch,
                lane=statement.lane,
                seq=statement.first_seq,
                received_ms=offered.received_ms,
                statement=offered.body.statement_bytes,
                seal=offered.body.seal,
                events=offered.body.events_bytes,
                attachments=wire.pack_attachments(offered.body.attachments),
            )
        )

    # --- from aside to the ledger ----------------------------------------------------------

    def _advance(self, connection: Connection, tree: Tree) -> int:
        """Place whatever now reaches a signed tree head; how many entries that were."""
        before = tree.size
        while True:
            for size, root in claims.claims_above(connection, tree.size):
                cover = self._cover(connection, tree, size, root)
                if cover is not None:
                    self._place(connection, tree, cover, root)
                    break
            else:
                return tree.size - before

    @staticmethod
    def _cover(connection: Connection, tree: Tree, size: int, root: bytes) -> list[_Aside] | None:
        """Batches aside that lead from the tree to the signed head; None when there are none.

        Two boxes may claim one place. Each way through is followed until one gives the root.
        """
        inside = (REFILL_BATCH.c.first_index >= tree.size) & (
            REFILL_BATCH.c.first_index + REFILL_BATCH.c.count <= size
        )
        total = connection.execute(select(func.sum(REFILL_BATCH.c.count)).where(inside)).scalar()
        if (total or 0) < size - tree.size:
            return None
        starting: dict[int, list[_Aside]] = {}
        for batch, first, count, received_ms in connection.execute(_LIGHT.where(inside)):
            starting.setdefault(first, []).append(_Aside(bytes(batch), count, received_ms))
        ways: list[tuple[_Edge, _Path]] = [(_Edge.of(tree, connection), None)]
        for _ in range(TRIES_MAX):
            if not ways:
                return None
            edge, path = ways.pop()
            if edge.size == size and edge.root() == root:
                return _unwound(path)
            for aside in starting.get(edge.size, ()):
                packed = connection.execute(_EVENTS, {"batch": aside.batch_id}).scalar_one()
                ways.append((edge.extended(aside.leaves(bytes(packed))), (path, aside)))
        log.error("refill_gave_up", size=tree.size, target=size, tries=TRIES_MAX)
        return None

    def _place(
        self, connection: Connection, tree: Tree, cover: Sequence[_Aside], root: bytes
    ) -> None:
        for aside in cover:
            row = (
                connection.execute(
                    select(REFILL_BATCH).where(REFILL_BATCH.c.batch_id == aside.batch_id)
                )
                .mappings()
                .one()
            )
            connection.execute(insert(BATCH).values({name: row[name] for name in _BATCH_COLUMNS}))
            _move_head(connection, row)
            vault.keep(
                connection,
                wire.unpack_attachments(bytes(row["attachments"])),
                device=row["device"],
                received_ms=row["received_ms"],
            )
            tree.append(aside.leaves(bytes(row["events"])))
        if tree.root() != root:
            raise LedgerCorrupt(f"a refill to {tree.size} entries does not give the signed root")
        tree.flush(connection)
        connection.execute(
            insert(CHECKPOINT).values(size=tree.size, root=root, at_ms=self._clock.wall_ms())
        )
        claims.drop_reached(connection, tree.size)


def _unwound(path: _Path) -> list[_Aside]:
    found: list[_Aside] = []
    while path is not None:
        path, aside = path
        found.append(aside)
    return found[::-1]


def _move_head(connection: Connection, row: RowMapping) -> None:
    place = {"next_seq": row["seq"] + row["count"], "last_batch": row["batch_id"]}
    key = {"device": row["device"], "epoch": row["epoch"], "lane": row["lane"]}
    moved = connection.execute(update(LANE_HEAD).filter_by(**key).values(place))
    if not moved.rowcount:
        connection.execute(insert(LANE_HEAD).values({**key, **place}))
