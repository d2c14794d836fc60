"""Batches: the statement, its seal, the body that carries them, and the ledger's leaves.

Cutting a batch gives its events their place ``(epoch, lane, seq)`` and states it in a *statement*
that is sealed once. The batch id is the SHA-256 of the statement. Integers are big-endian.
"""

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import orjson
import zstandard

from shared import merkle
from shared.crypto.dsse import pae
from shared.crypto.keys import PublicKey, SigningKey
from shared.wire import fields
from shared.wire.events import (
    CLOCKS,
    LANES,
    MAX_EVENT_BYTES,
    Lane,
    Occurred,
    attachments_of,
)
from shared.wire.fields import Clockwork, Json, MalformedField
from shared.wire.versions import WIRE_VERSION

CONTENT_TYPE = "application/vnd.kickstand.batch.v1"
STATEMENT_TYPE = "application/vnd.kickstand.statement.v1+json"
MAX_BATCH_EVENTS = 500
MAX_BODY_BYTES = 1024 * 1024
"""Of the unpacked body, attachments included."""
MAX_STATEMENT_BYTES = 64 * 1024
MAX_RANGES = MAX_BATCH_EVENTS
SEAL_BYTES = 64
LEAF_VERSION = b"\x01"


class MalformedBatch(ValueError):
    """The bytes are not a batch. The message says where."""


class AttachmentMissing(MalformedBatch):
    """An event names an attachment that the body does not carry, or carries another."""


@dataclass(frozen=True, slots=True)
class CaptureRange:
    """Capture numbers ``first..last`` (both included) of one generation."""

    gen: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The last checkpoint a box had verified when it sealed."""

    size: int
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a box seals: the place and the content of a batch."""

    device: str
    epoch: int
    lane: Lane
    first_seq: int
    count: int
    root: str
    """Hex RFC 6962 root over the events' bytes as leaves."""
    prev: str | None
    """Hex SHA-256 of the previous statement of this device, epoch and lane."""
    checkpoint: TreeHead | None
    ranges: tuple[CaptureRange, ...]
    sealed: Occurred

    def encode(self) -> bytes:
        """The bytes to seal, written once."""
        return orjson.dumps(
            {
                "v": WIRE_VERSION,
                "device": self.device,
                "epoch": self.epoch,
                "lane": self.lane,
                "first_seq": self.first_seq,
                "count": self.count,
                "root": self.root,
                "prev": self.prev,
                "checkpoint": self.checkpoint
                and {"size": self.checkpoint.size, "root": self.checkpoint.root},
                "n": [[r.gen, r.first, r.last] for r in self.ranges],
                "sealed": {
                    "wall": None
                    if self.sealed.wall_ms is None
                    else fields.format_time(self.sealed.wall_ms),
                    "err_ms": self.sealed.err_ms,
                    "clock": self.sealed.clock,
                    "boot": self.sealed.boot,
                    "mono_ms": self.sealed.mono_ms,
                },
            }
        )


def _capture_range(value: object, name: str) -> CaptureRange:
    if not isinstance(value, list) or len(value) != 3:
        raise fields.refuse(name, "[gen, from, to]", value)
    gen = fields.integer({"gen": value[0]}, "gen", 1)
    first, last = fields.read_range(value[1:], name)
    return CaptureRange(gen, first, last)


def _tree_head(value: object) -> TreeHead | None:
    if value is None:
        return None
    head = fields.mapping(value, "checkpoint")
    return TreeHead(fields.integer(head, "size"), fields.hexadecimal(head, "root"))


def _sealed(value: object) -> Occurred:
    moment = fields.mapping(value, "sealed")
    return Occurred(
        wall_ms=fields.time_ms(moment, "wall"),
        err_ms=fields.integer(moment, "err_ms"),
        clock=cast("Clockwork", fields.choice(moment, "clock", CLOCKS)),
        boot=fields.text(moment, "boot", 64),
        mono_ms=fields.integer(moment, "mono_ms"),
    )


def _statement(values: Json) -> Statement:
    version = fields.integer(values, "v", 1)
    if version > WIRE_VERSION:
        raise fields.refuse("v", f"a version up to {WIRE_VERSION}", version)
    ranges = fields.each(values, "n", MAX_RANGES, _capture_range)
    count = fields.integer(values, "count", 1, MAX_BATCH_EVENTS)
    if sum(r.last - r.first + 1 for r in ranges) != count:
        raise fields.refuse("n", f"ranges of {count} capture numbers", len(ranges))
    prev = None if values.get("prev") is None else fields.hexadecimal(values, "prev")
    return Statement(
        device=fields.text(values, "device", 64),
        epoch=fields.integer(values, "epoch", 1),
        lane=cast("Lane", fields.choice(values, "lane", (*LANES, "hub"))),
        first_seq=fields.integer(values, "first_seq", 1),
        count=count,
        root=fields.hexadecimal(values, "root"),
        prev=prev,
        checkpoint=_tree_head(values.get("checkpoint")),
        ranges=ranges,
        sealed=_sealed(values.get("sealed")),
    )


