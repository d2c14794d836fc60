"""Storing: numbers, groups, priorities, duplicates, durability settings."""

import sqlite3
import threading
from pathlib import Path

import orjson
import pytest

from edge_agent.buffer import Capture, Duplicate, Once, Stored, connect
from edge_agent.errors import CaptureRefused
from shared.wire.events import parse_event
from tests.checks.boxes import (
    NEVER,
    SEALER,
    Box,
    counted,
    drain,
    fault,
    numbers,
    report,
    sale,
)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box with an empty buffer."""
    return Box(tmp_path)


def test_commits_reach_the_card(tmp_path: Path) -> None:
    """WAL with synchronous=FULL: the simulation's trust in commit() rests on these settings."""
    connection = connect(tmp_path / "b.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (1024,)
    connection.close()


def test_numbers_have_no_gap_per_lane(box: Box) -> None:
    """Each lane counts for itself from 1, across puts and restarts."""
    buffer = box.open()
    assert buffer.put([sale("r1"), report(1), report(2)]) == [
        Stored(1, "sale", 1),
        Stored(1, "vehicle", 1),
        Stored(1, "vehicle", 2),
    ]
    buffer.close()
    assert box.open().put([report(3), sale("r2")]) == [
        Stored(1, "vehicle", 3),
        Stored(1, "sale", 2),
    ]


def test_stored_events_are_events_of_the_wire(box: Box) -> None:
    """What is put comes out as bytes that the hub's parser takes."""
    buffer = box.open()
    buffer.put([sale("r1", "KSE8JKT2600000123", attachments=(b"secret",)), fault()])
    events = [*drain(buffer, "sale")[0].events, *drain(buffer, "vehicle")[0].events]
    assert [parse_event(event).type for event in events] == ["pos.sale", "scooter.fault"]


def test_attachments_travel_with_their_sale(box: Box) -> None:
    """An attachment is stored in the same segment and named by its hash."""
    buffer = box.open()
    buffer.put([sale("r1", attachments=(b"ciphertext",))])
    (batch,) = drain(buffer, "sale")
    assert batch.attachments == (b"ciphertext",)
    assert orjson.loads(batch.events[0])["attachments"][0]["bytes"] == 10


def test_reports_share_a_segment_and_nothing_else_does(box: Box) -> None:
    """A hundred reports are one segment; sales and faults stand alone, so they leave alone."""
    buffer = box.open()
    buffer.put([report(n) for n in range(150)])
    buffer.put([sale("r1"), sale("r2"), fault(), fault()])
    rows = sqlite3.connect(box.path).execute("SELECT lane, count FROM segment ORDER BY lane, count")
    assert rows.fetchall() == [
        ("sale", 1),
        ("sale", 1),
        ("vehicle", 1),
        ("vehicle", 1),
        ("vehicle", 50),
        ("vehicle", 100),
    ]


def test_the_urgent_leave_first(box: Box) -> None:
    """Within a lane, sales go before activations and faults before reports."""
    buffer = box.open()
    answer = Capture(
        type="scooter.activated",
        data={"serial": "S1", "sale": {"gen": 1, "n": 1}},
        occurred=NEVER,
    )
    buffer.put([answer, sale("r1"), report(1), fault()])
    assert numbers(drain(buffer, "sale")) == [(1, 2), (1, 1)]
    assert numbers(drain(buffer, "vehicle")) == [(1, 2), (1, 1)]


def test_the_same_receipt_is_stored_once(box: Box) -> None:
    """Same till, number and content: a duplicate. Same number, other content: a new sale."""
    buffer = box.open()
    first = sale("r1", once=Once("till", "T1/r1", b"1" * 32))
    other = sale("r1", once=Once("till", "T1/r1", b"2" * 32))
    assert buffer.put([first, first]) == [Stored(1, "sale", 1), Duplicate()]
    buffer.close()
    assert box.open().put([first, other]) == [Duplicate(), Stored(1, "sale", 2)]


def test_a_counter_is_taken_once_even_out_of_order(box: Box) -> None:
    """Late counters within the window are new, repeated and ancient ones are duplicates."""
    buffer = box.open()
    taken = [5, 3, 5, 4, 3, 600, 5, 88, 89]
    answers = [isinstance(buffer.put([counted(n)])[0], Stored) for n in taken]
    assert answers == [True, True, False, True, False, True, False, False, True]
    assert isinstance(buffer.put([counted(5, serial="S2")])[0], Stored)


def test_counters_of_one_commit_are_told_apart_and_remembered(box: Box) -> None:
    """Two scooters, many messages, one commit; a refused commit remembers none of them."""
    buffer = box.open()
    taken = [(5, "S1"), (3, "S1"), (5, "S2"), (5, "S1"), (600, "S1"), (5, "S2"), (88, "S1")]
    captures = [counted(number, serial) for number, serial in taken]
    with pytest.raises(CaptureRefused):
        buffer.put([*captures, report(1, extra={"note": "x" * 40_000})])
    answers = [isinstance(answer, Stored) for answer in buffer.put(captures)]
    assert answers == [True, True, True, False, True, False, False]
    buffer.close()
    again = box.open().put([*captures, counted(601, "S1"), counted(599, "S1")])
    assert [isinstance(answer, Stored) for answer in again] == [False] * 7 + [True, True]


def test_an_oversized_capture_is_refused_and_changes_nothing(box: Box) -> None:
    """Nothing of a put is stored when one of its captures never can be."""
    buffer = box.open()
    huge = report(1, extra={"note": "x" * 40_000})
    with pytest.raises(CaptureRefused):
        buffer.put([report(1), huge])
    assert buffer.put([report(2)]) == [Stored(1, "vehicle", 1)]


def test_a_put_wakes_the_lane_that_waits(box: Box) -> None:
    """A sale that is put between a look and the wait for work is not overlooked."""
    buffer = box.open()
    seen = buffer.work_seen("sale")
    woken: list[bool] = []
    waiter = threading.Thread(
        target=lambda: woken.append(buffer.wait_for_work("sale", 10_000, seen))
    )
    waiter.start()
    buffer.put([report(1)])
    buffer.put([sale("r1")])
    waiter.join(10)
    assert woken == [True]
    assert buffer.wait_for_work("sale", 10_000, seen)
    assert not buffer.wait_for_work("system", 1)


def test_reading_the_status_does_not_disturb(box: Box) -> None:
    """A second, read-only connection sees the commit and leaves the writer alone."""
    from edge_agent.buffer import status  # noqa: PLC0415 - beside the running buffer

    buffer = box.open()
    buffer.put([sale("r1", "S1"), report(1)])
    found = status.read(box.path)
    assert found["backlog"] == {"sale": 1, "vehicle": 1, "system": 0}
    assert found["activations_pending"] == 1
    assert buffer.put([report(2)]) == [Stored(1, "vehicle", 2)]
    assert buffer.seal("sale", SEALER) is not None
