"""Projections: the same tables however the ledger is cut, replayed or raced for."""

import random
import threading
from collections.abc import Callable

import orjson
import pytest
from sqlalchemy import select

from hub.ledger.followers import CURSOR_NAME, Followers
from hub.ledger.tables import CURSOR, DEVICE_DEALER, ENTRY
from hub.rebuild import rebuild, snapshot
from hub.wiring import followers
from tests.checks.whole_ledger import check_ledger
from tests.fakes.failing_disk import FailingDisk
from tests.fakes.hub_boxes import DEADLINE_S, Box, deliver, history, running


@pytest.fixture
def hub(tmp_path, database_url):
    """A hub, once on each engine."""
    with running(tmp_path, database_url) as opened:
        yield opened


def story(hub):
    """Boxes of two dealers, sales, reports, heartbeats, a loss, an epoch, and unreadable events."""
    batches = history(hub, seed=6, entries=120)
    box = Box(50).enrolled(hub, "SBY02")
    for data, lane, kind in PARTS:
        batches.append(box.batch([box.event(data, lane=lane, type=kind)], lane=lane))
        deliver(hub, batches[-1])
    hub.database.write(
        lambda c: hub.ledger.open_epoch(c, box.device, close=1, nonce="a", reason="x", now_ms=1)
    )
    hub.ledger.sequencer.sequence_facts()
    box.epoch, box.places = 2, {}
    batches.append(box.batch([b"not even JSON", *box.reports(3), b'{"v":1}']))
    deliver(hub, batches[-1])
    return batches


UNIT = {
    "serial": "KSE8JKT2600000001",
    "serial_raw": "KSE8JKT2600000001",
    "model": "E8",
    "list_idr": 21_900_000,
    "discount_idr": 500_000,
    "net_idr": 21_400_000,
}
SALE: dict[str, object] = {
    "till": "T1",
    "receipt": "r1",
    "units": [UNIT],
    "payment": "cash",
    "operator": "07",
    "buyer": None,
}
HEARTBEAT: dict[str, object] = {
    "version": "1",
    "uptime_ms": 1,
    "backlog": {"sale": 1, "vehicle": 2, "system": 3},
    "buffer_bytes": 1,
    "sources": {"till-1": "ok"},
    "counters": {"sales": 1},
}
LOSS: dict[str, object] = {
    "lane": "vehicle",
    "gen": 1,
    "ranges": [[3, 4], [9, 9]],
    "count": 3,
    "reason": "disk_full",
}
PARTS: list[tuple[dict[str, object], str, str]] = [
    (SALE, "sale", "pos.sale"),
    ({"till": "T1", "receipt": "r1", "serials": None}, "sale", "pos.void"),
    (HEARTBEAT, "system", "agent.heartbeat"),
    (LOSS, "system", "agent.loss"),
    ({"serial": UNIT["serial"], "state": "sold"}, "vehicle", "scooter.report"),
]


def refold(hub, chunks: Callable[[], int]):
    """Every table after a replay in chunks of these sizes."""
    replayed = Followers(hub.database, followers())
    replayed.reset()
    while True:
        replayed._chunk = chunks()
        if not replayed.step():
            return snapshot(hub)


def test_any_chunking_gives_identical_tables(hub):
    """One batch at a time, everything at once, and random cuts: row for row the same."""
    story(hub)
    hub.ledger.followers.catch_up()
    lived = snapshot(hub)
    dice = random.Random(3)

    assert lived == refold(hub, lambda: 1)
    assert lived == refold(hub, lambda: 100_000)
    for _ in range(2):
        assert lived == refold(hub, lambda: dice.choice([1, 2, 7, 40]))
    assert all(rows for _, rows in list(lived.values())[:2])


def test_a_rebuild_reproduces_every_table(hub):
    """Also while the ledger grew; and it names a table that somebody has changed."""
    batches = story(hub)
    check_ledger(hub, batches)
    box = Box(60).enrolled(hub)
    deliver(hub, box.batch(4))
    assert [] == rebuild(hub).differing

    hub.database.write(lambda c: c.execute(DEVICE_DEALER.update().values(dealer="somebody else's")))
    assert ["device_dealer"] == rebuild(hub).differing
    assert [] == rebuild(hub).differing


