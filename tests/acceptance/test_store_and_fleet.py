"""One store against a hub that runs already, and a small network of stores."""

import json
import os
import subprocess
import sys

import pytest

from firmware_sim.hub_program import HubProgram
from firmware_sim.places import places
from firmware_sim.processes import ROOT

END_S = 180


def simulate(folder, *arguments):
    """Run `kickstand-sim` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "firmware_sim", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        timeout=END_S,
        check=False,
    )


@pytest.fixture
def hub(tmp_path):
    """A hub with one dealer; yields its address and the dealer's code."""
    folder = tmp_path / "hub"
    folder.mkdir()
    program = HubProgram(folder)
    opening = program.open(admins=("admin@demo.example",), network=places(1))
    program.wait_until_ready()
    yield program.url, opening.codes["JKT01"]
    program.stop()


@pytest.mark.slow
def test_a_store_joins_a_hub_with_its_code_sells_and_leaves_when_all_is_receipted(hub, tmp_path):
    """And the same code joins nobody else."""
    url, code = hub
    arguments = ["store", "--hub", url, "--code", code, "--dealer", "JKT01"]

    first = simulate(tmp_path, *arguments, "--seconds", "3", "--every-s", "0.5")
    second = simulate(tmp_path, *arguments, "--seconds", "1")

    assert first.returncode == 0, first.stdout + first.stderr
    assert "sales finalised, all receipted by the hub" in first.stdout.splitlines()[-1]
    assert second.returncode == 1
    assert "kickstand-agent enroll of JKT01 ended with 1" in second.stderr


@pytest.mark.slow
def test_a_small_network_loses_and_doubles_nothing(tmp_path):
    """Three stores, thousands of times faster than life."""
    ended = simulate(tmp_path, "fleet", "--stores", "3", "--hurry", "1000", "--seconds", "4")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = json.loads(ended.stdout.splitlines()[-1])
    assert (summary["lost"], summary["duplicated"]) == (0, 0)
    assert summary["sales"] > 3
