"""Checks a technician can run: each finding says what is wrong and what to do. Works offline."""

import os
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from edge_agent import config as configs
from edge_agent import identity as identities
from edge_agent.buffer import status as buffer_status
from edge_agent.config import AgentConfig
from edge_agent.errors import AgentError
from edge_agent.timekeeping import BUILD_FLOOR_MS, has_hardware_clock, kernel_error_ms
from shared.clock import SystemClock

FREE_MIN_BYTES = 256 * 1024 * 1024
BACKLOG_OLD_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's outcome. `fix` is empty when all is well."""

    check: str
    verdict: Literal["good", "note", "wrong"]
    detail: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """For --json."""
        return asdict(self)


def examine(config_path: Path) -> list[Finding]:
    """Run every check that makes sense, in the order in which a technician would mend."""
    try:
        config = configs.load(config_path)
    except AgentError as error:
        fix = "correct the file; every key is documented in docs/settings.md"
        return [Finding(check="settings", verdict="wrong", detail=str(error), fix=fix)]
    findings = [Finding(check="settings", verdict="good", detail=str(config_path))]
    for check in _CHECKS:
        findings.extend(check(config))
    return findings


def _state_dir(config: AgentConfig) -> Iterator[Finding]:
    folder = config.state_dir
    if not folder.is_dir():
        yield Finding(
            check="state folder",
            verdict="wrong",
            detail=f"{folder} does not exist",
            fix=f"create it for the agent's user: install -d -m 700 {folder}",
        )
        return
    open_to_others = folder.stat().st_mode & 0o077
    yield Finding(
        check="state folder",
        verdict="wrong" if open_to_others else "good",
        detail=f"{folder} {stat.filemode(folder.stat().st_mode)}",
        fix=f"chmod 700 {folder}" if open_to_others else "",
    )
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    yield Finding(
        check="disk space",
        verdict="good" if free >= FREE_MIN_BYTES else "wrong",
        detail=f"{free // 1_000_000} MB free",
        fix="" if free >= FREE_MIN_BYTES else "free space: below this, reports are shed",
    )
    free_files = room.f_favail
    if room.f_files:
        yield Finding(
            check="inodes",
            verdict="good" if free_files > 1000 else "wrong",
            detail=f"{free_files} free",
            fix="" if free_files > 1000 else "delete small files on this disk",
        )


def _key(config: AgentConfig) -> Iterator[Finding]:
    path = config.state_dir / identities.KEY_FILE
    if not path.exists():
        fix = "run `kickstand-agent enroll`"
        yield Finding(check="device key", verdict="wrong", detail="there is none", fix=fix)
        return
    mode = path.stat().st_mode & 0o777
    yield Finding(
        check="device key",
        verdict="good" if mode & 0o077 == 0 else "wrong",
        detail=f"mode {mode:o}",
        fix="" if mode & 0o077 == 0 else f"chmod 600 {path}, and enrol anew if others read it",
    )


def _identity(config: AgentConfig) -> Iterator[Finding]:
    try:
        identity = identities.load(config.state_dir)
    except AgentError as error:
        fix = "ask the hub's administrator for a code, then `kickstand-agent enroll`"
        yield Finding(check="enrolment", verdict="wrong", detail=str(error), fix=fix)
        return
    yield Finding(
        check="enrolment", verdict="good", detail=f"{identity.device} of {identity.dealer}"
    )
    same = identity.hub_url == config.hub_url.rstrip("/")
    yield Finding(
        check="hub address",
        verdict="good" if same else "note",
        detail=config.hub_url,
        fix="" if same else f"the box was enrolled at {identity.hub_url}: is this the same hub?",
    )


def _clock(_config: AgentConfig) -> Iterator[Finding]:
    wall_ms = SystemClock().wall_ms()
    past = wall_ms < BUILD_FLOOR_MS
    yield Finding(
        check="system clock",
        verdict="note" if past else "good",
        detail="before this program was written" if past else "plausible",
        fix="nothing to do: the hub's time is used; fit a battery clock for sales offline"
        if past
        else "",
    )
    error_ms = kernel_error_ms()
    yield Finding(
        check="time service",
        verdict="note" if error_ms is None else "good",
        detail="nothing keeps the clock" if error_ms is None else f"within {error_ms} ms",
        fix="systemctl enable --now systemd-timesyncd" if error_ms is None else "",
    )
    has_rtc = has_hardware_clock()
    yield Finding(
        check="battery clock",
        verdict="good" if has_rtc else "note",
        detail="present" if has_rtc else "none",
        fix="" if has_rtc else "sales made before the hub is reached carry no wall time",
    )


