"""Receipts: own proofs verify at any size, and nothing that was touched does."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import merkle
from shared.checkpoint import Checkpoint, open_checkpoint
from shared.wire.batch import leaf, leaf_hashes
from shared.wire.receipts import (
    Consistency,
    MalformedReceipt,
    Receipt,
    ReceiptRefused,
    parse_receipt,
    verify_growth,
    verify_receipt,
)
from tests.checks.small_log import SmallLog

BATCH_ID = "8a" * 32
EVENTS = tuple(b'{"n":%d}' % n for n in range(1, 8))
FILLER = [merkle.leaf_hash(i.to_bytes(2, "big")) for i in range(2_000)]
GOLDEN = Path(__file__).parent.parent / "golden" / "v1"


def log_with(before: int, events: tuple[bytes, ...] = EVENTS, after: int = 0) -> SmallLog:
    """A log with the batch's leaves behind `before` others and in front of `after`."""
    batch = bytes.fromhex(BATCH_ID)
    hashes = [*FILLER[:before], *leaf_hashes(events, batch, 1_000), *FILLER[:after]]
    return SmallLog(hashes)


def receipt_of(log: SmallLog, first: int, count: int, known: int = 0) -> Receipt:
    """The receipt a hub would send to a box that knows `known` entries."""
    growth = Consistency(old=known, proof=tuple(log.consistency(known))) if known else None
    return Receipt(
        batch_id=BATCH_ID,
        first_index=first,
        count=count,
        received_ms=1_000,
        proof=tuple(log.range_proof(first, first + count)),
        checkpoint=log.checkpoint(),
        consistency=growth,
    )


def test_the_leaf_is_the_written_format():
    """0x01, u32 length, event, batch id, u64 time, and its hash is the batch's."""
    made = leaf(b"{}", bytes.fromhex(BATCH_ID), 0x0102030405)

    assert made == b"\x01\x00\x00\x00\x02{}" + b"\x8a" * 32 + bytes.fromhex("0000000102030405")
    hashes = leaf_hashes([b"{}"], bytes.fromhex(BATCH_ID), 0x0102030405)
    assert [merkle.leaf_hash(made)] == hashes


SIZES = st.tuples(st.integers(0, 1_400), st.integers(1, 500), st.integers(0, 100))


@settings(max_examples=40)
@given(SIZES, st.randoms(use_true_random=False))
def test_receipts_of_any_size_verify_and_survive_the_wire(sizes, random):
    """Up to 2,000 entries: the receipt verifies, also read back, also from a known head."""
    before, count, after = sizes
    events = tuple(b"%d" % n for n in range(count))
    log = log_with(before, events, after)
    known = random.randrange(log.size + 1)
    head = open_checkpoint(log.checkpoint(known), log.key) if known else None
    receipt = receipt_of(log, before, count, known)

    assert parse_receipt(receipt.encode()) == receipt
    found = verify_receipt(receipt, batch_id=BATCH_ID, events=events, log_key=log.key, known=head)
    assert (found.size, found.root) == (log.size, log.root())


def check(raw: bytes, log: SmallLog, known: int) -> None:
    """Read and verify as a box does. Raises MalformedReceipt or ReceiptRefused."""
    head = open_checkpoint(log.checkpoint(known), log.key)
    verify_receipt(
        parse_receipt(raw), batch_id=BATCH_ID, events=EVENTS, log_key=log.key, known=head
    )


def accepted(raw: bytes, log: SmallLog, head: Checkpoint) -> bool:
    """Whether a box that knows `head` would free its batch on these bytes."""
    try:
        receipt = parse_receipt(raw)
        verify_receipt(receipt, batch_id=BATCH_ID, events=EVENTS, log_key=log.key, known=head)
    except (MalformedReceipt, ReceiptRefused):
        return False
    return True


def flipped(raw: bytes, bit: int) -> bytes:
    """The same bytes with one bit turned over."""
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_single_bit_of_a_receipt_counts():
    """Each bit flipped alone is refused; so is each cut, and each byte swapped with the next."""
    log = log_with(6, after=1)
    head = open_checkpoint(log.checkpoint(5), log.key)
    raw = receipt_of(log, 6, len(EVENTS), known=5).encode()
    assert accepted(raw, log, head)

    changed = {f"bit {bit}": flipped(raw, bit) for bit in range(len(raw) * 8)}
    changed |= {f"cut at {at}": raw[:at] for at in range(len(raw))}
    for at in range(len(raw) - 1):
        changed[f"swap {at}"] = raw[:at] + raw[at + 1 : at + 2] + raw[at : at + 1] + raw[at + 2 :]
    assert [] == [why for why, it in changed.items() if it != raw and accepted(it, log, head)]


