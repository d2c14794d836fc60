"""The worker outlives its database's bad days."""

import sqlite3
import threading

from hub.jobs import Worker
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
