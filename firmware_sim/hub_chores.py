"""Several `kickstand-hub` commands in one process: starting Python for each takes seconds.

`python -m firmware_sim.hub_chores '[["--config", "hub.toml", "init", …], …]'` runs them in order
and stops at the first that fails; the last may be `serve`, which stays.
"""

import json
import sys

import click

from hub.__main__ import cli
from hub.errors import HubError


def main() -> None:
    """Exit 1 with a sentence when a command fails."""
    for arguments in json.loads(sys.argv[1]):
        try:
            cli(arguments, standalone_mode=False)
        except (HubError, click.ClickException) as error:
            sys.exit(f"kickstand-hub {' '.join(arguments)}: {error}")


if __name__ == "__main__":
    main()
