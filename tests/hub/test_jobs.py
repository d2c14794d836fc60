"""The worker outlives its database's bad days."""

import queue
import sqlite3
import threading
from types import SimpleNamespace

from hub.errors import StoreUnavailable
from hub.jobs import FACTS_ROUND_S, Loop, Worker
from hub.ledger.sequencer import FACTS_MAX
from hub.store.database import connect_sqlite
from tests.fakes.hub_boxes import running
from tests.fakes.manual_clock import ManualClock


def test_the_worker_goes_on_when_the_database_can_be_opened_again(tmp_path, sqlite_url):
    """A server that was away, a file that was not there: the next round finds it back."""
    refusals = threading.Semaphore(0)
    refused, went_on = threading.Event(), threading.Event()

    def open_file(path):
        if refusals.acquire(blocking=False):
            refused.set()
            raise sqlite3.OperationalError("unable to open database file")
        return connect_sqlite(path)

    with running(tmp_path, sqlite_url, clock=ManualClock(), factory=open_file) as hub:
        worker = Worker(hub.database, hub.ledger, sequences=True)
        worker.on_progress = went_on.set
        refusals.release()
        worker.start()
        assert refused.wait(timeout=30)
        assert went_on.wait(timeout=30)
        worker.stop()


def test_facts_that_come_one_by_one_share_a_round_and_a_backlog_waits_for_none(
    tmp_path, sqlite_url, monkeypatch
):
    """Four rounds of facts a second; more than one round's worth of them goes on at once."""
    now = SimpleNamespace(s=1_000.0)
    monkeypatch.setattr("hub.jobs.time", SimpleNamespace(monotonic=lambda: now.s))
    with running(tmp_path, sqlite_url, clock=ManualClock()) as hub:
        worker = Worker(hub.database, hub.ledger, sequences=True)

        def come(count):
            facts = [{"x": number} for number in range(count)]
            hub.database.write(lambda c: hub.ledger.append_all(c, "test.fact", facts, now_ms=1))

        def pending_after_a_round():
            worker._round(at_once=False)
            with hub.database.read() as connection:
                return hub.ledger.pending(connection)

        come(FACTS_MAX + 1)
        assert [1, 0] == [pending_after_a_round(), pending_after_a_round()]
        come(1)
        now.s += FACTS_ROUND_S - 0.01
        assert 1 == pending_after_a_round()
        now.s += 0.02
        assert 0 == pending_after_a_round()


def looping(step, **waits):
    """A loop that runs until the test ends it."""
    loop = Loop("test", step, **waits)
    loop.start()
    return loop


def test_a_loop_steps_again_when_a_glance_finds_something():
    """What another process brings does not wait until it would be time."""
    brought, stepped, done = threading.Event(), threading.Event(), threading.Event()

    def step():
        (done if brought.is_set() else stepped).set()
        return 0

    loop = looping(step, idle_wait_s=3600.0, glance=brought.is_set, glance_wait_s=0.001)
    assert stepped.wait(20)
    brought.set()
    assert done.wait(20)
    brought.clear()
    loop.stop()


def test_a_loop_that_is_woken_waits_for_no_glance():
    """What this process brings is acted on at once."""
    steps: queue.SimpleQueue[int] = queue.SimpleQueue()

    def step():
        steps.put(1)
        return 0

    loop = looping(step, idle_wait_s=3600.0)
    steps.get(timeout=20)
    loop.wake()
    steps.get(timeout=20)
    loop.stop()


def test_a_glance_that_fails_ends_no_loop():
    """A database that is away for a moment is looked at again."""
    failures = [StoreUnavailable("away")]
    found = threading.Event()

    def glance():
        if failures:
            raise failures.pop()
        found.set()
        return False

    loop = looping(lambda: 0, idle_wait_s=3600.0, glance=glance, glance_wait_s=0.001)
    assert found.wait(20)
    loop.stop()
