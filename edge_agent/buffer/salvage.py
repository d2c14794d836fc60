"""A damaged buffer: moved aside whole, read row by row, and rebuilt. Nothing is ever deleted.

The new file is built beside and renamed into place, so a power cut during a salvage only means
that the next start does it again.
"""

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent import migrations
from edge_agent.buffer import carving, segments, settings
from edge_agent.buffer.connection import (
    ERRORS,
    PAGE_BYTES,
    ConnectionFactory,
    connect_readonly,
    sync_folder,
)
from edge_agent.buffer.frames import Segment, decode_frame
from edge_agent.buffer.reposition import Gap, Span, add_gap
from edge_agent.errors import BufferDamaged
from shared.wire import batch as wire
from shared.wire.batch import MalformedBatch

QUARANTINE = "quarantine"
_DONE = "salvaged"
_PROBE_MAX = 200_000
PADDED_MAX_BYTES = 16 * 1024**3
# Whole tables of small rows, copied as far as they can be read. Frames, segments and batches
# are checked one by one instead.
_COPIED = {
    "setting": ("name", "value"),
    "numbering": ("lane", "gen", "next_n"),
    "lane": ("lane", "next_seq", "last_batch", "halted"),
    "seen": ("scope", "key", "content", "at"),
    "seen_counter": ("scope", "key", "highest", "window", "at"),
    "sold": ("serial", "till", "receipt", "gen", "n"),
    "activation": ("gen", "n", "serial", "state", "asked", "waited_ms"),
    "gap": ("lane", "gen", "first_n", "last_n", "reason"),
    "rejected": ("id", "source", "reason", "raw", "boot", "mono_ms"),
    "tally": ("name", "value"),
}
_BATCH_COLUMNS = (
    "id",
    "lane",
    "epoch",
    "first_seq",
    "count",
    "bytes",
    "batch_id",
    "statement",
    "seal",
    "segments",
    "first_index",
    "received_ms",
    "receipted_running_ms",
)
_BATCHES = f"SELECT {', '.join(_BATCH_COLUMNS)} FROM batch ORDER BY id"  # noqa: S608 - our own column names
_INSERT_BATCH = (
    f"INSERT INTO batch ({', '.join(_BATCH_COLUMNS)})"  # noqa: S608 - our own column names
    f" VALUES ({', '.join(f':{name}' for name in _BATCH_COLUMNS)})"
)


@dataclass(slots=True)
class Report:
    """What a salvage found."""

    quarantined: Path
    events: int = 0
    missing: int = 0
    gen: int = 1
    batches_kept: int = 0
    tables_cut_short: list[str] = field(default_factory=list)

    @property
    def sold_unknown(self) -> bool:
        """Whether units may be sold of which the new file does not know it."""
        return "sold" in self.tables_cut_short


def unfinished(path: Path) -> Path | None:
    """The quarantined copy whose salvage a power cut interrupted, if the buffer is missing."""
    if path.exists():
        return None
    folders = sorted((path.parent / QUARANTINE).glob("[0-9][0-9][0-9][0-9]"))
    if not folders or (folders[-1] / _DONE).exists() or not (folders[-1] / path.name).exists():
        return None
    _move(path, folders[-1])
    return folders[-1] / path.name


def quarantine(path: Path) -> Path:
    """Move the buffer's files into a fresh folder beside it; the copy's path."""
    home = path.parent / QUARANTINE
    home.mkdir(mode=0o700, exist_ok=True)
    taken = [int(found.name) for found in home.glob("[0-9][0-9][0-9][0-9]")]
    folder = home / f"{max(taken, default=0) + 1:04d}"
    folder.mkdir(mode=0o700)
    _move(path, folder)
    return folder / path.name


def _move(path: Path, folder: Path) -> None:
    # The main file first. Power lost between the moves leaves a log without its file, which the
    # next start moves too; the other way round, an old state would pass for a whole buffer.
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(folder / part.name)
    sync_folder(folder)
    sync_folder(path.parent)


def rebuild(path: Path, damaged: Path, factory: ConnectionFactory, *, gen_floor: int) -> Report:
    """Build a new buffer at `path` from the quarantined copy.

    The current generation becomes one that was never used; numbers that were issued and are not
    found become gaps, and the buffer is in doubt until the hub was asked.
    """
    draft = path.with_name(path.name + ".new")
    for suffix in ("", "-wal", "-shm"):
        path.with_name(draft.name + suffix).unlink(missing_ok=True)
    report = Report(damaged)
    _pad(damaged)
    old = _open_damaged(damaged)
    new = factory(draft)
    try:
        migrations.migrate(new)
        new.execute("BEGIN IMMEDIATE")
        found = _read_frames(old, damaged)
        if old is None:
            report.tables_cut_short.extend(_COPIED)
        else:
            _copy_tables(old, new, report)
        _store(old, new, found, report)
        if "numbering" in report.tables_cut_short:
            _raise_numbers(new, damaged)
        _declare(new, found, report)
        _renew(new, found, report, gen_floor)
        new.commit()
    finally:
        new.close()
        if old is not None:
            old.close()
    draft.rename(path)
    (damaged.parent / _DONE).touch()
    sync_folder(damaged.parent)
    sync_folder(path.parent)
    return report


