"""Our buffer, driven alone in a process of its own.

python -m bench.agent_buffer.ours cycle COUNT PER_COMMIT FOLDER
python -m bench.agent_buffer.ours rate COUNT PER_COMMIT FOLDER
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from edge_agent.buffer import Buffer, Capture, Once, Place, Sealer
from shared.clock import SystemClock
from shared.crypto.keys import SigningKey
from shared.wire.events import LANES, Occurred

DEVICE = "dev_" + "b" * 26
CLOCK = SystemClock()
KEY = SigningKey.from_seed(b"\x01" * 32)
FRESH: Mapping[str, Place] = {lane: Place(next_seq=1, last_batch=None) for lane in LANES}
COMMITS_PER_BATCH = 2
"""Commits come every second, and delivery gathers telemetry for two."""


def now() -> Occurred:
    """This moment, as a box with NTP states it."""
    return Occurred(
        wall_ms=CLOCK.wall_ms(), err_ms=3, clock="ntp", boot=CLOCK.boot, mono_ms=CLOCK.mono_ms()
    )


def capture(number: int, *, once: bool) -> Capture:
    """A scooter's report. Its event is longer than 250 bytes: it also says who, where and when."""
    serial = f"KSE8JKT26{number % 200:08d}"
    return Capture(
        type="scooter.report",
        data={"serial": serial, "state": "stock", "battery_pct": number % 101, "counter": number},
        occurred=now(),
        authenticated_by="broker",
        once=Once("scooter", f"{serial}/b7", counter=number) if once else None,
    )


def open_buffer(folder: Path) -> Buffer:
    """A box that knows its place."""
    buffer = Buffer(folder / "buffer.db", device=DEVICE, clock=CLOCK, now=now)
    if buffer.epoch() is None:
        buffer.adopt(1, FRESH)
    return buffer


def drain(buffer: Buffer) -> tuple[int, int]:
    """Seal and free everything; events and their bytes."""
    sealer = Sealer(device=DEVICE, key=KEY, now=now())
    batch = buffer.seal("vehicle", sealer)
    events = size = 0
    while batch is not None:
        events += len(batch.events)
        size += sum(map(len, batch.events))
        batch = buffer.receipted(batch, first_index=events, received_ms=1, seal_next=sealer)
    return events, size


def cycle(total: int, per_commit: int, folder: Path) -> dict[str, float]:
    """Put all in commits of `per_commit`, seal and free all."""
    captures = [capture(number, once=False) for number in range(total)]
    buffer = open_buffer(folder)
    before = written()
    began = time.perf_counter()
    for start in range(0, total, per_commit):
        buffer.put(captures[start : start + per_commit])
    put = time.perf_counter()
    events, size = drain(buffer)
    done = time.perf_counter()
    return {
        "put_s": put - began,
        "drain_s": done - put,
        "found": events,
        "event_bytes": size / events,
        "written": (written() - before) / total,
    }


def rate(total: int, per_commit: int, folder: Path) -> dict[str, float]:
    """As live: duplicates are looked for, and every second commit is sealed and freed."""
    buffer = open_buffer(folder)
    before = written()
    for number, start in enumerate(range(0, total, per_commit)):
        buffer.put([capture(start + i, once=True) for i in range(per_commit)])
        if number % COMMITS_PER_BATCH:
            drain(buffer)
    return {"written": (written() - before) / total, "commits": buffer.commits / total}


def written() -> int:
    """Bytes this process has handed to the kernel to write."""
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


def main(words: list[str]) -> None:
    """Print one JSON object."""
    run = cycle if words[0] == "cycle" else rate
    found = run(int(words[1]), int(words[2]), Path(words[3]))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