def parse_statement(raw: bytes) -> Statement:
    """Parse a statement. Raises MalformedBatch, and nothing else, for any bytes."""
    if len(raw) > MAX_STATEMENT_BYTES:
        raise MalformedBatch(f"statement of {len(raw)} bytes; at most {MAX_STATEMENT_BYTES}")
    try:
        return _statement(fields.mapping(orjson.loads(raw), "statement"))
    except MalformedField as error:
        raise MalformedBatch(f"statement: {error}") from error
    except (orjson.JSONDecodeError, UnicodeError, RecursionError, OverflowError) as error:
        raise MalformedBatch(f"statement is not JSON: {error}") from error


def batch_id(statement: bytes) -> str:
    """Lower-case hex SHA-256 of the statement's bytes."""
    return hashlib.sha256(statement).hexdigest()


def seal(statement: bytes, key: SigningKey) -> bytes:
    """64 raw bytes: one Ed25519 signature over the DSSE PAE of the statement."""
    return key.sign(pae(STATEMENT_TYPE, statement))


def verify_seal(statement: bytes, signature: bytes, key: PublicKey) -> None:
    """Raises shared.crypto.keys.BadSignature unless `signature` seals `statement`."""
    key.verify(signature, pae(STATEMENT_TYPE, statement))


def event_root(events: Sequence[bytes]) -> bytes:
    """The RFC 6962 root over the events' bytes."""
    sha256 = hashlib.sha256
    return merkle.root_of([sha256(b"\x00" + event).digest() for event in events])


def leaf(event: bytes, batch: bytes, received_ms: int) -> bytes:
    """The ledger's leaf: 0x01 ‖ u32 len ‖ event ‖ batch id (32 bytes) ‖ received_ms (u64)."""
    return b"".join(
        (LEAF_VERSION, len(event).to_bytes(4, "big"), event, batch, received_ms.to_bytes(8, "big"))
    )


