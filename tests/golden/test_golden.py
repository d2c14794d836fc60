"""Old bytes stay readable: today's code reads every golden file, and refuses every refused one."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hub.ledger.verifier import kickstand_verify
from shared.checkpoint import NoteKey, open_checkpoint, verify_cosignature
from shared.crypto.commitment import commit_buyer
from shared.crypto.encryption import BUYER_INFO, DecryptionKey
from shared.crypto.keys import BadSignature, KeySet, MalformedKeySet, PublicKey
from shared.crypto.rotation import MalformedRotation, Rotation
from shared.http_signatures import Request, SignatureRefused, verify_request, verify_response
from shared.wire.batch import (
    MalformedBatch,
    decode_body,
    decompress,
    leaf,
    parse_statement,
    verify_seal,
)
from shared.wire.events import MalformedEvent, parse_event
from shared.wire.problems import parse_problem
from shared.wire.receipts import MalformedReceipt, ReceiptRefused, parse_receipt, verify_receipt
from tests.checks import http_base
from tests.checks.wire_samples import event_names, golden
from tests.golden import make

REFUSED = Path(__file__).parent / "refused"
KEYS = json.loads(golden("keys.json"))
AGENT = PublicKey(bytes.fromhex(KEYS["agent"]["public"]))
HUB = PublicKey(bytes.fromhex(KEYS["hub"]["public"]))
LOG_KEY = NoteKey.parse(KEYS["hub"]["ledger_vkey"])
EXCHANGES = sorted(path.name for path in make.HERE.glob("http.*.json"))


def test_todays_code_writes_the_same_bytes():
    """Version 1 has not moved: all that is deterministic comes out as it was written once."""
    written = make.files()
    kept = {path.name: path.read_bytes() for path in make.HERE.iterdir()}

    assert set(kept) == set(written)
    assert [] == [name for name in kept if kept[name] != written[name]]


def test_the_golden_batch_is_whole():
    """Body, compressed body, statement, seal, attachment and leaf belong together."""
    body = decode_body(golden("body.hex"))

    assert decompress(golden("body.zst.hex"), "zstd") == golden("body.hex")
    assert body.statement_bytes == golden("statement.json")
    assert body.attachments == (golden("attachment.hex"),)
    assert body.events[0] == golden("event.pos.sale.json")
    verify_seal(body.statement_bytes, golden("seal.hex"), AGENT)
    batch = bytes.fromhex(body.batch_id)
    assert leaf(body.events[0], batch, 1_795_354_314_384) == golden("leaf.hex")


def test_the_golden_receipt_proves_the_golden_batch():
    """From the known head, under the golden key; the cosignature vouches for the same head."""
    body = decode_body(golden("body.hex"))
    known = open_checkpoint(golden("known.txt").decode(), LOG_KEY)
    checkpoint = verify_receipt(
        parse_receipt(golden("receipt.json")),
        batch_id=body.batch_id,
        events=body.events,
        log_key=LOG_KEY,
        known=known,
    )
    head = golden("checkpoint.txt").decode()
    line = golden("cosignature.txt").decode()

    assert (checkpoint.text, checkpoint.size) == (head, 15)
    text = head.split("\n\n")[0] + "\n"
    assert verify_cosignature(text, line, name=KEYS["device"], public=AGENT) == 1_795_354_312


def test_the_golden_buyer_is_read_by_the_hub_alone():
    """The attachment decrypts under the hub's key and fits the sale's commitment."""
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(KEYS["encryption"]["private"]))
    plain = json.loads(DecryptionKey(private).decrypt(golden("attachment.hex"), info=BUYER_INFO))
    sale = json.loads(golden("event.pos.sale.json"))
    salt = bytes.fromhex(plain["salt"])

    assert plain == json.loads(golden("buyer.json"))
    commitment = commit_buyer(name=plain["name"], phone=plain["phone"], salt=salt)
    assert sale["data"]["buyer"]["commitment"] == commitment


@pytest.mark.parametrize("name", event_names())
def test_golden_events_parse(name):
    """Every type of version 1."""
    assert f"event.{parse_event(golden(name)).type}.json" == name


def request_of(described: dict[str, object]) -> Request:
    """A request from its golden description."""
    fields = {k: described[k] for k in ("method", "authority", "path", "query", "headers")}
    return Request(**fields, body=bytes.fromhex(str(described["body_hex"])))  # type: ignore[arg-type]


def key_of(keyid: str) -> PublicKey:
    """The one key of the golden agent."""
    if keyid != AGENT.keyid:
        raise SignatureRefused("key-unknown", keyid)
    return AGENT


@pytest.mark.parametrize("name", EXCHANGES)
def test_golden_exchanges_verify(name):
    """Requests and answers verify with the product and with the independent builder."""
    exchange = json.loads(golden(name))
    request, answer = request_of(exchange["request"]), exchange["response"]
    sent, got = make.messages(request, answer["status"], answer["headers"])
    if "signature" in request.headers:
        verify_request(
            request, authority="hub.example", key_of=key_of, now_s=KEYS["now_ms"] // 1000
        )
        assert http_base.verifies(sent, "agent", AGENT.raw)
    body = bytes.fromhex(answer["body_hex"])
    verify_response(
        request,
        status=answer["status"],
        headers=answer["headers"],
        body=body,
        keys={HUB.keyid: HUB},
    )
    assert http_base.verifies(got, "hub", HUB.raw)
    if answer["status"] >= 400:
        assert parse_problem(body).status == answer["status"]


def refuse_event(raw: bytes) -> None:
    """An event that cannot be read."""
    with pytest.raises(MalformedEvent):
        parse_event(raw)


def refuse_statement(raw: bytes) -> None:
    """A statement that cannot be read."""
    with pytest.raises(MalformedBatch):
        parse_statement(raw)


def refuse_body(raw: bytes) -> None:
    """A body that contradicts itself."""
    with pytest.raises(MalformedBatch):
        decode_body(bytes.fromhex(raw.decode()))


def refuse_receipt(raw: bytes) -> None:
    """A receipt that does not prove the golden batch."""
    body = decode_body(golden("body.hex"))
    known = open_checkpoint(golden("known.txt").decode(), LOG_KEY)
    with pytest.raises((MalformedReceipt, ReceiptRefused)):
        verify_receipt(
            parse_receipt(raw),
            batch_id=body.batch_id,
            events=body.events,
            log_key=LOG_KEY,
            known=known,
        )


def refuse_keyset(raw: bytes) -> None:
    """A key set that is not the root's."""
    with pytest.raises(MalformedKeySet):
        KeySet.parse(raw, fingerprint=KEYS["root"]["fingerprint"])


