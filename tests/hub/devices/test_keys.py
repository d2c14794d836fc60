"""Keys of boxes: a new one follows, the old one is taken a while longer, any can be revoked."""

import orjson
import pytest
from sqlalchemy import update

from hub.devices.keys import KEY_CACHE_MS, RETIRE_LOOK_MS
from hub.devices.store import DEVICE_KEY
from hub.errors import Refused
from hub.ledger.tables import PENDING
from shared.crypto.keys import SigningKey
from shared.crypto.rotation import Rotation
from tests.checks.whole_ledger import findings
from tests.fakes.hub_boxes import Box, DoorClient, key_of, running

PATH = "/v1/devices/self/keys"


def rotate(door, box, rotation, *, key=None):
    """Send a rotation."""
    return door.call("POST", PATH, orjson.dumps(rotation.values()), key=key or box.key)


def facts(hub):
    """(type, data) of the hub's facts about keys, in the ledger's order."""
    events = [orjson.loads(raw) for batch in hub.ledger.batches(0, 10**6) for raw in batch.events]
    return [(event["type"], event["data"]) for event in events if event["type"].startswith("key.")]


def overlap_ends(hub, clock):
    """A week passes, and the worker looks."""
    clock.advance(hub.config.ingest.key_overlap_s * 1000 + RETIRE_LOOK_MS + KEY_CACHE_MS + 1)
    hub.devices.keys.retire_due()
    hub.devices.keys.place_facts()


def test_a_box_follows_its_key_with_a_new_one(hub, door, box):
    """Its id stays, both signatures stand on the ledger, and it may seal with the new key."""
    device = box.device
    rotation = box.rotation(2)
    answer = rotate(door, box, rotation)

    assert answer.status == 200
    assert answer.json["keyid"] == key_of(2).public.keyid
    assert answer.json["old"] == box.key.public.keyid
    box.key = key_of(2)
    assert door.send(box, box.batch(2).body).status == 200
    assert door.get("/v1/devices/self/head", box).json["device"] == device
    [(kind, data)] = facts(hub)
    assert (kind, data["device"]) == ("key.added", device)
    Rotation.parse(data).verify(Box(1).key.public)
    assert findings(hub) == []


def test_what_the_old_key_sealed_is_taken_during_the_overlap(hub, door, box):
    """A sealed batch waits on the box while its key is followed: the same bytes land."""
    waiting = box.batch(3)
    rotate(door, box, box.rotation(2))
    box.key = key_of(2)

    assert door.send(box, waiting.body).status == 200
    assert door.send(box, box.batch(1).body).status == 200
    assert findings(hub) == []


def test_the_answer_may_be_lost(hub, door, box, clock):
    """The same rotation again, signed by either key: the same answer and one fact."""
    rotation = box.rotation(2)
    first = rotate(door, box, rotation).json
    clock.advance(60_000)

    assert rotate(door, box, rotation).json == first
    assert rotate(door, box, rotation, key=key_of(2)).json == first
    assert len(facts(hub)) == 1
    overlap_ends(hub, clock)
    assert rotate(door, box, rotation).refusal == (403, "key-retired")
    assert rotate(door, box, rotation, key=key_of(2)).json == first


def test_after_the_overlap_the_old_key_is_retired(hub, door, box, clock):
    """Neither its requests nor its seals are taken; what it sealed before stays proven."""
    door.send(box, box.batch(2).body)
    late = box.batch(1)
    rotate(door, box, box.rotation(2))
    old, box.key = box.key, key_of(2)
    overlap_ends(hub, clock)

    assert door.call("GET", "/v1/devices/self/head", key=old).refusal == (403, "key-retired")
    assert door.send(box, late.body).refusal == (403, "seal-retired")
    assert [kind for kind, _ in facts(hub)] == ["key.added", "key.retired"]
    assert findings(hub) == []


def test_a_batch_that_stands_is_answered_whatever_became_of_its_key(hub, door, box, clock):
    """Its answer was lost and its key retired since: the old place, not a refusal."""
    batch = box.batch(2)
    first = door.send(box, batch.body).json["first_index"]
    rotate(door, box, box.rotation(2))
    box.key = key_of(2)
    overlap_ends(hub, clock)

    assert door.send(box, batch.body).json["first_index"] == first


def test_only_the_newest_key_names_the_next(hub, door, box):
    """A stolen old key cannot take the box over during the overlap."""
    rotate(door, box, box.rotation(2))
    stolen = Rotation.sign(box.device, old=box.key, new=key_of(3))

    assert rotate(door, box, stolen).refusal == (409, "key-superseded")
    assert rotate(door, box, stolen, key=key_of(2)).refusal == (409, "key-superseded")
    forged = Rotation.sign(box.device, old=key_of(4), new=key_of(3))
    assert rotate(door, box, forged, key=key_of(2)).refusal == (409, "key-superseded")
    assert len(facts(hub)) == 1


def test_a_key_is_never_used_twice(hub, door, box, clock):
    """Not one of another box, not one's own of long ago."""
    other = Box(9).enrolled(hub)
    theirs = Rotation.sign(box.device, old=box.key, new=other.key)
    assert rotate(door, box, theirs).refusal == (409, "key-used")
    rotate(door, box, box.rotation(2))
    box.key = key_of(2)
    overlap_ends(hub, clock)
    assert rotate(door, box, box.rotation(1)).refusal == (409, "key-used")


