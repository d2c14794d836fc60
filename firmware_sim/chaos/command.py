"""`kickstand-sim chaos`: run seeds and tell which ones broke a promise."""

import sys
from collections.abc import Sequence

import click

from firmware_sim.chaos.leads import run_leads_seed
from firmware_sim.chaos.world import run_seed


@click.command(help="Run the seeded fault simulation of boxes, network and hub.")
@click.option("--seeds", default=300, show_default=True, help="How many seeds to run.")
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--restores-hub", is_flag=True, help="Let the hub's disk die, and restore a backup.")
@click.option(
    "--loses-facts", is_flag=True, help="The same, and what no box can give back is lost with it."
)
@click.option("--leads", is_flag=True, help="Customers, reps and a vendor instead of boxes.")
def main(seeds: int, first: int, *, restores_hub: bool, loses_facts: bool, leads: bool) -> None:
    """Exit 1 when a seed broke a promise; its number repeats it."""
    if leads:
        _leads(range(first, first + seeds))
        return
    broken = entries = cuts = restores = hub_restores = generations = lost = 0
    for seed in range(first, first + seeds):
        outcome = run_seed(seed, restores_hub=restores_hub, loses_facts=loses_facts)
        entries += outcome.entries
        cuts += outcome.cuts
        restores += outcome.restores
        hub_restores += outcome.hub_restores
        generations += outcome.generations
        lost += outcome.lost_declared
        broken += _told(seed, outcome.violations)
    click.echo(
        f"{seeds} seeds: {entries} entries, {cuts} power cuts, {restores} restored cards, "
        f"{hub_restores} restored hubs, {generations} generations opened, "
        f"{lost} events declared lost, {broken} seeds broke a promise"
    )
    if broken:
        sys.exit(1)


def _told(seed: int, violations: Sequence[str]) -> bool:
    """Name the promises that a seed broke; whether it broke any."""
    if violations:
        click.echo(f"seed {seed}:")
    for violation in violations:
        click.echo(f"  {violation}")
    return bool(violations)


def _leads(seeds: range) -> None:
    broken = leads = claimed = cuts = doubled = 0
    for seed in seeds:
        outcome = run_leads_seed(seed)
        leads += outcome.leads
        claimed += outcome.claimed
        cuts += outcome.cuts
        doubled += outcome.doubled
        broken += _told(seed, outcome.violations)
    click.echo(
        f"{len(seeds)} seeds: {leads} leads, {claimed} claimed, {cuts} power cuts, "
        f"{doubled} messages that arrived twice, {broken} seeds broke a promise"
    )
    if broken:
        sys.exit(1)