def leaf_hashes(events: Sequence[bytes], batch: bytes, received_ms: int) -> list[bytes]:
    """The RFC 6962 leaf hashes of a whole batch."""
    sha256 = hashlib.sha256
    tail = batch + received_ms.to_bytes(8, "big")
    return [
        sha256(b"\x00\x01" + len(event).to_bytes(4, "big") + event + tail).digest()
        for event in events
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A batch as it came over the wire, taken apart."""

    statement_bytes: bytes
    statement: Statement
    seal: bytes
    events: tuple[bytes, ...]
    events_bytes: bytes
    """All events with their length prefixes, as received."""
    attachments: tuple[bytes, ...]
    batch_id: str


def pack_events(events: Sequence[bytes]) -> bytes:
    """``(u16 len ‖ event)*``."""
    return b"".join(len(event).to_bytes(2, "big") + event for event in events)


def unpack_events(packed: bytes, count: int) -> tuple[tuple[bytes, ...], int]:
    """`count` events and the offset behind them. Raises MalformedBatch."""
    events = []
    offset, end = 0, len(packed)
    for index in range(count):
        start = offset + 2
        if start > end:
            raise MalformedBatch(f"body ends before event {index} of {count}")
        size = packed[offset] << 8 | packed[offset + 1]
        offset = start + size
        if offset > end:
            raise MalformedBatch(f"body ends inside event {index} of {count}")
        if not 0 < size <= MAX_EVENT_BYTES:
            raise MalformedBatch(f"event {index} has {size} bytes")
        events.append(packed[start:offset])
    return tuple(events), offset


def encode_body(
    statement: bytes, signature: bytes, events: Sequence[bytes], attachments: Sequence[bytes] = ()
) -> bytes:
    """u32 len ‖ statement ‖ seal ‖ (u16 len ‖ event)* ‖ (u32 len ‖ attachment)*."""
    return b"".join(
        (
            len(statement).to_bytes(4, "big"),
            statement,
            signature,
            pack_events(events),
            pack_attachments(attachments),
        )
    )


def pack_attachments(items: Sequence[bytes]) -> bytes:
    """``(u32 len ‖ attachment)*``."""
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def unpack_attachments(packed: bytes) -> tuple[bytes, ...]:
    """What pack_attachments packed; of our own making, never from outside."""
    items = []
    offset = 0
    while offset < len(packed):
        start = offset + 4
        offset = start + int.from_bytes(packed[offset:start], "big")
        items.append(packed[start:offset])
    return tuple(items)


def decode_body(raw: bytes, *, bare: bool = False) -> Body:
    """Take a body apart and check it against its own statement, all but the seal.

    Checked: lengths, count, root over the events, attachments named and carried in order.
    `bare`: they may also all be absent. Raises MalformedBatch (AttachmentMissing for the last),
    and nothing else, for any bytes.
    """
    if len(raw) > MAX_BODY_BYTES:
        raise MalformedBatch(f"body of {len(raw)} bytes; at most {MAX_BODY_BYTES}")
    end = 4 + int.from_bytes(raw[:4], "big")
    if len(raw) < end + SEAL_BYTES:
        raise MalformedBatch("body ends inside statement or seal")
    statement_bytes = raw[4:end]
    statement = parse_statement(statement_bytes)
    packed = raw[end + SEAL_BYTES :]
    events, offset = unpack_events(packed, statement.count)
    if event_root(events).hex() != statement.root:
        raise MalformedBatch("the events are not those of the statement's root")
    return Body(
        statement_bytes=statement_bytes,
        statement=statement,
        seal=raw[end : end + SEAL_BYTES],
        events=events,
        events_bytes=packed[:offset],
        attachments=_attachments(events, packed, offset, bare=bare),
        batch_id=batch_id(statement_bytes),
    )


def _may_name_attachments(events: bytes) -> bool:
    # Parsing 500 events to find none would cost more than all other checks together. JSON may also
    # spell the key with an escape; ours never do.
    return b'"sha256"' in events or b"\\u" in events


def _attachments(
    events: tuple[bytes, ...], packed: bytes, end: int, *, bare: bool
) -> tuple[bytes, ...]:
    """What lies behind the events, which end at `end` of `packed`, as they name it."""
    rest = packed[end:]
    # One look at all of them: nearly no batch carries any.
    if not rest and (bare or not _may_name_attachments(packed)):
        return ()
    found = []
    offset = 0
    for event in filter(_may_name_attachments, events):
        for attachment in attachments_of(event):
            start = offset + 4
            offset = start + int.from_bytes(rest[offset:start], "big")
            item = rest[start:offset]
            if (
                offset > len(rest)
                or len(item) != attachment.size_bytes
                or hashlib.sha256(item).hexdigest() != attachment.sha256
            ):
                raise AttachmentMissing(f"attachment {attachment.sha256} is not in the body")
            found.append(item)
    if offset != len(rest):
        raise MalformedBatch(f"{len(rest) - offset} bytes after the last attachment")
    return tuple(found)


def attachments_named(events: Sequence[bytes]) -> list[str]:
    """Hashes of the attachments that these events name, in order."""
    return [
        item.sha256
        for event in filter(_may_name_attachments, events)
        for item in attachments_of(event)
    ]


def compress(body: bytes) -> bytes:
    """One zstd frame (level 3) that states its content's size."""
    return zstandard.ZstdCompressor(level=3).compress(body)


def decompress(data: bytes, encoding: str | None) -> bytes:
    """The unpacked body. `encoding` is ``zstd``, ``gzip`` or None.

    Never unpacks more than MAX_BODY_BYTES: a zstd frame must state its size, and is refused
    from its header. Raises MalformedBatch.
    """
    if encoding is None:
        return data
    if encoding == "gzip":
        return _gunzip(data)
    if encoding != "zstd":
        raise MalformedBatch(f"unknown content encoding {encoding!r}; use zstd or gzip")
    try:
        size = zstandard.frame_content_size(data)
        if not 0 < size <= MAX_BODY_BYTES:
            raise MalformedBatch(f"zstd frame of {size} bytes; it must state 1…{MAX_BODY_BYTES}")
        unpacked = zstandard.ZstdDecompressor().decompress(
            data, max_output_size=MAX_BODY_BYTES, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise MalformedBatch(f"not a zstd frame: {error}") from error
    if len(unpacked) != size:
        raise MalformedBatch("zstd frame of another size than it states")
    return unpacked


def _gunzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(data, MAX_BODY_BYTES + 1)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise MalformedBatch(f"not gzip: {error}") from error
    if len(unpacked) > MAX_BODY_BYTES:
        raise MalformedBatch(f"gzip unpacks to more than {MAX_BODY_BYTES} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedBatch("gzip is truncated or has a tail")
    return unpacked
