"""The tree's hashes: full tiles on disk, the right edge in memory.

A tile holds 256 hashes of one tile level (c2sp.org/tlog-tiles). A row per node would double the
cost of appending; only full tiles are stored, and the nodes right of them live here.
"""

from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Connection, func, select

from hub.errors import LedgerCorrupt
from hub.ledger.tables import BATCH, TILE
from hub.store import Statement, bulk_insert
from shared import merkle
from shared.wire.batch import leaf_hashes, unpack_events

TILE_WIDTH = 256
TILE_LEVELS = 8
"""Tree levels a tile spans: 2**8 = 256."""
KEPT_NODES = 4 * TILE_WIDTH
"""Nodes kept in memory per tree level: always the whole right edge, and recent history."""
TILE_CACHE = 512


class Tree:
    """The hashes of one ledger. Not thread-safe: its owner holds a lock.

    `append` changes memory only; `flush` writes full tiles in the caller's transaction. When
    that transaction fails the tree is ahead of the disk and must be dropped and loaded anew.
    """

    def __init__(self) -> None:
        """An empty tree."""
        self.size = 0
        self._levels: list[list[bytes]] = [[]]
        self._bases: list[int] = [0]
        self._flushed: list[int] = []
        self._root: tuple[int, bytes] = (0, merkle.EMPTY_ROOT)
        self._tiles: dict[tuple[int, int], bytes] = {}

    @classmethod
    def load(cls, connection: Connection) -> "Tree":
        """The tree as the disk has it. Raises LedgerCorrupt when parts contradict each other."""
        tree = cls()
        size, root = newest_checkpoint(connection)
        level, complete = 0, size
        while complete or level == 0:
            # Of each tile level only the partial tile is in memory; what is left of it is on disk.
            base = complete - complete % TILE_WIDTH
            tree._begin(level, base)
            nodes = (
                tail_hashes(connection, base, complete)
                if level == 0
                else tile_roots(connection, level - 1, base, complete)
            )
            tree._extend(level * TILE_LEVELS, nodes)
            level, complete = level + 1, complete // TILE_WIDTH
        tree.size = size
        if tree.root() != root:
            raise LedgerCorrupt(f"the stored tiles and batches do not give the root of {size}")
        return tree

    def _begin(self, tile_level: int, base: int) -> None:
        """Let the in-memory part of a tile level begin at node `base`, a multiple of 256."""
        first = tile_level * TILE_LEVELS
        for inner in range(TILE_LEVELS):
            while len(self._levels) <= first + inner:
                self._levels.append([])
                self._bases.append(0)
            self._bases[first + inner] = base >> inner
        self._flushed.append(base // TILE_WIDTH)

    def _extend(self, level: int, new: list[bytes]) -> None:
        """Append nodes at one level, and at every level above the nodes that they complete."""
        levels, bases = self._levels, self._bases
        while new:
            if len(levels) <= level:
                levels.append([])
                bases.append(0)
            nodes, base = levels[level], bases[level]
            first = base + len(nodes)
            nodes.extend(new)
            parents = range(first >> 1, (first + len(new)) >> 1)
            left = 2 * parents.start - base
            new = [
                sha256(b"\x01" + nodes[i] + nodes[i + 1]).digest()
                for i in range(left, left + 2 * len(parents), 2)
            ]
            level += 1

    def append(self, hashes: Sequence[bytes]) -> None:
        """Add leaves at the right."""
        self._extend(0, list(hashes))
        self.size += len(hashes)

    def flush(self, connection: Connection) -> None:
        """Store every tile that has become full since the last flush."""
        level, rows = 0, []
        while True:
            width = self.size >> (TILE_LEVELS * (level + 1))
            if len(self._flushed) <= level:
                self._flushed.append(0)
            if not width:
                break
            for index in range(self._flushed[level], width):
                first = index * TILE_WIDTH
                base = self._bases[level * TILE_LEVELS]
                nodes = self._levels[level * TILE_LEVELS][first - base : first - base + TILE_WIDTH]
                # A full tile's root is the complete node right above it.
                root = self._edge((level + 1) * TILE_LEVELS, index)
                rows.append((level, index, b"".join(nodes), root))
            self._flushed[level] = width
            level += 1
        bulk_insert(connection, TILE, rows)

    def prune(self) -> None:
        """Forget nodes that are on disk and far from the right edge. Call after a commit."""
        for level, nodes in enumerate(self._levels):
            if len(nodes) >= 2 * KEPT_NODES:
                drop = (len(nodes) - KEPT_NODES) & ~(TILE_WIDTH - 1)
                del nodes[:drop]
                self._bases[level] += drop

    def root(self) -> bytes:
        """The root over all leaves; asked for three times in each transaction, computed once."""
        if self._root[0] != self.size:
            self._root = (self.size, merkle.root(self.size, self._edge))
        return self._root[1]

    def _edge(self, level: int, index: int) -> bytes:
        return self._levels[level][index - self._bases[level]]

    def kept(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree that is in memory. Raises KeyError when it is not."""
        base = self._bases[level] if level < len(self._levels) else 0
        if level >= len(self._levels) or index < base:
            raise KeyError(f"node {level}/{index} is on disk")
        return self._levels[level][index - base]

    def node(self, level: int, index: int, connection: Connection) -> bytes:
        """The hash of a complete subtree, from memory or from its tile."""
        base = self._bases[level] if level < len(self._levels) else 0
        if index >= base and level < len(self._levels):
            return self._levels[level][index - base]
        tile_level, inner = divmod(level, TILE_LEVELS)
        first = index << inner
        hashes = self.tile(tile_level, first // TILE_WIDTH, connection)
        start = first % TILE_WIDTH
        return merkle.root_of(
            [hashes[32 * i : 32 * i + 32] for i in range(start, start + (1 << inner))]
        )

    def tile(self, level: int, index: int, connection: Connection) -> bytes:
        """The 8,192 bytes of a full tile. Raises LedgerCorrupt when it is not there."""
        key = (level, index)
        cached = self._tiles.get(key)
        if cached is None:
            found = connection.execute(
                select(TILE.c.hashes).where(TILE.c.level == level, TILE.c.idx == index)
            ).scalar_one_or_none()
            if found is None:
                raise LedgerCorrupt(f"tile {level}/{index} is missing")
            cached = bytes(found)
            if len(self._tiles) >= TILE_CACHE:
                self._tiles.pop(next(iter(self._tiles)))
            self._tiles[key] = cached
        return cached

    def partial_tile(self, level: int, index: int, width: int, connection: Connection) -> bytes:
        """The first `width` hashes of a tile, full or not. Raises KeyError beyond the tree."""
        first = index * TILE_WIDTH
        complete = self.size >> (TILE_LEVELS * level)
        if not 0 < width <= TILE_WIDTH or first + width > complete:
            raise KeyError(f"tile {level}/{index} of {width} is beyond the tree")
        tree_level = level * TILE_LEVELS
        return b"".join(
            self.node(tree_level, first + offset, connection) for offset in range(width)
        )


_NEWEST = Statement("SELECT size, root FROM checkpoint ORDER BY size DESC LIMIT 1")


def newest_checkpoint(connection: Connection) -> tuple[int, bytes]:
    """Size and root of the newest tree head on disk; an empty tree has size 0."""
    rows = _NEWEST.rows(connection)
    return (rows[0][0], bytes(rows[0][1])) if rows else (0, merkle.EMPTY_ROOT)


def tile_roots(connection: Connection, level: int, start: int, end: int) -> list[bytes]:
    """Roots of the full tiles ``[start, end)`` of a tile level."""
    rows = connection.execute(
        select(TILE.c.root)
        .where(TILE.c.level == level, TILE.c.idx >= start, TILE.c.idx < end)
        .order_by(TILE.c.idx)
    ).scalars()
    return [bytes(node) for node in rows]


def tail_hashes(connection: Connection, start: int, end: int) -> list[bytes]:
    """Leaf hashes of the leaves ``[start, end)``, computed from the stored batches."""
    first = connection.execute(
        select(func.max(BATCH.c.first_index)).where(BATCH.c.first_index <= start)
    ).scalar()
    rows = connection.execute(
        select(
            BATCH.c.first_index,
            BATCH.c.count,
            BATCH.c.batch_id,
            BATCH.c.received_ms,
            BATCH.c.events,
        )
        .where(BATCH.c.first_index >= (first or 0), BATCH.c.first_index < end)
        .order_by(BATCH.c.first_index)
    )
    hashes: list[bytes] = []
    for index, count, batch, received_ms, packed in rows:
        events, _ = unpack_events(bytes(packed), count)
        found = leaf_hashes(events, bytes(batch), received_ms)
        hashes.extend(found[max(0, start - index) : end - index])
    return hashes
