"""Delivering batches: receipts that prove, refusals that name the cause, nothing half taken."""

import gzip
import io
import resource
import threading
import time

import pytest
import zstandard
from sqlalchemy import update

from hub.config import IngestConfig
from hub.vault.store import VAULT_ITEM
from shared.checkpoint import open_checkpoint
from shared.merkle import verify_range
from shared.wire import batch as wire
from shared.wire.receipts import parse_receipt, unpack_hashes, verify_receipt
from tests.checks.whole_ledger import batch_ids, check_ledger
from tests.fakes.hub_boxes import DEADLINE_S, Box, DoorClient, running


def receipt_of(door, batch, answer, known=None):
    """The checkpoint that an answer proves, as the box checks it."""
    assert answer.status == 200, answer.body
    return verify_receipt(
        parse_receipt(answer.body),
        batch_id=batch.id,
        events=batch.events,
        log_key=door.hub.ledger.key,
        known=known,
    )


def refused(door, box, body, **how):
    """The refusal of a body, counted by its code; the ledger is as long as before."""
    size, before = door.hub.ledger.size(), door.hub.refusals.counts()
    answer = door.send(box, body, **how)
    assert size == door.hub.ledger.size()
    code = answer.refusal[1]
    assert door.hub.refusals.counts() == {**before, code: before.get(code, 0) + 1}
    return answer.refusal


def test_a_batch_is_answered_with_its_receipt(door, box):
    """Of one event and of five hundred, zstd, gzip and plain; each grows from the last."""
    known, delivered = None, []
    for count, encoding in ((1, "zstd"), (500, "zstd"), (20, "gzip"), (3, None)):
        batch = box.batch(count)
        packed = {"zstd": batch.body, "gzip": gzip.compress(batch.unpacked), None: batch.unpacked}
        query = f"known={known.size}" if known else ""
        answer = door.send(box, packed[encoding], encoding=encoding, query=query)
        known = receipt_of(door, batch, answer, known)
        delivered.append(batch)
    check_ledger(door.hub, delivered)


def test_a_batch_sent_again_has_its_old_place(door, box):
    """Sent again after its answer was lost, and fetched by its id: the same place."""
    batch = box.batch(5)
    first = parse_receipt(door.send(box, batch.body).body)
    door.send(box, box.batch(7).body)
    for answer in (door.send(box, batch.body), door.get(f"/v1/batches/{batch.id}", box)):
        receipt_of(door, batch, answer)
        assert parse_receipt(answer.body).first_index == first.first_index
    stranger = Box(2).enrolled(door.hub)
    assert door.get(f"/v1/batches/{batch.id}", stranger).refusal == (404, "batch-unknown")


def test_without_waiting_the_answer_is_202_and_frees_nothing(door, box, hub):
    """
    The database is busy and the box does not wait: 202 with an address; asked too early there,
    the batch is unknown; when the writer is through, the receipt is there.
    """
    inside, release = threading.Event(), threading.Event()

    def busy(_):
        inside.set()
        release.wait(DEADLINE_S)

    writer = threading.Thread(target=hub.database.write, args=(busy,))
    writer.start()
    assert inside.wait(DEADLINE_S)
    batch = box.batch(3)
    answers = [door.send(box, batch.body, wait_s=wait_s) for wait_s in (None, 0)]
    for answer in answers:
        assert (answer.status, answer.json) == (202, {"batch_id": batch.id})
        assert answer.headers["location"] == f"/v1/batches/{batch.id}"
    assert door.get(answers[0].headers["location"], box).refusal == (404, "batch-unknown")
    release.set()
    writer.join(DEADLINE_S)
    hub.database.write(lambda _: None)

    receipt_of(door, batch, door.get(answers[0].headers["location"], box))
    check_ledger(hub, [batch])


