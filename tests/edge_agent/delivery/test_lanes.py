"""Delivery against a hub that fails before, after and beside the point."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checks.boxes import DEVICE, report, sale
from tests.checks.delivering import Store, new_store
from tests.fakes.manual_clock import ManualClock
from tests.fakes.small_hub import SmallHub


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new box and its hub."""
    with SmallHub(clock=ManualClock()) as hub:
        made = new_store(hub, tmp_path)
        yield made
        made.buffer.close()
        hub.check()


def test_a_sale_reaches_the_ledger(store: Store) -> None:
    """One step agrees on the heads, seals, sends, verifies and frees."""
    store.buffer.put([sale("r1", attachments=(b"ciphertext",))])
    store.step()
    assert store.hub.ids() == [(1, "sale", 1)]
    assert store.buffer.backlog().total == 0
    (done,) = store.events("batch_receipted")
    assert (done["first_index"], done["gen_n"]) == (0, [[1, 1, 1]])


@pytest.mark.parametrize(
    "fault", ["drop_before", "drop_after", "portal", "redirect", "tamper", "503", "500"]
)
def test_any_failure_keeps_the_batch_and_a_retry_lands_it_once(store: Store, fault: str) -> None:
    """Whether the request took effect or not: nothing is freed, nothing is doubled."""
    store.buffer.put([sale("r0")])
    store.step()
    store.buffer.put([sale("r1")])
    store.hub.faults = [fault]
    (pause_ms,) = store.step()
    assert pause_ms > 0
    assert store.buffer.backlog().events["sale"] == 1
    batch = store.buffer.in_flight("sale")
    store.step()
    assert store.hub.ids() == [(1, "sale", 1), (1, "sale", 2)]
    assert batch is not None
    assert batch.batch_id in store.hub.batches
    assert store.buffer.backlog().total == 0


def test_every_attempt_sends_the_same_batch(store: Store) -> None:
    """Captures that come during an outage wait for the next batch."""
    store.buffer.put([sale("r0")])
    store.step()
    store.buffer.put([sale("r1")])
    store.hub.faults = ["drop_after"]
    store.step()
    store.buffer.put([sale("r2")])
    store.step(times=2)
    assert [len(placed.body.events) for placed in store.hub.batches.values()] == [1, 1, 1]


def test_a_captive_portal_is_named(store: Store) -> None:
    """A 200 that the hub did not sign is a network failure with a sentence for the technician."""
    store.hub.faults = ["portal"]
    store.step()
    assert "login page" in store.delivery.lanes["sale"].detail
    assert store.delivery.tallies() == {"unproven": 1}


def test_a_promise_frees_nothing(store: Store) -> None:
    """202 means queued: the box asks again until there is a proof."""
    store.hub.withhold = {"sale"}
    store.buffer.put([sale("r1")])
    store.step(times=3)
    assert store.buffer.backlog().events["sale"] == 1
    assert [line.split()[0] for line in store.hub.requests[-2:]] == ["GET", "GET"]
    store.hub.withhold = set()
    store.step()
    assert store.buffer.backlog().total == 0


def test_a_forgotten_promise_is_sent_again(store: Store) -> None:
    """The hub lost its queue: batch-unknown, and the same bytes go out once more."""
    store.hub.withhold = {"sale"}
    store.buffer.put([sale("r1")])
    store.step()
    ((batch_id, _),) = store.hub.batches.items()
    del store.hub.batches[batch_id]
    store.hub.log.levels = [[]]
    store.hub.places.clear()
    store.hub.withhold = set()
    store.step(times=2)
    assert list(store.hub.batches) == [batch_id]
    assert store.buffer.backlog().total == 0


def test_a_forged_proof_frees_nothing(store: Store) -> None:
    """A hub whose tree does not hold our bytes is not believed."""
    store.buffer.put([sale("r1")])
    store.step()
    store.buffer.put([sale("r2")])
    true_log = store.hub.log.levels
    store.hub.log.levels = [[b"\x00" * 32]]
    (pause_ms,) = store.step()
    assert pause_ms > 0
    assert store.buffer.backlog().events["sale"] == 1
    assert store.events("delivery_failed")[-1]["why"] == "ReceiptRefused"
    store.hub.log.levels = true_log
    store.hub.batches.popitem()
    store.hub.places[1, "sale"].next_seq = 2
    store.hub.places[1, "sale"].last_batch = next(iter(store.hub.batches))
    store.step()
    assert store.buffer.backlog().total == 0


