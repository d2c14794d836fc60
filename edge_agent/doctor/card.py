"""The card: where it stands, what it has suffered, how long it takes to say that it has stored."""

import os
from collections.abc import Iterator
from pathlib import Path

from edge_agent.config import AgentConfig
from edge_agent.doctor.finding import Finding, good, note, wrong
from edge_agent.doctor.machine import Machine, mount_of, read_text

LATENCY_FILE = ".doctor"
LATENCY_SAMPLES = 100
LATENCY_BYTES = 4096
LATENCY_WHOLE_MS = 10_000
SLOW_MS = 250
"""A sale is two commits: with this, a second at the till."""
TOO_SLOW_MS = 1000
"""Reports come faster than such a card commits them."""
_WORN, _NEARLY_WORN = 0x0B, 0x09  # life_time: tenths of the promised life, 0x0B is beyond it
_PRE_EOL = {1: "normal", 2: "80 % of its reserve is used", 3: "90 % of its reserve is used"}
_REPLACE = "replace the card soon; what waits is delivered first, see backlog"


def file_system(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Whether what is written there can be written, and outlives a power cut."""
    mount = mount_of(machine, config.state_dir)
    if mount is None:
        return
    where = f"{mount.kind} at {mount.point}"
    arguments = (machine.read("/proc/cmdline") or "").split()
    overlaid = [word for word in arguments if word.startswith(("boot=overlay", "overlayroot="))]
    if "ro" in mount.options:
        fix = "the kernel does this after a card error: see `dmesg`, then replace the card"
        yield wrong("file system", f"{where} is read-only", fix)
    elif mount.kind in {"tmpfs", "ramfs"}:
        fix = "put state_dir on the card: a power cut takes everything that lies in memory"
        yield wrong("file system", f"{where} is memory", fix)
    elif mount.kind == "overlay" and overlaid:
        fix = "raspi-config: turn the overlay file system off, or put state_dir on a partition"
        yield wrong("file system", f"{where} is memory over a card ({overlaid[0]})", fix)
    else:
        yield good("file system", where)


def faults(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Errors that ext4 has noted since the file system was made."""
    mount = mount_of(machine, config.state_dir)
    if mount is None or mount.kind != "ext4":
        return
    part = machine.at(f"/sys/dev/block/{mount.device}")
    if not part.exists():
        return
    text = machine.read(f"/sys/fs/ext4/{part.resolve().name}/errors_count")
    if text is None or not text.isdecimal():
        return
    if int(text):
        fix = f"check it with fsck at the next start; if it comes again, {_REPLACE}"
        yield wrong("card errors", f"ext4 has noted {text}", fix)
    else:
        yield good("card errors", "ext4 has noted none")


def life(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """What an eMMC says of its own wear; SD cards say nothing."""
    mount = mount_of(machine, config.state_dir)
    disk = None if mount is None else machine.disk_of(mount.device)
    if disk is None:
        return
    used = _hex_words(disk / "device/life_time")
    reserve = _hex_words(disk / "device/pre_eol_info")
    if not used and not reserve:
        return
    worst, spent = max(used, default=0), max(reserve, default=0)
    # The values are ranges: 0x01 is up to a tenth of the life, 0x0B more than all of it.
    beyond = "more than its promised life"
    told = beyond if worst >= _WORN else f"up to {worst * 10} % of its life"
    detail = f"{told} used; {_PRE_EOL.get(spent, 'its reserve is not told')}"
    if worst >= _WORN or spent >= 3:
        yield wrong("card life", detail, _REPLACE)
    elif worst >= _NEARLY_WORN or spent == 2:
        yield note("card life", detail, _REPLACE)
    else:
        yield good("card life", detail)


def _hex_words(path: Path) -> list[int]:
    try:
        return [int(word, 16) for word in (read_text(path) or "").split()]
    except ValueError:
        return []


def latency(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """How long the card takes for one durable write, measured where the buffer is."""
    path = config.state_dir / LATENCY_FILE
    if not config.state_dir.is_dir():
        return
    try:
        samples = _measured(path, machine)
    except PermissionError:
        fix = "run doctor as the agent's user or as root"
        yield wrong("card latency", f"{config.state_dir} cannot be written by us", fix)
        return
    except OSError as error:
        fix = "the card refuses to store: see file system and disk space; else replace it"
        yield wrong("card latency", f"not measured: {error.strerror}", fix)
        return
    p99_ms = samples[len(samples) * 99 // 100]
    detail = f"p99 of {len(samples)} durable writes {p99_ms} ms"
    if p99_ms >= TOO_SLOW_MS:
        yield wrong("card latency", detail, f"too slow to be a store's memory: {_REPLACE}")
    elif p99_ms >= SLOW_MS:
        yield note("card latency", detail, "slow: use a card of application class A1 or A2")
    else:
        yield good("card latency", detail)


def _measured(path: Path, machine: Machine) -> list[int]:
    """Sorted times in ms. One file of one name: a power cut in here leaves 4 kB, once."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try:
        samples: list[int] = []
        while len(samples) < LATENCY_SAMPLES and sum(samples) < LATENCY_WHOLE_MS:
            started_ms = machine.clock.mono_ms()
            os.pwrite(file, os.urandom(LATENCY_BYTES), 0)
            machine.fsync(file)
            samples.append(machine.clock.mono_ms() - started_ms)
        return sorted(samples)
    finally:
        os.close(file)
        path.unlink(missing_ok=True)


def writers(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Who else wears the card out: swap and a journal that is kept."""
    mount = mount_of(machine, config.state_dir)
    disk = None if mount is None else machine.disk_of(mount.device)
    if disk is None or not disk.name.startswith("mmcblk"):
        return
    lines = (machine.read("/proc/swaps") or "").splitlines()[1:]
    swaps = [line.split()[0] for line in lines if line.strip()]
    on_card = [name for name in swaps if name.startswith(("/dev/mmcblk", "/var/", "/swap"))]
    if on_card:
        fix = "systemctl disable --now dphys-swapfile, or swap to zram"
        yield note("swap", f"{on_card[0]} is on the card and wears it", fix)
    else:
        yield good("swap", "none on the card")
    if machine.at("/var/log/journal").is_dir() and not _journal_in_memory(machine):
        fix = "Storage=volatile in /etc/systemd/journald.conf: the log in memory spares the card"
        yield note("journal", "every line of the log is written to the card", fix)
    else:
        yield good("journal", "kept in memory")


def _journal_in_memory(machine: Machine) -> bool:
    files = [machine.at("/etc/systemd/journald.conf")]
    files += machine.matching("/etc/systemd/journald.conf.d", "*.conf")
    lines = [line.strip() for path in files for line in (read_text(path) or "").splitlines()]
    stated = [line for line in lines if line.startswith("Storage=")]
    return bool(stated) and stated[-1] in {"Storage=volatile", "Storage=none"}
