"""SIGKILL at any moment: what was acknowledged is there, once."""

import random
from pathlib import Path

import pytest

from tests.checks.killing import Ledger, run_and_kill

KILLS = 60


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    """Sixty times killed at a random moment of putting, sealing and freeing."""
    choice = random.Random(7)
    ledger = Ledger()
    for seed in range(KILLS):
        ledger.hear(run_and_kill(tmp_path, seed, choice.randrange(1, 400)))
    lost, doubled, acknowledged = ledger.settle(tmp_path)
    assert (lost, doubled) == (0, 0)
    assert acknowledged > KILLS
