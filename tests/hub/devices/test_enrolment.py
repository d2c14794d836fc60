"""Enrolment by code: one box a code, with proof that it holds its key."""

import threading

import orjson
import pytest
from sqlalchemy import text

from hub.errors import Refused
from shared.crypto.keys import b64url
from shared.instants import rfc3339
from tests.checks.whole_ledger import findings
from tests.fakes.hub_boxes import DEADLINE_S, Box, deliver, running
from tests.fakes.postgres import until_blocked

SMALL_ORDER = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


@pytest.fixture
def code(hub):
    """A fresh invitation."""
    return hub.database.write(lambda connection: hub.devices.invite(connection, "SBY01"))


def enrol(door, code, box, *, public=None, signer=None, **more):
    """Ask to enrol `box`."""
    public_key = b64url(public or box.key.public.raw)
    body = orjson.dumps({"code": code, "public_key": public_key, "version": "1", **more})
    return door.call("POST", "/v1/enroll", body, key=(signer or box).key)


def test_a_box_with_a_code_is_enrolled_and_on_the_ledger(hub, door, code):
    """It may deliver at once, and its key stands on the ledger before its first seal."""
    box = Box(1)
    answer = enrol(door, code, box)

    assert answer.json == {
        "device": box.device,
        "dealer": "SBY01",
        "epoch": 1,
        "state": "active",
    }
    assert door.send(box, box.batch(2).body).status == 200
    assert findings(hub) == []


def test_enrolled_boxes_are_listed_with_their_times(hub, door, clock, code):
    """As RFC 3339, under the names that the page's JSON has; one that sent nothing was not seen."""
    box = Box(1)
    enrol(door, code, box)
    (listed,) = hub.devices.all()
    assert listed["enrolled_at"] == rfc3339(clock.wall_ms())
    assert listed["seen_at"] is None
    deliver(hub, box.batch(2))
    hub.ledger.followers.catch_up()
    (listed,) = hub.devices.all()
    assert listed["seen_at"] == rfc3339(clock.wall_ms())
    assert [] == [name for name in listed if name.endswith("_ms")]


def test_a_box_whose_answer_was_lost_asks_again(hub, door, code):
    """The same code and key: the same answer, and one enrolment on the ledger."""
    box = Box(1)
    first = enrol(door, code, box)
    assert first.json == enrol(door, f"  {code.upper()} ", box).json
    assert hub.ledger.size() == 1


def test_a_code_serves_one_box_for_a_while(hub, door, clock, code):
    """Unknown, used by another box, and expired codes are refused by name."""
    assert enrol(door, "nosuchcode", Box(1)).refusal == (403, "invitation-unknown")
    assert enrol(door, code, Box(1)).status == 201
    assert enrol(door, code, Box(2)).refusal == (409, "invitation-used")
    late = hub.database.write(lambda connection: hub.devices.invite(connection, "SBY01"))
    assert enrol(door, late, Box(1)).refusal == (409, "already-enrolled")
    clock.advance(hub.config.ingest.invitation_s * 1000 + 1)
    assert enrol(door, late, Box(3)).refusal == (410, "invitation-expired")
    assert hub.ledger.size() == 1


def test_a_key_with_which_one_could_deny_everything_is_refused(door, code):
    """Small order, not on the curve's canonical encoding, not 32 bytes, not base64url, no text."""
    for public in (SMALL_ORDER, b"\xff" * 32, b"\x01" + bytes(31), bytes(31), b"\x07" * 33):
        assert enrol(door, code, Box(1), public=public).refusal == (400, "malformed-key")
    odd: object
    for odd in ("=", "A" * 42 + "B", 5, None, []):
        answer = enrol(door, code, Box(1), public_key=odd)
        assert answer.refusal == (400, "malformed-key")


def test_a_key_must_be_proven_to_be_held(door, hub, code):
    """Signed with another key than the one that is sent, or not at all."""
    assert enrol(door, code, Box(1), signer=Box(2)).refusal == (401, "key-unknown")
    body = orjson.dumps({"code": code, "public_key": b64url(Box(1).key.public.raw)})
    assert door.call("POST", "/v1/enroll", body).refusal == (401, "signature-missing")
    assert hub.ledger.size() == 0


@pytest.mark.parametrize("body", [b"{", b"[]", b"1", b'{"code":1}', b"\xff"])
def test_a_request_that_is_none_is_refused(door, body):
    """No JSON, no object, no code."""
    assert door.call("POST", "/v1/enroll", body, key=Box(1).key).status == 400


@pytest.mark.postgres
def test_two_boxes_that_race_for_a_code_are_one_enrolled_and_one_refused(tmp_path, postgres_url):
    """Two hub processes hold the same invitation at one moment: the database decides."""
    with running(tmp_path, postgres_url) as one, running(tmp_path, postgres_url) as two:
        code = one.database.write(lambda connection: one.devices.invite(connection, "SBY01"))
        outcomes: list[object] = []
        inside, release = threading.Event(), threading.Event()

        def hold(connection):
            connection.execute(text("SELECT 1 FROM invitation FOR UPDATE"))
            inside.set()
            release.wait(DEADLINE_S)

        def run(hub, box):
            try:
                outcomes.append(hub.devices.enrol(code=code, key=box.key.public, version="1"))
            except Refused as refused:
                outcomes.append(refused.problem.code)

        three_url = one.config.server.database
        with running(tmp_path, three_url) as three:
            holder = threading.Thread(target=three.database.write, args=(hold,))
            holder.start()
            assert inside.wait(DEADLINE_S)
            racers = [
                threading.Thread(target=run, args=pair) for pair in ((one, Box(1)), (two, Box(2)))
            ]
            for racer in racers:
                racer.start()
            until_blocked(three.database, 2)
            release.set()
            for thread in (holder, *racers):
                thread.join(DEADLINE_S)
        assert ["invitation-used"] == [found for found in outcomes if isinstance(found, str)]
        assert len(outcomes) == 2
        assert one.ledger.size() == 1


def test_more_facts_than_a_group_holds_wait_behind_no_enrolment(hub, door, code):
    """The enrolment's own fact is on the ledger when the box hears of it, however many wait."""

    def many(connection):
        for _ in range(450):
            hub.ledger.append(connection, "test.fact", {"n": 1}, now_ms=1)

    hub.database.write(many)
    box = Box(1)
    assert enrol(door, code, box).status == 201
    deliver(hub, box.batch(1))
    assert findings(hub) == []