def test_the_golden_rotation_is_signed_by_both_keys():
    """Old and new; the id of the device stays that of its first key."""
    found = Rotation.parse(json.loads(golden("rotation.json")))
    found.verify(AGENT)

    assert (found.device, found.new) == (KEYS["device"], make.NEXT.public)


def refuse_rotation(raw: bytes) -> None:
    """A next key that both keys did not sign for."""
    with pytest.raises((MalformedRotation, BadSignature)):
        Rotation.parse(json.loads(raw)).verify(AGENT)


def refuse_proof(raw: bytes) -> None:
    """An exported file that proves nothing."""
    key = kickstand_verify.NoteKey.parse(LOG_KEY.vkey)
    with pytest.raises(kickstand_verify.NotProven):
        kickstand_verify.verify(kickstand_verify.parse_proof(raw), key)


def refuse_request(raw: bytes) -> None:
    """A request, by its code."""
    described = json.loads(raw)
    with pytest.raises(SignatureRefused) as caught:
        verify_request(
            request_of(described["request"]),
            authority="hub.example",
            key_of=key_of,
            now_s=KEYS["now_ms"] // 1000,
        )
    assert caught.value.code == described["code"]


READERS = {
    "event": refuse_event,
    "statement": refuse_statement,
    "body": refuse_body,
    "receipt": refuse_receipt,
    "keyset": refuse_keyset,
    "rotation": refuse_rotation,
    "proof": refuse_proof,
    "request": refuse_request,
}
FILES = sorted(str(path.relative_to(REFUSED)) for path in REFUSED.rglob("*.*"))


@pytest.mark.parametrize("name", FILES)
def test_every_way_to_be_wrong_is_refused(name):
    """One file, one way; its folder names the reader, its name says what is wrong."""
    READERS[name.split("/")[0]]((REFUSED / name).read_bytes())


def test_every_reader_has_ways_to_be_wrong():
    """No reader is left without refused files, no folder without a reader."""
    assert {name.split("/")[0] for name in FILES} == set(READERS)
    assert len(FILES) >= 85
