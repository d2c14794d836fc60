"""A real agent as a subprocess, with a state folder of its own."""

import signal
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.broker import AGENT_USER
from firmware_sim.pos_terminal import Dialect
from firmware_sim.processes import OnLine, Program, python_program, run
from firmware_sim.scooter_port import BusProtocol

RECONNECT_MAX_MS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the box is connected to."""

    hub_url: str
    till: str
    till_port: Path
    dialect: Dialect
    broker_port: int
    mqtt_version: int
    password: str
    bench_port: Path | None = None
    bench_protocol: BusProtocol = "xiaomi55aa"


def settings(folder: Path, wiring: Wiring) -> str:
    """agent.toml of a simulated store: as shipped, but with shorter pauses after a failure."""
    template = '\ntemplate = "epson-id"' if wiring.dialect == "escpos" else ""
    bench = (
        ""
        if wiring.bench_port is None
        else f"""
[[scooter_ports]]
name = "bench-1"
port = "{wiring.bench_port}"
protocol = "{wiring.bench_protocol}"
poll_ms = 1000
"""
    )
    return f"""\
state_dir = "{folder / "state"}"
hub_url = "{wiring.hub_url}"

[delivery]
backoff_max_ms = {RECONNECT_MAX_MS}

[[tills]]
name = "{wiring.till}"
port = "{wiring.till_port}"
dialect = "{wiring.dialect}"{template}

[mqtt]
host = "127.0.0.1"
port = {wiring.broker_port}
username = "{AGENT_USER}"
password_file = "{folder / "mqtt-password"}"
protocol = {wiring.mqtt_version}
authenticated_by = "broker"
{bench}"""


class AgentProgram:
    """One box: enrolled once, then run, stopped, killed and run again."""

    def __init__(self, name: str, folder: Path, wiring: Wiring, *, on_line: OnLine) -> None:
        """Write the settings; `on_line` hears each log line on a thread of its own."""
        self.name = name
        self._folder, self._wiring, self._on_line = folder, wiring, on_line
        self._config = folder / "agent.toml"
        self._process: Program | None = None
        (folder / "state").mkdir(mode=0o700, exist_ok=True)
        password = folder / "mqtt-password"
        password.touch(mode=0o600)
        password.write_text(wiring.password, encoding="ascii")
        self._config.write_text(settings(folder, wiring), encoding="utf-8")

    def command(self, verb: str, *arguments: str) -> list[str]:
        """The command line of `kickstand-agent` with these settings."""
        return python_program("edge_agent", verb, "--config", str(self._config), *arguments)

    def enroll(self, code: str) -> None:
        """Join the hub with a one-use code. Raises CommandFailed."""
        run(
            self.command("enroll", "--hub", self._wiring.hub_url, "--code", code),
            what=f"kickstand-agent enroll of {self.name}",
        )

    def start(self) -> None:
        """Run it. Call from the main thread."""
        self._process = Program(
            f"agent {self.name}",
            self.command("run"),
            log=self._folder / "agent.log",
            on_line=self._on_line,
        )

    def stop(self) -> None:
        """Orderly; what it has not delivered stays on its disk."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def cut_power(self) -> None:
        """No goodbye: what was not on its disk is gone."""
        if self._process is not None:
            self._process.stop(signal.SIGKILL)
            self._process = None

    def running(self) -> bool:
        """Is the process there?"""
        return self._process is not None and self._process.running()

    def resident_bytes(self) -> int:
        """Resident memory of the process."""
        return 0 if self._process is None else self._process.resident_bytes()

    def last_words(self) -> str:
        """The end of its log."""
        return "" if self._process is None else self._process.last_words()
