"""Receipts: proof that a batch stands on the ledger, never a promise that it will.

The box recomputes the leaves from its own bytes; a receipt that it verified is the only thing
that takes a batch off its queue.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from shared import merkle
from shared.checkpoint import (
    Checkpoint,
    MalformedNote,
    NoteKey,
    NoteUnsigned,
    from_base64,
    open_checkpoint,
)
from shared.wire import fields
from shared.wire.batch import MAX_BATCH_EVENTS, leaf_hashes
from shared.wire.fields import Json, MalformedField
from shared.wire.versions import WIRE_VERSION

MAX_RECEIPT_BYTES = 64 * 1024
MAX_PROOF_HASHES = 128
MAX_RECEIVED_MS = 2**48


class MalformedReceipt(ValueError):
    """The bytes are not a receipt."""


class ReceiptRefused(ValueError):
    """The receipt is readable and does not prove what it has to. Nothing may be freed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """That the receipt's tree extends the tree of `old` leaves."""

    old: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Where a batch stands, since when, and the proof of it under a signed checkpoint."""

    batch_id: str
    first_index: int
    count: int
    received_ms: int
    proof: tuple[bytes, ...]
    checkpoint: str
    consistency: Consistency | None = None

    def encode(self) -> bytes:
        """The answer's body."""
        values: dict[str, object] = {
            "v": WIRE_VERSION,
            "batch_id": self.batch_id,
            "first_index": self.first_index,
            "count": self.count,
            "received_ms": self.received_ms,
            "proof": pack_hashes(self.proof),
            "checkpoint": self.checkpoint,
        }
        if self.consistency is not None:
            values["consistency"] = {
                "old": self.consistency.old,
                "proof": pack_hashes(self.consistency.proof),
            }
        return orjson.dumps(values)


def pack_hashes(hashes: Sequence[bytes]) -> str:
    """Concatenated 32-byte hashes in base64."""
    return base64.b64encode(b"".join(hashes)).decode("ascii")


def unpack_hashes(source: Json, name: str) -> tuple[bytes, ...]:
    """The hashes of a base64 text. Raises MalformedField."""
    value = source.get(name)
    if not isinstance(value, str) or len(value) > MAX_PROOF_HASHES * 44:
        raise fields.refuse(name, "hashes in base64", value)
    try:
        data = from_base64(value)
    except MalformedNote:
        raise fields.refuse(name, "hashes in canonical base64", value) from None
    if len(data) % 32:
        raise fields.refuse(name, "whole hashes of 32 bytes", len(data))
    return tuple(data[i : i + 32] for i in range(0, len(data), 32))


def _receipt(values: Json) -> Receipt:
    fields.integer(values, "v", 1, WIRE_VERSION)
    consistency = None
    if values.get("consistency") is not None:
        growth = fields.mapping(values["consistency"], "consistency")
        consistency = Consistency(
            old=fields.integer(growth, "old", 1), proof=unpack_hashes(growth, "proof")
        )
    checkpoint = values.get("checkpoint")
    if not isinstance(checkpoint, str):
        raise fields.refuse("checkpoint", "a signed note", checkpoint)
    return Receipt(
        batch_id=fields.hexadecimal(values, "batch_id"),
        first_index=fields.integer(values, "first_index"),
        count=fields.integer(values, "count", 1, MAX_BATCH_EVENTS),
        received_ms=fields.integer(values, "received_ms", 0, MAX_RECEIVED_MS),
        proof=unpack_hashes(values, "proof"),
        checkpoint=checkpoint,
        consistency=consistency,
    )


def parse_receipt(raw: bytes) -> Receipt:
    """Parse a receipt. Raises MalformedReceipt, and nothing else, for any bytes."""
    if len(raw) > MAX_RECEIPT_BYTES:
        raise MalformedReceipt(f"receipt of {len(raw)} bytes; at most {MAX_RECEIPT_BYTES}")
    try:
        return _receipt(fields.mapping(orjson.loads(raw), "receipt"))
    except MalformedField as error:
        raise MalformedReceipt(str(error)) from error
    except (orjson.JSONDecodeError, UnicodeError, RecursionError, OverflowError) as error:
        raise MalformedReceipt(f"not JSON: {error}") from error


def verify_growth(known: Checkpoint, new: Checkpoint, growth: Consistency | None) -> None:
    """Raises ReceiptRefused unless the tree of `new` extends (or is) the tree of `known`."""
    if new.size < known.size:
        raise ReceiptRefused(
            f"checkpoint of {new.size} entries after one of {known.size}: the hub lost history"
        )
    if new.size == known.size:
        if new.root != known.root:
            raise ReceiptRefused(f"two roots for a ledger of {new.size} entries")
        return
    if known.size == 0:
        return
    if growth is None or growth.old != known.size:
        raise ReceiptRefused(f"no consistency proof from {known.size} entries")
    try:
        merkle.verify_consistency(known.size, known.root, new.size, new.root, proof=growth.proof)
    except merkle.ProofRefused as error:
        raise ReceiptRefused(f"consistency: {error}") from error


def verify_receipt(
    receipt: Receipt,
    *,
    batch_id: str,
    events: Sequence[bytes],
    log_key: NoteKey,
    known: Checkpoint | None,
) -> Checkpoint:
    """The checkpoint under which exactly these events are proven to stand on the ledger.

    `events` are the box's own bytes, `known` the last checkpoint it verified. Raises
    ReceiptRefused, and nothing else, if any link is missing.
    """
    if receipt.batch_id != batch_id:
        raise ReceiptRefused(f"receipt of batch {receipt.batch_id}, expected {batch_id}")
    if receipt.count != len(events):
        raise ReceiptRefused(f"receipt of {receipt.count} events for {len(events)}")
    try:
        checkpoint = open_checkpoint(receipt.checkpoint, log_key)
        merkle.verify_range(
            receipt.first_index,
            leaf_hashes(events, bytes.fromhex(batch_id), receipt.received_ms),
            checkpoint.size,
            proof=receipt.proof,
            tree_root=checkpoint.root,
        )
    except (MalformedNote, NoteUnsigned, merkle.ProofRefused) as error:
        raise ReceiptRefused(str(error)) from error
    if known is not None:
        verify_growth(known, checkpoint, receipt.consistency)
    return checkpoint
