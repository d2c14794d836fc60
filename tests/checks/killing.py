"""Killing a box's process again and again, and what must be true of its buffer afterwards."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tests.checks.boxes import Box, drain

ROOT = Path(__file__).parents[2]
Name = tuple[str, int, int]


def run_and_kill(folder: Path, seed: int, lines: int) -> list[str]:
    """Let `tests.checks.putting` acknowledge so many lines, then kill it; its whole lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.checks.putting", str(folder), str(seed)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        heard.append(line)
        if len(heard) == lines:
            process.kill()
    process.wait()
    process.stdout.close()
    return [line for line in heard if line.endswith("\n")]


@dataclass
class Ledger:
    """What the killed processes said."""

    acknowledged: set[Name] = field(default_factory=set)
    freed: set[Name] = field(default_factory=set)
    doubled: int = 0

    def hear(self, lines: list[str]) -> None:
        """Note what was acknowledged and what was freed."""
        for line in lines:
            kind, lane, gen, *numbers = line.split()
            first, last = int(numbers[0]), int(numbers[-1])
            names = {(lane, int(gen), n) for n in range(first, last + 1)}
            if kind == "n":
                self.doubled += len(names & self.acknowledged)
                self.acknowledged |= names
            else:
                self.freed |= names

    def settle(self, folder: Path) -> tuple[int, int, int]:
        """Empty the buffer: events lost, doubled, acknowledged."""
        buffer = Box(folder).open()
        assert buffer.doubt() is None
        found: set[Name] = set()
        for lane in ("sale", "vehicle"):
            for batch in drain(buffer, lane):
                for raw in batch.events:
                    event = orjson.loads(raw)
                    name = (event["lane"], event["gen"], event["n"])
                    self.doubled += name in found
                    found.add(name)
        buffer.close()
        # A batch that was said to be freed may have been killed before; it is then still here.
        seen = found | self.freed
        holes = 0
        for lane in ("sale", "vehicle"):
            numbers = {n for found_lane, _, n in seen if found_lane == lane}
            holes += len(set(range(1, max(numbers, default=0) + 1)) - numbers)
        return len(self.acknowledged - seen) + holes, self.doubled, len(self.acknowledged)
