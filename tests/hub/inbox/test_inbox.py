"""What comes in is durable, numbered, acted on once and in order, and kept when it cannot be."""

import threading

import pytest
from psycopg.errors import DeadlockDetected
from sqlalchemy import Column, MetaData, Table, insert, select

from hub.errors import Refused
from hub.inbox import store
from hub.inbox.service import (
    DAY_MS,
    FEW,
    GROUP_MS,
    LEFT_MS,
    STAND_BACK_MS,
    Inbox,
    InboxRow,
    Outcome,
    first_time,
)
from hub.store import TEXT, Database, Statement
from shared.clock import SystemClock
from tests.fakes.manual_clock import ManualClock

DONE = Outcome("done")
WRITTEN = Table("written_by_a_handler", MetaData(), Column("body", TEXT, primary_key=True))


@pytest.fixture
def clock():
    """Time that stands still."""
    return ManualClock()


@pytest.fixture
def inbox(database, clock):
    """An empty inbox, and a table of this test's own that a handler writes to."""
    database.write(WRITTEN.create)
    return Inbox(database, clock)


def keep(inbox, *bodies):
    """Store bodies; their ids."""
    return [inbox.keep("meta", body.encode(), {"X-A": "1"}) for body in bodies]


def noting(notes):
    """A handler that takes notes."""

    def handle(_connection, row):
        notes.append(row)
        return DONE

    return handle


def write(connection, row):
    """A handler that leaves a trace."""
    connection.execute(insert(WRITTEN).values(body=row.body.decode()))
    return DONE


def written(database):
    """The traces of handlers."""
    with database.read() as connection:
        return set(connection.execute(select(WRITTEN.c.body)).scalars())


def states(inbox):
    """State and reason of each row, in order."""
    return [(item["state"], item["reason"]) for item in inbox.page(None, 100)["items"]]


@pytest.mark.postgres
def test_a_deadlock_is_nobodys_fault(postgres_url, clock):
    """PostgreSQL gives one up of two that wait for each other: the rows go again, uncounted."""
    database = Database(postgres_url)
    inbox = Inbox(database, clock)
    keep(inbox, "a", "b")
    tries = []

    def lost_twice(_connection, row):
        tries.append(row.body)
        if len(tries) <= 2:
            raise DeadlockDetected
        return DONE

    assert 2 == inbox.step(lost_twice)
    assert [b"a", b"a", b"a", b"b"] == tries
    assert [("done", None), ("done", None)] == states(inbox)
    database.close()


def drain(inbox, handle):
    """Act until nothing waits."""
    while inbox.step(handle):
        pass


def test_rows_are_acted_on_once_in_the_order_of_their_numbers(inbox, clock):
    """A handler sees each row with its body, headers and time of arrival, in order, once."""
    ids = keep(inbox, *"abc")
    seen: list[InboxRow] = []

    drain(inbox, noting(seen))

    assert ids == [row.id for row in seen]
    assert [b"a", b"b", b"c"] == [row.body for row in seen]
    assert sorted({row.seq for row in seen}) == [row.seq for row in seen]
    assert {("meta", clock.wall_ms())} == {(row.source, row.received_ms) for row in seen}
    assert {"X-A": "1"} == seen[0].headers
    assert [("done", None)] * 3 == states(inbox)
    assert inbox.idle()


def test_what_a_failing_row_wrote_is_undone_and_it_blocks_nobody(inbox, database):
    """
    The middle of three rows fails whenever it is tried: once with its neighbours, and after three
    times by itself it is kept with the reason; nothing of it is written, its neighbours are done.
    """
    keep(inbox, "good", "bad", "also good")
    tries = []

    def handle(connection, row):
        write(connection, row)
        if row.body == b"bad":
            tries.append(row.seq)
            raise KeyError("surprise")
        return DONE

    drain(inbox, handle)

    assert len(tries) == 1 + 3
    assert {"good", "also good"} == written(database)
    assert [("done", None), ("kept", "failed 3 times: KeyError"), ("done", None)] == states(inbox)


def test_a_statement_that_the_database_refuses_fails_its_row_alone(inbox, database):
    """The same key twice: on both engines the transaction goes on behind the refused row."""
    keep(inbox, "a", "a", "b")

    drain(inbox, write)

    assert {"a", "b"} == written(database)
    assert [("done", None), ("kept", "failed 3 times: IntegrityError"), ("done", None)] == states(
        inbox
    )


def test_what_the_database_refuses_only_at_the_end_fails_its_row_alone(inbox, database):
    """What needs no answer is asked with the end of the transaction, and may fail there: the row
    that it belongs to is found all the same, and keeps nobody waiting."""
    add = Statement("INSERT INTO written_by_a_handler (body) VALUES (:body)")

    def unanswered(connection, row):
        add.run(connection, [{"body": row.body.decode()}])
        return DONE

    keep(inbox, "a", "b", "a", "c")
    for _ in range(5):
        inbox.step(unanswered)

    assert ["done", "done", "kept", "done"] == [state for state, _ in states(inbox)]
    assert {"a", "b", "c"} == written(database)


