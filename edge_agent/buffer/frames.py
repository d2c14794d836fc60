"""Checksummed frames: one zstd frame holds a segment's events, attachments and identity.

A frame says by itself whose events it holds, so it can be salvaged without the rows around it,
and zstd's content checksum tells a flipped byte from a good one.
"""

import struct
from dataclasses import dataclass

import zstandard

from edge_agent.errors import BufferDamaged
from shared.wire.events import LANES

MAGIC = b"KSF1"
MAX_SEGMENT_EVENTS = 100
MAX_SEGMENT_BYTES = 512 * 1024
_HEADER = struct.Struct(">4sBBIQHH")
_LENGTH = struct.Struct(">I")
_LEVEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive captures of one lane and generation that were committed together."""

    lane: str
    priority: int
    gen: int
    first_n: int
    events: tuple[bytes, ...]
    attachments: tuple[bytes, ...] = ()

    @property
    def last_n(self) -> int:
        """Number of the last event."""
        return self.first_n + len(self.events) - 1


def encode_frame(segment: Segment) -> bytes:
    """The frame to store."""
    parts = [
        _HEADER.pack(
            MAGIC,
            LANES.index(segment.lane),
            segment.priority,
            segment.gen,
            segment.first_n,
            len(segment.events),
            len(segment.attachments),
        )
    ]
    for blob in (*segment.events, *segment.attachments):
        parts.append(_LENGTH.pack(len(blob)))
        parts.append(blob)
    compressor = zstandard.ZstdCompressor(
        level=_LEVEL, write_checksum=True, write_content_size=True
    )
    return compressor.compress(b"".join(parts))


def decode_frame(frame: bytes) -> Segment:
    """The segment in a frame. Raises BufferDamaged for any bytes that are not a whole frame."""
    try:
        size = zstandard.get_frame_parameters(frame).content_size
        if not _HEADER.size <= size <= 4 * MAX_SEGMENT_BYTES:
            raise BufferDamaged(f"frame states {size} bytes")
        plain = zstandard.ZstdDecompressor().decompress(frame)
        return _parse(plain)
    except (zstandard.ZstdError, struct.error, IndexError) as error:
        raise BufferDamaged(f"frame of {len(frame)} bytes is not readable: {error}") from error


def _parse(plain: bytes) -> Segment:
    magic, lane, priority, gen, first_n, event_count, attachment_count = _HEADER.unpack_from(plain)
    if magic != MAGIC:
        raise BufferDamaged("frame has an unknown layout")
    blobs: list[bytes] = []
    at = _HEADER.size
    for _ in range(event_count + attachment_count):
        (length,) = _LENGTH.unpack_from(plain, at)
        at += _LENGTH.size
        blobs.append(plain[at : at + length])
        at += length
    if at != len(plain) or not event_count:
        raise BufferDamaged("frame is cut short")
    return Segment(
        lane=LANES[lane],
        priority=priority,
        gen=gen,
        first_n=first_n,
        events=tuple(blobs[:event_count]),
        attachments=tuple(blobs[event_count:]),
    )
