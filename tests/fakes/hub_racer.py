"""A process of a hub with several: delivers, records facts and follows, as fast as it can.

python -m tests.fakes.hub_racer FOLDER DATABASE_URL OWN_SEED
"""

import random
import sys
from pathlib import Path

from hub.errors import Refused
from shared.clock import SystemClock
from tests.fakes.hub_boxes import Batch, Box, deliver, running

SHARED_SEED = 1
BATCHES = 30
FACTS = 20


def race_of(seed: int) -> list[Batch]:
    """The batches of a box: the same bytes in every process."""
    box, dice = Box(seed), random.Random(seed)
    return [box.batch(dice.randint(1, 8)) for _ in range(BATCHES)]


def main() -> None:
    """Say ready, wait for the start, race, say done."""
    folder, url, own = sys.argv[1:]
    with running(Path(folder), url, clock=SystemClock()) as hub:
        hub.ledger.size()
        print("ready", flush=True)  # noqa: T201 - the parent waits for this line
        sys.stdin.readline()
        for number, (mine, both) in enumerate(
            zip(race_of(int(own)), race_of(SHARED_SEED), strict=True)
        ):
            deliver(hub, mine, both)
            if number < FACTS:
                hub.database.write(lambda c: hub.ledger.append(c, "test.fact", {"n": 1}, now_ms=1))
            hub.ledger.sequencer.sequence_facts()
            hub.ledger.followers.step()
        print("done", flush=True)  # noqa: T201 - the parent waits for this line


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        print(refused, flush=True)  # noqa: T201 - what the test shows
        raise
