"""The sequencer: every batch one place, whatever is sent, fails or races."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from hub.errors import Refused
from hub.ledger.followers import LedgerEntry
from hub.ledger.reads import contradictions_beyond
from hub.ledger.tables import CONTRADICTION, PENDING
from shared.wire.events import Fact
from shared.wire.receipts import verify_receipt
from tests.checks.whole_ledger import check_ledger, findings, heads
from tests.fakes.failing_disk import FailingDisk
from tests.fakes.hub_boxes import DEADLINE_S, Box, deliver, history, running
from tests.fakes.hub_racer import FACTS, race_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def hub(tmp_path, database_url):
    """A hub, once on each engine."""
    with running(tmp_path, database_url) as opened:
        yield opened


@pytest.fixture
def box(hub):
    """A box that may deliver."""
    return Box(1).enrolled(hub)


def refusal(hub, batch):
    """The code with which a batch is refused."""
    with pytest.raises(Refused) as refused:
        deliver(hub, batch)
    assert refused.value.problem.status == 409
    return refused.value.problem.code


def proven(hub, batch, known=None):
    """The checkpoint under which a batch is proven to stand, as its box checks it."""
    placed = hub.ledger.place(batch.id, batch.device)
    receipt = hub.ledger.proofs.receipt(placed, known=known.size if known else None)
    return verify_receipt(
        receipt, batch_id=batch.id, events=batch.events, log_key=hub.ledger.key, known=known
    )


def test_batches_extend_the_ledger_and_every_receipt_proves_it(hub):
    """Batches of three boxes, in groups: each receipt verifies, each tree extends the last."""
    known = None
    for batch in history(hub, seed=1, entries=700):
        known = proven(hub, batch, known)
    assert known is not None
    assert known.size == hub.ledger.size()


def test_a_batch_that_is_known_gets_its_old_place_and_a_fresh_proof(hub, box):
    """Sent again at once, in one group, and much later: the same place, no second entry."""
    first = box.batch(3)
    [placed, twin] = deliver(hub, first, first)
    size = hub.ledger.size()
    deliver(hub, box.batch(5))
    [again] = deliver(hub, first)

    assert (placed.first_index, placed.count) == (twin.first_index, twin.count)
    assert (again.first_index, again.received_ms) == (placed.first_index, placed.received_ms)
    assert size + 5 == hub.ledger.size() == proven(hub, first).size


def test_a_batch_that_does_not_extend_its_lane_is_refused_by_name(hub, box):
    """A hole, an overlap, another statement for a taken place, and one after another past."""
    deliver(hub, box.batch(4), box.batch(4))

    assert refusal(hub, box.batch(2, first_seq=11)) == "seq-gap"
    assert refusal(hub, box.batch(6, first_seq=3)) == "seq-overlap"
    assert refusal(hub, box.batch(4, first_seq=5)) == "seq-conflict"
    assert refusal(hub, box.batch(4, first_seq=9, prev="00" * 32)) == "seq-conflict"
    assert refusal(hub, box.batch(4, first_seq=9, prev=None)) == "seq-conflict"


def test_a_contradiction_is_kept_as_evidence(hub, box):
    """Two sealed statements for one place: the second is kept, once, with its seal."""
    deliver(hub, box.batch(2))
    clone = box.batch(2, first_seq=1, prev=None)

    for _ in range(2):
        assert refusal(hub, clone) == "seq-conflict"
    with hub.database.read() as connection:
        [row] = connection.execute(select(CONTRADICTION)).all()
    assert (row.device, row.epoch, row.lane, row.seq) == (box.device, 1, "vehicle", 1)
    assert (bytes(row.statement), bytes(row.seal)) == (clone.statement, clone.seal)
    assert findings(hub) == []


def test_a_hostile_box_does_not_fill_the_disk_with_contradictions(hub, box, monkeypatch):
    """The first ones are kept as evidence, the rest are counted; another box still has its own."""
    monkeypatch.setattr("hub.ledger.evidence.CONTRADICTIONS_MAX", 3)
    other = Box(2).enrolled(hub)
    for each in (box, other):
        deliver(hub, each.batch(1))

    for count in (2, 3, 4, 5, 6):
        assert refusal(hub, box.batch(count, first_seq=1, prev=None)) == "seq-conflict"
    assert refusal(hub, other.batch(2, first_seq=1, prev=None)) == "seq-conflict"

    with hub.database.read() as connection:
        kept = connection.execute(select(CONTRADICTION.c.device)).scalars().all()
        assert sorted(kept) == sorted([box.device] * 3 + [other.device])
        assert contradictions_beyond(connection, box.device) == 2
        assert contradictions_beyond(connection, other.device) == 0


def test_a_closed_epoch_takes_nothing_new_but_knows_what_it_took(hub, box):
    """After the next epoch is open: new batches of the old one are refused, old ones proven."""
    old = box.batch(2)
    deliver(hub, old)
    late = box.batch(2)
    hub.database.write(
        lambda c: hub.ledger.open_epoch(
            c, box.device, close=1, nonce="a", reason="restored", now_ms=1
        )
    )
    hub.ledger.sequencer.sequence_facts()

    assert refusal(hub, late) == "epoch-closed"
    [placed] = deliver(hub, old)
    assert placed.first_index == hub.ledger.place(old.id, box.device).first_index
    box.epoch, box.places = 3, {}
    assert refusal(hub, box.batch()) == "epoch-closed"
    box.epoch, box.places = 2, {}
    deliver(hub, box.batch())
    assert findings(hub) == []


def test_a_group_of_refusals_writes_no_tree_head(hub, box):
    """Everything refused or known: the ledger's head stays where it was."""
    known = box.batch(2)
    deliver(hub, known)
    before = heads(hub)

    refusal(hub, box.batch(2, first_seq=9))
    refusal(hub, box.batch(2, first_seq=1, prev=None))
    deliver(hub, known)
    assert before == heads(hub)


