"""`kickstand-hub`: set up, serve, work, check."""

import sys
from functools import cached_property
from pathlib import Path

import click

from hub.commands import COMMANDS
from hub.config import HubConfig, load_config
from hub.errors import HubError
from hub.logs import configure_logs
from hub.wiring import Hub, open_hub

DEFAULT_CONFIG = "/etc/kickstand/hub.toml"


class Program:
    """What every command gets: the settings, and the hub once it is asked for."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet, so that ``--help`` needs no settings."""
        self._path = path

    @cached_property
    def config(self) -> HubConfig:
        """The settings. Raises ConfigError."""
        return load_config(self._path)

    @cached_property
    def hub(self) -> Hub:
        """The hub on its open database. Raises ConfigError."""
        return open_hub(self.config)


@click.group(help="The hub: a ledger of every sale that nobody can quietly rewrite.")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="KICKSTAND_HUB_CONFIG",
    show_default=True,
    help="The settings, hub.toml.",
)
@click.pass_context
def cli(context: click.Context, path: Path) -> None:
    """Remember where the settings are."""
    context.obj = Program(path)


for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line; what a person can mend is one sentence and exit code 1."""
    configure_logs()
    try:
        cli(standalone_mode=True)
    except HubError as error:
        # As click begins what it refuses itself.
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