@pytest.mark.parametrize(("before", "after", "steps"), [(6, 1, 0), (6, 3, 1), (26, 3, 2)])
def test_base64_has_one_spelling(before, after, steps):
    """Where base64 leaves bits unused, with 1 or 2 hashes more than a multiple of 3, they are 0."""
    log = log_with(before, after=after)
    head = open_checkpoint(log.checkpoint(5), log.key)
    receipt = receipt_of(log, before, len(EVENTS), known=5)
    raw = receipt.encode()
    assert accepted(raw, log, head)
    assert len(receipt.proof) % 3 == steps

    ends = [match.end() for match in re.finditer(rb'[A-Za-z0-9+/]=*(?=")', raw)]
    bits = [bit for end in ends for bit in range((end - 4) * 8, end * 8)]
    assert [] == [bit for bit in bits if accepted(flipped(raw, bit), log, head)]


GOOD_LOG = log_with(9, after=3)
GOOD = receipt_of(GOOD_LOG, 9, len(EVENTS), known=5)


@pytest.mark.parametrize(
    "changed",
    [
        replace(GOOD, first_index=8),
        replace(GOOD, first_index=10),
        replace(GOOD, count=6),
        replace(GOOD, received_ms=1_001),
        replace(GOOD, batch_id="8b" * 32),
        replace(GOOD, proof=GOOD.proof[:-1]),
        replace(GOOD, proof=GOOD.proof[::-1]),
        replace(GOOD, proof=(*GOOD.proof, bytes(32))),
        replace(GOOD, proof=()),
        replace(GOOD, checkpoint=GOOD_LOG.checkpoint(12)),
        replace(GOOD, checkpoint=SmallLog(FILLER[:19]).checkpoint()),
        replace(GOOD, checkpoint=SmallLog(GOOD_LOG.levels[0], "other/ledger").checkpoint()),
        replace(GOOD, checkpoint="no note"),
        replace(GOOD, consistency=None),
        replace(GOOD, consistency=Consistency(old=4, proof=tuple(GOOD_LOG.consistency(4)))),
        replace(GOOD, consistency=Consistency(old=5, proof=())),
        replace(GOOD, consistency=Consistency(old=4, proof=tuple(GOOD_LOG.consistency(5)))),
        replace(GOOD, consistency=Consistency(old=5, proof=tuple(GOOD_LOG.consistency(6)))),
    ],
)
def test_a_receipt_that_does_not_prove_it_all_is_refused(changed):
    """Place, time, batch, path, head and growth: each missing link keeps the batch queued."""
    with pytest.raises(ReceiptRefused):
        check(changed.encode(), GOOD_LOG, 5)


@pytest.mark.parametrize(
    "events",
    [EVENTS[:-1], EVENTS[::-1], (*EVENTS, b"x"), (b"{}", *EVENTS[1:]), ()],
)
def test_a_receipt_for_other_events_is_refused(events):
    """The box's own bytes decide: one event less, more, other or elsewhere is not proven."""
    with pytest.raises(ReceiptRefused):
        verify_receipt(GOOD, batch_id=BATCH_ID, events=events, log_key=GOOD_LOG.key, known=None)


def test_a_ledger_that_shrank_or_forked_is_refused():
    """Fewer entries than known, or another root for as many, is evidence and no receipt."""
    longer = open_checkpoint(SmallLog(FILLER[:30]).checkpoint(), GOOD_LOG.key)
    forked = open_checkpoint(SmallLog(FILLER[: GOOD_LOG.size]).checkpoint(), GOOD_LOG.key)
    same = open_checkpoint(GOOD_LOG.checkpoint(), GOOD_LOG.key)

    with pytest.raises(ReceiptRefused, match="lost history"):
        verify_growth(longer, same, None)
    with pytest.raises(ReceiptRefused, match="two roots"):
        verify_growth(forked, same, None)
    verify_growth(same, same, None)


def test_a_head_of_nothing_grows_into_anything():
    """A box that has seen only the empty ledger asks for no proof of growth."""
    empty = open_checkpoint(SmallLog().checkpoint(), GOOD_LOG.key)

    verify_growth(empty, open_checkpoint(GOOD_LOG.checkpoint(), GOOD_LOG.key), None)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_receipt_or_malformed(raw):
    """Hostile bytes raise MalformedReceipt and nothing else."""
    with pytest.raises(MalformedReceipt):
        parse_receipt(raw)


@given(st.sampled_from(sorted(json.loads(GOOD.encode()))), JSON_VALUES)
def test_any_field_is_read_or_malformed(name, value):
    """Any JSON value in any field is read or refused, and never anything else."""
    document = json.loads(GOOD.encode())
    document[name] = value
    try:
        check(json.dumps(document).encode(), GOOD_LOG, 5)
    except (MalformedReceipt, ReceiptRefused):
        return
    assert document == json.loads(GOOD.encode())


def test_a_huge_receipt_is_refused_unread():
    """More than 64 KiB is no receipt."""
    with pytest.raises(MalformedReceipt, match="at most"):
        parse_receipt(b" " * 65_537)


@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_a_receipt_stays_small(size):
    """At a million leaves a receipt of 100 events is at most 1.5 kB without growth."""
    depth = size.bit_length()
    proof = tuple(bytes(32) for _ in range(depth + 5))
    big = Receipt(
        batch_id=BATCH_ID,
        first_index=size - 100,
        count=100,
        received_ms=1_795_354_312_284,
        proof=proof,
        checkpoint=GOOD.checkpoint,
    )

    assert len(big.encode()) <= 1_536
