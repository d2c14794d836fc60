"""Who may speak at the boxes' door: every refusal has its code and is signed."""

import orjson
import pytest
from sqlalchemy import text

from hub.app import create_app
from hub.devices.keys import KEY_CACHE_MS
from shared import http_signatures as signatures
from shared.checkpoint import cosign, parse_checkpoint
from shared.crypto.keys import KeySet
from tests.fakes.failing_disk import FailingDisk
from tests.fakes.hub_boxes import AUTHORITY, Box, DoorClient, deliver, running

HEAD = "/v1/devices/self/head"


def test_time_and_keys_need_no_signature_and_are_signed(hub, door, clock):
    """A box at 1970 gets the time and, against its invitation's fingerprint, the keys."""
    assert door.call("GET", "/v1/time").json == {"now_ms": clock.wall_ms()}
    found = KeySet.parse(door.call("GET", "/v1/keys").body, fingerprint=hub.keys.fingerprint)
    assert found.ledger_vkey == hub.ledger.key.vkey


def test_an_unknown_key_is_refused(door):
    """A box that was never enrolled."""
    assert door.get(HEAD, Box(5)).refusal == (401, "key-unknown")


def test_an_answer_to_a_wrong_clock_tells_the_right_one(door, box, clock):
    """Signed in the past or future: 401 with now_ms, which the box can verify and believe."""
    for skew_s in (-400, 100, -1_700_000_000):
        answer = door.call("GET", HEAD, key=box.key, skew_s=skew_s)
        assert answer.refusal == (401, "clock-skew")
        assert answer.json["now_ms"] == clock.wall_ms()
    assert door.call("GET", HEAD, key=box.key, skew_s=-200).status == 200


def test_a_request_made_twice_is_refused_the_second_time(door, box):
    """A nonce serves once; another box may have the same one by chance."""
    nonce = door.nonce()
    assert door.call("GET", HEAD, key=box.key, nonce=nonce).status == 200
    assert door.call("GET", HEAD, key=box.key, nonce=nonce).refusal == (401, "replayed")
    other = Box(2).enrolled(door.hub)
    assert door.call("GET", HEAD, key=other.key, nonce=nonce).status == 200


@pytest.mark.parametrize(
    ("header", "value", "refusal"),
    [
        ("signature", "agent=:" + "A" * 86 + "==:", (401, "signature-invalid")),
        ("signature", "agent=:AAAA:", (400, "signature-malformed")),
        ("signature-input", 'agent=("@method")', (401, "signature-missing")),
        ("content-digest", "sha-256=:" + "A" * 43 + "=:", (400, "digest-mismatch")),
        ("content-digest", "sha-512=:AA==:", (400, "signature-malformed")),
        ("content-type", "text/plain", (401, "signature-invalid")),
    ],
)
def test_a_request_that_was_changed_on_the_way_is_refused(door, box, header, value, refusal):
    """Each header that is signed, replaced by another."""
    changed = {header: "" if refusal[1] == "signature-missing" else value}
    door.before_sending = lambda headers: headers.update(changed)
    answer = door.post("/v1/devices/self/epochs", box, {"close": 1, "nonce": "a", "reason": "x"})
    assert answer.refusal == refusal


def test_parts_of_a_request_that_are_not_covered_are_refused(door, box):
    """A signature that leaves components out says nothing about them."""

    def less(headers):
        headers["signature-input"] = headers["signature-input"].replace('"@path" ', "")

    door.before_sending = less
    assert door.get(HEAD, box).refusal == (400, "components-incomplete")


def test_a_request_for_another_hub_is_refused(door, box, hub):
    """Signed for another authority: not this hub's business, whoever forwarded it."""
    response = door.test_client.get(
        HEAD, base_url="https://other.example", headers=signed(hub, box)
    )
    assert (response.status_code, response.json["code"]) == (421, "authority-mismatch")


def signed(hub, box):
    """Headers for another hub's head."""
    request = signatures.Request(
        method="GET", authority="other.example", path=HEAD, query="", headers={}, body=b""
    )
    now_s = hub.clock.wall_ms() // 1000
    return signatures.sign_request(request, box.key, now_s=now_s, nonce="A" * 22)


@pytest.mark.parametrize(("state", "code"), [("suspended", "suspended"), ("lost", "key-revoked")])
def test_a_suspended_box_is_out_within_seconds(door, hub, box, clock, state, code):
    """The key is believed for a moment without asking the database, then no more."""
    assert door.get(HEAD, box).status == 200
    hub.database.write(lambda c: c.execute(text("UPDATE device SET state = :s"), {"s": state}))
    assert door.get(HEAD, box).status == 200
    clock.advance(KEY_CACHE_MS + 1)
    assert door.get(HEAD, box).refusal == (403, code)
    assert door.send(box, box.batch().body).refusal == (403, code)
    hub.database.write(lambda c: c.execute(text("UPDATE device SET state = 'active'")))
    clock.advance(KEY_CACHE_MS + 1)
    assert door.get(HEAD, box).status == 200


