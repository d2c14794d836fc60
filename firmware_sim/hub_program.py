"""A real hub as a subprocess, on the embedded database, in a folder of its own."""

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.errors import NotReady
from firmware_sim.places import Place, write_dealers, write_regions
from firmware_sim.ports import LOOPBACK, free_port
from firmware_sim.processes import Program, python_program, wait_until

READY_MS = 90_000
READY_LINE = "listening on http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a fresh hub hands out."""

    login_urls: tuple[str, ...]
    """One-use addresses, one for each admin."""
    codes: Mapping[str, str]
    """Enrolment codes by dealer."""


class HubProgram:
    """Settings, commands and the serving process of one hub."""

    def __init__(self, folder: Path, *, settings: str = "") -> None:
        """Write hub.toml below `folder`, which must exist; `settings` are further tables of it."""
        self._folder = folder
        self._config = folder / "hub.toml"
        # The address is part of every signature, so the port is fixed before the keys are made.
        self._port = free_port()
        self.url = f"http://{LOOPBACK}:{self._port}"
        self._process: Program | None = None
        self._listening = False
        self._on_ready: Callable[[], None] = lambda: None
        self._login_urls: list[str] = []
        self._codes: dict[str, str] = {}
        self._config.write_text(
            f"""\
[server]
listen = "{LOOPBACK}:{self._port}"
public_url = "{self.url}"
keys_dir = "{folder / "keys"}"
database = "sqlite:///{folder / "hub.db"}"

{settings}""",
            encoding="utf-8",
        )

    def open(
        self,
        *,
        admins: Sequence[str],
        network: Sequence[Place],
        imports: Sequence[Sequence[str]] = (),
    ) -> Opening:
        """Keys, database, admins, regions and dealers from files, an invitation a dealer; serve.

        `imports` are run when the dealers are there. One process does it all, since starting
        Python for each command would take seconds. It serves soon after this returns;
        `wait_until_ready` tells when. Call from the main thread. Raises NotReady with the last
        words of the command that failed.
        """
        regions, dealers = self._folder / "regions.csv", self._folder / "dealers.csv"
        write_regions(regions, network)
        write_dealers(dealers, network)
        commands = [
            *(["init", "--admin", admin, "--json"] for admin in admins),
            ["region", "import", str(regions)],
            ["dealer", "import", str(dealers)],
            *imports,
            *(["device", "invite", "--dealer", place.code, "--json"] for place in network),
            ["serve"],
        ]
        settings = ["--config", str(self._config)]
        lines = json.dumps([[*settings, *command] for command in commands])
        self._process = process = Program(
            "hub",
            python_program("firmware_sim.hub_chores", lines),
            log=self._folder / "hub.log",
            on_line=self._heard,
        )
        wait_until(
            lambda: self._opened(len(admins), len(network)) or not process.running(),
            what=f"hub, log {process.log}",
            deadline_ms=READY_MS,
        )
        if not self._opened(len(admins), len(network)):
            process.stop()
            raise NotReady(f"the hub could not be set up:\n{process.last_words()}")
        return Opening(login_urls=tuple(self._login_urls), codes=dict(self._codes))

    def _opened(self, admins: int, dealers: int) -> bool:
        return len(self._login_urls) == admins and len(self._codes) == dealers

    def start(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Begin to serve; `on_ready` hears, on another thread, when boxes can connect.

        Call from the main thread.
        """
        self._listening, self._on_ready = False, on_ready
        self._process = Program(
            "hub",
            python_program("hub", "--config", str(self._config), "serve"),
            log=self._folder / "hub.log",
            on_line=self._heard,
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

    def go_down(self) -> None:
        """Ask it to end and do not wait."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

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
        self._take_answer(line)
        if READY_LINE in line:
            self._listening = True
            self._on_ready()

    def _take_answer(self, line: str) -> None:
        try:
            answer = json.loads(line)
        except ValueError:
            return
        if isinstance(answer, dict) and "login_url" in answer:
            self._login_urls.append(str(answer["login_url"]))
        elif isinstance(answer, dict) and {"code", "dealer"} <= answer.keys():
            self._codes[str(answer["dealer"])] = str(answer["code"])