def test_refused_and_accepted_batches_share_a_group(hub, box):
    """One batch of a group is refused; the others have their places, in order."""
    gap, good, better = box.batch(2, first_seq=7), box.batch(2), box.batch(3)
    futures = [hub.ledger.sequencer.submit(b.incoming()) for b in (gap, good, better)]

    assert isinstance(futures[0].exception(DEADLINE_S), Refused)
    [first, second] = [future.result(DEADLINE_S) for future in futures[1:]]
    assert first.first_index + 2 == second.first_index
    check_ledger(hub, [good, better])


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_failed_commit_leaves_nothing_behind_in_memory(tmp_path, sqlite_url, cut):
    """
    The commit fails before or after it took effect, for batches and for hub facts. The next
    group is right, what is sent again stands once, and proofs fit the disk all the time.
    """
    disk = FailingDisk()
    with running(tmp_path, sqlite_url, factory=disk.connect) as hub:
        box = Box(1).enrolled(hub)
        delivered = [box.batch(300)]
        deliver(hub, *delivered)
        for _ in range(4):
            disk.cut = cut
            lost = box.batch(100)
            with pytest.raises(OperationalError):
                deliver(hub, lost)
            proven(hub, delivered[0])
            deliver(hub, lost)
            delivered.append(lost)
            append_facts(hub, 1)
            disk.cut = cut
            with pytest.raises(OperationalError):
                hub.ledger.sequencer.sequence_facts()
            proven(hub, lost)
            hub.ledger.sequencer.sequence_facts()
        assert facts(hub) == [1, 1, 1, 1]
        check_ledger(hub, delivered)


def test_a_failed_commit_on_postgresql_leaves_nothing_behind_in_memory(tmp_path, postgres_url):
    """The server refuses at COMMIT; the batch sent again stands once, and proofs fit."""
    with running(tmp_path, postgres_url) as hub:
        box = Box(1).enrolled(hub)
        hub.database.write(refuse_commits)
        for _ in range(3):
            lost = box.batch(100)
            hub.database.write(lambda c: c.execute(text("INSERT INTO cut VALUES (1)")))
            with pytest.raises(DBAPIError, match="power cut"):
                deliver(hub, lost)
            append_facts(hub, 1)
            with pytest.raises(DBAPIError, match="power cut"):
                hub.ledger.sequencer.sequence_facts()
            hub.database.write(lambda c: c.execute(text("DELETE FROM cut")))
            deliver(hub, lost)
            proven(hub, lost)
            hub.ledger.sequencer.sequence_facts()
        assert facts(hub) == [1, 1, 1]
        assert findings(hub) == []


