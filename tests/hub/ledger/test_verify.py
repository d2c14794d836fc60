"""`ledger verify`: whatever is changed behind the hub's back is found and named."""

import contextlib
import random
import re

import pytest
from sqlalchemy import delete, func, insert, select, update

from hub.ledger.tables import BATCH, CHECKPOINT, TILE
from hub.ledger.verify import Verifier
from shared.crypto.keys import SigningKey
from shared.wire import batch as wire
from tests.checks.whole_ledger import verification
from tests.fakes.hub_boxes import Box, history, running
from tests.fakes.tampering import drop_triggers

POSTGRES = pytest.mark.postgres


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=POSTGRES)])
def hub(request, tmp_path_factory):
    """A ledger of some boxes, with full tiles and a partial one; the tests leave it as it is."""
    folder = tmp_path_factory.mktemp("ledger")
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{folder / 'hub.db'}"
        if request.param == "postgres":
            url = stack.enter_context(request.getfixturevalue("postgres").migrated_database())
        opened = stack.enter_context(running(folder, url))
        history(opened, seed=4, entries=600)
        yield opened


class Undone(Exception):
    """Ends a transaction that was only a look at what would be."""


@pytest.fixture
def after(hub):
    """What is found after statements that an owner of the database ran, triggers dropped."""

    def run(*statements):
        found = []

        def work(connection):
            drop_triggers(connection)
            for statement in statements:
                assert connection.execute(statement).rowcount in {1, -1}
            found.extend(
                Verifier(hub_keys=hub.keys.http_ever, root=hub.keys.root.public)
                .run(connection)
                .findings
            )
            raise Undone

        with pytest.raises(Undone):
            hub.database.write(work)
        return found

    return run


def rows(hub, table, *order):
    """Every row of a table."""
    with hub.database.read() as connection:
        return connection.execute(select(table).order_by(*order)).all()


def batches(hub):
    """The batches of boxes, in order."""
    return [row for row in rows(hub, BATCH, BATCH.c.first_index) if row.lane != "hub"]


def change(row, **values):
    """A statement that changes one batch."""
    return update(BATCH).where(BATCH.c.first_index == row.first_index).values(**values)


def test_an_honest_ledger_is_unbroken(hub):
    """Every entry, seal, tree head and full tile is counted, and the root is the newest one."""
    found = verification(hub)
    with hub.database.read() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar()
            for table in (BATCH, BATCH, CHECKPOINT, TILE)
        ]

    assert [] == found.findings
    assert counts == [found.batches, found.seals, found.checkpoints, found.tiles]
    assert (found.entries, found.root) == hub.ledger.proofs.checkpoint()[:2]


@pytest.mark.parametrize("seed", range(6))
def test_a_changed_event_is_found(hub, after, seed):
    """Any byte of any batch's events, those of the hub's own facts and of lengths included."""
    dice = random.Random(seed)
    row = dice.choice(batches(hub) if seed % 2 else rows(hub, BATCH, BATCH.c.first_index)[:3])
    packed = bytearray(row.events)
    at = 0 if seed == 0 else dice.randrange(len(packed))
    packed[at] ^= 1 << dice.randrange(8)
    assert after(change(row, events=bytes(packed)))


def test_a_changed_fact_of_the_hub_that_is_no_json_any_more_is_found(hub, after):
    """The verifier reads enrolments for their keys; one it cannot read is a finding."""
    row = rows(hub, BATCH, BATCH.c.first_index)[0]
    changed = bytes(row.events).replace(b'"type"', b'"tYpe"', 1)
    assert any("entry 0" in finding for finding in after(change(row, events=changed)))


@pytest.mark.parametrize("column", ["hashes", "root"])
def test_a_changed_tile_is_found(hub, after, column):
    """Its hashes serve auditors, its root is where a restart begins: both are checked."""
    [row, *_] = rows(hub, TILE, TILE.c.level, TILE.c.idx)
    value = bytes(getattr(row, column))
    found = after(update(TILE).where(TILE.c.idx == row.idx).values({column: value[::-1]}))
    assert ["tile 0/0 is not that of the stored events"] == found


def test_a_missing_tile_and_one_too_many_are_found(hub, after):
    """Tiles are exactly those of the events."""
    assert ["tile 0/1 is missing"] == after(delete(TILE).where(TILE.c.idx == 1))
    [finding] = after(insert(TILE).values(level=0, idx=900, hashes=b"", root=b""))
    assert "1 tiles beyond" in finding


