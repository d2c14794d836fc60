"""A ledger that goes on in a new generation: the box follows the root key and delivers again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent import identity as identities
from edge_agent.buffer.settings import EVIDENCE
from edge_agent.identity import Identity
from shared.crypto.keys import SigningKey
from shared.wire.events import LANES
from tests.checks.boxes import report, sale
from tests.checks.delivering import Store, connect, new_store
from tests.fakes.manual_clock import ManualClock
from tests.fakes.small_hub import ORIGIN, SmallHub


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An enrolled box, which keeps the hub's key set, and its hub."""
    with SmallHub(clock=ManualClock()) as hub:
        fresh = new_store(hub, tmp_path)
        identity = Identity(
            key=fresh.key,
            device=hub.device,
            dealer="SBY01",
            hub_url=hub.url,
            keyset=hub.keyset,
        )
        identities.save(tmp_path, identity)
        fresh.buffer.close()
        yield connect(hub, fresh.box, fresh.key)
        hub.check()


def pass_a_minute(store: Store) -> None:
    """The box asks for the hub's key set at most so often."""
    for clock in (store.box.clock, store.hub.clock):
        assert isinstance(clock, ManualClock)
        clock.advance(61_000)


def deliver(store: Store, rounds: int = 20) -> None:
    """Step every lane until nothing is owed; a minute passes each time."""
    for _ in range(rounds):
        for lane in LANES:
            store.step(lane)
        pass_a_minute(store)
        if store.buffer.backlog().total == 0 and store.buffer.doubt() is None:
            return
    pytest.fail(f"not delivered: {store.box.log[-5:]}")


def sell(store: Store, *receipts: str) -> None:
    """Sales, one batch each, each with its receipt."""
    for number, receipt in enumerate(receipts):
        store.buffer.put([sale(receipt, attachments=(b"buyer",) * (number % 2))])
        deliver(store)


def test_what_the_new_generation_lacks_is_delivered_again(store: Store) -> None:
    """Of the ring only that; under its old numbers, in a new epoch, with its attachments; the old
    tree head stays on the box as evidence."""
    sell(store, "a", "b", "c", "d")
    before, ended = store.hub.ids(), store.hub.log.checkpoint()
    store.hub.open_generation(2)
    store.buffer.put([sale("e")])
    deliver(store)

    assert store.hub.ids()[:4] == before
    assert (len(store.hub.ids()), store.hub.epoch) == (5, 2)
    assert store.buffer.recall(EVIDENCE + ORIGIN) == ended
    assert (store.buffer.checkpoint() or "").startswith(f"{ORIGIN}/2\n")
    placed = list(store.hub.batches.values())
    assert [b"buyer"] in [list(item.body.attachments) for item in placed[2:]]
    assert [fields["reason"] for fields in store.events("epoch_opened")] == ["generation"]


def test_a_box_that_had_nothing_beyond_goes_on_as_before(store: Store) -> None:
    """The new generation has all that was proven to it: the lanes go on, in the same epoch."""
    sell(store, "a", "b")
    store.hub.open_generation(2)
    sell(store, "c")

    assert (len(store.hub.ids()), store.hub.epoch) == (3, 1)
    assert store.events("generation_followed") == []


def test_cut_before_the_box_has_followed_it_follows_after_the_restart(store: Store) -> None:
    """The key set is on disk, the buffer is not in the new generation yet; and two in a row."""
    sell(store, "a", "b", "c")
    store.hub.open_generation(2)
    store.buffer.put([sale("d")])
    while not identities.load(store.box.folder).openings:
        store.step()
    again = store.reboot()
    deliver(again)
    again.hub.open_generation(2)
    again.hub.epoch = 1
    again.buffer.put([report(1)])
    deliver(again)

    assert len(again.hub.ids()) == 5
    # Epoch 2 was given before: the hub has forgotten it, the box has not.
    assert again.hub.epoch == 3


def test_without_the_root_keys_word_nothing_is_sent(store: Store) -> None:
    """Whoever has the ledger key and the line cannot make a box forget what was proven to it."""
    sell(store, "a", "b", "c")
    known = store.buffer.checkpoint()
    store.hub.open_generation(1, root=SigningKey.generate())
    store.buffer.put([sale("d")])
    for _ in range(3):
        store.step()
        pass_a_minute(store)

    assert store.hub.log.size == 1
    assert store.buffer.checkpoint() == known
    assert store.buffer.backlog().total == 1
    assert "generation_followed" not in [event for event, _ in store.box.log]


def test_a_receipt_under_a_new_ledger_key_is_taken_after_one_look_at_the_key_set(
    store: Store,
) -> None:
    """The tree goes on under its name; the old tree head is still what growth is proven from."""
    sell(store, "a", "b")
    store.hub.new_ledger_key(version=2)
    sell(store, "c")
    again = store.reboot()
    sell(again, "d")

    assert len(store.hub.ids()) == 4
    assert store.hub.requests.count("GET /v1/keys") == 1
    assert store.hub.epoch == 1
