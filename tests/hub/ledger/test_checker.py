"""The ledger is re-read while the hub runs: what does not fit is found, named and remembered."""

import threading

import pytest
from sqlalchemy import insert, select, update
from structlog.testing import capture_logs

from hub.jobs import Worker
from hub.ledger import checker as checking
from hub.ledger.checker import Checker, LedgerCheck, read_check
from hub.ledger.tables import BATCH, CHECK, CHECK_PASS, TILE
from shared.clock import SystemClock
from shared.wire.batch import pack_events, unpack_events
from tests.fakes.hub_boxes import Box, deliver, history, running
from tests.fakes.manual_clock import ManualClock

ENTRIES = 600


@pytest.fixture
def clock():
    """Time that moves when a test says so."""
    return ManualClock()


@pytest.fixture
def hub(tmp_path, database_url, clock):
    """A ledger with full tiles and a partial one, on either engine."""
    with running(tmp_path, database_url, clock=clock) as opened:
        history(opened, seed=4, entries=ENTRIES)
        yield opened


def new_checker(hub):
    """A process that checks this ledger."""
    keys = hub.keys
    return Checker(hub.database, hub_keys=keys.http_ever, root=keys.root.public, clock=hub.clock)


def known(hub):
    """What a page would be told."""
    with hub.database.read() as connection:
        return read_check(connection)


def go(hub, clock, checker, done, *, rounds=2000):
    """Let it work, a second at a time, until `done` says so of what is known."""
    for _ in range(rounds):
        checker.step()
        if done(found := known(hub)):
            return found
        clock.advance(1000)
    raise AssertionError(f"never: {found}")


def verified(found: LedgerCheck) -> bool:
    """Has the whole ledger been read once?"""
    return found.verified_ms is not None


def tamper(hub, *statements):
    """What an owner of the database can do who drops its triggers first."""

    def work(connection):
        if connection.dialect.name == "sqlite":
            triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for name in connection.exec_driver_sql(triggers).scalars().all():
                connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        else:
            for table in ("batch", "tile", "checkpoint"):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            assert connection.execute(statement).rowcount in {1, -1}

    hub.database.write(work)


def batch_with(hub, index):
    """The stored batch that holds an entry."""
    with hub.database.read() as connection:
        rows = connection.execute(select(BATCH).order_by(BATCH.c.first_index)).all()
    return next(row for row in rows if row.first_index <= index < row.first_index + row[1])


