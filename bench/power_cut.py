"""A power cut in the middle of putting: what was acknowledged, and what the disk has afterwards.

The buffer writes into an ext4 file system in a file, mounted with commit=300. The writer is killed
and the backing file is copied as it is: whatever was not forced to the disk is not in the copy.
Beside it rows in plain SQLite with synchronous=NORMAL, as other agents ship it. Needs root.

    python -m bench.power_cut [--rounds N]
"""

import argparse
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.agent_buffer.ours import capture, open_buffer

SIZE_BYTES = 64 * 1024 * 1024
ACKNOWLEDGED = 1200
PACE_S = 0.002


def put_ours(folder: Path) -> None:
    """One report a commit, said aloud once it is durable."""
    buffer, pause = open_buffer(folder), threading.Event()
    for number in range(1, 10**6):
        buffer.put([capture(number, once=False)])
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        pause.wait(PACE_S)


def put_normal(folder: Path) -> None:
    """The same with synchronous=NORMAL."""
    connection, pause = (
        sqlite3.connect(folder / "normal.db", isolation_level=None),
        threading.Event(),
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, body BLOB)")
    for number in range(1, 10**6):
        connection.execute("INSERT INTO event (body) VALUES (?)", (b"x" * 250,))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        pause.wait(PACE_S)


def found_ours(folder: Path) -> int:
    """Events that wait in the buffer."""
    return sum(open_buffer(folder).backlog().events.values())


def found_normal(folder: Path) -> int:
    """Rows, or none when the file or the table is not there."""
    try:
        connection = sqlite3.connect(folder / "normal.db")
        (rows,) = connection.execute("SELECT count(*) FROM event").fetchone()
    except sqlite3.Error:
        return 0
    return int(rows)


WRITERS = {"ours": (put_ours, found_ours), "normal": (put_normal, found_normal)}


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """The file system in `image`."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop,commit=300", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def cut(name: str, work: Path) -> tuple[int, int]:
    """Acknowledged, and found after the cut."""
    image, copy = work / "disk", work / "copy"
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with mounted(image, work / "live") as folder:
        writer = subprocess.Popen(
            [sys.executable, "-m", "bench.power_cut", "--put", name, folder],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        acknowledged = 0
        while acknowledged < ACKNOWLEDGED:
            acknowledged = int(writer.stdout.readline())
        writer.kill()
        rest = writer.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        writer.wait()
        shutil.copyfile(image, copy)
    with mounted(copy, work / "after") as folder:
        return acknowledged, WRITERS[name][1](folder)


def main() -> None:
    """Print a line a round and writer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--put", nargs=2)
    asked = parser.parse_args()
    if asked.put:
        WRITERS[asked.put[0]][0](Path(asked.put[1]))
        return
    for _ in range(asked.rounds):
        for name in WRITERS:
            with tempfile.TemporaryDirectory() as work:
                acknowledged, found = cut(name, Path(work))
            lost = max(0, acknowledged - found)
            print(f"{name}: {acknowledged} acknowledged, {found} found, {lost} lost")


if __name__ == "__main__":
    main()
