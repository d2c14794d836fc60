"""Questions about the ledger: filters, pages, counters, and which index a moment is."""

import random

import pytest
from sqlalchemy import insert

from hub.ledger.entries import day_of
from hub.ledger.reads import (
    EntryFilter,
    contradictions,
    count_entries,
    index_at,
    list_entries,
    one_entry,
)
from hub.ledger.tables import CHECKPOINT
from shared.checkpoint import open_checkpoint, parse_tlog_proof
from shared.merkle import leaf_hash, verify_range
from tests.fakes.hub_boxes import Box, deliver, history, running
from tests.fakes.manual_clock import ManualClock

SERIAL = "KSE8JKT2600000003"


@pytest.fixture
def clock():
    """Moves an hour between the two dealers' deliveries."""
    return ManualClock()


@pytest.fixture
def hub(tmp_path, database_url, clock):
    """Two dealers' boxes: one reports SERIAL nine times, an hour later the other does once."""
    with running(tmp_path, database_url, clock=clock) as opened:
        first, second = Box(1).enrolled(opened, "SBY01"), Box(2).enrolled(opened, "JKT02")
        said = {"serial": SERIAL, "state": "stock"}
        deliver(opened, first.batch([first.event(said) for _ in range(9)]), first.batch(20))
        clock.advance(3_600_000)
        deliver(opened, second.batch([second.event(said | {"state": "sold"}), b"no event"]))
        opened.ledger.followers.catch_up()
        yield opened


def listed(hub, limit=500, before=None, after=None, **wanted):
    """The indexes that a filter lists."""
    with hub.database.read() as connection:
        rows = list_entries(
            connection, EntryFilter(**wanted), limit=limit, before=before, after=after
        )
    return [row.index for row in rows]


def test_every_filter_lists_what_fits_and_nothing_else(hub, clock):
    """By type, dealer, device, serial, place and time, and several of them together."""
    now_ms = clock.wall_ms()
    assert list(range(32, -1, -1)) == listed(hub)
    assert [1, 0] == listed(hub, type="device.enrolled")
    assert [32] == listed(hub, types=("quarantined", "pos.sale"))
    assert [32, 31, 1] == listed(hub, dealer="JKT02")
    assert [32, 31] == listed(hub, device=Box(2).device)
    assert [31, *range(10, 1, -1)] == [
        i for i in listed(hub, serial=SERIAL) if i not in range(11, 31)
    ]
    assert [31] == listed(hub, serial=SERIAL, dealer="JKT02")
    assert [3] == listed(hub, indexes=(3, 900))
    assert [] == listed(hub, indexes=())
    assert [32, 31] == listed(hub, since_ms=now_ms)
    assert list(range(30, -1, -1)) == listed(hub, until_ms=now_ms)
    assert [] == listed(hub, type="'; DROP TABLE entry; --")


def test_pages_go_both_ways_without_gaps_or_repeats(hub):
    """Down from `before`, up from `after`: together the whole ledger, once."""
    down, page = [], listed(hub, limit=7)
    while page:
        down += page
        page = listed(hub, limit=7, before=page[-1])
    assert list(range(32, -1, -1)) == down
    assert [30, 31, 32] == listed(hub, after=29)
    assert [10, 11] == listed(hub, after=9, limit=2)


def test_one_entry_has_its_bytes_its_units_and_a_proof(hub):
    """The row says what the event is; the proof stands under the newest signed head."""
    with hub.database.read() as connection:
        row = one_entry(connection, 31)
        assert one_entry(connection, 33) is None
    assert row is not None
    assert (row.serials, row.dealer, row.type) == ((SERIAL,), "JKT02", "scooter.report")
    assert b'"state":"sold"' in row.raw

    proof = hub.ledger.proof(31)
    index, path, note = parse_tlog_proof(proof.tlog_proof)
    head = open_checkpoint(note, hub.ledger.key)
    verify_range(index, [leaf_hash(proof.leaf)], head.size, proof=path, tree_root=head.root)
    assert row.raw in proof.leaf
    assert hub.ledger.proof(33) is None


def test_counters_count_by_type_dealer_and_day(hub, clock):
    """From maintained counters; a day begins at head office's midnight."""
    with hub.database.read() as connection:
        assert {"device.enrolled": 2, "scooter.report": 30, "quarantined": 1} == count_entries(
            connection
        )
        assert {"device.enrolled": 1, "scooter.report": 1, "quarantined": 1} == count_entries(
            connection, dealer="JKT02"
        )
        assert {} == count_entries(connection, since_day=day_of(clock.wall_ms()) + 1)


def test_contradictions_of_a_box_are_listed_newest_first(hub):
    """What is shown as a suspected clone."""
    box = Box(1)
    clone = box.batch(2)
    deliver_refused(hub, clone)
    with hub.database.read() as connection:
        assert [clone.id] == [found.batch_id for found in contradictions(connection, box.device)]
        assert [] == contradictions(connection, Box(2).device)


def deliver_refused(hub, batch):
    """Deliver what will be refused."""
    with pytest.raises(Exception, match="both are kept"):
        deliver(hub, batch)


@pytest.mark.parametrize("seed", range(3))
def test_a_moment_is_found_like_by_looking_at_every_head(database, seed):
    """The first index whose tree head was made at or after a time; the size if none was."""
    dice = random.Random(seed)
    sizes = sorted(dice.sample(range(1, 400), 40))
    times = sorted(dice.choices(range(1000, 1060), k=40))
    with database.read() as connection:
        assert index_at(connection, 5) == 0
    database.write(
        lambda c: c.execute(
            insert(CHECKPOINT),
            [
                {"size": size, "at_ms": at, "root": b""}
                for size, at in zip(sizes, times, strict=True)
            ],
        )
    )
    starts = [0, *sizes]
    with database.read() as connection:
        for at_ms in range(998, 1063):
            expected = next(
                (start for start, made in zip(starts, times, strict=False) if made >= at_ms),
                sizes[-1],
            )
            assert expected == index_at(connection, at_ms)


def test_a_page_reads_its_batches_once_whatever_their_size(hub):
    """Entries of many batches come with their own bytes."""
    history(hub, seed=8, entries=200)
    hub.ledger.followers.catch_up()
    with hub.database.read() as connection:
        rows = list_entries(connection, EntryFilter(), limit=500)
        leaves = hub.ledger.leaves(0, 200)
    assert all(row.raw in leaves[row.index] for row in rows if row.index < 200)
