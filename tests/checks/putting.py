"""A process that puts, seals and frees until it is killed. It acknowledges on stdout.

Run as `python -m tests.checks.putting FOLDER SEED`: one line `n <lane> <gen> <n>` for every event
whose put returned, and `f <lane> <gen> <first> <last>` for every run it freed.
"""

import random
import sys
from itertools import count
from pathlib import Path

from edge_agent.buffer import Buffer, Once, Stored
from shared.clock import SystemClock
from tests.checks.boxes import DEVICE, FRESH, NEVER, SEALER, counted, fault, sale


def main(folder: Path, seed: int) -> None:
    """Put for ever; a line is written only after the put has returned."""
    choice = random.Random(seed)
    buffer = Buffer(folder / "buffer.db", device=DEVICE, clock=SystemClock(), now=lambda: NEVER)
    if buffer.epoch() is None:
        buffer.adopt(1, FRESH)
    for step in count():
        captures = [counted(seed * 1_000_000 + step * 100 + i) for i in range(choice.randrange(60))]
        if choice.random() < 0.3:
            name = f"{seed}/{step}"
            once = Once("till", name, b"1")
            captures.append(sale(name, attachments=(b"x" * 200,), once=once))
        if choice.random() < 0.1:
            captures.append(fault())
        for answer in buffer.put(captures):
            assert isinstance(answer, Stored)
            say(f"n {answer.lane} {answer.gen} {answer.n}")
        if choice.random() < 0.3:
            free(buffer, choice.choice(["sale", "vehicle"]))


def free(buffer: Buffer, lane: str) -> None:
    """Seal and free one batch."""
    batch = buffer.seal(lane, SEALER)
    if batch is not None:
        for gen, first, last in batch.ranges:
            say(f"f {lane} {gen} {first} {last}")
        buffer.receipted(batch, first_index=0, received_ms=1)


def say(line: str) -> None:
    """One whole line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
