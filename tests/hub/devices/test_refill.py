"""A hub restored from an older backup: it takes nothing new until the boxes have refilled it."""

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from hub.errors import Refused
from hub.ledger import claims, refill
from hub.wiring import Hub
from shared.wire import batch as wire
from shared.wire.receipts import parse_receipt, verify_receipt
from tests.checks.whole_ledger import check_ledger, findings
from tests.fakes.hub_boxes import Batch, Box, DoorClient, deliver, running
from tests.fakes.manual_clock import ManualClock

BEFORE, AFTER = 5, 9


@dataclass
class Past:
    """What the boxes keep of the hub before its disk died."""

    checkpoint: str
    middle: str
    """A head from between the backup and the end."""
    root: bytes
    size: int
    ring: list[tuple[Box, Batch, int, int]] = field(default_factory=list)
    """Box, batch, first index, received."""
    old: list[Batch] = field(default_factory=list)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def urls(request, tmp_path):
    """Two databases of one engine: the hub that died, and its backup."""
    if request.param == "sqlite":
        yield [f"sqlite:///{tmp_path / name}.db" for name in ("died", "backup")]
        return
    server = request.getfixturevalue("postgres")
    with ExitStack() as stack:
        yield [stack.enter_context(server.migrated_database()) for _ in range(2)]


def morning(hub, boxes):
    """What the backup holds: two boxes and their first batches."""
    for box in boxes:
        box.enrolled(hub)
    batches = [boxes[number % 2].batch(number + 1) for number in range(BEFORE)]
    for batch in batches:
        deliver(hub, batch)
    return batches


def live_on(hub, boxes):
    """More batches after the backup; what the boxes keep of them."""
    placed, middle = [], ""
    for number in range(AFTER):
        box = boxes[number % 2]
        attachments = (b"sealed buyer %d" % number,) if number % 3 == 0 else ()
        report = {"serial": "KSE8JKT2600000001", "state": "stock"}
        events = [box.event(report, attachments=attachments), *box.reports(number)]
        batch = box.batch(events, attachments=attachments)
        future = hub.devices.take(_enrolled(hub, box), batch.body, "zstd")
        stands = future.result(timeout=30)
        placed.append((box, batch, stands.first_index, stands.received_ms))
        if number == AFTER // 2:
            middle = hub.ledger.checkpoint()
        hub.clock.advance(1500)
    size, root, note = hub.ledger.proofs.checkpoint()
    return Past(checkpoint=note, middle=middle, root=root, size=size, ring=placed)


def _enrolled(hub, box):
    return hub.devices.find(box.key.public.keyid)[0]


@dataclass
class Restored:
    """The backup, running again, and the boxes that know better."""

    hub: Hub
    past: Past
    boxes: list[Box]

    def __post_init__(self) -> None:
        self.door = DoorClient(self.hub)

    def claim(self, box=None, checkpoint=None):
        """A box shows a tree head."""
        note = checkpoint or self.past.checkpoint
        return self.door.post("/v1/checkpoints", box or self.boxes[0], {"checkpoint": note})

    def give(self, box, batch, first_index, received_ms, **more):
        """A box gives a batch back."""
        return self.door.call(
            "POST",
            "/v1/refill",
            more.get("body", batch.body),
            key=box.key,
            query=f"first_index={first_index}&received_ms={received_ms}",
            headers={"content-encoding": "zstd"},
            content_type=wire.CONTENT_TYPE,
        )


@pytest.fixture
def restored(urls, tmp_path):
    """The day went on after the backup; then the disk died and the backup was restored."""
    with running(tmp_path, urls[0], clock=ManualClock()) as hub:
        boxes = [Box(1), Box(2)]
        morning(hub, boxes)
        past = live_on(hub, boxes)
    with running(tmp_path, urls[1], clock=ManualClock()) as hub:
        past.old = morning(hub, [Box(1), Box(2)])
        yield Restored(hub, past, boxes)


