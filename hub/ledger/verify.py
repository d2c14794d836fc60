"""`kickstand-hub ledger verify`: read everything again and believe nothing that is stored.

Seals are checked with the keys that the ledger's own enrolments name, roots with the ledger's
public key, tiles and tree heads against leaves computed anew from the events' bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, func, select

from hub.ledger.followers import LedgerBatch, read_batches
from hub.ledger.tables import CHECKPOINT, TILE
from hub.ledger.tree import TILE_LEVELS, TILE_WIDTH
from shared import merkle
from shared.crypto.keys import BadKey, BadSignature, PublicKey, from_b64url
from shared.identifiers import HUB_DEVICE
from shared.wire import batch as wire

CHUNK_ENTRIES = 5000
FINDINGS_MAX = 100


@dataclass(slots=True)
class Verification:
    """What was checked, and what did not hold."""

    entries: int = 0
    batches: int = 0
    seals: int = 0
    checkpoints: int = 0
    tiles: int = 0
    root: bytes = merkle.EMPTY_ROOT
    findings: list[str] = field(default_factory=list)

    def fail(self, finding: str) -> None:
        """Note what does not hold; only the first ones are kept."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)


class _Nodes:
    """The right edge while leaves stream past: the hash of each complete subtree at the right."""

    def __init__(self, on_node: Callable[[int, int, bytes], None]) -> None:
        self.size = 0
        self._edge: list[bytes | None] = []
        self._on_node = on_node

    def append(self, leaf: bytes) -> None:
        level, index, node = 0, self.size, leaf
        self._on_node(level, index, node)
        while index & 1:
            node = merkle.node_hash(self._edge[level] or b"", node)
            self._edge[level] = None
            level, index = level + 1, index >> 1
            self._on_node(level, index, node)
        while len(self._edge) <= level:
            self._edge.append(None)
        self._edge[level] = node
        self.size += 1

    def root(self) -> bytes:
        found: bytes | None = None
        for node in self._edge:
            if node is not None:
                found = node if found is None else merkle.node_hash(node, found)
        return merkle.EMPTY_ROOT if found is None else found


