"""`kickstand-hub ledger verify|checkpoint|refill|hold|release`."""

import sys
import time
from collections.abc import Sequence
from typing import Protocol

import click
import orjson

from hub.ledger import claims
from hub.ledger.service import Ledger
from hub.ledger.verify import Verifier
from hub.store import Database
from shared.checkpoint import to_base64
from shared.clock import Clock
from shared.crypto.keys import PublicKey, SigningKey


class _Keys(Protocol):
    @property
    def http_ever(self) -> Sequence[PublicKey]: ...
    @property
    def root(self) -> SigningKey: ...


class _Hub(Protocol):
    @property
    def database(self) -> Database: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def keys(self) -> _Keys: ...
    @property
    def clock(self) -> Clock: ...


class _Program(Protocol):
    @property
    def hub(self) -> _Hub: ...


class Progress:
    """A line now and then on a terminal's stderr, nothing elsewhere."""

    def __init__(self) -> None:
        """Begin."""
        self._shown = 0.0

    def __call__(self, entries: int) -> None:
        """Say how many entries are done, at most once a second."""
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown >= 1:
            self._shown = now
            click.echo(f"\r{entries:,} entries", err=True, nl=False)


@click.group(
    name="ledger", help="The ledger: verify it, show its head, have it refilled after a restore."
)
def ledger_group() -> None:
    """The ledger."""


@ledger_group.command(help="Re-read the whole ledger and check every hash, seal and tree head.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@click.pass_obj
def verify(program: _Program, *, as_json: bool) -> None:
    """Exit 1 when anything does not hold."""
    hub = program.hub
    with hub.database.read() as connection:
        found = Verifier(hub_keys=hub.keys.http_ever, root=hub.keys.root.public).run(
            connection, Progress()
        )
    if as_json:
        values = {
            "entries": found.entries,
            "batches": found.batches,
            "seals": found.seals,
            "checkpoints": found.checkpoints,
            "tiles": found.tiles,
            "root": to_base64(found.root),
            "findings": found.findings,
        }
        click.echo(orjson.dumps(values).decode())
    else:
        click.echo(
            f"{found.entries} entries in {found.batches} batches: {found.seals} seals, "
            f"{found.checkpoints} tree heads and {found.tiles} tiles checked\n"
            f"root {to_base64(found.root)}"
        )
        for finding in found.findings:
            click.echo(f"BROKEN  {finding}")
        click.echo("unbroken" if not found.findings else "NOT UNBROKEN")
    if found.findings:
        sys.exit(1)


@ledger_group.command(help="Print the newest signed tree head.")
@click.pass_obj
def checkpoint(program: _Program) -> None:
    """The C2SP checkpoint."""
    click.echo(program.hub.ledger.checkpoint(), nl=False)


@ledger_group.command(help="Show how far a restored hub has been refilled by the boxes.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
@click.pass_obj
def refill(program: _Program, *, as_json: bool) -> None:
    """What is there, what is aside, what is still missing."""
    state = program.hub.ledger.refill.state()
    if as_json:
        values = {
            "read_only": state.read_only,
            "held": state.held,
            "size": state.size,
            "target": state.target,
            "aside": state.staged,
            "missing": state.wanted,
        }
        click.echo(orjson.dumps(values).decode())
        return
    click.echo(state.sentence())
    if state.target is not None:
        click.echo(f"{state.staged} entries are here and wait for those before them")
    for first, end in state.wanted:
        click.echo(f"missing  {first} to {end - 1}")


@ledger_group.command(
    help="Take nothing new: run it after restoring a backup, before the hub is started."
)
@click.pass_obj
def hold(program: _Program) -> None:
    """A box that knows nothing newer must not write into the past before the others spoke."""
    hub = program.hub
    hub.database.write(lambda connection: claims.hold(connection, now_ms=hub.clock.wall_ms()))
    click.echo(hub.ledger.refill.state().sentence())


@ledger_group.command(help="End a hold. What boxes still hold a proof of stays awaited.")
@click.pass_obj
def release(program: _Program) -> None:
    """Idempotent."""
    hub = program.hub
    hub.database.write(claims.release)
    click.echo(hub.ledger.refill.state().sentence())
