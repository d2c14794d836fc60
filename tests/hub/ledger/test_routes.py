"""What auditors' programs ask: C2SP checkpoints and tiles, and proofs."""

import base64

import pytest
from flask import Flask

from hub.ledger.routes import LedgerDoor, blueprint, parse_tile_path
from hub.ledger.tree import newest_checkpoint
from shared.checkpoint import NoteKey, open_checkpoint, parse_tlog_proof
from shared.merkle import leaf_hash, root_of, verify_consistency, verify_range
from tests.fakes.failing_disk import FailingDisk
from tests.fakes.hub_boxes import Box, deliver, history, running


class Auditor:
    """A client of the ledger's open routes, signed in or not."""

    def __init__(self, hub):
        self.hub, self.signed_in = hub, False
        app = Flask("auditor")
        door = LedgerDoor(
            hub.database,
            hub.ledger,
            lambda: self.signed_in,
            openings=hub.keys.history.openings,
            root=hub.keys.root.public,
        )
        app.register_blueprint(blueprint(door))
        self.client = app.test_client()

    def get(self, path):
        """Status and bytes."""
        answer = self.client.get(f"/ledger/{path}")
        return answer.status_code, answer.get_data()

    def open(self, path):
        """The bytes of an answer that must be there."""
        status, body = self.get(path)
        assert status == 200, (path, status)
        return body


@pytest.fixture
def auditor(tmp_path, sqlite_url):
    """A ledger of some 600 entries."""
    with running(tmp_path, sqlite_url) as hub:
        history(hub, seed=2, entries=600)
        yield Auditor(hub)


@pytest.mark.parametrize(
    ("path", "index", "width"),
    [
        ("000", 0, 256),
        ("067", 67, 256),
        ("999", 999, 256),
        ("x001/234", 1234, 256),
        ("x001/x234/067", 1_234_067, 256),
        ("x999/x999/999", 999_999_999, 256),
        ("000.p/1", 0, 1),
        ("x001/234.p/255", 1234, 255),
    ],
)
def test_a_tile_path_is_read_as_c2sp_writes_it(path, index, width):
    """Groups of three digits, all but the last with an x, a partial width of 1 to 255."""
    assert (index, width) == parse_tile_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "", "0", "00", "0000", "67", "x067", "001/067", "x001/x067", "x1/067", "x001//067",
        "/067", "067/", "x001/067/", "-01", "+01", " 067", "067 ", "0x7", "٠٦٧", "067.p",
        "067.p/", "067.p/0", "067.p/256", "067.p/999", "067.p/-1", "067.p/x", "067.p/+1",
        "067.p/1/2", "067.p/1.p/1", "x001.p/067", "067.q/1", "../067", "x001/../067",
        "067.p/1\n", "067\n", "x000/067", "067.p/01", "1" * 5000, "067.p/" + "1" * 5000,
    ],
)  # fmt: skip
def test_any_other_tile_path_is_refused(path, auditor):
    """One spelling per tile, or caches would hold the same tile many times."""
    with pytest.raises(ValueError, match="not a tile"):
        parse_tile_path(path)


def test_the_checkpoint_is_signed_and_its_key_is_told(auditor):
    """The newest head, under the vkey at /ledger/key."""
    key = NoteKey.parse(auditor.open("key").decode().strip())
    head = open_checkpoint(auditor.open("checkpoint").decode(), key)
    with auditor.hub.database.read() as connection:
        assert (head.size, head.root) == newest_checkpoint(connection)


def test_tiles_of_hashes_give_the_root(auditor):
    """An auditor computes the root from full and partial tiles alone."""
    head = open_checkpoint(auditor.open("checkpoint").decode(), auditor.hub.ledger.key)
    full, rest = divmod(head.size, 256)
    tiles = [auditor.open(f"tile/0/{index:03d}") for index in range(full)]
    tiles.append(auditor.open(f"tile/0/{full:03d}.p/{rest}"))
    hashes = b"".join(tiles)

    assert head.root == root_of([hashes[at : at + 32] for at in range(0, len(hashes), 32)])
    roots = [root_of([tile[at : at + 32] for at in range(0, 8192, 32)]) for tile in tiles[:full]]
    assert b"".join(roots) == auditor.open(f"tile/1/000.p/{full}")


def test_entries_are_for_those_who_may_read(auditor):
    """Nobody sees events without signing in; whoever has can recompute every hash."""
    assert auditor.get("tile/entries/000")[0] == 403
    auditor.signed_in = True
    bundle, hashes = auditor.open("tile/entries/000"), auditor.open("tile/0/000")
    leaves = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        leaves.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]

    assert hashes == b"".join(leaf_hash(leaf) for leaf in leaves)
    assert len(auditor.open("tile/entries/001.p/3")) < len(auditor.open("tile/entries/001"))


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/900", "tile/0/x001/000", "tile/9/000", "tile/1/000", "tile/0/002.p/255",
        "tile/64/000", "tile/" + "9" * 400 + "/000", "tile/-1/000", "tile/0/abc", "tile/0/0",
        "tile/entries/900", "tile/entries/abc", "proof/inclusion/9999", "proof/inclusion/-1",
        "proof/inclusion/" + "9" * 30, "proof/inclusion/" + "9" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(auditor, path):
    """Beyond the ledger, malformed, or absurd: 404, never an error of ours."""
    auditor.signed_in = True
    assert auditor.get(path)[0] == 404


def test_an_inclusion_proof_verifies(auditor):
    """tlog-proof text for one entry, open to everybody: it holds hashes only."""
    text = auditor.open("proof/inclusion/400").decode()
    index, path, note = parse_tlog_proof(text)
    head = open_checkpoint(note, auditor.hub.ledger.key)
    [leaf] = auditor.hub.ledger.leaves(400, 401)
    verify_range(index, [leaf_hash(leaf)], head.size, proof=path, tree_root=head.root)
    assert "scooter" not in text


def test_a_consistency_proof_verifies_and_odd_sizes_are_refused(auditor):
    """Between any two heads; sizes that are none are a 400."""
    new = open_checkpoint(auditor.open("checkpoint").decode(), auditor.hub.ledger.key)
    deliver(auditor.hub, Box(77).enrolled(auditor.hub).batch(30))
    newer = open_checkpoint(auditor.open("checkpoint").decode(), auditor.hub.ledger.key)
    lines = auditor.open(f"proof/consistency?from={new.size}&to={newer.size}").decode().split()
    verify_consistency(
        new.size,
        new.root,
        newer.size,
        newer.root,
        proof=[base64.b64decode(line) for line in lines],
    )
    for query in ("from=0&to=5", "from=9&to=5", "from=1&to=99999", "from=a&to=5", "", "from=1"):
        assert auditor.get(f"proof/consistency?{query}")[0] == 400


def test_hashes_that_may_never_be_on_disk_are_not_served(tmp_path, sqlite_url):
    """
    Leaves that are in memory while their commit is still under way are beyond the tree: a
    tile is served for ever, and the commit may fail.
    """
    disk = FailingDisk()
    with running(tmp_path, sqlite_url, factory=disk.connect) as hub:
        auditor = Auditor(hub)
        box = Box(1).enrolled(hub)
        deliver(hub, box.batch(4))
        size = hub.ledger.size()
        seen = []
        disk.before_commit = lambda: seen.append(auditor.get(f"tile/0/000.p/{size + 1}")[0])
        deliver(hub, box.batch(1))
        assert [404] == seen
        assert auditor.get(f"tile/0/000.p/{size + 1}")[0] == 200