def test_an_unreadable_event_is_quarantined_and_blocks_nobody(hub):
    """
    Sealed events that are no JSON, have a bad schema, speak of another device or lane, or hold
    what a database cannot: on the ledger, quarantined with a reason or stored, and the sale
    behind them is projected.
    """
    box = Box(1).enrolled(hub)
    good = orjson.loads(box.event(SALE, lane="sale", type="pos.sale"))
    events = [orjson.dumps(changed) for changed in hostile(good)]
    events += [b"\xff\xfe", b"[]", b"1", b'{"v":1,"type":"pos.sale"}', b"\x00" * 40, b"{" * 30_000]
    last = orjson.dumps(good)
    batch = box.batch([*events, last], lane="sale")
    deliver(hub, batch)
    hub.ledger.followers.catch_up()

    with hub.database.read() as connection:
        rows = connection.execute(select(ENTRY).order_by(ENTRY.c.index)).all()
    assert hub.ledger.size() == len(rows)
    assert (rows[-1].type, rows[-1].quarantined) == ("pos.sale", None)
    quarantined = [row for row in rows if row.quarantined]
    assert {"quarantined"} == {row.type for row in quarantined}
    assert len(quarantined) > len(events) // 2
    check_ledger(hub, [batch])


def hostile(good):
    """The event with one value replaced by something nobody expects."""
    values = ["\x00", "a\x00b", "x" * 9000, "\U0010ffff", "", -1, 2**63, 2**70, 1e300, None, [], {}]
    values += [True, "'; DROP TABLE entry; --", "\u202e"]
    for path in (("type",), ("device",), ("gen",), ("n",), ("lane",), ("v",), ("occurred", "wall")):
        yield from (replaced(good, path, value) for value in values)
    for name in good["data"]:
        yield from (replaced(good, ("data", name), value) for value in values)
    for name in good["data"]["units"][0]:
        yield from (replaced(good, ("data", "units", 0, name), value) for value in values)


def replaced(document, path, value):
    """A copy with the value at `path` replaced; what orjson cannot write becomes a text."""
    copy = orjson.loads(orjson.dumps(document))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    too_large = isinstance(value, int) and abs(value) >= 2**64
    inner[path[-1]] = str(value) if too_large else value
    return copy


def test_two_followers_that_race_apply_each_entry_once(tmp_path, database_url):
    """Two processes' followers on one database, from an empty cursor on and again at its end."""
    with running(tmp_path, database_url) as one, running(tmp_path, database_url) as two:
        batches = []
        for round_number in range(3):
            batches += history(one, seed=20 + round_number, entries=one.ledger.size() + 300)
            start = threading.Barrier(2)
            failures: list[BaseException] = []

            def run(hub, start=start, failures=failures):
                start.wait(DEADLINE_S)
                try:
                    hub.ledger.followers.catch_up()
                except BaseException as error:  # noqa: BLE001 - told by the assertion below
                    failures.append(error)

            threads = [threading.Thread(target=run, args=(hub,)) for hub in (one, two)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE_S)
            assert [] == failures
        with one.database.read() as connection:
            indexes = connection.execute(select(ENTRY.c.index).order_by(ENTRY.c.index)).scalars()
            assert list(range(one.ledger.size())) == list(indexes)
        check_ledger(two, batches)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_step_whose_commit_failed_is_done_once(tmp_path, sqlite_url, cut):
    """The cursor moves with the tables: before, the step is done again; after, it is not."""
    disk = FailingDisk()
    with running(tmp_path, sqlite_url, factory=disk.connect) as hub:
        box = Box(1).enrolled(hub)
        batches = [box.batch(5)]
        deliver(hub, *batches)
        disk.cut = cut
        with pytest.raises(Exception, match="disk I/O"):
            hub.ledger.followers.step()
        hub.ledger.followers.catch_up()
        batches.append(box.batch(5))
        deliver(hub, batches[-1])
        hub.ledger.followers.catch_up()

        with hub.database.read() as connection:
            cursor = select(CURSOR.c.next_index).where(CURSOR.c.name == CURSOR_NAME)
            assert hub.ledger.size() == connection.execute(cursor).scalar()
            dealers = connection.execute(select(ENTRY.c.dealer).order_by(ENTRY.c.index)).scalars()
            assert {"SBY01"} == set(dealers)
        check_ledger(hub, batches)