def _name_and_port(config: AgentConfig) -> Iterator[Finding]:
    parts = urlsplit(config.hub_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        fix = "check the network cable, the router and the DNS server"
        yield Finding(check="hub name", verdict="wrong", detail=str(error), fix=fix)
        return
    yield Finding(check="hub name", verdict="good", detail=f"{len(found)} addresses")
    try:
        socket.create_connection((parts.hostname or "", port), timeout=5).close()
    except OSError as error:
        fix = "check the firewall, and whether the hub runs; captures go on meanwhile"
        yield Finding(check="hub port", verdict="wrong", detail=str(error), fix=fix)
        return
    yield Finding(check="hub port", verdict="good", detail=f"{parts.hostname}:{port} answers")


def _ports(config: AgentConfig) -> Iterator[Finding]:
    lines = [(till.name, till.port) for till in config.tills]
    lines += [(port.name, port.port) for port in config.scooter_ports]
    if not lines and config.mqtt is None:
        fix = "add [[tills]], [mqtt] or [[scooter_ports]] to the settings"
        yield Finding(check="sources", verdict="wrong", detail="none", fix=fix)
    for name, path in lines:
        check = f"port {name}"
        if not Path(path).exists():
            fix = "plug the cable in; `ls /dev/serial/by-id` shows what is there"
            yield Finding(check=check, verdict="wrong", detail=f"{path} is missing", fix=fix)
        elif not os.access(path, os.R_OK | os.W_OK):
            fix = "add the agent's user to the group dialout"
            yield Finding(check=check, verdict="wrong", detail=f"{path} is closed to us", fix=fix)
        elif not path.startswith(("/dev/serial/by-id/", "/dev/serial/by-path/")):
            fix = "bind by /dev/serial/by-id or by-path: numbers change when cables move"
            yield Finding(check=check, verdict="note", detail=path, fix=fix)
        else:
            yield Finding(check=check, verdict="good", detail=path)


def _broker(config: AgentConfig) -> Iterator[Finding]:
    mqtt = config.mqtt
    if mqtt is None:
        return
    try:
        socket.create_connection((mqtt.host, mqtt.port), timeout=5).close()
        yield Finding(check="broker", verdict="good", detail=f"{mqtt.host}:{mqtt.port} answers")
    except OSError as error:
        fix = "systemctl status mosquitto"
        yield Finding(check="broker", verdict="wrong", detail=str(error), fix=fix)
    secret = mqtt.password_file
    if secret is not None and not os.access(secret, os.R_OK):
        fix = "give the agent's user the right to read it"
        yield Finding(check="broker password", verdict="wrong", detail=f"{secret}", fix=fix)


def _buffer(config: AgentConfig) -> Iterator[Finding]:
    if not config.buffer_path.exists():
        yield Finding(check="buffer", verdict="note", detail="not yet made")
        return
    try:
        found = buffer_status.read(config.buffer_path)
    except AgentError as error:
        fix = "restart the agent: it moves a damaged buffer aside and salvages it"
        yield Finding(check="buffer", verdict="wrong", detail=str(error), fix=fix)
        return
    used, limit = found["buffer_bytes"], config.buffer.bytes_max
    yield Finding(
        check="buffer",
        verdict="good" if used < limit * 8 // 10 else "wrong",
        detail=f"{used // 1000} kB of {limit // 1000} kB",
        fix="" if used < limit * 8 // 10 else "reach the hub, or raise buffer.bytes_max",
    )
    oldest_ms = found["oldest_unsent_ms"] or 0
    yield Finding(
        check="backlog",
        verdict="good" if oldest_ms < BACKLOG_OLD_MS else "wrong",
        detail=f"{sum(found['backlog'].values())} events, oldest {oldest_ms // 1000} s",
        fix="" if oldest_ms < BACKLOG_OLD_MS else "the hub was not reached for a day: see hub port",
    )
    for lane, reason in found["halted"].items():
        fix = "tell the hub's administrator: these very bytes are refused"
        yield Finding(check=f"lane {lane}", verdict="wrong", detail=reason, fix=fix)
    lost = sum(found["lost"].values())
    yield Finding(
        check="losses",
        verdict="note" if lost else "good",
        detail=f"{lost} declared",
        fix="the hub lists them under this device" if lost else "",
    )
    yield Finding(
        check="salvages",
        verdict="note" if found["salvages"] else "good",
        detail=str(found["salvages"]),
        fix="the card has returned wrong bytes: replace it soon" if found["salvages"] else "",
    )


_CHECKS: tuple[Callable[[AgentConfig], Iterator[Finding]], ...] = (
    _state_dir,
    _key,
    _identity,
    _clock,
    _name_and_port,
    _ports,
    _broker,
    _buffer,
)
