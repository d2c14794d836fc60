"""Taps through everything inside one hub process, and the same race by locking a table."""

import sqlite3
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from bench.claims.crowd import crowd
from bench.claims.market import check, tap_of
from hub.inbox.service import InboxRow, Outcome
from hub.wiring import Hub


def race(hub: Hub, leads: Sequence[str], tappers: int, connections: int) -> list[float]:
    """Ms from each tap's arrival to its decision on disk; each lead must have one winner."""
    bodies = [
        tap_of(lead, turn, index * tappers + turn)
        for index, lead in enumerate(leads)
        for turn in range(tappers)
    ]
    began, took = [0.0] * len(bodies), [0.0] * len(bodies)
    decided = [threading.Event() for _ in bodies]
    stop = threading.Event()
    handled: list[int] = []

    def note(connection: Connection, rows: Sequence[InboxRow]) -> Sequence[Outcome]:
        outcomes = hub.leads.gateway.handle_run(connection, rows)
        outcomes = outcomes or [hub.leads.gateway.handle(connection, rows[0])]
        handled.extend(int(row.headers["n"]) for row in rows[: len(outcomes)])
        return outcomes

    def decide() -> None:
        woken = threading.Event()
        hub.leads.inbox.listeners.append(woken.set)
        while not stop.is_set() or not hub.leads.inbox.idle():
            woken.clear()
            while hub.leads.inbox.step(hub.leads.gateway.handle, note):
                now = time.perf_counter()
                while handled:
                    number = handled.pop()
                    took[number] = (now - began[number]) * 1000
                    decided[number].set()
            woken.wait(0.01)

    def tap(number: int) -> None:
        began[number] = time.perf_counter()
        hub.leads.inbox.keep("whatsapp", bodies[number], {"n": str(number)})
        decided[number].wait()

    worker = threading.Thread(target=decide)
    worker.start()
    crowd(connections, len(bodies), tap)
    stop.set()
    worker.join()
    check(hub, leads, tappers)
    assert all(took)
    return took


def locked_table(leads: int, tappers: int, connections: int) -> list[float]:
    """The same race where each tapper locks the table, looks and writes; ms from tap to answer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "claims.db"
        with sqlite3.connect(path) as made:
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("CREATE TABLE lead (id INTEGER PRIMARY KEY, owner INTEGER)")
            made.executemany("INSERT INTO lead VALUES (?, NULL)", ((n,) for n in range(leads)))
        local = threading.local()

        took = [0.0] * (leads * tappers)

        def tap(number: int) -> None:
            began = time.perf_counter()
            if not hasattr(local, "connection"):
                local.connection = sqlite3.connect(path, isolation_level=None, timeout=60)
                local.connection.execute("PRAGMA synchronous=FULL")
            lead, turn = divmod(number, tappers)
            local.connection.execute("BEGIN EXCLUSIVE")
            query = "SELECT owner FROM lead WHERE id = ?"
            if local.connection.execute(query, (lead,)).fetchone()[0] is None:
                local.connection.execute("UPDATE lead SET owner = ? WHERE id = ?", (turn, lead))
            local.connection.execute("COMMIT")
            took[number] = (time.perf_counter() - began) * 1000

        crowd(connections, len(took), tap)
        return took
