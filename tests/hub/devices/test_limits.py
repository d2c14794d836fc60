"""A box that is shut out for a while, and one that asks more than any honest one."""

import pytest

from hub.config import IngestConfig
from hub.devices.keys import KEY_CACHE_MS
from hub.devices.rates import BURST_S
from hub.errors import Refused
from tests.checks.whole_ledger import check_ledger
from tests.fakes.hub_boxes import Box, DoorClient, running

HEAD = "/v1/devices/self/head"


def test_a_suspended_box_is_refused_until_it_is_let_in_again(hub, door, box):
    """With a signed 403 of its own, on the ledger with its reason; what it kept is then taken."""
    first, second = box.batch(2), box.batch(3)
    assert door.send(box, first.body).status == 200
    keys = hub.devices.keys
    assert keys.set_suspended(box.device, suspended=True, reason="lost card")
    assert not keys.set_suspended(box.device, suspended=True, reason="again")

    for answer in (door.send(box, second.body), door.get(HEAD, box)):
        assert answer.refusal == (403, "suspended")
    assert keys.set_suspended(box.device, suspended=False, reason="found")
    assert door.send(box, second.body).status == 200
    hub.ledger.sequencer.sequence_facts()
    check_ledger(hub, [first, second])
    from_ledger = [b.events for b in hub.ledger.batches(0, 100) if b.device == "hub"]
    assert any(b"lost card" in event for events in from_ledger for event in events)


def test_another_process_hears_of_it_soon(hub, door, box, clock):
    """A key is believed for two seconds without a look at the database."""
    assert door.get(HEAD, box).status == 200
    cached = dict(hub.devices.keys._cache)
    hub.devices.keys.set_suspended(box.device, suspended=True, reason="x")
    hub.devices.keys._cache.update(cached)
    assert door.get(HEAD, box).status == 200
    clock.advance(KEY_CACHE_MS + 1)

    assert door.get(HEAD, box).refusal == (403, "suspended")


def test_a_revoked_box_is_not_let_in_again(hub, box):
    """Revoked is for ever; and a box that there is not is said to be none."""
    hub.devices.keys.revoke(box.device, reason="sold")
    for device, code in ((box.device, "key-revoked"), ("dev_none", "key-unknown")):
        with pytest.raises(Refused) as caught:
            hub.devices.keys.set_suspended(device, suspended=False, reason="x")
        assert caught.value.problem.code == code


def test_a_box_that_asks_too_much_is_put_off_alone(tmp_path, sqlite_url, clock):
    """429 with Retry-After once a minute's worth is used up; the other box is served, and a second
    later so is this one."""
    few = IngestConfig(device_requests_per_s=1)
    with running(tmp_path, sqlite_url, clock=clock, ingest=few) as hub:
        door = DoorClient(hub)
        greedy, other = Box(1).enrolled(hub), Box(2).enrolled(hub)
        answers = [door.get(HEAD, greedy) for _ in range(BURST_S + 1)]

        assert [answer.status for answer in answers[:-1]] == [200] * BURST_S
        assert answers[-1].refusal == (429, "too-many")
        assert int(answers[-1].headers["retry-after"]) > 0
        assert door.get(HEAD, other).status == 200
        clock.advance(1000)
        assert door.get(HEAD, greedy).status == 200