def test_a_rotation_of_another_box_is_refused(door, hub, box):
    """Each box speaks for itself."""
    other = Box(9).enrolled(hub)
    assert rotate(door, other, box.rotation(2), key=other.key).refusal == (403, "device-mismatch")


@pytest.mark.parametrize(
    "change",
    [
        {"rotation": None},
        {"rotation": "{"},
        {"rotation": "[]"},
        {"rotation": '{"v":2}'},
        {"new_signature": ""},
        {"new_signature": "A" * 88},
        {"old_signature": 5},
        {"old_signature": "A" * 86 + "=="},
    ],
)
def test_a_rotation_that_is_not_signed_by_both_is_refused(hub, door, box, change):
    """Missing, malformed or foreign signatures; nothing is kept."""
    body = orjson.dumps({**box.rotation(2).values(), **change})

    assert door.call("POST", PATH, body, key=box.key).refusal == (400, "malformed-key")
    assert facts(hub) == []


def test_a_key_whose_fact_has_no_place_yet_seals_nothing(hub, door, box):
    """Power cut between the rotation and its place on the ledger: the box comes back later."""
    place, hub.devices.keys.place_facts = hub.devices.keys.place_facts, lambda: None
    rotate(door, box, box.rotation(2))
    box.key = key_of(2)
    early = box.batch(1)

    assert door.send(box, early.body).refusal == (503, "busy")
    place()
    assert door.send(box, early.body).status == 200
    assert findings(hub) == []


def test_a_revoked_box_is_refused_at_once_and_its_past_stands(hub, door, box, clock):
    """By the command: every key and the box with them, with the reason on the ledger."""
    door.send(box, box.batch(2).body)
    rotate(door, box, box.rotation(2))
    assert hub.devices.keys.revoke(box.device, reason="stolen") == 2
    assert hub.devices.keys.revoke(box.device, reason="stolen") == 0
    hub.devices.keys.place_facts()

    for key in (box.key, key_of(2)):
        assert door.call("GET", "/v1/devices/self/head", key=key).refusal == (403, "key-revoked")
    assert [data.get("reason") for _, data in facts(hub)] == [None, "stolen", "stolen"]
    assert findings(hub) == []


def test_one_key_of_a_box_can_be_revoked(hub, door, box):
    """The old one was copied: the box goes on with its new one."""
    late = box.batch(1)
    rotate(door, box, box.rotation(2))
    old, box.key = box.key, key_of(2)
    hub.devices.keys.revoke(box.device, reason="copied", keyid=old.public.keyid)

    assert door.send(box, late.body).refusal == (403, "seal-retired")
    assert door.get("/v1/devices/self/head", box).status == 200
    with pytest.raises(Refused):
        hub.devices.keys.revoke("dev_nobody", reason="x")


def test_a_key_revoked_by_another_process_is_noticed_where_the_batch_is_placed(hub, door, box):
    """The door still believes the key; the ledger does not take what it seals."""
    door.send(box, box.batch(1).body)

    def revoke(connection):
        connection.execute(update(DEVICE_KEY).values(state="revoked"))

    hub.database.write(revoke)
    assert door.send(box, box.batch(1).body).refusal == (403, "seal-retired")


def test_the_hub_cannot_give_a_box_a_key(hub, door, box):
    """`ledger verify` asks whether an active key of the box has signed for the new one."""
    forged = Rotation.sign(box.device, old=SigningKey.generate(), new=key_of(2))
    data = {"device": box.device, "keyid": key_of(2).public.keyid, **forged.values()}
    hub.database.write(
        lambda connection: hub.ledger.append(connection, "key.added", data, now_ms=1)
    )
    hub.devices.keys.place_facts()

    [finding] = findings(hub)
    assert "follows none that is active" in finding


def test_a_seal_by_a_key_that_was_retired_before_it_is_found(hub, door, box):
    """A hub that lets a retired key seal is caught by whoever reads its ledger."""
    data = {"device": box.device, "keyid": box.key.public.keyid}
    hub.database.write(
        lambda connection: hub.ledger.append(connection, "key.retired", data, now_ms=1)
    )
    hub.devices.keys.place_facts()
    assert door.send(box, box.batch(1).body).status == 200

    [finding] = findings(hub)
    assert "no key that was active there" in finding


def test_rotating_works_on_both_engines(tmp_path, database_url, clock):
    """Enrol, rotate, retire, revoke: the same on SQLite and PostgreSQL."""
    with running(tmp_path, database_url, clock=clock) as hub:
        door, box = DoorClient(hub), Box(1).enrolled(hub)
        waiting = box.batch(1)
        assert rotate(door, box, box.rotation(2)).status == 200
        box.key = key_of(2)
        assert door.send(box, waiting.body).status == 200
        overlap_ends(hub, clock)
        assert hub.devices.keys.revoke(box.device, reason="lost") == 1
        hub.devices.keys.place_facts()
        assert [kind for kind, _ in facts(hub)] == ["key.added", "key.retired", "key.revoked"]
        assert findings(hub) == []
        with hub.database.read() as connection:
            assert connection.execute(PENDING.select()).all() == []
