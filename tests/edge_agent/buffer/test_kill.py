"""SIGKILL at any moment: what was acknowledged is there, once."""

import os
import random
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.checks.boxes import Box, drain

KILLS = 60
ROOT = Path(__file__).parents[3]
Name = tuple[str, int, int]


def run_and_kill(folder: Path, seed: int, lines: int) -> list[str]:
    """Let the process acknowledge so many lines, then kill it; its whole lines."""
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


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    """Sixty times killed at a random moment of putting, sealing and freeing."""
    choice = random.Random(7)
    acknowledged: set[Name] = set()
    freed: set[Name] = set()
    for seed in range(KILLS):
        for line in run_and_kill(tmp_path, seed, choice.randrange(1, 400)):
            kind, lane, gen, *numbers = line.split()
            first, last = int(numbers[0]), int(numbers[-1])
            names = {(lane, int(gen), n) for n in range(first, last + 1)}
            assert kind == "f" or not names & acknowledged
            (acknowledged if kind == "n" else freed).update(names)
    buffer = Box(tmp_path).open()
    assert buffer.doubt() is None
    found: set[Name] = set()
    for lane in ("sale", "vehicle"):
        for batch in drain(buffer, lane):
            for raw in batch.events:
                event = orjson.loads(raw)
                name = (event["lane"], event["gen"], event["n"])
                assert name not in found
                found.add(name)
    # A batch that was said to be freed may have been killed before; it is then still here.
    assert acknowledged <= found | freed
    for lane in ("sale", "vehicle"):
        numbers_seen = {n for found_lane, _, n in found | freed if found_lane == lane}
        assert numbers_seen == set(range(1, max(numbers_seen) + 1))