def test_pauses_grow_with_full_jitter(store: Store) -> None:
    """Random below a ceiling that doubles up to its limit; success resets it."""
    store.hub.faults = ["drop_before"] * 12
    pauses = store.step(times=12)
    ceilings = [min(60_000, 1000 * 2**n) for n in range(12)]
    assert all(0 < pause <= top for pause, top in zip(pauses, ceilings, strict=True))
    assert max(pauses) > 8000
    store.step()
    assert store.delivery.lanes["sale"].failures == 0


def test_the_hubs_wish_to_wait_is_obeyed(store: Store) -> None:
    """Retry-After is the least pause, spread a little, and not even a sale cuts it short."""
    store.buffer.put([sale("r1")])
    store.step()
    store.hub.faults = ["429"]
    store.buffer.put([sale("r2")])
    (pause_ms,) = store.step()
    assert 7000 <= pause_ms < 8000
    assert store.delivery.lanes["sale"].obeys_hub


def test_a_hopeless_batch_halts_its_lane_only(store: Store) -> None:
    """The hub calls a batch malformed: that lane stands still and says so, others go on."""
    store.buffer.put([sale("r1"), report(1)])
    store.step()
    store.buffer.put([sale("r2")])
    store.hub.refuse = {"sale": "malformed-batch"}
    store.step()
    assert "malformed-batch" in store.buffer.backlog().halted["sale"]
    store.step("vehicle")
    assert (1, "vehicle", 1) in store.hub.ids()
    store.hub.refuse = {}
    store.step()
    assert store.buffer.backlog().halted == {}


def test_time_is_learned_and_a_wrong_clock_gets_through(tmp_path: Path) -> None:
    """A box at 1970: the signed refusal for its clock carries the time, the second try lands."""
    with SmallHub(clock=ManualClock()) as hub:
        store = new_store(hub, tmp_path)
        store.box.clock.set_wall(0)
        store.buffer.put([sale("r1")])
        store.step()
        assert hub.ids() == [(1, "sale", 1)]
        store.step("system")
        now = store.timekeeper.now()
        assert now.clock == "hub"
        assert now.wall_ms is not None
        assert abs(now.wall_ms - hub.clock.wall_ms()) <= now.err_ms
        store.buffer.close()


def test_the_store_vouches_for_the_ledger_once_an_hour(store: Store) -> None:
    """A cosignature goes out with an authenticated clock, and not again within the hour."""
    store.buffer.put([report(1)])
    store.step("vehicle")
    store.step("system", times=3)
    assert len(store.hub.cosignatures) == 1
    store.box.clock.advance(3_700_000)
    store.hub.clock.advance(3_700_000)  # type: ignore[attr-defined]
    store.step("system")
    assert len(store.hub.cosignatures) == 2


def test_growth_is_demanded_from_the_last_checkpoint(store: Store) -> None:
    """Every request names the last proven size, and a rewritten history is refused."""
    store.buffer.put([sale("r1")])
    store.step()
    store.buffer.put([sale("r2")])
    store.hub.log.levels[0][0] = b"\x01" * 32
    store.step()
    assert store.hub.requests[-1].endswith("known=1")
    assert store.buffer.backlog().events["sale"] == 1
    assert DEVICE not in store.hub.device
    store.hub.batches.clear()
    store.hub.log.levels = [[]]


def test_a_long_backlog_drains_in_full_batches(store: Store) -> None:
    """2,000 reports go out as four batches, each receipt cutting the next."""
    for start in range(0, 2000, 100):
        store.buffer.put([report(start + i) for i in range(100)])
    assert store.step("vehicle", times=4) == [0, 0, 0, 30_000]
    assert store.hub.log.size == 2000


def test_a_suspended_box_captures_on_and_asks_now_and_then(store: Store) -> None:
    """Not even a sale hurries it; it says why it waits; let in again it has lost nothing."""
    store.buffer.put([sale("r1")])
    store.step()
    store.hub.suspended = True
    for number in range(3):
        store.buffer.put([sale(f"kept {number}"), report(number)])
        [pause_ms] = store.step()
        assert pause_ms >= 600_000
        assert store.delivery.lanes["sale"].obeys_hub
    assert store.delivery.lanes["sale"].state == "suspended"
    assert store.buffer.backlog().total == 6
    store.hub.suspended = False
    for lane in ("sale", "vehicle"):
        store.step(lane, times=4)

    assert store.buffer.backlog().total == 0
    assert len(store.hub.ids()) == 7
