"""A box follows its key with a new one: nothing sealed is touched, and no cut leaves it keyless."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent import identity as identities
from edge_agent.delivery import Settings
from edge_agent.identity import KeyFiles
from tests.checks.boxes import sale
from tests.checks.delivering import Store, new_store
from tests.fakes.manual_clock import ManualClock
from tests.fakes.small_hub import SmallHub

DAY_MS = 86_400_000
PATH = "/v1/devices/self/keys"


class Cut(BaseException):
    """The power is gone."""


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    """A hub that is looked over afterwards."""
    with SmallHub(clock=ManualClock()) as small:
        yield small
        small.check()


@pytest.fixture
def store(hub: SmallHub, tmp_path: Path) -> Iterator[Store]:
    """A new box that has delivered once."""
    made = new_store(hub, tmp_path)
    made.buffer.put([sale("r0")])
    made.step()
    yield made
    made.buffer.close()


def files(store: Store) -> KeyFiles:
    """The box's keys on disk."""
    return KeyFiles(store.box.folder)


def key_on_disk(store: Store) -> str:
    """Key id of the box's key."""
    return identities.own_key(store.box.folder).public.keyid


def settled(store: Store, key: str) -> None:
    """The box uses `key`, keeps no next one, and delivers."""
    assert key_on_disk(store) == key
    assert files(store).waiting() is None
    store.buffer.put([sale(f"after-{key}")])
    store.step(times=2)
    assert store.buffer.backlog().total == 0
    assert store.hub.device_key is not None
    assert store.hub.device_key.keyid == key


def next_key(store: Store) -> str:
    """A next key is made and waits; its id."""
    files(store).make()
    made = files(store).waiting()
    assert made is not None
    return made.public.keyid


def test_a_next_key_is_followed_when_the_box_is_idle(store: Store) -> None:
    """Sent with both signatures, adopted after the answer, mode 0600, device id unchanged."""
    device, key = store.hub.device, next_key(store)
    store.step("system")
    assert (store.box.folder / "key.pem").stat().st_mode & 0o777 == 0o600
    assert store.events("key_rotated") == [{"keyid": key}]
    settled(store, key)
    assert store.hub.device == device


def test_a_key_that_waits_is_not_made_anew(store: Store) -> None:
    """The same key goes out again until it is answered."""
    key = next_key(store)
    assert next_key(store) == key


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "portal", "tamper", "503"])
def test_any_failure_sends_the_same_rotation_again(store: Store, fault: str) -> None:
    """Whether the hub took it or not, and through a power cut: the box works with one of both."""
    old, key = key_on_disk(store), next_key(store)
    store.hub.faults_at[PATH] = [fault]
    store.step("system")
    assert key_on_disk(store) == old
    again = store.reboot()
    again.step("system")
    assert store.hub.requests.count(f"POST {PATH}") == 2
    settled(again, key)
    again.buffer.close()


def test_a_cut_between_answer_and_adoption_changes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub knows the new key, the box still has the old one in place: asked again, adopted."""
    key = next_key(store)

    def cut(_self: KeyFiles) -> None:
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(KeyFiles, "adopt", cut)
        with pytest.raises(Cut):
            store.step("system")
    assert key_on_disk(store) != key
    again = store.reboot()
    again.buffer.put([sale("meanwhile")])
    again.step()
    assert again.buffer.backlog().total == 0
    again.step("system")
    settled(again, key)
    again.buffer.close()


def test_what_was_sealed_before_goes_out_as_it_is(store: Store) -> None:
    """A batch that waits sealed under the old key: the very same bytes, never signed again."""
    store.buffer.put([sale("r1")])
    store.hub.faults = ["drop_before"]
    store.step()
    batch = store.buffer.in_flight("sale")
    assert batch is not None
    key = next_key(store)
    store.step("system")
    assert key_on_disk(store) == key
    store.step()
    assert batch.batch_id in store.hub.batches
    settled(store, key)


def test_an_answer_lost_for_the_whole_overlap_is_asked_for_with_the_new_key(store: Store) -> None:
    """The old key is over when the box is back: the new one signs, and everything goes on."""
    old, key = key_on_disk(store), next_key(store)
    store.hub.faults_at[PATH] = ["drop_after"]
    store.step("system")
    assert key_on_disk(store) == old
    store.hub.retired = {old}
    again = store.reboot()
    again.buffer.put([sale("late")])
    again.step(times=2)
    settled(again, key)
    again.buffer.close()


def test_a_batch_stranded_under_an_ended_key_gets_a_new_place(store: Store) -> None:
    """Sealed, never sent, and its key is over: the epoch is closed and no event is lost."""
    store.buffer.put([sale("r1"), sale("r2")])
    store.hub.faults = ["drop_before"]
    store.step()
    stranded = store.buffer.in_flight("sale")
    assert stranded is not None
    old, key = key_on_disk(store), next_key(store)
    store.step("system")
    store.hub.retired = {old}
    store.step(times=3)
    assert stranded.batch_id not in store.hub.batches
    assert [event["reason"] for event in store.events("epoch_opened")] == ["retired_key"]
    assert [n for _, lane, n in store.hub.ids() if lane == "sale"][:3] == [1, 2, 3]
    settled(store, key)


def test_a_key_that_the_hub_will_never_take_is_dropped(store: Store) -> None:
    """Superseded: the box stays with its key, says so, and delivers."""
    next_key(store)
    old = key_on_disk(store)
    store.hub.refuse["rotation"] = "key-superseded"
    store.step("system")
    assert store.events("key_refused") == [{"code": "key-superseded"}]
    settled(store, old)


def test_another_refusal_keeps_the_key_for_later(store: Store) -> None:
    """A hub that cannot take it now is asked again later, and delivery does not wait for it."""
    key = next_key(store)
    store.hub.refuse["rotation"] = "device-mismatch"
    store.step("system", times=3)
    assert len(store.events("key_refused")) == 1
    store.buffer.put([sale("r1")])
    store.step()
    assert store.buffer.backlog().total == 0
    store.hub.refuse.clear()
    for clock in (store.hub.clock, store.box.clock):
        clock.advance(600_000)  # type: ignore[attr-defined]
    store.step("system", times=2)
    settled(store, key)


def test_an_unreadable_next_key_stops_nothing(store: Store) -> None:
    """Half a file: said in the log; the box goes on with the key it has."""
    (store.box.folder / "key.next.pem").write_text("half")
    store.step("system")
    assert len(store.events("key_unreadable")) == 1
    store.buffer.put([sale("r1")])
    store.step()
    assert store.buffer.backlog().total == 0


def test_a_key_is_followed_by_itself_after_its_days(hub: SmallHub, tmp_path: Path) -> None:
    """Counted by a trusted clock from when it was first used; a reboot does not begin anew."""
    store = new_store(hub, tmp_path, Settings(rotate_key_days=30))
    store.buffer.put([sale("r0")])
    store.step()
    first = key_on_disk(store)
    store.step("system")
    for days in (29, 2):
        hub.clock.advance(days * DAY_MS)  # type: ignore[attr-defined]
        store.box.clock.advance(days * DAY_MS)
        before = key_on_disk(store)
        store.step("system")
    assert (before, len(store.events("key_rotated"))) == (first, 1)
    assert key_on_disk(store) != first
    store.buffer.close()
