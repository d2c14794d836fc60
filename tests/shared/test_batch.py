"""Statements, seals and bodies: exact on the way there and back, bounded for everybody else."""

import contextlib
import gzip
import hashlib
import json
import tracemalloc
from dataclasses import replace

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.keys import BadSignature, SigningKey
from shared.wire import batch as wire
from shared.wire.batch import (
    MAX_BODY_BYTES,
    AttachmentMissing,
    CaptureRange,
    MalformedBatch,
    Statement,
    TreeHead,
    decode_body,
    decompress,
    encode_body,
    event_root,
    parse_statement,
)
from shared.wire.events import Occurred
from tests.checks.wire_samples import VALUES, golden, paths, replaced

KEY = SigningKey.from_seed(bytes(31) + b"\x01")
STATEMENT = parse_statement(golden("statement.json"))
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
TIMES = st.one_of(
    st.builds(
        Occurred,
        wall_ms=st.integers(0, 4_000_000_000_000),
        err_ms=st.integers(0, 10**9),
        clock=st.sampled_from(["rtc", "ntp", "hub"]),
        boot=st.text("0123456789abcdef", min_size=1, max_size=8),
        mono_ms=st.integers(0, 10**12),
    ),
    st.just(Occurred(wall_ms=None, err_ms=0, clock="none", boot="b", mono_ms=5)),
)


def body_of(*events: bytes, attachments: tuple[bytes, ...] = (), count: int | None = None) -> bytes:
    """A sealed body of these events."""
    total = len(events) if count is None else count
    statement = replace(
        STATEMENT,
        count=total,
        root=event_root(events).hex(),
        ranges=(CaptureRange(1, 1, total),),
    ).encode()
    return encode_body(statement, wire.seal(statement, KEY), events, attachments)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """Any statement a box might seal."""
    lengths = draw(st.lists(st.integers(1, 60), min_size=1, max_size=8))
    first, ranges = 1, []
    for length in lengths:
        first += draw(st.integers(0, 1000))
        ranges.append(CaptureRange(draw(st.integers(1, 9)), first, first + length - 1))
        first += length
    return Statement(
        device="dev_" + "a" * 26,
        epoch=draw(st.integers(1, 2**31)),
        lane=draw(st.sampled_from(["sale", "vehicle", "system", "hub"])),
        first_seq=draw(st.integers(1, 2**40)),
        count=sum(lengths),
        root=draw(HASHES),
        prev=draw(st.none() | HASHES),
        checkpoint=draw(st.none() | st.builds(TreeHead, st.integers(0, 2**40), HASHES)),
        ranges=tuple(ranges),
        sealed=draw(TIMES),
    )


@given(statements())
def test_a_statement_reads_back(statement):
    """Encoding and parsing are each other's inverse."""
    assert parse_statement(statement.encode()) == statement


@given(st.binary() | st.text().map(str.encode) | VALUES.map(json.dumps).map(str.encode))
def test_any_bytes_are_a_statement_a_body_or_malformed(raw):
    """Hostile bytes raise MalformedBatch and nothing else."""
    for read in (parse_statement, decode_body):
        with pytest.raises(MalformedBatch):
            read(raw)


@given(st.data(), VALUES)
def test_any_value_anywhere_in_a_statement_is_read_or_malformed(data, value):
    """Any JSON value in any place is read or refused."""
    document = golden("statement.json")
    path = data.draw(st.sampled_from(paths(json.loads(document))))
    with contextlib.suppress(MalformedBatch):
        parse_statement(replaced(document, path, value))


@given(st.data())
def test_any_damage_to_a_body_is_malformed(data):
    """A flipped bit anywhere but in the seal is found, and the seal's own by its key."""
    raw = golden("body.hex")
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        body = decode_body(bytes(changed))
    except MalformedBatch:
        return
    key = SigningKey.from_seed(
        bytes.fromhex(json.loads(golden("keys.json"))["agent"]["seed"])
    ).public
    with pytest.raises(BadSignature):
        wire.verify_seal(body.statement_bytes, body.seal, key)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=60))
def test_a_body_gives_back_what_was_put_in(events):
    """Events of any bytes travel untouched: the ledger judges bytes, not schemas."""
    body = decode_body(body_of(*events))

    assert body.events == tuple(events)
    assert body.events_bytes == wire.pack_events(events)
    assert body.batch_id == hashlib.sha256(body.statement_bytes).hexdigest()
    wire.verify_seal(body.statement_bytes, body.seal, KEY.public)