def test_a_box_with_a_larger_signed_head_makes_the_hub_read_only(restored, urls, tmp_path):
    """New batches, enrolments and epochs are put off, what is on the ledger is still proven, the
    probe says what to do; and a restart changes nothing."""
    box, known = restored.boxes[0], restored.past.old[0]
    answer = restored.claim()
    assert (answer.status, answer.json["read_only"]) == (200, True)
    assert answer.json["wanted"] == [[restored.hub.ledger.size(), restored.past.size]]

    restored.hub.close()
    with running(tmp_path, urls[1], clock=ManualClock()) as again:
        door = DoorClient(again)
        refused = door.send(box, box.batch(2).body)
        assert refused.refusal == (503, "read-only")
        assert int(refused.headers["retry-after"]) > 0
        assert door.send(box, known.body).status == 200
        with pytest.raises(Refused, match="restored"):
            Box(3).enrolled(again)
        answer = door.post(
            "/v1/devices/self/epochs", box, {"close": 1, "nonce": "x", "reason": "restored"}
        )
        assert answer.refusal == (503, "read-only")
        again.database.write(lambda c: again.ledger.append(c, "test.fact", {"n": 1}, now_ms=1))
        assert again.ledger.sequencer.sequence_facts() == 0
        probe = door.test_client.get("/readyz")
        assert probe.status_code == 200
        assert b"read-only" in probe.data
        assert b"kickstand_read_only 1.0" in door.test_client.get("/metrics").data


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "the last one first"])
def test_the_rings_give_back_the_same_leaves_and_the_same_root(restored, backwards):
    """From two boxes, in any order, each twice: the old root, the old receipts, the attachments;
    then the hub takes new batches by itself and every box sees its ledger grow."""
    restored.claim()
    offers = restored.past.ring[:: -1 if backwards else 1]
    for offer in offers:
        assert restored.give(*offer).json["missing"] == []
        assert restored.give(*offer).status == 200

    hub, past = restored.hub, restored.past
    assert hub.ledger.proofs.checkpoint() == (past.size, past.root, past.checkpoint)
    for box, batch, first_index, received_ms in past.ring:
        place = hub.ledger.place(batch.id, box.device)
        assert (place.first_index, place.received_ms) == (first_index, received_ms)
    box = restored.boxes[0]
    new = box.batch(3)
    answer = restored.door.send(box, new.body, query=f"known={past.size}")
    assert answer.status == 200
    verify_receipt(
        parse_receipt(answer.body),
        batch_id=new.id,
        events=new.events,
        log_key=hub.ledger.key,
        known=None,
    )
    assert not hub.ledger.refill.state().read_only
    hub.ledger.followers.step()
    check_ledger(hub, [*past.old, *(batch for _, batch, _, _ in past.ring), new])


def test_half_of_the_ring_survives_a_restart_and_waits_for_the_other_half(restored, urls, tmp_path):
    """What was given back is on disk, aside; nothing of it is on the ledger before it fits."""
    restored.claim()
    theirs = [offer for offer in restored.past.ring if offer[0] is restored.boxes[1]]
    for offer in theirs:
        restored.give(*offer)
    size = restored.hub.ledger.size()
    assert size == sum(len(batch.events) for batch in restored.past.old) + 2
    restored.hub.close()

    with running(tmp_path, urls[1], clock=ManualClock()) as hub:
        again = Restored(hub, restored.past, restored.boxes)
        state = hub.ledger.refill.state()
        assert state.staged == sum(len(batch.events) for _, batch, _, _ in theirs)
        assert state.wanted
        for offer in restored.past.ring:
            if offer[0] is restored.boxes[0]:
                again.give(*offer)
        assert hub.ledger.proofs.checkpoint()[1] == restored.past.root


