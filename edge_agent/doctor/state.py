"""The agent's own folder: its rights, its room, its key, its buffer."""

import os
import stat
from collections.abc import Iterator

from edge_agent import identity as identities
from edge_agent.buffer import status as buffer_status
from edge_agent.config import AgentConfig
from edge_agent.doctor.finding import Finding, good, note, wrong
from edge_agent.doctor.machine import Machine
from edge_agent.errors import AgentError

FREE_MIN_BYTES = 256 * 1024 * 1024
FREE_MIN_FILES = 1000
BACKLOG_OLD_MS = 24 * 60 * 60 * 1000


def folder(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """The state folder: there, ours alone, with room."""
    place = config.state_dir
    if not place.is_dir():
        fix = f"create it for the agent's user: install -d -m 700 {place}"
        yield wrong("state folder", f"{place} does not exist", fix)
        return
    mode = place.stat().st_mode
    detail = f"{place} {stat.filemode(mode)}"
    if mode & 0o077:
        yield wrong("state folder", detail, f"chmod 700 {place}")
    else:
        yield good("state folder", detail)
    yield from _room(machine.room(place))


def _room(room: os.statvfs_result) -> Iterator[Finding]:
    free = room.f_bavail * room.f_frsize
    detail = f"{free // 1_000_000} MB free"
    if free < FREE_MIN_BYTES:
        yield wrong("disk space", detail, "free space: below this, reports are shed")
    else:
        yield good("disk space", detail)
    if not room.f_files:
        return  # a file system that makes inodes as it goes
    if room.f_favail < FREE_MIN_FILES:
        yield wrong("inodes", f"{room.f_favail} free", "delete small files on this disk")
    else:
        yield good("inodes", f"{room.f_favail} free")


def key(config: AgentConfig, _machine: Machine) -> Iterator[Finding]:
    """The device key: there, and nobody else's to read."""
    path = config.state_dir / identities.KEY_FILE
    try:
        found = path.stat()
    except FileNotFoundError:
        yield wrong("device key", "there is none", "run `kickstand-agent enroll`")
        return
    except OSError as error:
        yield wrong("device key", str(error), "run doctor as the agent's user or as root")
        return
    mode = found.st_mode & 0o777
    if mode & 0o077:
        fix = f"chmod 600 {path}, and enrol anew if others read it"
        yield wrong("device key", f"mode {mode:o}", fix)
        return
    owner = config.state_dir.stat().st_uid
    if found.st_uid != owner:
        fix = f"chown --reference={config.state_dir} {path}"
        yield wrong("device key", "belongs to another user than the folder", fix)
    else:
        yield good("device key", f"mode {mode:o}")


def enrolment(config: AgentConfig, _machine: Machine) -> Iterator[Finding]:
    """Whose box this is, and whether the settings name the hub that it joined."""
    if not (config.state_dir / identities.IDENTITY_FILE).exists():
        fix = "ask the hub's administrator for a code, then `kickstand-agent enroll`"
        yield wrong("enrolment", "this box has not joined a hub", fix)
        return
    try:
        identity = identities.load(config.state_dir)
    except AgentError as error:
        fix = "ask the hub's administrator for a code, then `kickstand-agent enroll`"
        yield wrong("enrolment", str(error), fix)
        return
    yield good("enrolment", f"{identity.device} of {identity.dealer}")
    if identity.hub_url == config.hub_url.rstrip("/"):
        yield good("hub address", config.hub_url)
    else:
        fix = f"the box was enrolled at {identity.hub_url}: is this the same hub?"
        yield note("hub address", config.hub_url, fix)


def buffer(config: AgentConfig, _machine: Machine) -> Iterator[Finding]:
    """How full it is, how old its oldest event, what it lost."""
    if not config.buffer_path.exists():
        yield note("buffer", "not yet made", "start the agent: systemctl start kickstand-agent")
        return
    try:
        found = buffer_status.read(config.buffer_path)
    except AgentError as error:
        fix = "restart the agent: it moves a damaged buffer aside and salvages it"
        yield wrong("buffer", str(error), fix)
        return
    used, limit = found["buffer_bytes"], config.buffer.bytes_max
    detail = f"{used // 1000} kB of {limit // 1000} kB"
    if used < limit * 8 // 10:
        yield good("buffer", detail)
    else:
        yield wrong("buffer", detail, "reach the hub, or raise buffer.bytes_max")
    oldest_ms = found["oldest_unsent_ms"] or 0
    detail = f"{sum(found['backlog'].values())} events, oldest {oldest_ms // 1000} s"
    if oldest_ms < BACKLOG_OLD_MS:
        yield good("backlog", detail)
    else:
        yield wrong("backlog", detail, "the hub was not reached for a day: see hub port")
    for lane, reason in found["halted"].items():
        fix = "tell the hub's administrator: these very bytes are refused"
        yield wrong(f"lane {lane}", reason, fix)
    yield from _past(config, sum(found["lost"].values()), found["salvages"])


def _past(config: AgentConfig, lost: int, salvages: int) -> Iterator[Finding]:
    if lost:
        yield note("losses", f"{lost} declared", "the hub lists them under this device")
    else:
        yield good("losses", "none")
    kept = len(list((config.state_dir / "quarantine").glob("*/*.db")))
    if salvages or kept:
        fix = "the card has returned wrong bytes: replace it soon"
        yield note("salvages", f"{salvages}, {kept} damaged buffers kept", fix)
    else:
        yield good("salvages", "none")


def sources(config: AgentConfig, _machine: Machine) -> Iterator[Finding]:
    """What the running agent last said of each till, broker and scooter port."""
    if not config.buffer_path.exists():
        return
    try:
        found = buffer_status.read(config.buffer_path)["sources"] or {}
    except AgentError:
        return  # `buffer` tells it
    for name, said in found.items():
        condition, detail = said["state"], said["detail"]
        if condition == "failed":
            yield wrong(f"source {name}", detail, "do what the sentence says; it is the agent's")
        elif condition == "waiting" or detail:
            yield note(f"source {name}", detail or "waiting", "see its port or its broker above")
        else:
            yield good(f"source {name}", "hears")
