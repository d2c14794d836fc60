"""The box's buffer beside the queues of other agents: speed, wear, and what a kill loses.

    python -m bench.agent_buffer [--count N] [--repeats R] [--peers-venv FOLDER] [--kills K]

Medians of interleaved repeats; only ratios of one run mean anything. Peers are installed into a
virtual environment of their own on first use; without one, only our own figures are printed.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEER = HERE / "peer.py"
REQUIREMENTS = (
    "thingsboard-gateway==3.8.5",
    "persist-queue==1.1.0",
    "litequeue==0.9",
    "diskcache==5.6.3",
)
SLOW = {"persist-queue": 20, "litequeue": 50, "diskcache": 10}
"""These fall behind with depth: they get a fraction of the events, which favours them."""
DAY_S = 86_400


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers-venv", type=Path, default=ROOT / "build" / "bench-peers")
    parser.add_argument("--kills", type=int, default=0, help="SIGKILLs of ours; peers get a tenth")
    wish = parser.parse_args()
    python = peers_python(wish.peers_venv)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
        folder = Path(name)
        if wish.kills:
            kills(folder, python, wish.kills)
            return
        speed(folder, python, wish.count, wish.repeats)
        wear(folder)


def peers_python(home: Path) -> Path | None:
    """The peers' interpreter, installed on first use; None when they cannot be had."""
    (ROOT / "build").mkdir(exist_ok=True)
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", *REQUIREMENTS], check=False, capture_output=True
        )
        if done.returncode:
            print("peers could not be installed; only our own figures follow")
            shutil.rmtree(home)
            return None
    return python


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """An empty folder on the disk that is measured."""
    name = Path(tempfile.mkdtemp(dir=folder))
    yield name
    shutil.rmtree(name)


def call(words: list[str | Path], **environment: str) -> dict[str, Any]:
    """Run a program of one measurement; its JSON."""
    done = subprocess.run(
        [str(word) for word in words],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def speed(folder: Path, python: Path | None, count: int, repeats: int) -> None:
    """Durable accept, seal and free of `count` events, everybody in turn."""
    ours = {f"kickstand, {size} a commit": size for size in (1, 100, 1000)}
    peers = [] if python is None else list_peers(python)
    rates: dict[str, list[float]] = {name: [] for name in (*ours, *peers)}
    for _ in range(repeats):
        for name, size in ours.items():
            total = count if size > 1 else count // 20
            with fresh(folder) as place:
                words = [sys.executable, "-m", "bench.agent_buffer.ours", "cycle"]
                found = call([*words, str(total), str(size), place])
            rates[name].append(total / (found["put_s"] + found["drain_s"]))
        for name in peers:
            total = count // SLOW.get(name, 1)
            with fresh(folder) as place:
                found = call([python or "", PEER, "cycle", name, str(total), place])
            rates[name].append(total / (found["put_s"] + found["drain_s"]))
    print(f"events/s, put + seal + free, medians of {repeats} interleaved (min-max)")
    for name, values in rates.items():
        low, high = min(values), max(values)
        print(f"  {name:<28}{statistics.median(values):>10.0f}  ({low:.0f}-{high:.0f})")
    mine = rates["kickstand, 100 a commit"]
    for name in peers:
        ratios = [ours_rate / peer for ours_rate, peer in zip(mine, rates[name], strict=True)]
        print(f"  kickstand at 100 a commit / {name}: {statistics.median(ratios):.2f}")


def list_peers(python: Path) -> list[str]:
    """Names that peer.py knows and this environment has."""
    code = f"import runpy; print(*runpy.run_path({str(PEER)!r})['PEERS'])"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.split()


def wear(folder: Path) -> None:
    """Bytes written and fsyncs for each event, and bytes a day."""
    with fresh(folder) as place:
        shim = count_fsyncs(place)
        for verb, size, said in (
            ("cycle", 100, "backlog, 100 a commit"),
            ("rate", 100, "live, 100 a second"),
            ("rate", 10, "live, 10 a second"),
            ("rate", 1, "live, 1 a second"),
        ):
            counter = place / "fsyncs"
            total = {1: 1000, 10: 5000, 100: 20_000}[size]
            with fresh(place) as target:
                words = [sys.executable, "-m", "bench.agent_buffer.ours", verb]
                found = call(
                    [*words, str(total), str(size), target],
                    FSYNC_COUNT=str(counter),
                    **({"LD_PRELOAD": str(shim)} if shim else {}),
                )
            synced = f"{int(counter.read_text()) / total:.4f}" if shim else "not counted"
            line = f"{said}: {found['written']:.0f} B written, {synced} fsyncs for each event"
            day = found["written"] * size * DAY_S / 1e6
            print(line if verb == "cycle" else f"{line}; {day:.0f} MB a day")


def count_fsyncs(folder: Path) -> Path | None:
    """The counting library, or None without a C compiler."""
    shim = folder / "fsync_count.so"
    if shutil.which("gcc") is None:
        return None
    source = HERE / "fsync_count.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl"], check=True)
    return shim


def kills(folder: Path, python: Path | None, number: int) -> None:
    """What was acknowledged before a SIGKILL and is not there after it."""
    lost = doubled = acknowledged = 0
    choice = random.Random(11)
    from tests.checks.killing import Ledger, run_and_kill  # noqa: PLC0415 - only this mode

    with fresh(folder) as place:
        ledger = Ledger()
        for seed in range(number):
            ledger.hear(run_and_kill(place, seed, choice.randrange(1, 300)))
        lost, doubled, acknowledged = ledger.settle(place)
    print(f"kickstand: {number} kills, {acknowledged} acknowledged, {lost} lost, {doubled} doubled")
    for name in [] if python is None else list_peers(python):
        lost = acknowledged = 0
        for _ in range(max(1, number // 10)):
            with fresh(folder) as place:
                heard = kill_peer(python or Path(), name, place, choice.randrange(50, 3000))
                done = subprocess.run(
                    [str(python), str(PEER), "count", name, str(place)],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                acknowledged += heard
                lost += max(0, heard - int(done.stdout.split()[-1]))
        print(f"{name}: {number // 10} kills, {acknowledged} acknowledged, {lost} lost")


def kill_peer(python: Path, name: str, folder: Path, lines: int) -> int:
    """Let a peer acknowledge so many events, then kill it; how many it acknowledged."""
    process = subprocess.Popen(
        [str(python), str(PEER), "kill", name, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    heard = 0
    for line in process.stdout:
        heard += line.endswith("\n")
        if heard == lines:
            process.kill()
    process.wait()
    process.stdout.close()
    return heard


if __name__ == "__main__":
    main()