def refuse_commits(connection):
    """From now on a tree head is refused at COMMIT while the table `cut` has a row."""
    for statement in (
        "CREATE TABLE cut (n bigint)",
        """CREATE FUNCTION cut() RETURNS trigger AS $$ BEGIN IF EXISTS (SELECT 1 FROM cut)
           THEN RAISE EXCEPTION 'power cut'; END IF; RETURN NULL; END $$ LANGUAGE plpgsql""",
        """CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON checkpoint DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION cut()""",
    ):
        connection.exec_driver_sql(statement)


def append_facts(hub, count):
    """Record so many facts in one transaction of the hub's own."""

    def append(connection):
        for _ in range(count):
            hub.ledger.append(connection, "test.fact", {"n": 1}, now_ms=1)

    hub.database.write(append)


def facts(hub):
    """The payload of every test fact on the ledger, in order."""
    found = []
    for batch in hub.ledger.batches(0, hub.ledger.size()):
        for offset, raw in enumerate(batch.events):
            event = LedgerEntry(
                index=batch.first_index + offset, dealer=None, batch=batch, raw=raw
            ).event
            if event is not None and isinstance(event.data, Fact) and event.type == "test.fact":
                found.append(event.data.values["n"])
    return found


def test_facts_get_their_places_exactly_once_from_many_threads(hub, box):
    """Facts recorded and sequenced by four threads at once, more than one group of them."""

    def run():
        for _ in range(5):
            append_facts(hub, 30)
            hub.ledger.sequencer.sequence_facts()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    delivered = [box.batch(3) for _ in range(10)]
    for batch in delivered:
        deliver(hub, batch)
    for thread in threads:
        thread.join(DEADLINE_S)
    while hub.ledger.sequencer.sequence_facts():
        pass

    assert len(facts(hub)) == 4 * 5 * 30
    with hub.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(PENDING)).scalar() == 0
    check_ledger(hub, delivered)


def test_a_fact_of_a_transaction_that_failed_never_stands(hub):
    """Recorded in the caller's transaction: rolled back with it."""

    def append(connection):
        hub.ledger.append(connection, "test.fact", {"n": 1}, now_ms=1)
        raise KeyError("changed my mind")

    with pytest.raises(KeyError):
        hub.database.write(append)
    assert hub.ledger.sequencer.sequence_facts() == 0
    assert facts(hub) == []


@pytest.mark.parametrize("table", ["batch", "tile", "checkpoint"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_what_stands_cannot_be_changed(hub, box, table, statement):
    """The database itself refuses to change or delete batches, tiles and tree heads."""
    deliver(hub, box.batch(300))
    column = {"batch": "received_ms", "tile": "idx", "checkpoint": "at_ms"}[table]

    with pytest.raises(DBAPIError, match="append-only"):
        hub.database.write(lambda c: c.execute(text(statement.format(table, column, column))))
    assert findings(hub) == []


def test_two_sequencers_of_one_database_never_fork(tmp_path, postgres_url):
    """
    Two processes deliver the same batches and batches of their own, record facts, and read the
    ledger, all at once: one root per size, every batch once, every fact once.
    """
    with running(tmp_path, postgres_url) as hub:
        for seed in (1, 2, 3):
            Box(seed).enrolled(hub)
        call = [sys.executable, "-m", "tests.fakes.hub_racer", str(tmp_path), postgres_url]
        racers = [
            subprocess.Popen([*call, own], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for own in ("2", "3")
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == b"ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write(b"go\n")
            racer.stdin.flush()
        outputs = [racer.communicate(timeout=120)[0] for racer in racers]

        assert [b"done\n", b"done\n"] == outputs
        assert 2 * FACTS == len(facts(hub))
        check_ledger(hub, [batch for seed in (1, 2, 3) for batch in race_of(seed)])
