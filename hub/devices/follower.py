"""What the ledger says of each box: when last heard, how it is, which captures are missing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import orjson
from sqlalchemy import Connection, Table, insert, update

from hub.devices.rules import Run, merge
from hub.devices.store import (
    CAPTURE_RANGE,
    CAPTURE_RUN,
    DECLARED_LOSS,
    DEVICE_STATUS,
    DROP_RUN,
    EXTEND_RUN,
    HEARD,
    LANE,
    RUNS_BESIDE,
)
from hub.ledger.followers import LedgerEntry, Write
from hub.store import bulk_insert
from shared.wire.events import Fact, Heartbeat, Loss

LaneKey = tuple[str, str, int]


class DeviceFollower:
    """Keeps `device_status`, `capture_range`, `capture_run` and `declared_loss`."""

    name = "devices"
    tables: tuple[Table, ...] = (DEVICE_STATUS, CAPTURE_RANGE, CAPTURE_RUN, DECLARED_LOSS)

    def fold(self, entries: Sequence[LedgerEntry]) -> Write:
        """Fold in `entries`."""
        ranges = _ranges(entries)
        by_lane: dict[LaneKey, list[Run]] = {}
        for device, lane, gen, first, last, _ in ranges:
            by_lane.setdefault((device, lane, gen), []).append((first, last))
        rare = [entry for entry in entries if entry.lane in {"hub", "system"}]
        losses = [row for entry in rare for row in _losses(entry)]
        heard = _heard(entries)

        def write(connection: Connection) -> None:
            bulk_insert(connection, CAPTURE_RANGE, ranges)
            _extend_runs(connection, by_lane)
            bulk_insert(connection, DECLARED_LOSS, losses)
            for entry in rare:
                _fact(connection, entry)
            HEARD.run(connection, heard)
            for entry in rare:
                _heartbeat(connection, entry)

        return write


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


def _extend_runs(connection: Connection, by_lane: Mapping[LaneKey, Sequence[Run]]) -> None:
    """Merge new runs into the coverage of their lanes; the usual case extends a lane's last run."""
    sought = [
        (*key, min(first for first, _ in new) - 1, max(last for _, last in new) + 1)
        for key, new in by_lane.items()
    ]
    beside: dict[LaneKey, list[Run]] = {}
    for device, lane, gen, first, last in RUNS_BESIDE.rows(connection, sought):
        beside.setdefault((device, lane, gen), []).append((first, last))
    extended: list[tuple[object, ...]] = []
    dropped: list[dict[str, object]] = []
    added: list[tuple[object, ...]] = []
    for key, new in by_lane.items():
        touched = beside.get(key, [])
        merged = merge([*touched, *new])
        if len(touched) == len(merged) == 1 and touched[0][0] == merged[0][0]:
            extended.append((*key, *merged[0]))
            continue
        named = dict(zip(LANE, key, strict=True))
        dropped.extend({**named, "first_n": first} for first, _ in touched)
        added.extend((*key, *run) for run in merged)
    EXTEND_RUN.run(connection, extended)
    DROP_RUN.run(connection, dropped)
    bulk_insert(connection, CAPTURE_RUN, added)


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


def _heard(entries: Sequence[LedgerEntry]) -> list[tuple[object, ...]]:
    """Of each box its last entry, and how many there were."""
    counts: Counter[str] = Counter()
    last: dict[str, LedgerEntry] = {}
    for entry in entries:
        if entry.lane != "hub":
            counts[entry.device] += 1
            last[entry.device] = entry
    return [
        (device, entry.dealer, entry.index, entry.received_ms, counts[device])
        for device, entry in last.items()
    ]


def _heartbeat(connection: Connection, entry: LedgerEntry) -> None:
    event = entry.event
    if event is None or not isinstance(event.data, Heartbeat):
        return
    beat = event.data
    connection.execute(
        update(DEVICE_STATUS)
        .where(DEVICE_STATUS.c.device == entry.device)
        .values(
            heartbeat_ms=entry.received_ms,
            version=beat.version,
            clock=event.occurred.clock,
            clock_err_ms=event.occurred.err_ms,
            backlog_sale=beat.backlog.get("sale"),
            backlog_vehicle=beat.backlog.get("vehicle"),
            backlog_system=beat.backlog.get("system"),
            oldest_unsent_ms=beat.oldest_unsent_ms,
            buffer_bytes=beat.buffer_bytes,
            disk_free_bytes=beat.disk_free_bytes,
            ledger_size=beat.ledger_size,
            sources=orjson.dumps(dict(beat.sources)).decode(),
            counters=orjson.dumps(dict(beat.counters)).decode(),
        )
    )
