"""A hub restored from an older backup: the box gives back what its ring keeps, then goes on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.buffer import Buffer
from shared.wire import batch as wire
from tests.checks.boxes import Box, report, sale
from tests.checks.delivering import Store, connect, new_store
from tests.fakes.manual_clock import ManualClock
from tests.fakes.small_hub import SmallHub

LANES = ("sale", "vehicle", "system")
BATCHES = 40
"""More than one step gives back."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new box and its hub."""
    (tmp_path / "card").mkdir()
    with SmallHub(clock=ManualClock()) as hub:
        yield new_store(hub, tmp_path / "card")
        hub.check()


def deliver(store: Store, rounds: int = 20) -> None:
    """Step every lane until nothing is owed."""
    for _ in range(rounds):
        for lane in LANES:
            store.step(lane)
        if store.buffer.backlog().total == 0 and store.buffer.doubt() is None:
            return
    pytest.fail(f"not delivered: {store.box.log[-5:]}")


def sell(store: Store, count: int) -> None:
    """Sales, one batch each, half of them with an encrypted buyer."""
    for number in range(count):
        attachments = (b"buyer %d" % number,) if number % 2 else ()
        store.buffer.put([sale(f"r{number}", attachments=attachments)])
        deliver(store)


def test_the_ring_goes_back_to_its_very_places_and_then_the_new_sale(store: Store) -> None:
    """The agent ran on while the hub was restored: no restart is needed, nothing is sent before
    the old root stands again, and the new sale follows by itself."""
    sell(store, BATCHES)
    root, size = store.hub.log.root(), store.hub.log.size
    store.hub.restore(size // 4)
    store.hub.epoch = 1
    store.buffer.put([sale("new")])
    store.hub.requests.clear()

    deliver(store)

    assert store.hub.log.root(size) == root
    asked = [request.split("?")[0] for request in store.hub.requests]
    given = [at for at, request in enumerate(asked) if request == "POST /v1/refill"]
    assert len(given) == size - size // 4
    assert "POST /v1/batches" not in asked[given[0] : given[-1]]
    assert store.hub.epoch == 1
    assert store.buffer.backlog().total == 0


def test_a_step_gives_back_a_part_and_asks_for_the_next_one_soon(store: Store) -> None:
    """A lane's thread shows a sign of life between the parts."""
    sell(store, BATCHES)
    store.hub.restore(0)
    again = store.reboot()
    again.buffer.put([sale("new")])

    [pause] = again.step()

    assert 0 < store.hub.log.size < BATCHES
    assert pause <= 100
    assert "gives back" in again.delivery.lanes["sale"].detail


def test_what_a_restored_card_found_on_the_ledger_can_be_given_back_too(
    store: Store, tmp_path: Path
) -> None:
    """The card's image held events that stand on the ledger in batches which the image never
    saw: the box keeps these batches whole, what it never saw itself included."""
    sell(store, 3)
    store.buffer.put([sale("waiting", attachments=(b"buyer",)), report(1), report(2)])
    store.buffer.close()
    shutil.copytree(store.box.folder, tmp_path / "image")
    later = connect(store.hub, store.box, store.key)
    later.buffer.put([report(3), report(4)])
    deliver(later)
    later.buffer.close()
    root, size = store.hub.log.root(), store.hub.log.size

    box = Box(tmp_path / "image", clock=store.box.clock, now=store.box.now)
    image = connect(store.hub, box, store.key)
    image.buffer.put([sale("after")])
    deliver(image)
    grown, whole = store.hub.log.root(), store.hub.log.size
    store.hub.restore(1)
    store.hub.epoch = 2
    image.buffer.put([sale("new")])
    deliver(image)

    assert store.hub.log.root(size) == root
    assert store.hub.log.root(whole) == grown
    seals = [placed.body for placed in store.hub.batches.values()]
    assert all(wire.batch_id(body.statement_bytes) == body.batch_id for body in seals)
    assert [b"buyer"] in [list(body.attachments) for body in seals]


def test_a_batch_that_the_hub_refuses_does_not_keep_the_others(store: Store, monkeypatch) -> None:
    """One place is taken: the rest goes back, and it is not offered again for ever."""
    sell(store, 4)
    store.hub.restore(0)
    places = Buffer.ring_places
    # The last first: all but the one that fits are refused.
    monkeypatch.setattr(Buffer, "ring_places", lambda self: places(self)[::-1])
    store.buffer.put([sale("new")])
    for _ in range(4):
        store.step()

    assert len(store.events("refill_refused")) == 3
    assert store.hub.log.size == 1
