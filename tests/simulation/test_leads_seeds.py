"""The seeded simulation of leads: customers, reps, a vendor and the hub, over many seeds."""

from dataclasses import replace

import pytest

from firmware_sim.chaos.leads import run_leads_seed
from hub import gateway
from hub.leads import store
from hub.leads.timeline import store as timeline
from hub.outbox import store as outbox_store
from hub.outbox.messages import Address, Rendered
from hub.store import Statement

SEEDS = 24
CHUNK = 6
SEEDS_TRIED = 12
NOWHERE = Address(phone="628999", bsuid=None)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_a_promise_about_leads(first):
    """
    Power cuts in the hub's commits and while a message goes out, a vendor that fails before and
    after taking effect, webhooks repeated and in any order: no lead is lost, none has two winners,
    nothing is sent before it is stored, every tap is decided once, answered and told to the
    ledger once, who was erased stays erased. A failure names its seed.
    """
    outcomes = [run_leads_seed(seed) for seed in range(first, first + CHUNK)]

    assert {} == {o.seed: o.violations for o in outcomes if o.violations}
    assert sum(o.cuts for o in outcomes)
    assert sum(o.claimed for o in outcomes)


def test_a_seed_of_leads_repeats_itself():
    """The same seed gives the same course of events, or its number would be worth nothing."""
    assert run_leads_seed(5) == run_leads_seed(5)


def no_dedupe(monkeypatch):
    """Each webhook is taken for a new message, however often it comes."""
    monkeypatch.setattr(gateway, "first_time", lambda *_args, **_kwargs: True)
    monkeypatch.setattr(gateway, "first_times", lambda _connection, keys: [True] * len(keys))


def claim_without_where(monkeypatch):
    """Whoever taps has won, whatever state the lead is in."""
    decides = store._CLAIM._statement
    asks = " AND coalesce(lead.state, '') = 'UNCLAIMED' AND o.round = lead.round AND o.live = 1"
    assert asks in decides._sqlite
    sql = decides._sqlite.replace(asks, " AND o.round = lead.round")
    monkeypatch.setattr(store._CLAIM, "_statement", Statement(sql))
    seen = store.standings

    def always_open(connection, asked):
        stand = seen(connection, asked)
        return lambda: {
            of: (replace(lead, state="UNCLAIMED"), offer) for of, (lead, offer) in stand().items()
        }

    monkeypatch.setattr(store, "standings", always_open)


def sends_before_it_stores(monkeypatch, hub):
    """The message is out before the transaction that decided it has ended."""
    add = outbox_store.add
    channel = hub.leads.sender._channels["brand"]

    def hasty(connection, drafts, now_ms):
        add(connection, drafts, now_ms)
        for out_id, _ in drafts:
            channel.send(NOWHERE, Rendered(text="…"), window_open=True, out_id=out_id)

    monkeypatch.setattr(outbox_store, "add", hasty)


def only_the_winner_is_told(monkeypatch):
    """The ledger hears who won, and of nobody else."""
    next_race = timeline.next_race

    def winner_alone(*asked):
        race = next_race(*asked)
        return None if race is None else replace(race, taps=race.taps[:1])

    monkeypatch.setattr(timeline, "next_race", winner_alone)


@pytest.mark.parametrize("plant", [no_dedupe, claim_without_where, only_the_winner_is_told])
def test_a_bug_planted_into_the_race_is_caught(plant, monkeypatch):
    """Within a dozen seeds."""
    plant(monkeypatch)

    assert any(run_leads_seed(seed).violations for seed in range(SEEDS_TRIED))


def test_a_message_that_goes_before_it_is_stored_is_caught(monkeypatch):
    """The vendor looks at the disk whenever something is sent."""
    outcome = run_leads_seed(0, lambda hub: sends_before_it_stores(monkeypatch, hub))

    assert any("before it was stored" in said for said in outcome.violations)
