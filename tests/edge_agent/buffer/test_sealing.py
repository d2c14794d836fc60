"""Batches: final bytes, one in flight, positions without holes, the ring."""

import hashlib
from pathlib import Path

import pytest

from edge_agent.buffer import Limits
from edge_agent.buffer import ring as rings
from shared.wire import batch as wire
from tests.checks.boxes import KEY, SEALER, Box, drain, numbers, report, sale


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box with an empty buffer."""
    return Box(tmp_path)


def test_a_sealed_batch_is_what_the_hub_accepts(box: Box) -> None:
    """Statement, seal and events decode as one body; places follow each other without a hole."""
    buffer = box.open()
    buffer.put([report(n) for n in range(700)])
    batches = drain(buffer, "vehicle")
    previous = None
    position = 1
    for batch in batches:
        body = wire.decode_body(
            wire.encode_body(batch.statement, batch.seal, batch.events, batch.attachments)
        )
        wire.verify_seal(body.statement_bytes, body.seal, KEY.public)
        assert (body.statement.first_seq, body.statement.prev) == (position, previous)
        position += body.statement.count
        previous = batch.batch_id
    assert [len(batch.events) for batch in batches] == [500, 200]
    assert numbers(batches) == [(1, n) for n in range(1, 701)]


def test_sealing_again_gives_the_same_bytes(box: Box) -> None:
    """A batch in flight is never cut anew, whatever is put meanwhile and across restarts."""
    buffer = box.open()
    buffer.put([sale("r1")])
    batch = buffer.seal("sale", SEALER)
    buffer.put([sale("r2")])
    assert buffer.seal("sale", SEALER) == batch
    buffer.close()
    again = box.open()
    assert again.seal("sale", SEALER) == batch
    assert again.in_flight("sale") == batch


def test_lanes_do_not_wait_for_each_other(box: Box) -> None:
    """Telemetry in flight does not hold a sale back."""
    buffer = box.open()
    buffer.put([report(1)])
    assert buffer.seal("vehicle", SEALER) is not None
    buffer.put([sale("r1")])
    assert buffer.seal("sale", SEALER) is not None


def test_nothing_is_sealed_before_the_epoch_is_known(box: Box) -> None:
    """A box that was never told its place stores and does not seal."""
    buffer = box.open(placed=False)
    buffer.put([sale("r1")])
    assert buffer.seal("sale", SEALER) is None
    assert buffer.backlog().events["sale"] == 1


def test_a_receipt_is_taken_once(box: Box) -> None:
    """The second receipt of a batch changes nothing."""
    buffer = box.open()
    buffer.put([sale("r1")])
    batch = buffer.seal("sale", SEALER)
    assert batch is not None
    for _ in range(2):
        assert buffer.receipted(batch, first_index=7, received_ms=1) is None
    assert buffer.tallies()["receipted_sale"] == 1
    assert buffer.backlog().total == 0


def test_freeing_and_sealing_are_one_commit(box: Box) -> None:
    """With more waiting, a receipt and the next batch cost one commit together."""
    buffer = box.open()
    buffer.put([report(n) for n in range(900)])
    batch = buffer.seal("vehicle", SEALER)
    before = buffer.commits
    assert batch is not None
    following = buffer.receipted(batch, first_index=0, received_ms=1, seal_next=SEALER)
    assert following is not None
    assert buffer.commits == before + 1


def test_a_batch_fits_into_a_body(box: Box) -> None:
    """Big events make smaller batches: at most 1 MiB unpacked, attachments included."""
    buffer = box.open()
    for number in range(60):
        buffer.put([sale(f"r{number}", attachments=(bytes([number]) * 60_000,))])
    batches = drain(buffer, "sale")
    for batch in batches:
        body = wire.encode_body(batch.statement, batch.seal, batch.events, batch.attachments)
        assert len(body) <= wire.MAX_BODY_BYTES
    assert numbers(batches) == [(1, n) for n in range(1, 61)]


def test_the_ring_keeps_and_forgets(tmp_path: Path) -> None:
    """Receipted bytes stay until there are too many of them or they are too old."""
    box = Box(tmp_path, limits=Limits(ring_bytes_max=20_000, ring_ms=1000))
    buffer = box.open()
    noise = [hashlib.sha256(bytes([n])).hexdigest() for n in range(256)]
    for start in range(0, 256, 8):
        buffer.put([report(1, extra={"h": text}) for text in noise[start : start + 8]])
        drain(buffer, "vehicle")
    connection = box.factory(box.path)
    assert 10_000 < rings.size_bytes(connection) <= 21_000
    box.clock.advance(2000)
    buffer.put([report(1)])
    drain(buffer, "vehicle")
    assert rings.size_bytes(connection) < 1000
    connection.close()
