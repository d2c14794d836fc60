"""Whether somebody starts the agent again: after a power cut, a crash, a hang."""

from collections.abc import Iterator
from pathlib import Path

from edge_agent.config import AgentConfig
from edge_agent.doctor.finding import Finding, good, note, wrong
from edge_agent.doctor.machine import Machine, read_text

UNIT = "kickstand-agent.service"
_UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_NO_TIME = {"", "0", "0s", "infinity", "off"}


def unit(_config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """The service: there, and started with the machine."""
    if not machine.at("/run/systemd/system").is_dir():
        return
    if not unit_files(machine):
        fix = f"copy systemd/{UNIT} to /etc/systemd/system, then systemctl enable --now {UNIT}"
        yield wrong("service", "not installed: a power cut ends the agent for good", fix)
        return
    wanted = machine.at(f"/etc/systemd/system/multi-user.target.wants/{UNIT}")
    if wanted.is_symlink() or wanted.exists():
        yield good("service", "starts with the machine")
    else:
        fix = f"systemctl enable --now {UNIT}"
        yield wrong("service", "not enabled: after a power cut the box stays silent", fix)


def watchdogs(_config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Who notices a hang: of the agent, systemd; of the kernel, the board."""
    if not machine.at("/run/systemd/system").is_dir():
        return
    files = unit_files(machine)
    if files:
        limit = _stated(files, "WatchdogSec")
        if limit is None or limit in _NO_TIME:
            fix = f"WatchdogSec=60 in the unit, as in systemd/{UNIT}"
            yield wrong("service watchdog", "nobody notices when the agent hangs", fix)
        else:
            yield good("service watchdog", f"restarts the agent after {limit} without progress")
    managers = [machine.at("/etc/systemd/system.conf")]
    managers += machine.matching("/etc/systemd/system.conf.d", "*.conf")
    limit = _stated(managers, "RuntimeWatchdogSec")
    if not machine.at("/dev/watchdog").exists():
        fix = "on a Raspberry Pi: dtparam=watchdog=on in config.txt"
        yield note("board watchdog", "the machine has none: a hung kernel stays hung", fix)
    elif limit is None or limit in _NO_TIME:
        fix = "RuntimeWatchdogSec=15 in /etc/systemd/system.conf.d/watchdog.conf"
        yield note("board watchdog", "not in use: a hung kernel stays hung", fix)
    else:
        yield good("board watchdog", f"resets the machine after {limit}")


def unit_files(machine: Machine) -> list[Path]:
    """The unit and its drop-ins, in the order in which they hold; none when not installed."""
    units = [machine.at(f"{folder}/{UNIT}") for folder in _UNIT_FOLDERS]
    found = [path for path in units if path.exists()][:1]
    if not found:
        return []
    drop_ins = [machine.matching(f"{folder}/{UNIT}.d", "*.conf") for folder in _UNIT_FOLDERS]
    return found + [path for paths in drop_ins for path in paths]


def _stated(files: list[Path], name: str) -> str | None:
    """The last value of a setting, as systemd reads it."""
    value = None
    for path in files:
        for line in (read_text(path) or "").splitlines():
            key, equals, text = line.strip().partition("=")
            if equals and key.strip() == name:
                value = text.strip()
    return value


def process(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Whether the agent runs now."""
    number = read_text(config.state_dir / "agent.lock") or ""
    command = machine.read(f"/proc/{number}/cmdline") if number.isdecimal() else None
    if command is not None and ("kickstand" in command or "edge_agent" in command):
        yield good("agent", f"runs as process {number}")
    else:
        fix = f"systemctl start {UNIT}; if it does not stay: journalctl -u {UNIT} -n 50"
        yield wrong("agent", "does not run: nothing is captured", fix)
