"""Reading frames from a damaged SQLite file page by page, without its b-trees.

A frame is a row (rowid, blob) on a table-leaf page, its rest on a chain of overflow pages. Every
leaf page is read, whoever points to it or no longer does; the frame's checksum and magic decide.
The write-ahead log's committed pages come before those of the file.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from edge_agent.buffer.connection import PAGE_BYTES
from shared.wire.events import LANES

_LEAF = 0x0D
_INDEX_LEAF = 0x0A
_INT_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_WAL_HEADER = 32
_WAL_FRAME_HEADER = 24
_MAX_PAYLOAD = 4 * 1024 * 1024
# SQLite's file format, section 1.6: how much of a cell's payload stays on a leaf page.
_MAX_LOCAL = PAGE_BYTES - 35
_MIN_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23


def numberings(path: Path) -> Iterator[tuple[str, int, int]]:
    """(lane, gen, next_n) of every row of the table `numbering` that a page still holds."""
    pages = _Pages(path)
    for number in range(2, pages.count + 1):
        page = pages.read(number)
        if page is not None and page[0] == _INDEX_LEAF:
            yield from _numbering_rows(page)


def _numbering_rows(page: bytes) -> Iterator[tuple[str, int, int]]:
    for at in _cells(page, 0):
        try:
            size, at = _varint(page, at)  # noqa: PLW2901 - a cursor
            lane, *numbers = _record(page[at : at + size])
        except (IndexError, ValueError):
            continue
        if lane in LANES and len(numbers) == 2 and all(type(n) is int for n in numbers):
            yield str(lane), cast("int", numbers[0]), cast("int", numbers[1])


def _record(data: bytes) -> list[object]:
    """Texts and whole numbers of a record. Raises ValueError for anything else."""
    header, cursor = _varint(data, 0)
    kinds = []
    while cursor < header:
        kind, cursor = _varint(data, cursor)
        kinds.append(kind)
    values: list[object] = []
    for kind in kinds:
        if kind in _INT_BYTES:
            size = _INT_BYTES[kind]
            values.append(int.from_bytes(data[cursor : cursor + size], "big", signed=True))
        elif kind in {8, 9}:
            size = 0
            values.append(kind - 8)
        elif kind >= 13 and kind % 2:
            size = (kind - 13) // 2
            values.append(data[cursor : cursor + size].decode())
        else:
            raise ValueError(f"serial type {kind}")
        cursor += size
    return values


def frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """Pairs of row id and blob that look like frames; the caller checks them."""
    pages = _Pages(path)
    for number in range(1, pages.count + 1):
        page = pages.read(number)
        if page is not None:
            yield from _leaf_rows(pages, page, 100 if number == 1 else 0)


class _Pages:
    """The file's pages with the committed part of its log laid over them."""

    def __init__(self, path: Path) -> None:
        self._data = _contents(path)
        self._log = _contents(path.with_name(path.name + "-wal"))
        self._over = _committed(self._log)
        in_file = -(-len(self._data) // PAGE_BYTES)
        self.count = max([in_file, *self._over])

    def read(self, number: int) -> bytes | None:
        """A page, or None where there is none."""
        at = self._over.get(number)
        if at is not None:
            return bytes(self._log[at : at + PAGE_BYTES])
        page = bytes(self._data[(number - 1) * PAGE_BYTES : number * PAGE_BYTES])
        return page if len(page) == PAGE_BYTES else None


def _contents(path: Path) -> bytes | mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return b""


def _committed(log: bytes | mmap.mmap) -> dict[int, int]:
    """Page number → offset of its newest committed copy in the log."""
    if len(log) < _WAL_HEADER:
        return {}
    salts = log[16:24]
    over: dict[int, int] = {}
    pending: dict[int, int] = {}
    for at in range(_WAL_HEADER, len(log) - PAGE_BYTES, _WAL_FRAME_HEADER + PAGE_BYTES):
        number, size = struct.unpack_from(">II", log, at)
        # Another salt: a frame of an earlier round that this one has not overwritten.
        if log[at + 8 : at + 16] != salts or not 0 < number < 2**30:
            break
        pending[number] = at + _WAL_FRAME_HEADER
        if size:
            over.update(pending)
            pending.clear()
    return over


def _leaf_rows(pages: _Pages, page: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    if page[start] != _LEAF:
        return
    for at in _cells(page, start):
        row = _cell(pages, page, at)
        if row is not None:
            yield row


def _cells(page: bytes, start: int) -> Iterator[int]:
    """Offsets of a leaf page's cells."""
    (cells,) = struct.unpack_from(">H", page, start + 3)
    for index in range(min(cells, (PAGE_BYTES - start - 8) // 2)):
        yield struct.unpack_from(">H", page, start + 8 + 2 * index)[0]


def _cell(pages: _Pages, page: bytes, at: int) -> tuple[int, bytes] | None:
    """Row id and blob of a two-column cell (NULL for the id, then a blob), or None."""
    try:
        size, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if not 8 < size <= _MAX_PAYLOAD or not 0 < rowid < 2**62:
            return None
        payload = _payload(pages, page, at, size)
        if payload is None:
            return None
        header, cursor = _varint(payload, 0)
        id_type, cursor = _varint(payload, cursor)
        blob_type, cursor = _varint(payload, cursor)
    except IndexError:
        return None
    blob = payload[header:]
    whole = cursor == header and id_type == 0 and blob_type == 2 * len(blob) + 12
    return (rowid, blob) if whole and blob.startswith(_ZSTD_MAGIC) else None


def _payload(pages: _Pages, page: bytes, at: int, size: int) -> bytes | None:
    if size <= _MAX_LOCAL:
        return page[at : at + size]
    local = _MIN_LOCAL + (size - _MIN_LOCAL) % (PAGE_BYTES - 4)
    if local > _MAX_LOCAL:
        local = _MIN_LOCAL
    parts = [page[at : at + local]]
    rest = size - local
    pointer = page[at + local : at + local + 4]
    while rest > 0:
        if len(pointer) != 4:
            return None
        overflow = pages.read(int.from_bytes(pointer, "big"))
        if overflow is None:
            return None
        parts.append(overflow[4 : 4 + rest])
        rest -= PAGE_BYTES - 4
        pointer = overflow[:4]
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for length in range(9):
        byte = data[at + length]
        if length == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + length + 1
    raise IndexError
