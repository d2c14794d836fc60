"""The agent's memory while it holds a backlog of a million events, and how fast it is ready.

python -m bench.agent_memory [--events 1000000]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.agent_buffer.ours import capture, open_buffer

LIMIT_MB = 48
PER_COMMIT = 100
PARTS = 10


def resident_mb() -> float:
    """RSS of this process in MB."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


def fill(folder: Path, events: int) -> None:
    """Put `events` reports and say the memory after every tenth."""
    buffer = open_buffer(folder)
    first = resident_mb()
    for part in range(PARTS):
        for start in range(0, events // PARTS, PER_COMMIT):
            number = part * events // PARTS + start
            buffer.put([capture(number + i, once=False) for i in range(PER_COMMIT)])
        print(f"    {(part + 1) * events // PARTS:>9,} events waiting: {resident_mb():.1f} MB")
    grown = resident_mb() - first
    print(f"grown by {grown:.1f} MB over {events:,} events; {resident_mb() / LIMIT_MB:.2f} x 48 MB")
    buffer.close()
    began = time.perf_counter()
    again = open_buffer(folder)
    print(f"opened again with that backlog in {time.perf_counter() - began:.2f} s")
    again.close()


def main() -> None:
    """In a process of its own, so that nothing else is counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--fill", type=Path)
    asked = parser.parse_args()
    if asked.fill is not None:
        fill(asked.fill, asked.events)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.agent_memory", "--fill", folder]
        subprocess.run([*command, "--events", str(asked.events)], check=True)


if __name__ == "__main__":
    main()
