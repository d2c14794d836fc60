"""The command line: a till and a scooter of their own, and what a wrong setting says."""

import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from edge_agent.sources.till_dialect import Kpos
from firmware_sim import kpos
from firmware_sim.__main__ import main
from firmware_sim.processes import ROOT, wait_until

DEADLINE_MS = 15_000


def test_help_names_every_command():
    """Six ways to play."""
    answer = CliRunner().invoke(main, ["--help"])

    for command in ("demo", "pos", "scooter", "store", "fleet", "chaos"):
        assert command in answer.output


@pytest.mark.parametrize("text", ["soon", "-3", "0", "1.5"])
def test_a_malformed_duration_is_a_usage_error(text):
    """Exit code 2, and the setting is named."""
    answer = CliRunner().invoke(main, ["demo"], env={"DEMO_SECONDS": text})

    assert answer.exit_code == 2
    assert "DEMO_SECONDS" in answer.output


def test_a_till_alone_sells_to_whoever_reads_its_port(tmp_path):
    """Three sales, each acknowledged, then it ends by itself."""
    port = tmp_path / "till"
    arguments = ["pos", "--port", str(port), "--every-s", "0.05", "--count", "3"]
    till = subprocess.Popen(
        [sys.executable, "-m", "firmware_sim", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    wait_until(port.exists, what="port", deadline_ms=DEADLINE_MS)
    dialect = Kpos()
    receipts: set[str] = set()

    with port.open("r+b", buffering=0) as line:
        while len(receipts) < 3:
            for heard in dialect.feed(line.read(4096), 0):
                assert heard.message is not None
                receipts.add(heard.message.receipt)
                line.write(kpos.frame({"ack": heard.seq}))
        output, _ = till.communicate(timeout=DEADLINE_MS / 1000)

    assert till.returncode == 0
    assert len(output.splitlines()) == 4
    assert not port.is_symlink()


def test_a_till_alone_ends_on_an_interrupt(tmp_path):
    """And takes its port along."""
    port = tmp_path / "till"
    till = subprocess.Popen(
        [sys.executable, "-m", "firmware_sim", "pos", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert till.stdout is not None
    first = till.stdout.readline()
    assert str(port) in first
    drain = threading.Thread(target=till.stdout.read)
    drain.start()
    wait_until(port.is_symlink, what="port", deadline_ms=DEADLINE_MS)

    till.send_signal(signal.SIGTERM)

    assert till.wait(DEADLINE_MS / 1000) == 0
    drain.join()
    till.stdout.close()
    assert not port.is_symlink()