def test_a_changed_tree_head_is_found(hub, after):
    """Another root, another size, a head of more entries than there are."""
    heads = rows(hub, CHECKPOINT, CHECKPOINT.c.size)
    sizes = {head.size for head in heads}
    # Which heads there are depends on what shared a commit: one whose successor is free.
    head = next(head for head in heads[3:] if head.size + 1 not in sizes)
    this = CHECKPOINT.c.size == head.size
    found = after(update(CHECKPOINT).where(this).values(root=bytes(32)))
    [finding] = found
    assert f"the root of {head.size} entries is not that of the stored events" in finding
    [finding] = after(update(CHECKPOINT).where(this).values(size=10_000))
    assert "a tree head of 10000 entries" in finding
    [finding] = after(update(CHECKPOINT).where(this).values(size=head.size + 1))
    assert "cuts a batch" in finding or "root" in finding


def test_what_follows_from_one_change_is_said_once(hub, after):
    """Behind it no tree head holds: the first finding says between which entries to look."""
    row = batches(hub)[2]
    found = after(change(row, received_ms=row.received_ms + 1))
    [finding] = [each for each in found if "the root of" in each]
    first, last = map(int, re.findall(r"from entry (\d+) to (\d+)", finding)[0])
    assert first <= row.first_index <= last < row.first_index + row.count + 64


def test_swapped_batches_are_found(hub, after):
    """Two batches of one size trade places on the ledger."""
    one, two = [row for row in batches(hub) if row.count == 1][:2]
    found = after(
        change(one, first_index=-1),
        change(two, first_index=one.first_index),
        update(BATCH).where(BATCH.c.first_index == -1).values(first_index=two.first_index),
    )
    assert any("the root of" in finding for finding in found)


def test_a_missing_batch_is_found(hub, after):
    """In the middle, and at the end."""
    middle, *_, last = batches(hub)[5:]
    found = after(delete(BATCH).where(BATCH.c.first_index == last.first_index))
    assert f"but only {last.first_index} are stored" in " ".join(found)
    found = after(delete(BATCH).where(BATCH.c.first_index == middle.first_index))
    assert [f"entry {middle.first_index} is missing"] == found


def test_an_entry_that_no_tree_head_covers_is_found(hub, after):
    """A head taken away from the end leaves entries that nobody signed for."""
    last = rows(hub, CHECKPOINT, CHECKPOINT.c.size)[-1]
    [finding] = after(delete(CHECKPOINT).where(CHECKPOINT.c.size == last.size))
    assert "the newest tree head is of" in finding


def test_a_seal_of_another_key_is_found(hub, after):
    """A statement sealed anew by somebody who is not the box."""
    row = batches(hub)[2]
    seal = wire.seal(bytes(row.statement), SigningKey.from_seed(b"\x09" * 32))
    [finding] = after(change(row, seal=seal))
    assert (
        f"batch at entry {row.first_index}: no key that was active there made its seal" == finding
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("device", "dev_" + "a" * 26),
        ("epoch", 7),
        ("lane", "sale"),
        ("seq", 99_999),
        ("received_ms", 1),
        ("count", 1),
        ("statement", b"{}"),
        ("batch_id", bytes(32)),
    ],
)
def test_a_changed_detail_of_a_batch_is_found(hub, after, column, value):
    """Whose, when, where in its lane, under which id: nothing about a batch is loose."""
    row = next(row for row in batches(hub)[3:] if row.count > 1)
    assert after(change(row, **{column: value}))


def test_a_ledger_computed_anew_without_the_seals_is_found(hub, after):
    """Whoever owns the database and drops an event can fit batch and root, not the seal."""
    row = next(row for row in reversed(batches(hub)) if row.count > 1)
    forged = Box(99).reports(row.count)
    statement = wire.parse_statement(bytes(row.statement))
    fitting = wire.Statement(
        **{name: getattr(statement, name) for name in statement.__slots__}
        | {"root": wire.event_root(forged).hex()}
    ).encode()
    found = after(
        change(
            row,
            events=wire.pack_events(forged),
            statement=fitting,
            batch_id=bytes.fromhex(wire.batch_id(fitting)),
        )
    )
    assert any("made its seal" in finding for finding in found)