def _open_damaged(damaged: Path) -> sqlite3.Connection | None:
    try:
        connection = connect_readonly(damaged)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not migrations.schema_is_whole(connection):
            connection.close()
            return None
    except ERRORS:
        return None
    return connection


def _pad(damaged: Path) -> None:
    """SQLite reads nothing of a file that is shorter than it says. Zeros at the end, which take
    no room, let it read the pages that are there; not one byte of the copy is changed."""
    with damaged.open("r+b") as file:
        header = file.read(32)
        size = int.from_bytes(header[28:32], "big") * PAGE_BYTES
        if damaged.stat().st_size < size <= PADDED_MAX_BYTES:
            file.truncate(size)


def _read_frames(old: sqlite3.Connection | None, damaged: Path) -> dict[int, Segment]:
    """Every whole frame by segment id: as SQLite finds them, and what it misses by the pages."""
    found: dict[int, Segment] = {}
    for segment, blob in _frame_rows(old) if old is not None else ():
        _keep(found, segment, blob)
    for segment, blob in carving.frames(damaged):
        if segment not in found:
            _keep(found, segment, blob)
    return found


def _keep(found: dict[int, Segment], segment: int, blob: object) -> None:
    if not isinstance(blob, bytes):
        return
    try:
        found[segment] = decode_frame(blob)
    except BufferDamaged:
        return  # Its numbers become a gap: the hub is asked, then the loss is declared.


def _frame_rows(old: sqlite3.Connection) -> Iterator[tuple[int, object]]:
    low = -1
    for row in _readable(old, "SELECT segment, blob FROM frame ORDER BY segment"):
        if not isinstance(row[0], int) or row[0] <= low:
            break
        low = row[0]
        yield row[0], row[1]
    high = None
    for row in _readable(old, "SELECT segment, blob FROM frame ORDER BY segment DESC"):
        if not isinstance(row[0], int) or row[0] <= low or (high is not None and row[0] >= high):
            break
        high = row[0]
        yield row[0], row[1]
    if high is None or high - low > _PROBE_MAX:
        return
    for segment in range(low + 1, high):
        query = "SELECT segment, blob FROM frame WHERE segment = :segment"
        for row in _readable(old, query, {"segment": segment}):
            yield segment, row[1]


def _readable(
    old: sqlite3.Connection, query: str, values: Mapping[str, object] | None = None
) -> Iterator[tuple[object, ...]]:
    """Rows of a query up to the first unreadable page."""
    try:
        yield from old.execute(query, dict(values or {}))
    except sqlite3.ProgrammingError:
        raise
    except ERRORS:
        return


def _copy_tables(old: sqlite3.Connection, new: sqlite3.Connection, report: Report) -> None:
    for table, columns in _COPIED.items():
        names = ", ".join(columns)
        marks = ", ".join("?" for _ in columns)
        query = f"SELECT {names} FROM {table}"  # noqa: S608 - the names above
        insert = f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own column names
        try:
            for row in old.execute(query):
                _insert_if_sound(new, insert, row)
        except ERRORS:
            report.tables_cut_short.append(table)


def _insert_if_sound(new: sqlite3.Connection, insert: str, row: tuple[object, ...]) -> None:
    try:
        new.execute(insert, row)
    except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.OperationalError):
        return  # A row that the schema refuses was damaged; what it said is asked of the hub.


def _store(
    old: sqlite3.Connection | None,
    new: sqlite3.Connection,
    found: dict[int, Segment],
    report: Report,
) -> None:
    """Put the segments into the new file; whole batches keep their place, others wait."""
    fresh: dict[int, int] = {}
    for segment in sorted(_without_overlap(found)):
        part = found[segment]
        fresh[segment] = segments.insert(new, part, put_running_ms=0)
        report.events += len(part.events)
    for row in _readable(old, _BATCHES) if old is not None else ():
        values = dict(zip(_BATCH_COLUMNS, row, strict=True))
        if _store_batch(new, values, found, fresh):
            report.batches_kept += 1


