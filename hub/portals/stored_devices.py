"""The pages' questions about boxes, answered by the devices feature and the ledger."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, cast

from hub.devices import reads
from hub.ledger import overview
from hub.portals.read_models import Count, Device, DeviceFilter, Hole, Slice
from hub.store import Database

SILENT_MS: Final = 15 * 60 * 1000
"""A box that says nothing for this long is shown as silent: three heartbeats missed."""

KEPT_MS: Final = 2000
Trouble = Callable[[Device, int], bool]
TROUBLES: Final[Mapping[str, Trouble]] = {
    "silent": lambda box, now_ms: box.seen_ms is None or now_ms - box.seen_ms >= SILENT_MS,
    "backlog": lambda box, _: sum(box.backlog.values()) > 0,
    "undeclared": lambda box, _: box.undeclared > 0,
    "clock": lambda box, _: box.clock == "none",
    "clone": lambda box, _: box.suspected_clone,
}


class StoredDevices:
    """Reads the boxes of one hub: all at once, at most every two seconds."""

    def __init__(self, database: Database) -> None:
        """Know nothing yet."""
        self._database = database
        self._boxes: list[Device] = []
        self._read_ms: int | None = None

    def _all(self, now_ms: int) -> list[Device]:
        if self._read_ms is None or not 0 <= now_ms - self._read_ms < KEPT_MS:
            with self._database.read() as connection:
                boxes = reads.boxes(connection)
                lost = reads.lost_runs(connection)
                histories = overview.box_histories(connection, now_ms)
            self._boxes = [
                _device(box, lost.get(box.device, []), histories.get(box.device)) for box in boxes
            ]
            self._read_ms = now_ms
        return self._boxes

    def _chosen(self, chosen: DeviceFilter, now_ms: int) -> list[Device]:
        trouble = None if chosen.trouble is None else TROUBLES.get(chosen.trouble)
        return [
            box
            for box in self._all(now_ms)
            if chosen.dealer in {None, box.dealer}
            and (chosen.device is None or box.device.startswith(chosen.device))
            and (trouble is None or trouble(box, now_ms))
        ]

    def devices(self, chosen: DeviceFilter, page: Slice, now_ms: int) -> Sequence[Device]:
        """A page of them, by store."""
        boxes = self._chosen(chosen, now_ms)
        places = {box.device: place for place, box in enumerate(boxes)}
        start, end = 0, len(boxes)
        if page.after is not None:
            start = places.get(str(page.after), len(boxes)) + 1
        if page.before is not None:
            end = places.get(str(page.before), 0)
            start = max(0, end - page.limit)
        return boxes[start : min(end, start + page.limit)]

    def device(self, device: str, now_ms: int) -> Device | None:
        """One box."""
        return next((box for box in self._all(now_ms) if box.device == device), None)

    def device_counts(self, chosen: DeviceFilter, now_ms: int) -> Mapping[str, Count]:
        """How many, by trouble, and ``all``."""
        counts = {
            name: Count(n=len(self._chosen(replace(chosen, trouble=name), now_ms)))
            for name in TROUBLES
        }
        counts["all"] = Count(n=len(self._chosen(replace(chosen, trouble=None), now_ms)))
        return counts

    def holes(self, device: str, limit: int) -> Sequence[Hole]:
        """What one box lost: undeclared holes first."""
        with self._database.read() as connection:
            runs = reads.lost_runs(connection, device).get(device, [])
        holes = [
            Hole(
                lane=run.lane,
                gen=run.gen,
                first_n=run.first_n,
                last_n=run.last_n,
                reason=run.reason,
                index=run.index,
            )
            for run in runs
        ]
        return sorted(holes, key=lambda hole: hole.reason is not None)[:limit]


def _device(
    box: reads.Box, lost: Sequence[reads.LostRun], history: overview.BoxHistory | None
) -> Device:
    return Device(
        device=box.device,
        dealer=box.dealer,
        state=cast("Literal['active', 'suspended', 'retired']", box.state),
        enrolled_ms=box.enrolled_ms,
        seen_ms=box.seen_ms,
        version=box.version,
        backlog=box.backlog,
        oldest_unsent_ms=box.oldest_unsent_ms,
        clock=box.clock,
        clock_err_ms=box.clock_err_ms,
        uptime_ms=None,
        disk_free_bytes=box.disk_free_bytes,
        sources=box.sources,
        epoch=1 if history is None else history.epoch,
        declared=sum(run.count for run in lost if run.reason is not None),
        undeclared=sum(run.count for run in lost if run.reason is None),
        suspected_clone=history is not None and history.suspected_clone,
    )
