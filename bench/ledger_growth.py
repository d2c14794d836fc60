"""What an event costs as the ledger grows, and how large a receipt gets.

In one process, without HTTP: seal and tree, storage, every projection, receipt; from an empty
ledger to a million leaves. Flat means: the last tenth costs what the first tenth did.

    python -m bench.ledger_growth [--leaves 1000000]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bench._figures import percentile
from bench.hub_ingest import Box
from hub.config import parse_config
from hub.keys import create_keys
from hub.store.migrate import migrate
from hub.wiring import Hub, open_hub
from shared.crypto.keys import SigningKey

RECEIPT_LIMIT_BYTES = 1500
BOXES = 16
BATCH_EVENTS = 100
ROUND_BATCHES = 100


def open_empty(folder: str, database: str | None) -> Hub:
    """A hub on a new database."""
    config = parse_config(
        f'[server]\npublic_url = "http://127.0.0.1:1"\nkeys_dir = "{folder}/keys"\n'
        f'database = "{database or f"sqlite:///{folder}/hub.db"}"\n'
    )
    create_keys(Path(folder) / "keys")
    hub = open_hub(config, threaded=False)
    migrate(hub.database)
    return hub


def enrolled(hub: Hub) -> list[Box]:
    """Boxes that the hub knows."""
    boxes = []
    for _ in range(BOXES):
        code = hub.database.write(lambda connection: hub.devices.invite(connection, "D1"))
        key = SigningKey.generate()
        device = hub.devices.enrol(code=code, key=key.public, version="bench").device
        boxes.append(Box(key=key, device=device, authority="127.0.0.1:1"))
    return boxes


def one_round(hub: Hub, boxes: list[Box]) -> tuple[float, list[int]]:
    """µs of CPU per event of a round, batches prepared outside; and the receipts' sizes."""
    prepared = [
        (hub.devices.find(box.key.public.keyid)[0], box.batch(BATCH_EVENTS)[1])
        for _ in range(ROUND_BATCHES // BOXES)
        for box in boxes
    ]
    sizes = []
    began = time.process_time()
    for device, body in prepared:
        placed = hub.devices.take(device, body, "zstd").result()
        receipt = hub.ledger.proofs.receipt(placed)
        sizes.append(len(b"".join(receipt.proof)) * 4 // 3 + len(receipt.checkpoint))
    hub.ledger.followers.catch_up()
    events = len(prepared) * BATCH_EVENTS
    return (time.process_time() - began) / events * 1e6, sizes


def main() -> None:
    """Print a line per tenth, then the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaves", type=int, default=1_000_000)
    parser.add_argument("--database")
    asked = parser.parse_args()
    costs: list[float] = []
    sizes: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        hub = open_empty(folder, asked.database)
        boxes = enrolled(hub)
        tenth = asked.leaves // 10
        for part in range(10):
            found: list[float] = []
            while not found or hub.ledger.size() < tenth * (part + 1):
                cost, sizes = one_round(hub, boxes)
                found.append(cost)
            costs.append(statistics.median(found))
            print(f"    {hub.ledger.size():>9,} leaves: {costs[-1]:.1f} us of CPU per event")
        hub.close()
    print(f"cost per event, last tenth / first tenth: {costs[-1] / costs[0]:.2f} x")
    p99 = percentile([float(size) for size in sizes], 0.99)
    print(
        f"receipt (range proof + checkpoint) at {asked.leaves:,} leaves: p99 {p99:.0f} bytes, "
        f"{p99 / RECEIPT_LIMIT_BYTES:.2f} x the limit of {RECEIPT_LIMIT_BYTES}"
    )


if __name__ == "__main__":
    main()