def test_a_head_from_the_middle_lets_the_first_half_in(restored):
    """Every signed head is a place to stop at: what reaches it need not wait for the rest."""
    restored.claim()
    restored.claim(restored.boxes[1], restored.past.middle)
    ring = restored.past.ring
    for offer in ring[: AFTER // 2 + 1]:
        restored.give(*offer)

    state = restored.hub.ledger.refill.state()
    assert state.size == ring[AFTER // 2 + 1][2]
    assert state.read_only
    assert findings(restored.hub) == []


def test_an_invented_past_is_not_taken(restored):
    """A box that seals other batches for the missing places, or names a wrong time or place,
    delays nothing: the old root decides."""
    liar = restored.boxes[1]
    restored.claim()
    invented = Box(2, places={"vehicle": (50, "00" * 32)})
    size = restored.hub.ledger.size()
    at = size
    while at < restored.past.size:
        count = min(4, restored.past.size - at)
        assert restored.give(liar, invented.batch(count), at, 1).status == 200
        at += count
    assert restored.hub.ledger.size() == size
    taken = [restored.give(*offer).status for offer in restored.past.ring]

    # What the liar staged in its own name stands in the way of its own true batches only.
    assert set(taken) == {200, 409}
    assert findings(restored.hub) == []


def test_another_box_cannot_stand_in_the_way(restored):
    """A third box claims every missing place for itself; the true batches get theirs."""
    third = Box(3)
    restored.claim()
    for at in range(restored.hub.ledger.size(), restored.past.size):
        body = wire.decode_body(third.batch(1).unpacked)
        restored.hub.ledger.refill.offer(
            refill.Offered(device=third.device, body=body, first_index=at, received_ms=at)
        )
    for offer in restored.past.ring:
        assert restored.give(*offer).status == 200

    assert restored.hub.ledger.proofs.checkpoint()[1] == restored.past.root


@pytest.mark.parametrize("damage", ["other key", "no note", "other name"])
def test_only_this_ledgers_signature_makes_it_read_only(restored, damage):
    """A head that our ledger key did not sign is refused, and nothing changes."""
    note = restored.past.checkpoint
    broken = {
        "other key": note[:-5] + ("AAA=\n" if not note.endswith("AAA=\n") else "BBB=\n"),
        "no note": "hello",
        "other name": note.replace("hub.example", "hub.evil"),
    }[damage]

    assert restored.claim(checkpoint=broken).refusal == (400, "checkpoint-invalid")
    assert not restored.hub.ledger.refill.state().read_only


def test_a_box_that_knows_more_never_writes_to_a_shorter_ledger(restored):
    """Even before it has shown its head: `known`, or the head under which it sealed, is enough."""
    box = restored.boxes[0]
    size = restored.hub.ledger.size()

    answer = restored.door.send(box, box.batch(1).body, query=f"known={restored.past.size}")
    assert answer.refusal == (503, "read-only")
    sealed = box.batch(1, checkpoint=wire.TreeHead(restored.past.size, "00" * 32))
    assert restored.door.send(box, sealed.body).refusal == (503, "read-only")
    assert restored.hub.ledger.size() == size
    assert not restored.hub.ledger.refill.state().read_only


def test_a_ledger_that_went_on_after_the_restore_says_so(restored):
    """Two roots for one size under one key: the box hears it, and nobody hides it."""
    box = Box(3).enrolled(restored.hub)
    deliver(restored.hub, box.batch(200))

    assert restored.claim().refusal == (409, "history-forked")
    first = restored.past.ring[0]
    assert restored.give(*first).refusal == (409, "place-taken")


def test_an_attachment_that_the_ring_has_no_more_is_named(restored):
    """The batch comes back without it, and the answer says what is missing."""
    restored.claim()
    box, batch, first_index, received_ms = restored.past.ring[0]
    bare = wire.compress(wire.encode_body(batch.statement, batch.seal, batch.events))

    answer = restored.give(box, batch, first_index, received_ms, body=bare)

    assert answer.status == 200
    assert len(answer.json["missing"]) == 1


def test_nothing_beyond_the_largest_head_is_kept(restored):
    """No signed head reaches there, so no root could ever prove it; nobody fills the disk."""
    box, batch, _, received_ms = restored.past.ring[0]
    assert restored.give(box, batch, 10**6, received_ms).refusal == (409, "not-wanted")
    restored.claim()
    assert restored.give(box, batch, restored.past.size, 1).refusal == (409, "not-wanted")


def test_a_held_hub_waits_for_the_operator(restored):
    """Held before its first start: not even a box that knows nothing more may write."""
    hub = restored.hub
    hub.database.write(lambda connection: claims.hold(connection, now_ms=1))
    with pytest.raises(Refused, match="restored"):
        deliver(hub, restored.boxes[0].batch(1))
    hub.database.write(claims.release)
    assert not hub.ledger.refill.state().read_only


def test_two_processes_take_one_ring_back(restored, urls, tmp_path, request):
    """Several boxes at once, through two hub processes: every batch once, the old root."""
    if restored.hub.database.is_sqlite:
        request.applymarker(pytest.mark.slow)
    restored.claim()
    with running(tmp_path, urls[1], clock=restored.hub.clock) as other:
        doors = [restored, Restored(other, restored.past, restored.boxes)]
        threads = [
            threading.Thread(
                target=lambda door=door: [door.give(*offer) for offer in restored.past.ring]
            )
            for door in doors
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert other.ledger.proofs.checkpoint()[1] == restored.past.root
        assert restored.hub.ledger.proofs.checkpoint()[1] == restored.past.root
        assert findings(other) == []