def test_a_body_is_bounded():
    """Empty events, too many, too large, a length beyond the end, a tail: each is malformed."""
    good = body_of(b"a", b"b")
    for raw in (
        body_of(b"a", b""),
        body_of(b"a", b"x" * 32_769),
        body_of(*[b"e"] * 501),
        body_of(b"a", count=2),
        body_of(b"a", b"b", count=1),
        good + b"\0",
        good[:-1],
        good[:-1] + b"c",
        body_of(*[b"x" * 30_000] * 40),
        b"\xff\xff\xff\xff" + good[4:],
        b"\0\0\0\0" + good[4:],
        good + bytes(MAX_BODY_BYTES),
        b"",
        b"\0\0\0",
    ):
        with pytest.raises(MalformedBatch):
            decode_body(raw)


CIPHER = bytes(range(200))
NAMED = {"sha256": hashlib.sha256(CIPHER).hexdigest(), "bytes": len(CIPHER)}
WITH_ATTACHMENT = json.dumps({"attachments": [NAMED]}).encode()
ESCAPED = WITH_ATTACHMENT.replace(b"sha256", b"sh\\u0061256")


@pytest.mark.parametrize("event", [WITH_ATTACHMENT, ESCAPED], ids=["plain", "escaped"])
def test_no_batch_without_its_attachments(event):
    """What an event names must be in the body, in order, whole and unaltered."""
    body = body_of(b"{}", event, event, attachments=(CIPHER, CIPHER))
    assert decode_body(body).attachments == (CIPHER, CIPHER)

    for carried in ((), (CIPHER,), (CIPHER, CIPHER[:-1] + b"x"), (CIPHER, CIPHER[:-1])):
        with pytest.raises(AttachmentMissing):
            decode_body(body_of(b"{}", event, event, attachments=carried))
    with pytest.raises(MalformedBatch, match="after the last"):
        decode_body(body_of(event, attachments=(CIPHER, CIPHER)))


def test_a_seal_fits_one_statement_and_one_key():
    """Another byte or another key breaks the seal; the same statement always gives the same."""
    statement = golden("statement.json")
    signature = wire.seal(statement, KEY)

    assert signature == wire.seal(statement, KEY)
    wire.verify_seal(statement, signature, KEY.public)
    other = SigningKey.from_seed(bytes(31) + b"\x02").public
    for changed, key in ((statement + b" ", KEY.public), (statement, other)):
        with pytest.raises(BadSignature):
            wire.verify_seal(changed, signature, key)


@given(st.binary(min_size=1, max_size=5_000))
def test_compression_is_undone(body):
    """zstd, gzip and nothing at all give the same body."""
    assert decompress(wire.compress(body), "zstd") == body
    assert decompress(gzip.compress(body), "gzip") == body
    assert decompress(body, None) == body


@given(st.binary(), st.sampled_from(["zstd", "gzip", "br", "ZSTD", ""]))
def test_any_bytes_unpack_or_are_malformed(data, encoding):
    """Hostile bytes under any encoding raise MalformedBatch and nothing else."""
    with pytest.raises(MalformedBatch):
        decompress(data, encoding)


def bombs() -> dict[str, tuple[bytes, str]]:
    """Few bytes that unpack to very many, in every way a frame can say so."""
    zeros = bytes(200_000_000)
    stated = zstandard.ZstdCompressor(level=3).compress(zeros)
    unstated = zstandard.ZstdCompressor(level=3, write_content_size=False).compress(zeros)
    header = wire.compress(b"x" * 1000)
    lying = header.replace(wire.compress(b"x" * 1000)[4:7], stated[4:7], 1)
    return {
        "states 200 MB": (stated, "zstd"),
        "states nothing": (unstated, "zstd"),
        "states little": (lying, "zstd"),
        "gzip": (gzip.compress(zeros), "gzip"),
        "two frames": (header + header, "zstd"),
        "a tail": (header + b"tail", "zstd"),
        "gzip with a tail": (gzip.compress(b"x") + gzip.compress(b"y"), "gzip"),
        "cut gzip": (gzip.compress(b"x" * 1000)[:-1], "gzip"),
    }


def test_a_bomb_is_refused_without_memory():
    """6 kB that unpack to 200 MB cost neither memory nor time; neither does any of its kin."""
    for name, (data, encoding) in bombs().items():
        tracemalloc.start()
        with pytest.raises(MalformedBatch):
            decompress(data, encoding)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 4 * MAX_BODY_BYTES, name