def test_a_row_that_fails_once_keeps_its_turn(inbox):
    """Taps are decided in their order: a row that failed in passing still comes before the next."""
    keep(inbox, "first", "second")
    order = []

    def handle(_connection, row):
        order.append(row.body.decode())
        if order == ["first"]:
            raise OSError("in passing")
        return DONE

    drain(inbox, handle)

    assert ["first", "first", "second"] == order


def test_what_became_of_our_messages_waits_behind_what_people_write(inbox):
    """A message has three statuses: a thousand of them in front of a tap would decide its race."""
    for number in range(40):
        inbox.keep("meta", f"status {number}".encode(), {}, patient=True)
    keep(inbox, "tap", "text")
    order = []

    def handle(_connection, row):
        order.append(row.body.decode())
        if len(order) == 1:
            raise OSError("in passing")
        return DONE

    drain(inbox, handle)

    assert ["tap", "tap", "text"] == order[:3]
    assert [f"status {number}" for number in range(40)] == order[3:]


def test_a_transaction_takes_up_no_row_when_its_time_is_over(inbox, clock):
    """What waits for the writer is not kept waiting by all that came before it: the rest is done
    by the next transaction, in order."""
    keep(inbox, *"abc")
    order = []

    def slow(_connection, row):
        order.append(row.body.decode())
        clock.advance(GROUP_MS if row.body == b"a" else GROUP_MS + 1)
        return DONE

    assert [2, 1, 0] == [inbox.step(slow) for _ in range(3)]
    assert ["a", "b", "c"] == order


def test_a_kept_row_may_be_replayed(inbox, database):
    """An admin replays what a bug had refused; what was done before stays seen."""
    [bad] = keep(inbox, "bad")
    drain(inbox, lambda _c, _row: Outcome("kept", "not JSON"))
    assert [("kept", "not JSON")] == states(inbox)

    inbox.replay(bad)
    drain(inbox, write)

    assert [("done", None)] == states(inbox)
    assert {"bad"} == written(database)


def test_a_message_is_seen_for_the_first_time_once(inbox, database):
    """The mark belongs to the transaction: a row that failed has seen nothing."""
    keep(inbox, "one", "one again")
    first = []

    def handle(connection, row):
        first.append(first_time(connection, "wamid.A", now_ms=row.received_ms))
        if len(first) == 1:
            raise OSError("after it was marked")
        return DONE

    drain(inbox, handle)

    assert [True, True, False] == first


def test_old_bodies_are_dropped_and_a_dropped_one_cannot_be_replayed(inbox, clock):
    """Retention drops bodies that were acted on, never one that waits."""
    old, waiting = keep(inbox, "old", "waiting")
    seen: list[InboxRow] = []

    def only_old(_connection, row):
        if row.id != old:
            raise OSError("in passing")
        return DONE

    inbox.step(only_old)
    clock.advance(31 * DAY_MS)

    assert 1 == inbox.forget(30)
    assert 0 == inbox.forget(30)
    with pytest.raises(Refused, match="no longer kept"):
        inbox.replay(old)
    with pytest.raises(Refused, match="there is no inb_x"):
        inbox.replay("inb_x")
    drain(inbox, noting(seen))
    assert [waiting] == [row.id for row in seen]


def test_a_person_s_bodies_are_found_and_erased(inbox, database):
    """What a row was about is remembered with it; erasing a person leaves others' bodies."""
    keep(inbox, "hers", "his")
    drain(inbox, lambda _, row: Outcome("done", None, (f"cus_{row.body.decode()}",)))

    with database.read() as connection:
        assert [b"hers"] == [bytes(row[3]) for row in store.bodies_of(connection, "cus_hers")]
    assert 1 == database.write(lambda connection: store.erase(connection, "cus_hers"))
    with database.read() as connection:
        assert [] == store.bodies_of(connection, "cus_hers")
        assert [b"his"] == [bytes(row[3]) for row in store.bodies_of(connection, "cus_his")]


def test_many_threads_keep_at_once(inbox):
    """Deliveries of 16 threads are all there, each once, and share commits."""
    ids: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: ids.append(keep(inbox, *map(str, range(20)))))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    page = inbox.page(None, 1000)
    assert sorted(each for some in ids for each in some) == sorted(
        item["id"] for item in page["items"]
    )
    assert page["next"] is None


def test_pages_follow_each_other(inbox):
    """`next` is the id to go on behind, and null on the last page."""
    ids = keep(inbox, *"abcde")

    first = inbox.page(None, 2)
    second = inbox.page(first["next"], 2)
    third = inbox.page(second["next"], 2)

    assert ids == [item["id"] for page in (first, second, third) for item in page["items"]]
    assert third["next"] is None
    assert {"id", "source", "received_at", "state", "reason"} == set(first["items"][0])


