"""The seeded simulation of boxes, network and hub, over many seeds."""

import pytest

from firmware_sim.chaos.world import run_seed

SEEDS = 300
CHUNK = 10
RESTORING_SEEDS = 40
RESTORING_CHUNK = 8
LOSING_SEEDS = 8


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
@pytest.mark.timeout(600)
def test_no_seed_breaks_a_promise(first):
    """
    Power cuts in the middle of commits on both sides, lost and doubled and late requests, lying
    answers, wrong clocks, restored cards: nothing is lost that is not declared, nothing stands
    twice, every projection is the fold of the ledger. A failure names its seed.
    """
    outcomes = [run_seed(seed) for seed in range(first, first + CHUNK)]

    assert {} == {o.seed: o.violations for o in outcomes if o.violations}


@pytest.mark.parametrize("first", range(0, RESTORING_SEEDS, RESTORING_CHUNK))
@pytest.mark.timeout(600)
def test_no_restored_hub_breaks_a_promise(first):
    """
    The same bad days, and the hub's database is replaced by an older backup in the midst of them:
    the boxes give back what it lacks, and whatever was once proven to a box is still the ledger's
    beginning. At least one seed of each handful sees a restore.
    """
    outcomes = [run_seed(seed, restores_hub=True) for seed in range(first, first + RESTORING_CHUNK)]

    assert {} == {o.seed: o.violations for o in outcomes if o.violations}
    assert sum(outcome.hub_restores for outcome in outcomes)


@pytest.mark.timeout(600)
def test_no_new_generation_breaks_a_promise():
    """
    The backup lacks what no box can give back, the operator's patience ends at any moment, and the
    ledger goes on in a new generation: what boxes still hold is on it, once, in the end.
    """
    outcomes = [run_seed(seed, loses_facts=True) for seed in range(LOSING_SEEDS)]

    assert {} == {o.seed: o.violations for o in outcomes if o.violations}
    assert sum(outcome.generations for outcome in outcomes)


def test_a_seed_repeats_itself():
    """The same seed gives the same course of events, or its number would be worth nothing."""
    assert run_seed(5) == run_seed(5)


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(3, id="a box's row began with its first batch, not with its enrolment"),
        pytest.param(255, id="a conflict in one lane gave every waiting capture a new number"),
        pytest.param(109, id="one proof over a run that held both known and conflicting captures"),
    ],
)
def test_a_seed_that_once_found_a_bug_stays_clean(seed):
    """Found here first; each is the first test of its mend."""
    assert [] == run_seed(seed).violations


def test_a_backup_from_before_a_generation_is_not_written_to():
    """A hub went on in a generation of which its restored database had not the first leaf."""
    assert [] == run_seed(109, loses_facts=True).violations
