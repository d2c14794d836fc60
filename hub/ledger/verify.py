"""`kickstand-hub ledger verify`: read everything again and believe nothing that is stored.

Seals are checked with the keys that the ledger's own enrolments name, roots with the ledger's
public key, tiles and tree heads against leaves computed anew from the events' bytes. The worker
goes the same way in small pieces (`hub.ledger.checker`), so a pass can be laid aside and resumed.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DatabaseError, OperationalError

from hub.ledger.batches import LedgerBatch, read_batches
from hub.ledger.generations import OPENED
from hub.ledger.tables import CHECKPOINT, TILE
from hub.ledger.tree import TILE_LEVELS, TILE_WIDTH, newest_checkpoint
from shared import merkle
from shared.crypto.keys import BadKey, BadSignature, PublicKey, from_b64url
from shared.crypto.rotation import Rotation
from shared.generation import Opening
from shared.identifiers import HUB_DEVICE
from shared.wire import batch as wire

CHUNK_ENTRIES = 5000
FINDINGS_MAX = 100
BEFORE_ALL = -(2**62)
SAVED_VERSION = 2


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
    broken_at: int | None = None
    """The entry of the first finding, as exactly as what is stored tells."""

    def fail(self, index: int, finding: str) -> None:
        """Note what does not hold at entry `index`; only the first ones are kept."""
        if self.broken_at is None:
            self.broken_at = index
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)


class _Nodes:
    """The right edge while leaves stream past: the hash of each complete subtree at the right."""

    def __init__(self, on_node: Callable[[int, int, bytes], None]) -> None:
        self.size = 0
        self.edge: list[bytes | None] = []
        self._on_node = on_node

    def append(self, leaf: bytes) -> None:
        level, index, node = 0, self.size, leaf
        self._on_node(level, index, node)
        while index & 1:
            node = merkle.node_hash(self.edge[level] or b"", node)
            self.edge[level] = None
            level, index = level + 1, index >> 1
            self._on_node(level, index, node)
        while len(self.edge) <= level:
            self.edge.append(None)
        self.edge[level] = node
        self.size += 1

    def root(self) -> bytes:
        found: bytes | None = None
        for node in self.edge:
            if node is not None:
                found = node if found is None else merkle.node_hash(node, found)
        return merkle.EMPTY_ROOT if found is None else found


Keys = dict[str, PublicKey]
"""The keys of one device that are active at this place of the ledger, by key id."""


def _enrolled(keys: Keys, data: Mapping[str, Any]) -> None:
    key = PublicKey(from_b64url(data["public_key"]))
    keys[key.keyid] = key


def _followed(keys: Keys, data: Mapping[str, Any]) -> None:
    """The hub cannot give a box a key: one that is active has to have signed for it."""
    rotation = Rotation.parse(data)
    old = keys.get(rotation.old)
    if old is None or rotation.device != data["device"]:
        raise BadSignature("a key that follows none that is active")
    rotation.verify(old)
    keys[rotation.new.keyid] = rotation.new


def _ended(keys: Keys, data: Mapping[str, Any]) -> None:
    keys.pop(data["keyid"], None)


_KEY_FACTS: Mapping[str, Callable[[Keys, Mapping[str, Any]], None]] = {
    "device.enrolled": _enrolled,
    "key.added": _followed,
    "key.retired": _ended,
    "key.revoked": _ended,
}


class Verifier:
    """One pass over the ledger in constant memory, at once or in steps.

    Every step takes a connection that sees one snapshot, so that the ledger may grow meanwhile.
    """

    def __init__(self, *, hub_keys: Sequence[PublicKey], root: PublicKey) -> None:
        """`hub_keys` sealed the hub's own facts, `root` signed for each later generation."""
        self._keys: dict[str, Keys] = {HUB_DEVICE: {key.keyid: key for key in hub_keys}}
        self._root = root
        self._generation = 1
        self._heads: dict[tuple[str, int, str], tuple[int, str | None]] = {}
        self._nodes = _Nodes(self._tile_node)
        self._tile_nodes: dict[int, list[bytes]] = {}
        self._headed = 0
        self._changed = False
        """Whether the last tree head was not that of the stored events."""
        self._stuck = False
        self._connection: Connection
        self.result = Verification()

    @property
    def position(self) -> int:
        """Entries that were read."""
        return self._nodes.size

    def run(
        self, connection: Connection, progress: Callable[[int], None] = lambda _entries: None
    ) -> Verification:
        """Check everything; findings are in the result, nothing is raised for them.

        `progress` hears how many entries are done.
        """
        while self.step(connection, CHUNK_ENTRIES):
            progress(self.position)
        self.check_end(connection)
        self.check_tile_count(connection)
        self.result.entries = self.position
        self.result.root = self._nodes.root()
        return self.result

    def step(self, connection: Connection, limit: int) -> int:
        """Check about `limit` more entries; how many it were. 0: none is left that can be read."""
        if self._stuck:
            return 0
        self._connection = connection
        begin = self.position
        try:
            batches = read_batches(connection, begin, limit)
        except (wire.MalformedBatch, DatabaseError) as error:
            if isinstance(error, OperationalError):
                raise
            if limit > 1:
                # One batch at a time, up to the one that cannot be read.
                return self.step(connection, 1)
            reason = error.orig if isinstance(error, DatabaseError) else error
            self._stop(f"the events stored from entry {begin} on: {reason}")
            return 0
        heads = self._tree_heads(begin, batches)
        for batch in batches:
            if batch.first_index != self.position or not batch.events:
                self._stop(f"entry {self.position} is missing")
                break
            self._batch(batch)
            while heads and heads[-1][0] <= self.position:
                self._check_head(*heads.pop(), self.position)
        return self.position - begin

    def _stop(self, finding: str) -> None:
        self._stuck = True
        self.result.fail(self.position, finding)

    def _tree_heads(self, begin: int, batches: Sequence[LedgerBatch]) -> list[tuple[int, bytes]]:
        """The tree heads of more than `begin` entries that these batches reach, newest first."""
        if not batches:
            return []
        end = batches[-1].first_index + batches[-1].count
        rows = self._connection.execute(
            select(CHECKPOINT.c.size, CHECKPOINT.c.root)
            .where(CHECKPOINT.c.size > (begin or BEFORE_ALL), CHECKPOINT.c.size <= end)
            .order_by(CHECKPOINT.c.size.desc())
        )
        return [(size, bytes(root)) for size, root in rows]

    def check_end(self, connection: Connection) -> None:
        """Once no step finds more: the newest tree head is that of exactly these entries."""
        if self._stuck:
            return
        size, _ = newest_checkpoint(connection)
        entries = self.position
        if size > entries:
            self.result.fail(
                entries, f"a tree head of {size} entries, but only {entries} are stored"
            )
        elif self._headed != entries:
            self.result.fail(
                self._headed, f"{entries} entries, but the newest tree head is of {self._headed}"
            )

    def _check_head(self, size: int, root: bytes, position: int) -> None:
        self.result.checkpoints += 1
        good, self._headed = self._headed, size
        if size != position:
            self.result.fail(good, f"tree head of {size} entries cuts a batch")
        elif root == self._nodes.root():
            self._changed = False
        elif not self._changed:
            # Once is enough: behind one changed entry no tree head holds any more.
            self._changed = True
            self.result.fail(
                good,
                f"the root of {size} entries is not that of the stored events: something from "
                f"entry {good} to {size - 1}, or that tree head, was changed",
            )

    def _batch(self, batch: LedgerBatch) -> None:
        self.result.batches += 1
        place = f"batch at entry {batch.first_index}"
        if batch.device == HUB_DEVICE:
            self._learn_facts(batch)
            if batch.epoch != self._generation:
                self.result.fail(
                    batch.first_index,
                    f"{place}: of generation {batch.epoch}, but {self._generation} is open there",
                )
        if wire.batch_id(batch.statement) != batch.batch_id:
            self.result.fail(batch.first_index, f"{place}: its id is not the hash of its statement")
        try:
            statement = wire.parse_statement(batch.statement)
        except wire.MalformedBatch as error:
            self.result.fail(batch.first_index, f"{place}: {error}")
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
            self.result.fail(batch.first_index, f"{place}: stored as {stored}, sealed as {sealed}")
        if wire.event_root(batch.events).hex() != statement.root:
            self.result.fail(
                self._first_changed(batch), f"{place}: its events are not those that were sealed"
            )
        key = (batch.device, batch.epoch, batch.lane)
        expected = self._heads.get(key, (1, None))
        if (statement.first_seq, statement.prev) != expected:
            self.result.fail(
                batch.first_index, f"{place}: does not follow the batch before it in its lane"
            )
        self._heads[key] = (statement.first_seq + statement.count, batch.batch_id)

    def _seal(self, batch: LedgerBatch, place: str) -> None:
        for key in self._keys.get(batch.device, {}).values():
            try:
                wire.verify_seal(batch.statement, batch.seal, key)
            except BadSignature:
                continue
            self.result.seals += 1
            return
        self.result.fail(batch.first_index, f"{place}: no key that was active there made its seal")

    def _first_changed(self, batch: LedgerBatch) -> int:
        """The first entry of a batch whose leaf is not the one in its tile, if that is full."""
        end = batch.first_index + batch.count
        rows = self._connection.execute(
            select(TILE.c.idx, TILE.c.hashes).where(
                TILE.c.level == 0,
                TILE.c.idx >= batch.first_index // TILE_WIDTH,
                TILE.c.idx < -(-end // TILE_WIDTH),
            )
        )
        tiles = {index: bytes(hashes) for index, hashes in rows}
        leaves = wire.leaf_hashes(batch.events, bytes.fromhex(batch.batch_id), batch.received_ms)
        for index, leaf in enumerate(leaves, batch.first_index):
            at = 32 * (index % TILE_WIDTH)
            if tiles.get(index // TILE_WIDTH, b"")[at : at + 32] not in {leaf, b""}:
                return index
        return batch.first_index

    def _learn_facts(self, batch: LedgerBatch) -> None:
        """Which keys are active, and which generation is open, from this batch on."""
        for index, raw in enumerate(batch.events, batch.first_index):
            try:
                event = orjson.loads(raw)
                learn = _KEY_FACTS.get(event["type"])
                if learn is not None:
                    data = event["data"]
                    learn(self._keys.setdefault(data["device"], {}), data)
                elif event["type"] == OPENED:
                    self._open(Opening.read(event["data"], root=self._root), index)
            except (BadSignature, ValueError, KeyError, TypeError) as error:
                self.result.fail(index, f"the hub's fact at entry {index}: {error}")

    def _open(self, opening: Opening, index: int) -> None:
        """The root key's word must be about this very place of this very tree."""
        # One in between may be lost with the backup that this ledger goes on from.
        later = opening.generation > self._generation and index == self.position
        begins = opening.begins.size, opening.begins.root
        if not later or begins != (self.position, self._nodes.root()):
            raise ValueError("opens a generation that does not begin here")
        self._generation = opening.generation

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
        first = index * TILE_WIDTH ** (level + 1)
        if stored is None:
            self.result.fail(first, f"tile {level}/{index} is missing")
            return
        nodes = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
        if (bytes(stored.hashes), bytes(stored.root)) != (hashes, merkle.root_of(nodes)):
            self.result.fail(first, f"tile {level}/{index} is not that of the stored events")

    def check_tile_count(self, connection: Connection) -> None:
        """Once no step finds more: there is no tile but those of these entries."""
        if self._stuck:
            return
        stored = connection.execute(select(func.count()).select_from(TILE)).scalar_one()
        full, width = 0, self.position // TILE_WIDTH
        while width:
            full, width = full + width, width // TILE_WIDTH
        if stored > full:
            self.result.fail(self.position, f"{stored - full} tiles beyond the stored events")

    def saved(self) -> bytes:
        """What `resumed` needs to go on from here; only of a pass without a finding."""
        return orjson.dumps(
            {
                "v": SAVED_VERSION,
                "size": self._nodes.size,
                "headed": self._headed,
                "generation": self._generation,
                "edge": [None if node is None else _text(node) for node in self._nodes.edge],
                "tiles": {
                    str(level): _text(b"".join(nodes)) for level, nodes in self._tile_nodes.items()
                },
                "heads": [[*key, *head] for key, head in self._heads.items()],
                "keys": {
                    device: [_text(key.raw) for key in keys.values()]
                    for device, keys in self._keys.items()
                },
            }
        )

    @classmethod
    def resumed(cls, saved: bytes, *, hub_keys: Sequence[PublicKey], root: PublicKey) -> Self:
        """The pass that `saved` was laid aside from. Raises ValueError when that cannot be read."""
        values = orjson.loads(saved)
        pass_ = cls(hub_keys=hub_keys, root=root)
        try:
            if values["v"] != SAVED_VERSION:
                raise ValueError(f"a pass of version {values['v']}")
            pass_._nodes.size = int(values["size"])
            pass_._headed = int(values["headed"])
            pass_._generation = int(values["generation"])
            pass_._nodes.edge = [None if n is None else b64decode(n) for n in values["edge"]]
            for level, joined in values["tiles"].items():
                raw = b64decode(joined)
                nodes = [raw[at : at + 32] for at in range(0, len(raw), 32)]
                pass_._tile_nodes[int(level)] = nodes
            for device, epoch, lane, seq, last in values["heads"]:
                pass_._heads[device, epoch, lane] = (seq, last)
            for device, keys in values["keys"].items():
                if device != HUB_DEVICE:
                    read = [PublicKey(b64decode(key)) for key in keys]
                    pass_._keys[device] = {key.keyid: key for key in read}
        except (BadKey, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no pass: {error}") from error
        return pass_


def _text(data: bytes) -> str:
    return b64encode(data).decode()
