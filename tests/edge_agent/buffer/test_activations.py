"""Sold units and the sign of life they owe, in the commits of their events."""

from pathlib import Path

import pytest

from edge_agent.buffer import ActivationKey, Buffer, Capture, Duplicate, Stored
from tests.checks.boxes import NEVER, Box, sale, void


@pytest.fixture
def buffer(tmp_path: Path) -> Buffer:
    """An empty buffer."""
    return Box(tmp_path).open()


def answer(kind: str, key: ActivationKey) -> Capture:
    """What closes an activation."""
    reference = {"gen": key.gen, "n": key.n}
    data: dict[str, object] = {"serial": key.serial, "sale": reference}
    if kind == "scooter.fault":
        data |= {"code": "activation_unanswered", "detail": None}
    return Capture(type=kind, data=data, occurred=NEVER, answers=key)


def test_a_sale_opens_an_activation_per_unit(buffer: Buffer) -> None:
    """Both units of a receipt are pending, under the sale's own name."""
    (stored,) = buffer.put([sale("r1", "S1", "S2")])
    assert isinstance(stored, Stored)
    keys = [item.key for item in buffer.pending_activations()]
    assert keys == [ActivationKey(1, stored.n, "S1"), ActivationKey(1, stored.n, "S2")]


def test_an_answer_is_stored_once(buffer: Buffer) -> None:
    """The second answer of a scooter is a duplicate."""
    buffer.put([sale("r1", "S1")])
    key = ActivationKey(1, 1, "S1")
    activated = answer("scooter.activated", key)
    assert buffer.put([activated, activated]) == [Stored(1, "sale", 2), Duplicate()]
    assert buffer.pending_activations() == []


def test_a_late_answer_is_still_an_answer(buffer: Buffer) -> None:
    """After giving up, one answer is taken; giving up twice is a duplicate."""
    buffer.put([sale("r1", "S1")])
    key = ActivationKey(1, 1, "S1")
    given_up = answer("scooter.fault", key)
    assert buffer.put([given_up, given_up]) == [Stored(1, "vehicle", 1), Duplicate()]
    assert isinstance(buffer.put([answer("scooter.activated", key)])[0], Stored)
    assert isinstance(buffer.put([answer("scooter.activated", key)])[0], Duplicate)


def test_a_void_ends_what_its_sale_began(buffer: Buffer) -> None:
    """A voided unit is not sold any more, owes no answer, and an answer is not an activation."""
    buffer.put([sale("r1", "S1", "S2")])
    buffer.put([void("r1", "S1")])
    assert [item.serial for item in buffer.pending_activations()] == ["S2"]
    assert (buffer.is_sold("S1"), buffer.is_sold("S2")) == (False, True)
    assert buffer.put([answer("scooter.activated", ActivationKey(1, 1, "S1"))]) == [Duplicate()]
    buffer.put([void("r1")])
    assert buffer.pending_activations() == []
    assert not buffer.is_sold("S2")


def test_what_was_looked_up_before_a_sale_is_not_believed_after_it(buffer: Buffer) -> None:
    """A position must not be told a moment after the sale because nobody had sold it before."""
    assert not buffer.is_sold("S1")
    buffer.put([sale("r1", "S1")])
    assert buffer.is_sold("S1")
    buffer.put([void("r1")])
    assert not buffer.is_sold("S1")


def test_a_reused_receipt_number_unsells_only_the_latest(buffer: Buffer) -> None:
    """Tills restart their numbers: an old buyer's scooter stays sold, so it stays unseen."""
    buffer.put([sale("r1", "OLD")])
    buffer.put([sale("r1", "NEW")])
    buffer.put([void("r1")])
    assert (buffer.is_sold("OLD"), buffer.is_sold("NEW")) == (True, False)


def test_waiting_is_counted_and_survives(tmp_path: Path) -> None:
    """Requests and waited time are kept across a restart."""
    box = Box(tmp_path)
    buffer = box.open()
    buffer.put([sale("r1", "S1")])
    buffer.mark_asked(ActivationKey(1, 1, "S1"))
    buffer.add_waited(60_000)
    buffer.close()
    (item,) = box.open().pending_activations()
    assert (item.asked, item.waited_ms) == (1, 60_000)