class Verifier:
    """One pass over the ledger in constant memory."""

    def __init__(
        self, connection: Connection, *, hub_key: PublicKey, progress: Callable[[int], None]
    ) -> None:
        """`hub_key` sealed the hub's own facts; `progress` hears how many entries are done."""
        self._connection = connection
        self._keys: dict[str, list[PublicKey]] = {HUB_DEVICE: [hub_key]}
        self._heads: dict[tuple[str, int, str], tuple[int, str | None]] = {}
        self._nodes = _Nodes(self._tile_node)
        self._tile_nodes: dict[int, list[bytes]] = {}
        self._progress = progress
        self._headed = 0
        self.result = Verification()

    def run(self) -> Verification:
        """Check everything; findings are in the result, nothing is raised for them."""
        checkpoints = iter(
            self._connection.execute(
                select(CHECKPOINT.c.size, CHECKPOINT.c.root).order_by(CHECKPOINT.c.size)
            )
        )
        head = next(checkpoints, None)
        position = 0
        try:
            while batches := read_batches(self._connection, position, CHUNK_ENTRIES):
                for batch in batches:
                    if batch.first_index != position:
                        self.result.fail(f"entry {position} is missing")
                        return self._done(position)
                    self._batch(batch)
                    position += batch.count
                    while head is not None and head.size <= position:
                        self._check_head(head.size, bytes(head.root), position)
                        head = next(checkpoints, None)
                self._progress(position)
        except wire.MalformedBatch as error:
            self.result.fail(f"the events stored from entry {position} on: {error}")
            return self._done(position)
        if head is not None:
            self.result.fail(f"a tree head of {head.size} entries, but only {position} are stored")
        elif self._headed != position:
            self.result.fail(f"{position} entries, but the newest tree head is of {self._headed}")
        self._check_tile_count()
        return self._done(position)

    def _done(self, position: int) -> Verification:
        self.result.entries = position
        self.result.root = self._nodes.root()
        return self.result

    def _check_head(self, size: int, root: bytes, position: int) -> None:
        self.result.checkpoints += 1
        self._headed = size
        if size != position:
            self.result.fail(f"tree head of {size} entries cuts a batch")
        elif root != self._nodes.root():
            self.result.fail(f"the root of {size} entries is not that of the stored events")

    def _batch(self, batch: LedgerBatch) -> None:
        self.result.batches += 1
        place = f"batch at entry {batch.first_index}"
        self._learn_keys(batch)
        if wire.batch_id(batch.statement) != batch.batch_id:
            self.result.fail(f"{place}: its id is not the hash of its statement")
        try:
            statement = wire.parse_statement(batch.statement)
        except wire.MalformedBatch as error:
            self.result.fail(f"{place}: {error}")
            statement = None
        if statement is not None:
            self._statement(batch, statement, place)
        self._seal(batch, place)
        for leaf in wire.leaf_hashes(
            batch.events, bytes.fromhex(batch.batch_id), batch.received_ms
        ):
            self._nodes.append(leaf)

    def _statement(self, batch: LedgerBatch, statement: wire.Statement, place: str) -> None:
        stored = (batch.device, batch.epoch, batch.lane, batch.seq, batch.count)
        sealed = (
            statement.device,
            statement.epoch,
            statement.lane,
            statement.first_seq,
            statement.count,
        )
        if stored != sealed:
            self.result.fail(f"{place}: stored as {stored}, sealed as {sealed}")
        if wire.event_root(batch.events).hex() != statement.root:
            self.result.fail(f"{place}: its events are not those that were sealed")
        key = (batch.device, batch.epoch, batch.lane)
        expected = self._heads.get(key, (1, None))
        if (statement.first_seq, statement.prev) != expected:
            self.result.fail(f"{place}: does not follow the batch before it in its lane")
        self._heads[key] = (statement.first_seq + statement.count, batch.batch_id)

    def _seal(self, batch: LedgerBatch, place: str) -> None:
        for key in self._keys.get(batch.device, []):
            try:
                wire.verify_seal(batch.statement, batch.seal, key)
            except BadSignature:
                continue
            self.result.seals += 1
            return
        self.result.fail(f"{place}: no key enrolled before it made its seal")

    def _learn_keys(self, batch: LedgerBatch) -> None:
        if batch.device != HUB_DEVICE:
            return
        for offset, raw in enumerate(batch.events):
            try:
                event = orjson.loads(raw)
                if event["type"] != "device.enrolled":
                    continue
                device, key = event["data"]["device"], event["data"]["public_key"]
                self._keys.setdefault(device, []).append(PublicKey(from_b64url(key)))
            except (BadKey, ValueError, KeyError, TypeError) as error:
                self.result.fail(f"the hub's fact at entry {batch.first_index + offset}: {error}")

    def _tile_node(self, level: int, index: int, node: bytes) -> None:
        tile_level, inner = divmod(level, TILE_LEVELS)
        if inner:
            return
        nodes = self._tile_nodes.setdefault(tile_level, [])
        nodes.append(node)
        if len(nodes) == TILE_WIDTH:
            self._check_tile(tile_level, index // TILE_WIDTH, b"".join(nodes))
            nodes.clear()

    def _check_tile(self, level: int, index: int, hashes: bytes) -> None:
        stored = self._connection.execute(
            select(TILE.c.hashes, TILE.c.root).where(TILE.c.level == level, TILE.c.idx == index)
        ).one_or_none()
        self.result.tiles += 1
        if stored is None:
            self.result.fail(f"tile {level}/{index} is missing")
            return
        nodes = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
        if (bytes(stored.hashes), bytes(stored.root)) != (hashes, merkle.root_of(nodes)):
            self.result.fail(f"tile {level}/{index} is not that of the stored events")

    def _check_tile_count(self) -> None:
        stored = self._connection.execute(select(func.count()).select_from(TILE)).scalar_one()
        if stored > self.result.tiles:
            self.result.fail(f"{stored - self.result.tiles} tiles beyond the stored events")
