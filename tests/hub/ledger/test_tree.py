"""The hub's tree against RFC 6962: from memory, from tiles, and after every restart."""

import random
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection, insert, update

from hub.errors import LedgerCorrupt
from hub.ledger.tables import BATCH, CHECKPOINT, TILE
from hub.ledger.tree import KEPT_NODES, TILE_WIDTH, Tree, newest_checkpoint
from shared import merkle
from shared.wire.batch import leaf_hashes, pack_events
from tests.checks.small_log import SmallLog
from tests.fakes.tampering import drop_triggers


@dataclass
class Growth:
    """A tree under test beside the reference, fed the same leaves."""

    tree: Tree = field(default_factory=Tree)
    log: SmallLog = field(default_factory=SmallLog)
    sizes: list[int] = field(default_factory=list)

    def grow(self, connection: Connection, count: int) -> None:
        """One batch, one tree head, as the sequencer stores them."""
        first = self.tree.size
        events = [b"%d" % (first + offset) for offset in range(count)]
        digest = first.to_bytes(32, "big")
        hashes = leaf_hashes(events, digest, first)
        self.tree.append(hashes)
        self.log.extend(hashes)
        row = dict.fromkeys(BATCH.c.keys(), 1) | {
            "first_index": first,
            "count": count,
            "device": "d",
            "lane": "vehicle",
            "received_ms": first,
            "batch_id": digest,
            "statement": b"",
            "seal": b"",
            "events": pack_events(events),
        }
        connection.execute(insert(BATCH), [row])
        self.tree.flush(connection)
        connection.execute(
            insert(CHECKPOINT).values(size=self.tree.size, root=self.tree.root(), at_ms=0)
        )
        self.sizes.append(self.tree.size)

    def check(self, connection: Connection, tree: Tree, dice: random.Random) -> None:
        """Proofs of a random range and of growth are those of the reference."""
        new = dice.choice(self.sizes)
        old = dice.choice([size for size in self.sizes if size <= new])
        lo = dice.randrange(new)
        hi = dice.randint(lo + 1, min(new, lo + 500))

        def node(level: int, index: int) -> bytes:
            return tree.node(level, index, connection)

        proof = merkle.range_proof(lo, hi, new, node)
        growth = merkle.consistency_proof(old, new, node)

        assert self.log.range_proof(lo, hi, new) == proof
        assert self.log.consistency(old, new) == growth
        merkle.verify_range(
            lo, self.log.levels[0][lo:hi], new, proof=proof, tree_root=self.log.root(new)
        )
        merkle.verify_consistency(old, self.log.root(old), new, self.log.root(new), proof=growth)


@pytest.mark.parametrize("seed", range(3))
def test_every_root_and_proof_is_that_of_rfc_6962(database, seed):
    """
    Batches of random sizes over several tiles: after each commit the tree has the reference's
    root, a restart finds the same root on disk, and both give the reference's proofs.
    """
    dice = random.Random(seed)
    growth = Growth()
    while growth.tree.size < 900:
        count = dice.choice([1, 2, 3, 100, 255, 256, 257])
        database.write(lambda connection, count=count: growth.grow(connection, count))
        growth.tree.prune()

        with database.read() as connection:
            loaded = Tree.load(connection)
            assert growth.log.root() == growth.tree.root() == loaded.root()
            for tree in (growth.tree, loaded):
                growth.check(connection, tree, dice)


def test_a_tree_of_three_tile_levels_survives_restarts(database):
    """
    More than 65,536 leaves, so that a tile of level 1 fills and level 2 begins: reloaded at
    random sizes, pruned as it grows, every root and proof is the reference's.
    """
    dice = random.Random(9)
    growth = Growth()
    while growth.tree.size < 66_500:
        counts = [dice.choice([200, 500, 1700]) for _ in range(10)]

        def grow(connection: Connection, counts=counts) -> None:
            for count in counts:
                growth.grow(connection, count)

        database.write(grow)
        growth.tree.prune()
        with database.read() as connection:
            if dice.random() < 0.3:
                growth.tree = Tree.load(connection)
            assert growth.log.root() == growth.tree.root()
            growth.check(connection, growth.tree, dice)

    assert max(map(len, growth.tree._levels)) < 3 * KEPT_NODES
    with database.read() as connection:
        loaded = Tree.load(connection)
        assert growth.log.root() == loaded.root()
        for _ in range(60):
            growth.check(connection, dice.choice([growth.tree, loaded]), dice)
        level_1 = loaded.tile(1, 0, connection)
        assert b"".join(growth.log.node(8, index) for index in range(256)) == level_1
        assert growth.log.node(16, 0) == loaded.partial_tile(2, 0, 1, connection)


def test_the_right_edge_is_rebuilt_at_every_size_around_a_tile(database):
    """Sizes 0…3, and each size next to a full tile: a restart gives the same root."""
    growth = Growth()
    with database.read() as connection:
        assert merkle.EMPTY_ROOT == Tree.load(connection).root()
    for count in [1, 1, 1, TILE_WIDTH - 4, 1, 1, 1, TILE_WIDTH - 3, 1, 1]:
        database.write(lambda connection, count=count: growth.grow(connection, count))
        with database.read() as connection:
            assert growth.log.root() == Tree.load(connection).root()


def test_a_partial_tile_never_reaches_beyond_the_tree(database):
    """The hashes of a tile, full or not, are the reference's; beyond the tree is a KeyError."""
    growth = Growth()
    database.write(lambda connection: growth.grow(connection, 300))

    with database.read() as connection:
        tree = Tree.load(connection)
        leaves = growth.log.levels[0]
        assert b"".join(leaves[:256]) == tree.partial_tile(0, 0, 256, connection)
        assert b"".join(leaves[256:300]) == tree.partial_tile(0, 1, 44, connection)
        assert growth.log.node(8, 0) == tree.partial_tile(1, 0, 1, connection)
        for level, index, width in ((0, 1, 45), (0, 2, 1), (1, 0, 2), (2, 0, 1), (0, 0, 0)):
            with pytest.raises(KeyError):
                tree.partial_tile(level, index, width, connection)


def test_a_tree_whose_parts_contradict_each_other_is_not_loaded(database):
    """A changed tile on the right edge or a changed tree head: no root is signed over it."""
    growth = Growth()
    database.write(lambda connection: growth.grow(connection, 300))
    with database.read() as connection:
        assert newest_checkpoint(connection) == (300, growth.log.root())

    for table in (TILE, CHECKPOINT):

        def damaged(connection: Connection, table=table) -> None:
            drop_triggers(connection)
            connection.execute(update(table).values(root=bytes(32)))
            with pytest.raises(LedgerCorrupt):
                Tree.load(connection)
            raise KeyError("roll back")

        with pytest.raises(KeyError, match="roll back"):
            database.write(damaged)
