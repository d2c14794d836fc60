"""A real hub as a subprocess, on the embedded database, in a folder of its own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firmware_sim.errors import CommandFailed, NotReady
from firmware_sim.places import Place, write_dealers, write_regions
from firmware_sim.ports import LOOPBACK, free_port
from firmware_sim.processes import Program, python_program, run, wait_until

READY_MS = 30_000
READY_LINE = "listening on http"


class HubProgram:
    """Settings, commands and the serving process of one hub."""

    def __init__(self, folder: Path) -> None:
        """Write hub.toml below `folder`, which must exist."""
        self._folder = folder
        self._config = folder / "hub.toml"
        # The address is part of every signature, so the port is fixed before the keys are made.
        self._port = free_port()
        self.url = f"http://{LOOPBACK}:{self._port}"
        self._process: Program | None = None
        self._listening = False
        self._config.write_text(
            f"""\
[server]
listen = "{LOOPBACK}:{self._port}"
public_url = "{self.url}"
keys_dir = "{folder / "keys"}"
database = "sqlite:///{folder / "hub.db"}"
""",
            encoding="utf-8",
        )

    def command(self, *arguments: str) -> list[str]:
        """The command line of `kickstand-hub` with these settings."""
        return python_program("hub", "--config", str(self._config), *arguments)

    def ask(self, *arguments: str) -> dict[str, Any]:
        """Run a command with --json and return its answer. Raises CommandFailed."""
        what = f"kickstand-hub {' '.join(arguments)}"
        answer = run(self.command(*arguments, "--json"), what=what)
        try:
            parsed = json.loads(answer)
        except ValueError as error:
            raise CommandFailed(f"{what} did not answer with JSON: {answer[:200]!r}") from error
        if not isinstance(parsed, dict):
            raise CommandFailed(f"{what} answered with no object: {answer[:200]!r}")
        return parsed

    def init(self, admin: str) -> str:
        """Make keys, database and an admin; returns the whole address that signs the admin in."""
        path = str(self.ask("init", "--admin", admin)["login_url"])
        return path if path.startswith("http") else self.url + path

    def import_places(self, network: Sequence[Place]) -> None:
        """Regions and dealers from files, as an administrator would."""
        regions, dealers = self._folder / "regions.csv", self._folder / "dealers.csv"
        write_regions(regions, network)
        write_dealers(dealers, network)
        self.ask("region", "import", str(regions))
        self.ask("dealer", "import", str(dealers))

    def invite(self, dealer: str) -> str:
        """A one-use enrolment code for a box of this dealer."""
        return str(self.ask("device", "invite", "--dealer", dealer)["code"])

    def start(self) -> None:
        """Begin to serve; `wait_until_ready` tells when. Call from the main thread."""
        self._listening = False
        self._process = Program(
            "hub", self.command("serve"), log=self._folder / "hub.log", on_line=self._heard
        )

    def wait_until_ready(self) -> None:
        """Until it says that it listens. Raises NotReady with its last words."""
        process = self._process
        if process is None:
            raise NotReady("the hub was not started")
        wait_until(
            lambda: self._listening or not process.running(),
            what=f"hub, log {process.log}",
            deadline_ms=READY_MS,
        )
        if not self._listening:
            raise NotReady(f"the hub ended:\n{process.last_words()}")

    def stop(self) -> None:
        """Orderly; a hub that does not run is no error."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def running(self) -> bool:
        """Was it started, and is it still there?"""
        return self._process is not None and self._process.running()

    def resident_bytes(self) -> int:
        """Resident memory of the serving process."""
        return 0 if self._process is None else self._process.resident_bytes()

    def _heard(self, line: str) -> None:
        if READY_LINE in line:
            self._listening = True