def _without_overlap(found: dict[int, Segment]) -> list[int]:
    """Ids of segments no number of which came before: a page that SQLite had given up may still
    hold a frame whose events also stand elsewhere, and nothing may be sent twice."""
    taken: dict[tuple[str, int], list[tuple[int, int]]] = {}
    kept = []
    for segment, part in found.items():
        ranges = taken.setdefault((part.lane, part.gen), [])
        at = bisect_left(ranges, (part.first_n, 0))
        before = ranges[at - 1][1] if at else 0
        after = ranges[at][0] if at < len(ranges) else part.last_n + 1
        if before < part.first_n and part.last_n < after:
            ranges.insert(at, (part.first_n, part.last_n))
            kept.append(segment)
    return kept


def _store_batch(
    new: sqlite3.Connection,
    row: dict[str, object],
    found: dict[int, Segment],
    fresh: dict[int, int],
) -> bool:
    ids = _whole_batch(row, found)
    if ids is None or not all(segment in fresh for segment in ids):
        return False
    values = {**row, "segments": json.dumps([fresh[segment] for segment in ids])}
    try:
        new.execute(_INSERT_BATCH, values)
    except ERRORS:
        return False
    for segment in ids:
        new.execute(
            "UPDATE segment SET batch = :batch WHERE id = :segment",
            {"batch": row["id"], "segment": fresh[segment]},
        )
    return True


def _whole_batch(row: dict[str, object], found: dict[int, Segment]) -> list[int] | None:
    """Segment ids of a batch whose statement fits its id and its events, else None."""
    statement, batch_id, text = row["statement"], row["batch_id"], row["segments"]
    if not isinstance(statement, bytes) or not isinstance(text, str):
        return None
    try:
        ids = json.loads(text)
        events = [event for segment in ids for event in found[segment].events]
        stated = wire.parse_statement(statement)
    except (ValueError, KeyError, TypeError, MalformedBatch):
        return None
    if wire.batch_id(statement) != batch_id or wire.event_root(events).hex() != stated.root:
        return None
    return list(ids)


def _raise_numbers(new: sqlite3.Connection, damaged: Path) -> None:
    """Numbers that were issued, as far as single pages still tell."""
    for lane, gen, next_n in carving.numberings(damaged):
        if 1 <= gen < 2**31 and segments.next_n(new, lane, gen) < next_n < 2**53:
            segments.set_next_n(new, lane, gen, next_n)


def _declare(new: sqlite3.Connection, found: dict[int, Segment], report: Report) -> None:
    """Numbers that were issued and are not here become gaps, until the hub was asked."""
    issued = {
        (str(lane), int(gen)): int(next_n)
        for lane, gen, next_n in new.execute("SELECT lane, gen, next_n FROM numbering")
    }
    held: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for part in found.values():
        held.setdefault((part.lane, part.gen), []).append((part.first_n, part.last_n))
    for name in issued.keys() | held.keys():
        ranges = segments.merge_ranges(held.get(name, []))
        end = max(issued.get(name, 1), ranges[-1][1] + 1 if ranges else 1)
        segments.set_next_n(new, name[0], name[1], end)
        at = 1
        for first, last in [*ranges, (end, end)]:
            if at < first:
                add_gap(new, Gap(Span(*name, at, first - 1), "corrupt"))
                report.missing += first - at
            at = last + 1


def _renew(
    new: sqlite3.Connection, found: dict[int, Segment], report: Report, gen_floor: int
) -> None:
    known = [gen_floor, *(part.gen for part in found.values())]
    known.extend(int(gen) for (gen,) in new.execute("SELECT gen FROM numbering"))
    stored = settings.recall(new, settings.GEN)
    if stored is not None and stored.isdecimal() and int(stored) < 2**31:
        known.append(int(stored))
    report.gen = max(known) + 1
    settings.remember(new, settings.GEN, report.gen)
    settings.remember(new, settings.DOUBT, "salvage")
    settings.remember(new, settings.RING_BYTES, None)
    if report.sold_unknown:
        settings.remember(new, settings.SOLD_UNKNOWN, "salvage")
    epoch = settings.recall(new, settings.EPOCH)
    if epoch is not None and not epoch.isdecimal():
        settings.remember(new, settings.EPOCH, None)
    settings.count(new, "salvages")


def readable_events(path: Path) -> Iterator[bytes]:
    """Every event that can still be read in a buffer file, damaged or not, in no order.

    Nothing is written to the file.
    """
    old = _open_damaged(path)
    try:
        for part in _read_frames(old, path).values():
            yield from part.events
    finally:
        if old is not None:
            old.close()