def flip(hub, index):
    """Change one bit inside the event of entry `index`; the entry's own bytes and no other's."""
    row = batch_with(hub, index)
    events = list(unpack_events(bytes(row.events), row[1])[0])
    raw = bytearray(events[index - row.first_index])
    raw[len(raw) // 2] ^= 1
    events[index - row.first_index] = bytes(raw)
    tamper(
        hub,
        update(BATCH)
        .where(BATCH.c.first_index == row.first_index)
        .values(events=pack_events(events)),
    )


def test_an_honest_ledger_is_verified_in_pieces_and_followed(hub, clock):
    """All of it once, then what is new within a look; nothing is ever said to be broken."""
    checker = new_checker(hub)
    found = go(hub, clock, checker, verified)
    assert (found.verified, found.broken_at) == (hub.ledger.size(), None)
    assert found.verified_ms <= clock.wall_ms()

    history(hub, seed=5, entries=ENTRIES + 300)
    size = hub.ledger.size()
    found = go(hub, clock, checker, lambda found: found.verified == size, rounds=30)
    assert found.broken_at is None


def test_the_whole_ledger_is_read_again_in_rounds(hub, clock):
    """Also what is long verified: the time of the last whole pass moves on."""
    checker = new_checker(hub)
    first = go(hub, clock, checker, lambda found: found.whole_ms is not None)
    again = go(hub, clock, checker, lambda found: found.whole_ms != first.whole_ms)
    assert again.whole_ms - first.whole_ms >= checking.ROUND_REST_MS


@pytest.mark.parametrize("index", [0, 37, 300, 599])
def test_a_flipped_bit_of_an_old_entry_is_found_and_named(hub, clock, index):
    """Whoever changes what was verified long ago is found by the next round, to the entry."""
    checker = new_checker(hub)
    go(hub, clock, checker, verified)
    flip(hub, index)

    with capture_logs() as logs:
        found = go(hub, clock, checker, lambda found: found.broken_at is not None)

    row = batch_with(hub, index)
    exact = row.first_index + row[1] <= ENTRIES // 256 * 256
    assert found.broken_at == (index if exact else row.first_index)
    assert f"{row.first_index}" in found.finding
    [line] = [line for line in logs if line["event"] == "ledger_broken"]
    assert (line["log_level"], line["entry"]) == ("critical", found.broken_at)


def test_what_was_broken_stays_so_until_a_whole_pass_finds_nothing(hub, clock):
    """Over a restart too; when the bytes are put back, it says so by itself."""
    row = batch_with(hub, 300)
    flip(hub, 300)
    checker = new_checker(hub)
    go(hub, clock, checker, lambda found: found.broken_at is not None)
    checker.release()
    checker = new_checker(hub)
    for _ in range(300):
        checker.step()
        clock.advance(1000)
        assert known(hub).broken_at == 300

    tamper(
        hub,
        update(BATCH).where(BATCH.c.first_index == row.first_index).values(events=row.events),
    )
    with capture_logs() as logs:
        found = go(hub, clock, checker, lambda found: found.broken_at is None)
    assert (found.verified, found.finding) == (hub.ledger.size(), None)
    assert [{"event": "ledger_unbroken_again", "log_level": "warning", "was_broken_at": 300}] == [
        line for line in logs if line["event"] != "ledger_broken"
    ]


def test_a_tile_too_many_does_not_flicker(hub, clock):
    """Only a whole pass can see it, so only a whole pass without it may clear it."""
    tamper(hub, insert(TILE).values(level=0, idx=900, hashes=b"", root=b""))
    checker = new_checker(hub)
    go(hub, clock, checker, lambda found: found.broken_at is not None)
    for _ in range(300):
        checker.step()
        clock.advance(1000)
        assert known(hub).broken_at is not None


def test_a_restart_goes_on_where_it_left_off(hub, clock):
    """The places of both passes are on disk; a new process reads little twice."""
    checker = new_checker(hub)
    go(hub, clock, checker, verified)
    for _ in range(2 * checking.PLACE_MS // 1000):
        checker.step()
        clock.advance(1000)
    checker.release()

    flip(hub, 10)
    second = new_checker(hub)
    for _ in range(checking.ROUND_REST_MS // 1000 - 2):
        second.step()
        clock.advance(1000)
        assert known(hub).broken_at is None, "it read the beginning again"
    found = go(hub, clock, second, lambda found: found.broken_at is not None)
    assert found.broken_at == 10


def test_a_place_that_cannot_be_read_begins_at_the_start(hub, clock):
    """Of another release, or damaged: what was known stays, the pass begins at entry 0."""
    checker = new_checker(hub)
    go(hub, clock, checker, verified)
    checker.release()
    hub.database.write(
        lambda connection: connection.execute(insert(CHECK_PASS).values(name="newest", state=b"{}"))
    )
    flip(hub, 10)
    second = new_checker(hub)
    with capture_logs() as logs:
        found = go(hub, clock, second, lambda found: found.broken_at is not None, rounds=40)
    assert (found.broken_at, found.verified_ms is not None) == (10, True)
    assert logs[0]["event"] == "ledger_check_begins_anew"


def test_two_processes_do_not_check_the_same(hub, clock):
    """The second stands by, and takes over when the first says nothing any more."""
    first, second = new_checker(hub), new_checker(hub)
    go(hub, clock, first, verified)

    def holder():
        with hub.database.read() as connection:
            return connection.execute(select(CHECK.c.holder)).scalar_one()

    one = holder()
    for _ in range(60):
        first.step()
        second.step()
        clock.advance(1000)
    assert holder() == one
    for _ in range(checking.STANDBY_MS // 1000 + 2):
        second.step()
        clock.advance(1000)
    other = holder()
    assert other != one
    for _ in range(12):
        first.step()
        second.step()
        clock.advance(1000)
    assert holder() == other


def test_an_empty_ledger_is_unbroken(tmp_path, sqlite_url, clock):
    """Nothing is there, and nothing of it is wrong."""
    with running(tmp_path, sqlite_url, clock=clock) as opened:
        found = go(opened, clock, new_checker(opened), verified)
    assert (found.verified, found.broken_at) == (0, None)


def test_the_worker_checks_beside_its_work(tmp_path, sqlite_url):
    """While boxes deliver: the real thread, the real clock of a hub."""
    with running(tmp_path, sqlite_url, clock=SystemClock()) as opened:
        history(opened, seed=4, entries=100)
        worker = Worker(opened.database, opened.ledger, sequences=True)
        enough = threading.Event()

        def look():
            found = known(opened)
            if found.verified >= opened.ledger.size():
                enough.set()

        worker.on_progress = look
        worker.start()
        deliver(opened, Box(99).enrolled(opened).batch(3))
        assert enough.wait(timeout=30)
        worker.stop()
        with opened.database.read() as connection:
            assert connection.execute(select(CHECK.c.holder)).scalar_one() == ""
