"""What the ledger says of each box: when last heard, how it is, which captures are missing."""

from collections.abc import Iterable, Sequence

import orjson
from sqlalchemy import Connection, Table, delete, insert, select, update

from hub.devices.rules import Run, merge
from hub.devices.store import CAPTURE_RANGE, CAPTURE_RUN, DECLARED_LOSS, DEVICE_STATUS
from hub.ledger.followers import LedgerEntry
from hub.store import bulk_insert
from shared.wire.events import Event, Fact, Heartbeat, Loss

LaneKey = tuple[str, str, int]


class DeviceFollower:
    """Keeps `device_status`, `capture_range`, `capture_run` and `declared_loss`."""

    name = "devices"
    tables: tuple[Table, ...] = (DEVICE_STATUS, CAPTURE_RANGE, CAPTURE_RUN, DECLARED_LOSS)

    def apply(self, connection: Connection, entries: Sequence[LedgerEntry]) -> None:
        """Fold in `entries`."""
        ranges = _ranges(entries)
        bulk_insert(connection, CAPTURE_RANGE, ranges)
        by_lane: dict[LaneKey, list[Run]] = {}
        for device, lane, gen, first, last, _ in ranges:
            by_lane.setdefault((device, lane, gen), []).append((first, last))
        for key, runs in by_lane.items():
            _extend_runs(connection, key, runs)
        losses = [row for entry in entries for row in _losses(entry)]
        bulk_insert(connection, DECLARED_LOSS, losses)
        for entry in entries:
            _fact(connection, entry)
        newest: dict[str, list[LedgerEntry]] = {}
        for entry in entries:
            if entry.lane != "hub":
                newest.setdefault(entry.device, []).append(entry)
        for device, own in newest.items():
            _status(connection, device, own)


def _ranges(
    entries: Iterable[LedgerEntry],
) -> list[tuple[str, str, int, int, int, int]]:
    """(device, lane, gen, first n, last n, first index): runs that lie together in one batch."""
    found: list[tuple[str, str, int, int, int, int]] = []
    last_batch = ""
    for entry in entries:
        event = entry.event
        if event is None or entry.lane == "hub":
            last_batch = ""
            continue
        if found and last_batch == entry.batch_id:
            device, lane, gen, first, last, index = found[-1]
            follows = event.gen == gen and event.n == last + 1
            if follows and index + (last - first) + 1 == entry.index:
                found[-1] = (device, lane, gen, first, event.n, index)
                continue
        found.append((entry.device, entry.lane, event.gen, event.n, event.n, entry.index))
        last_batch = entry.batch_id
    return found


def _extend_runs(connection: Connection, key: LaneKey, new: Sequence[Run]) -> None:
    """Merge `new` into the coverage of a lane; the usual case extends its last run."""
    device, lane, gen = key
    where = (
        CAPTURE_RUN.c.device == device,
        CAPTURE_RUN.c.lane == lane,
        CAPTURE_RUN.c.gen == gen,
    )
    low = min(first for first, _ in new) - 1
    high = max(last for _, last in new) + 1
    touched = [
        (row.first_n, row.last_n)
        for row in connection.execute(
            select(CAPTURE_RUN.c.first_n, CAPTURE_RUN.c.last_n).where(
                *where, CAPTURE_RUN.c.first_n <= high, CAPTURE_RUN.c.last_n >= low
            )
        )
    ]
    merged = merge([*touched, *new])
    if len(touched) == len(merged) == 1 and touched[0][0] == merged[0][0]:
        connection.execute(
            update(CAPTURE_RUN)
            .where(*where, CAPTURE_RUN.c.first_n == touched[0][0])
            .values(last_n=merged[0][1])
        )
        return
    for first, _ in touched:
        connection.execute(delete(CAPTURE_RUN).where(*where, CAPTURE_RUN.c.first_n == first))
    bulk_insert(
        connection, CAPTURE_RUN, [(device, lane, gen, first, last) for first, last in merged]
    )


def _losses(entry: LedgerEntry) -> list[tuple[object, ...]]:
    event = entry.event
    if event is None or not isinstance(event.data, Loss):
        return []
    loss = event.data
    return [
        (entry.index, part, entry.device, loss.lane, loss.gen, first, last, loss.reason)
        for part, (first, last) in enumerate(loss.ranges)
    ]


def _fact(connection: Connection, entry: LedgerEntry) -> None:
    """Facts of the hub about a device: its row begins with its enrolment."""
    event = entry.event
    if event is None or entry.lane != "hub" or not isinstance(event.data, Fact):
        return
    device = event.data.values.get("device")
    if event.type == "device.enrolled":
        connection.execute(
            insert(DEVICE_STATUS).values(
                device=device,
                dealer=entry.dealer,
                epochs=1,
                events=0,
                last_index=entry.index,
                last_received_ms=entry.received_ms,
            )
        )
    elif event.type == "device.epoch_opened":
        connection.execute(
            update(DEVICE_STATUS)
            .where(DEVICE_STATUS.c.device == device)
            .values(epochs=DEVICE_STATUS.c.epochs + 1, epoch_opened_index=entry.index)
        )


def _heartbeat(event: Event, beat: Heartbeat, received_ms: int) -> dict[str, object]:
    return {
        "heartbeat_ms": received_ms,
        "version": beat.version,
        "clock": event.occurred.clock,
        "clock_err_ms": event.occurred.err_ms,
        "backlog_sale": beat.backlog.get("sale"),
        "backlog_vehicle": beat.backlog.get("vehicle"),
        "backlog_system": beat.backlog.get("system"),
        "oldest_unsent_ms": beat.oldest_unsent_ms,
        "buffer_bytes": beat.buffer_bytes,
        "disk_free_bytes": beat.disk_free_bytes,
        "ledger_size": beat.ledger_size,
        "sources": orjson.dumps(dict(beat.sources)).decode(),
        "counters": orjson.dumps(dict(beat.counters)).decode(),
    }


def _status(connection: Connection, device: str, entries: Sequence[LedgerEntry]) -> None:
    last = entries[-1]
    values: dict[str, object] = {
        "dealer": last.dealer,
        "last_index": last.index,
        "last_received_ms": last.received_ms,
    }
    for entry in reversed(entries):
        event = entry.event
        if event is not None and isinstance(event.data, Heartbeat):
            values |= _heartbeat(event, event.data, entry.received_ms)
            break
    connection.execute(
        update(DEVICE_STATUS)
        .where(DEVICE_STATUS.c.device == device)
        .values(**values, events=DEVICE_STATUS.c.events + len(entries))
    )