def test_a_box_gets_a_whole_batch_of_its_own_back(hub, door, box):
    """For the ring of a restored card: as it came, attachments included, and to nobody else. One
    whose attachment was erased comes without."""
    report = {"serial": "KSE8JKT2600000001", "state": "stock"}
    item = b"sealed buyer"
    events = [box.event(report, attachments=[item]), *box.reports(2)]
    batch = box.batch(events, attachments=[item])
    door.send(box, batch.body)
    path = f"/v1/batches/{batch.id}/body"

    assert door.get(path, box).body == batch.unpacked
    assert door.get(path, Box(2).enrolled(hub)).refusal == (404, "batch-unknown")
    hub.database.write(
        lambda connection: connection.execute(update(VAULT_ITEM).values(content=None))
    )
    bare = wire.decode_body(door.get(path, box).body, bare=True)
    assert (bare.batch_id, bare.events, bare.attachments) == (batch.id, batch.events, ())


@pytest.mark.parametrize("known", ["0", "99999", "999999999999999"])
def test_a_known_size_that_is_not_in_the_tree_gets_no_consistency(door, box, known):
    """
    Of a batch that stands already the receipt proves the place alone; the box decides what to make
    of a shorter ledger.
    """
    batch = box.batch(2)
    door.send(box, batch.body)
    answer = door.send(box, batch.body, query=f"known={known}")
    receipt_of(door, batch, answer)
    assert parse_receipt(answer.body).consistency is None
    assert refused(door, box, batch.body, query="known=-1") == (400, "malformed-request")
    assert refused(door, box, batch.body, query="known=x") == (400, "malformed-request")


def test_a_batch_out_of_order_is_refused_with_the_head(door, box):
    """Out of order, overlapping, contradicting, in a closed epoch: 409 and where to go on."""
    first, second = box.batch(4), box.batch(4)
    assert refused(door, box, second.body) == (409, "seq-gap")
    receipt_of(door, first, door.send(box, first.body))
    receipt_of(door, second, door.send(box, second.body))
    assert refused(door, box, box.batch(6, first_seq=3).body) == (409, "seq-overlap")
    assert refused(door, box, box.batch(3, epoch=2, first_seq=1, prev=None).body) == (
        409,
        "epoch-closed",
    )
    answer = door.send(box, box.batch(2, first_seq=1, prev=None).body)
    assert answer.refusal == (409, "seq-conflict")
    head = answer.json["head"]
    assert head["lanes"]["vehicle"] == {"next_seq": 9, "last_batch": second.id}
    check_ledger(door.hub, [first, second])


def test_a_body_that_is_none_is_refused(door, box):
    """Cut anywhere, with a tail, with other events than sealed, of an unknown encoding."""
    batch = box.batch(3)
    whole = batch.unpacked
    for cut in (0, 1, 3, 4, 50, len(batch.statement) + 10, len(whole) - 1):
        assert refused(door, box, whole[:cut] or b"\0", encoding=None)[1] == "malformed-batch"
    assert refused(door, box, whole + b"\0", encoding=None) == (400, "malformed-batch")
    other = wire.encode_body(batch.statement, batch.seal, box.reports(3))
    assert refused(door, box, other, encoding=None) == (400, "malformed-batch")
    assert refused(door, box, batch.body[:-1]) == (400, "malformed-batch")
    assert refused(door, box, batch.body + batch.body) == (400, "malformed-batch")
    assert refused(door, box, gzip.compress(whole)[:-1], encoding="gzip")[1] == "malformed-batch"
    assert refused(door, box, whole, encoding="br") == (400, "malformed-batch")
    assert refused(door, box, whole, encoding="zstd") == (400, "malformed-batch")
    receipt_of(door, batch, door.send(box, batch.body))
    assert (
        b'kickstand_boxes_refused{code="malformed-batch"} ' in door.test_client.get("/metrics").data
    )


