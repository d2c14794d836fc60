"""`kickstand-sim chaos`: run seeds and tell which ones broke a promise."""

import sys

import click

from firmware_sim.chaos.world import run_seed


@click.command(help="Run the seeded fault simulation of boxes, network and hub.")
@click.option("--seeds", default=300, show_default=True, help="How many seeds to run.")
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--restores-hub", is_flag=True, help="Let the hub's disk die, and restore a backup.")
def main(seeds: int, first: int, *, restores_hub: bool) -> None:
    """Exit 1 when a seed broke a promise; its number repeats it."""
    broken = entries = cuts = restores = hub_restores = lost = 0
    for seed in range(first, first + seeds):
        outcome = run_seed(seed, restores_hub=restores_hub)
        entries += outcome.entries
        cuts += outcome.cuts
        restores += outcome.restores
        hub_restores += outcome.hub_restores
        lost += outcome.lost_declared
        if outcome.violations:
            broken += 1
            click.echo(f"seed {seed}:")
            for violation in outcome.violations:
                click.echo(f"  {violation}")
    click.echo(
        f"{seeds} seeds: {entries} entries, {cuts} power cuts, {restores} restored cards, "
        f"{hub_restores} restored hubs, {lost} events declared lost, {broken} seeds broke a promise"
    )
    if broken:
        sys.exit(1)