def test_two_processes_act_in_one_order(inbox, database, clock):
    """Two workers on one database: every row once, in the order of the numbers."""
    keep(inbox, *(f"{number:03}" for number in range(100)))
    other = Database(database.url.render_as_string(hide_password=False))
    order: list[InboxRow] = []

    def work(opened):
        mine = Inbox(opened, clock)
        while not mine.idle():
            mine.step(noting(order))

    try:
        threads = [threading.Thread(target=work, args=(each,)) for each in (database, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        other.close()

    numbers = [row.seq for row in order]
    assert sorted(numbers) == numbers
    assert 100 == len(numbers)


def test_who_finds_another_process_at_it_stands_back(postgres_url, clock):
    """What waits is no news while it is acted on elsewhere: a look costs a turn."""
    here, there = Database(postgres_url), Database(postgres_url)
    here.write(WRITTEN.create)
    inbox = Inbox(here, clock)
    assert not inbox.news()
    keep(inbox, "a")
    assert inbox.news()

    def while_at_it(connection):
        assert store.take(connection, 1) is not None
        return inbox.step(write)

    assert there.write(while_at_it) == 0
    assert not inbox.news()
    clock.advance(STAND_BACK_MS)
    assert inbox.news()
    assert inbox.step(write) == 1
    assert not inbox.news()
    here.close()
    there.close()


@pytest.mark.postgres
def test_what_others_act_on_is_left_to_them_while_they_do(postgres_url, clock):
    """Until the same row has been next for long: then they are gone. By no clock of theirs."""

    def closed_one(connection):
        rows = store.take(connection, 1) or []
        store.close(
            connection, [store.Closed(seq=rows[0].seq, state="done", reason=None, subjects=())]
        )
        return rows

    here, there = Database(postgres_url), Database(postgres_url)
    here.write(WRITTEN.create)
    inbox = Inbox(here, clock)
    keep(inbox, "a")
    clock.advance(LEFT_MS)
    assert not inbox.others_act()  # nobody was seen yet, however long it waits

    inbox.step(write)
    keep(inbox, *(f"b{number}" for number in range(FEW)))
    there.write(lambda connection: (store.take(connection, 1), inbox.step(write)))
    assert not inbox.others_act()  # so few are decided before the other has looked
    keep(inbox, "d")
    assert inbox.others_act()
    clock.advance(LEFT_MS - 1)
    assert inbox.others_act()
    assert 1 == there.write(lambda c: len(closed_one(c)))
    keep(inbox, "e")
    clock.advance(LEFT_MS - 1)
    assert inbox.others_act()  # they follow
    clock.advance(LEFT_MS)
    assert not inbox.others_act()
    assert not inbox.others_act()  # until they are seen at it again
    here.close()
    there.close()


def test_bodies_that_are_stored_together_stay_what_they_are(inbox, database, clock):
    """Empty ones, other bytes than text, and those whose neighbours are long."""
    bodies = [b"", b"\0\xff\\x00", b"x" * 100_000, b'{"a": "\\u0000"}', b"", "é".encode()]
    deliveries = [
        store.Delivery(
            id=f"inb_{number}",
            source="meta",
            body=body,
            headers='{"X-A": "\\u0000"}',
            patient=number == 1,
        )
        for number, body in enumerate(bodies)
    ]

    def kept(connection):
        store.lock_numbers(connection)
        store.add(connection, deliveries, clock.wall_ms())
        return store.take(connection, 10)

    rows = [each.row for each in database.write(kept)]
    assert {f"inb_{n}": body for n, body in enumerate(bodies)} == {r.id: r.body for r in rows}
    assert ["inb_0", "inb_2", "inb_3", "inb_4", "inb_5", "inb_1"] == [row.id for row in rows]
    assert all(row.headers == {"X-A": "\0"} for row in rows)


def test_numbers_are_in_the_order_in_which_rows_appear(inbox, database):
    """
    Two processes store while a third acts: no row turns up behind one with a higher number, and no
    later number has an earlier time. By these taps are decided.
    """
    clock = SystemClock()
    places = [
        Database(database.url.render_as_string(hide_password=False)),
        Database(database.url.render_as_string(hide_password=False)),
    ]
    order: list[InboxRow] = []

    def store_many(opened):
        mine = Inbox(opened, clock)
        for number in range(150):
            mine.keep("meta", str(number).encode(), {})

    threads = [threading.Thread(target=store_many, args=(each,)) for each in places * 2]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) or not inbox.idle():
            inbox.step(noting(order))
        for thread in threads:
            thread.join()
    finally:
        for each in places:
            each.close()

    assert 600 == len(order)
    marks = [(row.seq, row.received_ms) for row in order]
    assert sorted(marks) == marks
    assert sorted(row.received_ms for row in order) == [row.received_ms for row in order]
