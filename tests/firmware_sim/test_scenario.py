"""The script: seeded, in order of time, and with everything in it."""

from itertools import islice, pairwise

import pytest

from firmware_sim.scenario import HARSH, OUTAGES, Act, endless, one_round, quiet_trade


@pytest.mark.parametrize(
    ("length_ms", "left_out"), [(8_000, OUTAGES), (30_000, OUTAGES), (60_000, frozenset())]
)
def test_a_round_shows_every_act_in_order_of_time_within_its_length(length_ms, left_out):
    """However short it is; only outages need a minute."""
    steps = one_round(seed=1, length_ms=length_ms, stores=2)

    assert {step.act for step in steps} == set(Act) - left_out
    assert steps == sorted(steps, key=lambda step: step.at_ms)
    assert steps[-1].at_ms < length_ms
    assert {step.store for step in steps} == {0, 1}


def test_the_same_seed_makes_the_same_script_and_another_seed_another():
    """A failure can be repeated."""
    assert one_round(seed=1, length_ms=30_000, stores=2) == one_round(
        seed=1, length_ms=30_000, stores=2
    )
    assert one_round(seed=1, length_ms=30_000, stores=2) != one_round(
        seed=2, length_ms=30_000, stores=2
    )


def test_an_endless_run_lets_hub_and_broker_fail_only_now_and_then():
    """Twice as many calm rounds as harsh ones."""
    steps = list(islice(endless(seed=1, stores=2), 500))

    harsh = [step for step in steps if step.act in HARSH]
    assert 0 < len(harsh) < len(steps) / 20
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(steps))


def test_a_large_network_trades_at_the_asked_rate():
    """A sale every hundred milliseconds on average, spread over all stores."""
    steps = list(islice(quiet_trade(seed=1, stores=20, sale_every_ms=100), 1_000))

    assert 80 < steps[-1].at_ms / 1_000 < 125
    assert {step.store for step in steps} == set(range(20))