def test_a_bomb_is_refused_from_its_header(door, box):
    """6 kB that unpack to 200 MB, stated or not, zstd or gzip: 400, at once, in little memory."""
    zeros = bytes(200_000_000)
    unstated = io.BytesIO()
    with zstandard.ZstdCompressor(write_content_size=False).stream_writer(
        unstated, closefd=False
    ) as out:
        out.write(zeros)
    bombs = [
        (zstandard.ZstdCompressor(level=3).compress(zeros), "zstd"),
        (unstated.getvalue(), "zstd"),
        (gzip.compress(zeros, 1), "gzip"),
    ]
    del zeros
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    for bomb, encoding in bombs:
        assert len(bomb) < wire.MAX_BODY_BYTES
        assert refused(door, box, bomb, encoding=encoding) == (400, "malformed-batch")
    assert time.process_time() - began < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 20_000


def test_a_box_speaks_only_for_itself(door, box):
    """Another device in the statement, the hub's own lane, a seal that is not the box's."""
    foreign = Box(2).enrolled(door.hub).batch(2)
    assert refused(door, box, foreign.body) == (403, "device-mismatch")
    own = box.batch(1, lane="hub", first_seq=1)
    assert refused(door, box, own.body) == (403, "device-mismatch")
    unsealed = wire.encode_body(own.statement, b"\0" * 64, own.events)
    assert refused(door, box, unsealed, encoding=None)[0] == 403
    batch = box.batch(2)
    seal = wire.seal(batch.statement, Box(2).key)
    body = wire.encode_body(batch.statement, seal, batch.events)
    assert refused(door, box, body, encoding=None) == (400, "seal-invalid")
    receipt_of(door, batch, door.send(box, batch.body))


def test_a_hub_with_a_long_queue_puts_boxes_off(tmp_path, sqlite_url):
    """Above the limit: 503 with Retry-After, signed; nothing is taken half."""
    limits = IngestConfig(queue_batches_max=0)
    with running(tmp_path, sqlite_url, ingest=limits) as hub:
        door, box = DoorClient(hub), Box(1).enrolled(hub)
        answer = door.send(box, box.batch(1).body)
        assert answer.refusal == (503, "busy")
        assert answer.headers["retry-after"] == "2"
        assert not batch_ids(hub)


def test_captures_are_proven_by_their_numbers(door, box, hub):
    """
    After its place was lost a box asks which captures the ledger has: in runs, each with a
    proof that its own bytes verify under the checkpoint beside it.
    """
    events = box.reports(40)
    for lo, hi in ((0, 12), (12, 13), (13, 30)):
        assert door.send(box, box.batch(events[lo:hi]).body).status == 200
    answer = door.get("/v1/receipts", box, "lane=vehicle&gen=1&from=5&to=39").json
    head = open_checkpoint(answer["checkpoint"], hub.ledger.key)
    numbers: list[int] = []
    for run in answer["runs"]:
        mine = events[run["n_from"] - 1 : run["n_to"]]
        hashes = wire.leaf_hashes(mine, bytes.fromhex(run["batch_id"]), run["received_ms"])
        proof = unpack_hashes(run, "proof")
        verify_range(run["first_index"], hashes, head.size, proof=proof, tree_root=head.root)
        numbers += range(run["n_from"], run["n_to"] + 1)
    assert list(range(5, 31)) == numbers


@pytest.mark.parametrize(
    "query",
    [
        "",
        "lane=hub&gen=1&from=1&to=2",
        "lane=sale&gen=1&from=1",
        "lane=sale&gen=1&from=3&to=2",
        "lane=sale&gen=x&from=1&to=2",
    ],
)
def test_a_question_for_captures_that_is_none_is_refused(door, box, query):
    """A lane, a generation and two numbers."""
    assert door.get("/v1/receipts", box, query).refusal == (400, "malformed-request")


def test_captures_nobody_has_are_no_runs(door, box):
    """Numbers beyond, of another lane: an empty list under a signed head."""
    door.send(box, box.batch(3).body)
    for query in ("lane=vehicle&gen=1&from=9&to=20",
                  "lane=sale&gen=1&from=1&to=900000000000000"):  # fmt: skip
        assert door.get("/v1/receipts", box, query).json["runs"] == []
