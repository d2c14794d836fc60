"""Restored cards, clones, salvaged buffers: the box finds its place again by itself."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from edge_agent.buffer.connection import PAGE_BYTES
from shared.wire.events import parse_event
from tests.checks.boxes import Box, report, sale
from tests.checks.delivering import Store, connect, new_store
from tests.fakes.manual_clock import ManualClock
from tests.fakes.small_hub import SmallHub

LANES = ("sale", "vehicle", "system")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new box and its hub."""
    with SmallHub(clock=ManualClock()) as hub:
        yield new_store(hub, tmp_path / "card")
        hub.check()


@pytest.fixture(autouse=True)
def card(tmp_path: Path) -> Path:
    """The folder of the box."""
    folder = tmp_path / "card"
    folder.mkdir()
    return folder


def deliver(store: Store) -> None:
    """Step every lane until nothing is owed."""
    for _ in range(20):
        for lane in LANES:
            store.step(lane)
        if store.buffer.backlog().total == 0 and store.buffer.doubt() is None:
            return
    pytest.fail(f"not delivered: {store.box.log[-5:]}")


def receipts(store: Store) -> set[str]:
    """Receipt numbers of the sales on the ledger; none twice."""
    found = [
        orjson.loads(event)["data"]["receipt"]
        for event in store.hub.events()
        if parse_event(event).type == "pos.sale"
    ]
    assert len(found) == len(set(found))
    return set(found)


def test_a_lost_answer_is_fetched_after_a_restart(store: Store) -> None:
    """The hub is ahead by exactly the batch in flight: only the receipt is asked for."""
    store.buffer.put([sale("r1")])
    store.step()
    store.buffer.put([sale("r2")])
    store.hub.faults = ["drop_after"]
    store.step()
    again = store.reboot()
    again.step()
    assert again.events("heads_agreed")[-1]["received"] == ["sale"]
    assert again.hub.requests[-1].startswith("GET /v1/batches/")
    assert receipts(again) == {"r1", "r2"}
    assert again.hub.epoch == 1


def test_a_restored_card_loses_and_doubles_nothing(store: Store, tmp_path: Path) -> None:
    """An old image of the card runs again: what the hub has is not sent twice, what collides
    gets new numbers, and the rest arrives."""
    store.buffer.put([sale("r1")])
    deliver(store)
    store.buffer.put([sale("waiting", "S1"), report(1)])
    store.buffer.close()
    shutil.copytree(store.box.folder, tmp_path / "image")
    later = connect(store.hub, store.box, store.key)
    deliver(later)
    later.buffer.put([sale("later")])
    deliver(later)
    later.buffer.close()
    restored = connect(store.hub, Box(tmp_path / "image", clock=ManualClock()), store.key)
    restored.buffer.put([sale("after", "S2")])
    deliver(restored)
    assert store.hub.epoch == 2
    assert receipts(restored) == {"r1", "waiting", "later", "after"}
    # "after" took the number of "later" on the old image; it was given another.
    assert (1, "sale", 3) in store.hub.ids()
    assert restored.buffer.gen() == 2
    moved = {item.serial: (item.gen, item.n) for item in restored.buffer.pending_activations()}
    assert moved["S2"] == (2, 1)
    assert moved["S1"] == (1, 2)


def test_a_card_restored_with_a_batch_in_flight(store: Store, tmp_path: Path) -> None:
    """The image holds a sealed batch that the hub has had for long."""
    store.buffer.put([sale("r1")])
    store.hub.faults = ["", "drop_before"]
    store.step()
    store.buffer.close()
    shutil.copytree(store.box.folder, tmp_path / "image")
    later = connect(store.hub, store.box, store.key)
    deliver(later)
    for number in range(5):
        later.buffer.put([sale(f"later{number}")])
        deliver(later)
    later.buffer.close()
    restored = connect(store.hub, Box(tmp_path / "image", clock=ManualClock()), store.key)
    deliver(restored)
    assert receipts(restored) == {"r1", *(f"later{n}" for n in range(5))}


def test_a_salvaged_buffer_sends_only_what_the_hub_lacks(store: Store) -> None:
    """Half was delivered, then a page is damaged: the rest arrives once, the hole is declared."""
    for start in range(0, 400, 20):
        store.buffer.put([report(start + i) for i in range(20)])
    store.buffer.put([sale("r1")])
    deliver(store)
    for start in range(400, 800, 20):
        store.buffer.put([report(start + i) for i in range(20)])
    store.buffer.put([sale("r2")])
    store.buffer.close()
    content = bytearray(store.box.path.read_bytes())
    content[:PAGE_BYTES] = bytes(PAGE_BYTES)
    store.box.path.write_bytes(content)
    again = connect(store.hub, store.box, store.key)
    deliver(again)
    assert receipts(again) == {"r1", "r2"}
    lost = sum(
        orjson.loads(event)["data"]["count"]
        for event in store.hub.events()
        if parse_event(event).type == "agent.loss"
    )
    arrived = [n for gen, lane, n in store.hub.ids() if lane == "vehicle" and gen == 1]
    assert len(arrived) + lost == 800


def test_an_epoch_is_opened_once_even_if_the_answer_is_lost(store: Store, tmp_path: Path) -> None:
    """The nonce is kept before it is used: after a power cut the same epoch is continued."""
    store.buffer.put([sale("r1")])
    deliver(store)
    store.buffer.close()
    shutil.copytree(store.box.folder, tmp_path / "image")
    later = connect(store.hub, store.box, store.key)
    later.buffer.put([sale("r2")])
    deliver(later)
    later.buffer.close()
    restored = connect(store.hub, Box(tmp_path / "image", clock=ManualClock()), store.key)
    restored.buffer.put([sale("r3")])
    # Its clock is refused, then the head is given, then the epoch is opened and nobody hears it.
    store.hub.faults = ["", "", "drop_after"]
    restored.step()
    assert store.hub.epoch == 2
    again = restored.reboot()
    deliver(again)
    assert store.hub.epoch == 2
    assert receipts(again) == {"r1", "r2", "r3"}


def test_two_clones_take_turns_and_lose_nothing(store: Store, tmp_path: Path) -> None:
    """Both copies of a card run: each opens epochs, every sale of both arrives once."""
    store.buffer.put([sale("r1")])
    deliver(store)
    store.buffer.close()
    shutil.copytree(store.box.folder, tmp_path / "clone")
    one = connect(store.hub, store.box, store.key)
    two = connect(store.hub, Box(tmp_path / "clone", clock=ManualClock()), store.key)
    for number in range(4):
        for name, clone in (("one", one), ("two", two)):
            clone.buffer.put([sale(f"{name}{number}")])
            deliver(clone)
    expected = {"r1", *(f"{name}{n}" for name in ("one", "two") for n in range(4))}
    assert receipts(one) == expected


def test_a_hub_with_a_shorter_ledger_is_not_written_to(store: Store) -> None:
    """A hub restored from an old backup must be refilled first; the box keeps everything."""
    store.buffer.put([sale("r1")])
    deliver(store)
    store.hub.log.levels = [[]]
    store.hub.batches.clear()
    store.hub.places.clear()
    again = store.reboot()
    again.buffer.put([sale("r2")])
    again.step()
    assert "must be restored" in again.delivery.lanes["sale"].detail or again.events(
        "delivery_failed"
    )
    assert again.buffer.backlog().events["sale"] == 1
    assert store.hub.epoch == 1
