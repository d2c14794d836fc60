"""`kickstand-sim demo`: real hub, real agents, real brokers, and nothing left afterwards."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from firmware_sim.broker import find_mosquitto
from firmware_sim.processes import ROOT, wait_until

READY_MS, END_MS = 90_000, 120_000
KEYS = {
    "sales",
    "activations",
    "telemetry",
    "ledger_size",
    "lost",
    "duplicated",
    "sale_to_ledger_ms",
    "leads",
    "claimed",
    "double_winners",
    "tap_to_decision_ms",
}


class RunningDemo:
    """The demo as a subprocess with temporary files below `folder`."""

    def __init__(self, folder: Path, *arguments: str, seconds: int | None = None) -> None:
        self.folder = folder
        self.lines: list[str] = []
        environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
        environment.pop("DEMO_SECONDS", None)
        if seconds is not None:
            environment["DEMO_SECONDS"] = str(seconds)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "firmware_sim", "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)

    def wait_for(self, text):
        """Until a line contains `text`."""
        wait_until(
            lambda: any(text in line for line in self.lines) or self.process.poll() is not None,
            what=f"a line with {text!r}",
            deadline_ms=READY_MS,
        )
        assert any(text in line for line in self.lines), "\n".join(self.lines)

    def end(self):
        """Its exit code, when it has ended by itself."""
        code = self.process.wait(END_MS / 1000)
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def left_behind(self):
        """Processes that have to do with its folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str(self.folder) in (entry / "cmdline").read_text(errors="replace"):
                    found.append(entry.name)
        return found


@pytest.fixture
def demo(tmp_path):
    """Starts demos and makes sure that they end."""
    started: list[RunningDemo] = []

    def start(*arguments, seconds=None):
        started.append(RunningDemo(tmp_path, *arguments, seconds=seconds))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.end()


def summary_of(demo):
    """The last line."""
    return json.loads(demo.lines[-1])


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_a_demo_of_eight_seconds_loses_and_doubles_nothing(demo, broker):
    """Through noise, a pulled cable, a power cut, a broker restart and a hub outage."""
    if broker == "mosquitto" and find_mosquitto() is None:
        pytest.skip("no Mosquitto on this machine")
    running = demo("--broker", broker, "--outages", seconds=8)

    assert running.end() == 0, "\n".join(running.lines)

    summary = summary_of(running)
    assert set(summary) == KEYS
    assert (summary["lost"], summary["duplicated"]) == (0, 0)
    assert summary["sales"] >= 8
    assert summary["activations"] >= summary["sales"]
    assert summary["telemetry"] > 0
    assert summary["ledger_size"] > summary["sales"] + summary["activations"]
    assert 0 < summary["sale_to_ledger_ms"]["p50"] <= summary["sale_to_ledger_ms"]["p99"]
    assert summary["leads"] == summary["claimed"] > 0
    assert summary["double_winners"] == 0
    assert 0 < summary["tap_to_decision_ms"]["p50"] <= summary["tap_to_decision_ms"]["p99"]
    assert running.left_behind() == []
    assert list(running.folder.iterdir()) == []
    told = "\n".join(running.lines)
    for step in (
        *("sale finalised", "scooter reported", "handshake", "ledger #", "sign in  http"),
        *("new lead offered", "claim tapped", "claimed  ", "Too Slow"),
    ):
        assert step in told
    assert "Pembeli" not in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "broker"), [(signal.SIGINT, "mosquitto"), (signal.SIGTERM, "amqtt")]
)
def test_an_interrupt_ends_it_in_order_and_leaves_nothing(demo, number, broker):
    """No process, no file; the account is given all the same."""
    if broker == "mosquitto" and find_mosquitto() is None:
        broker = "amqtt"
    running = demo("--broker", broker)
    running.wait_for("ledger #")

    running.process.send_signal(number)

    assert running.end() == 0, "\n".join(running.lines)
    assert summary_of(running)["lost"] == 0
    assert running.left_behind() == []
    assert list(running.folder.iterdir()) == []


@pytest.mark.slow
def test_even_when_it_is_killed_no_process_is_left(demo):
    """The kernel takes hub, agents and brokers along."""
    running = demo()
    running.wait_for("ledger #")
    assert len(running.left_behind()) >= 3

    running.process.kill()
    running.end()

    wait_until(lambda: not running.left_behind(), what="the others' end", deadline_ms=20_000)