def test_a_body_of_five_megabytes_is_refused_without_being_read(door, box):
    """413, signed: bound to the digest that the box sent of it."""
    answer = door.send(box, b"x" * 5_000_000, encoding=None)
    assert answer.refusal == (413, "too-large")


def test_a_hub_that_cannot_store_says_when_to_come_back(tmp_path, sqlite_url, clock):
    """A failed commit is a signed 503 with Retry-After; the same batch then stands once."""
    disk = FailingDisk()
    with running(tmp_path, sqlite_url, clock=clock, factory=disk.connect) as hub:
        door, box = DoorClient(hub), Box(1).enrolled(hub)
        batch = box.batch(2)
        disk.cut = "before"
        answer = door.send(box, batch.body)
        assert answer.refusal == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert door.send(box, batch.body).status == 200


def test_a_head_says_where_each_lane_continues(door, box, hub):
    """Next place, last batch, newest generation, and the signed tree head."""
    batch = box.batch(3)
    deliver(hub, batch)
    head = door.get(HEAD, box).json
    assert head["lanes"]["vehicle"] == {"next_seq": 4, "last_batch": batch.id}
    assert head["lanes"]["sale"] == {"next_seq": 1, "last_batch": None}
    assert (head["epoch"], head["max_gen"], head["dealer"]) == (1, 1, "SBY01")
    assert head["checkpoint"] == hub.ledger.checkpoint()


def test_an_epoch_is_opened_once_for_a_nonce(door, box, hub):
    """The same request again: the same epoch; another nonce for a closed one: refused."""
    first = door.post("/v1/devices/self/epochs", box, {"close": 1, "nonce": "a", "reason": "card"})
    again = door.post("/v1/devices/self/epochs", box, {"close": 1, "nonce": "a", "reason": "card"})
    assert (first.json["epoch"], again.json["epoch"]) == (2, 2)
    other = door.post("/v1/devices/self/epochs", box, {"close": 1, "nonce": "b", "reason": "card"})
    assert other.refusal == (409, "epoch-closed")
    assert first.json["lanes"]["vehicle"]["next_seq"] == 1
    hub.ledger.followers.catch_up()
    assert hub.ledger.size() == 2


@pytest.mark.parametrize(
    "values",
    [{}, {"close": 0, "nonce": "a", "reason": "x"}, {"close": 1, "nonce": 5, "reason": "x"}],
)
def test_an_epoch_request_that_is_none_is_refused(door, box, values):
    """Fields are missing or are something else."""
    assert door.post("/v1/devices/self/epochs", box, values).refusal == (400, "malformed-request")


def test_a_cosignature_is_kept_if_it_is_one(door, box, hub):
    """Of a head that was made, by the box's own key; an older one never replaces a newer."""
    deliver(hub, box.batch(3))
    head = parse_checkpoint(hub.ledger.checkpoint())
    line = cosign(head, name=box.device, key=box.key, time_s=1_800_000_000)

    def post(line, size):
        return door.post("/v1/cosignatures", box, {"cosignature": line, "size": size})

    assert post(line, head.size).json == {"size": head.size, "time_s": 1_800_000_000}
    forged = cosign(head, name=box.device, key=Box(2).key, time_s=1_800_000_000)
    assert post(forged, head.size).refusal == (400, "cosignature-invalid")
    assert post(line, head.size - 1).refusal == (404, "checkpoint-unknown")
    assert post(line, 1).refusal == (400, "cosignature-invalid")
    assert post("A" * 500, head.size).refusal == (400, "malformed-request")
    assert post(line, 2**60).refusal == (400, "malformed-request")
    with hub.database.read() as connection:
        assert connection.execute(text("SELECT size FROM witness")).scalar() == head.size


def test_what_is_no_endpoint_is_not_found(door, box):
    """Elsewhere below /v1."""
    client = create_app(door.hub).test_client()
    for path in ("/v1/", "/v1/devices", "/v1/batches/../keys"):
        assert client.get(path, base_url=f"https://{AUTHORITY}").status_code == 404
    assert orjson.loads(door.get("/v1/batches/" + "0" * 64, box).body)["code"] == "batch-unknown"
    assert door.get("/v1/batches/nohex", box).refusal == (400, "malformed-request")
