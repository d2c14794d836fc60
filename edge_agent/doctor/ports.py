"""Serial ports: there, ours to open, bound by a name that stays, and nobody else's."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edge_agent.config import AgentConfig
from edge_agent.doctor import service
from edge_agent.doctor.finding import Finding, good, note, wrong
from edge_agent.doctor.machine import Machine, read_text

STABLE = ("/dev/serial/by-id/", "/dev/serial/by-path/")
_READ_AND_WRITE = stat.S_IROTH | stat.S_IWOTH
_GRABBERS = {
    "ModemManager": "it sends AT commands to ports; systemctl disable --now ModemManager",
    "brltty": "it takes CH340 adapters away; apt remove brltty",
}


def lines(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Each port of the settings, by itself."""
    named = _named(config)
    if not named and config.mqtt is None:
        fix = "add [[tills]], [mqtt] or [[scooter_ports]] to the settings"
        yield wrong("sources", "none", fix)
    for name, path in named:
        check, device = f"port {name}", machine.at(path)
        if not device.exists():
            fix = "plug the cable in; `ls /dev/serial/by-id` shows what is there"
            yield wrong(check, f"{path} is missing", fix)
            continue
        if path.startswith(STABLE):
            yield good(check, path)
        else:
            fix = "bind by /dev/serial/by-id or by-path: numbers change when cables move"
            yield note(check, path, fix)
        yield _rights(config, machine, name, device)
        yield from _kind(machine, name, device.resolve().name)
        yield from _autosuspend(machine, name, device.resolve().name)


def _named(config: AgentConfig) -> list[tuple[str, str]]:
    tills = [(till.name, till.port) for till in config.tills]
    return tills + [(port.name, port.port) for port in config.scooter_ports]


def _rights(config: AgentConfig, machine: Machine, name: str, device: Path) -> Finding:
    """What the agent's user may do, whoever runs the doctor: root may open everything."""
    check, node = f"port {name} rights", device.stat()
    try:
        uid = config.state_dir.stat().st_uid
    except OSError:
        uid = os.getuid()
    if node.st_uid == uid:
        allowed = node.st_mode >> 6
    elif node.st_gid in _groups(machine, uid):
        allowed = node.st_mode >> 3
    else:
        allowed = node.st_mode
    if allowed & _READ_AND_WRITE == _READ_AND_WRITE:
        return good(check, "the agent's user may open it")
    detail = f"{stat.filemode(node.st_mode)}: closed to the agent's user"
    fix = "usermod -aG dialout kickstand-agent, or SupplementaryGroups=dialout in its unit"
    return wrong(check, detail, fix)


def _groups(machine: Machine, uid: int) -> set[int]:
    """Ids of the user's groups, and of those that its service is given."""
    users = [line.split(":") for line in (machine.read("/etc/passwd") or "").splitlines()]
    mine = [user for user in users if len(user) > 3 and user[2] == str(uid)]
    names = {user[0] for user in mine}
    found = {int(user[3]) for user in mine if user[3].isdecimal()}
    given = {
        word
        for path in service.unit_files(machine)
        for line in (read_text(path) or "").splitlines()
        if line.startswith(("SupplementaryGroups=", "Group="))
        for word in line.partition("=")[2].split()
    }
    for line in (machine.read("/etc/group") or "").splitlines():
        group = line.split(":")
        if (
            len(group) > 3
            and group[2].isdecimal()
            and (group[0] in given or names & set(group[3].split(",")))
        ):
            found.add(int(group[2]))
    return found


def _kind(machine: Machine, name: str, tty: str) -> Iterator[Finding]:
    """Ports of the board itself: a console may speak there, and the service may not."""
    if tty.startswith(("ttyUSB", "ttyACM")):
        return
    consoles = (machine.read("/sys/class/tty/console/active") or "").split()
    if tty in consoles:
        fix = "raspi-config: Interface Options, Serial Port, login shell: no; then restart"
        yield wrong(f"port {name} console", f"the kernel's console speaks on {tty}", fix)
    else:
        yield good(f"port {name} console", "none")
    text = "\n".join(read_text(path) or "" for path in service.unit_files(machine))
    if "DevicePolicy=closed" not in text:
        return
    kind = f"char-{tty.rstrip('0123456789')}"
    if f"DeviceAllow=/dev/{tty}" in text or f"DeviceAllow={kind} " in text:
        yield good(f"port {name} service", "the unit may open it")
    else:
        fix = f"systemctl edit kickstand-agent: [Service] DeviceAllow=/dev/{tty} rw"
        yield wrong(f"port {name} service", f"the unit may not open {tty}", fix)


def _autosuspend(machine: Machine, name: str, tty: str) -> Iterator[Finding]:
    """Whether the kernel may switch the USB adapter off while nobody sells."""
    device = machine.at(f"/sys/class/tty/{tty}/device")
    if not device.exists():
        return
    above = [device.resolve(), *device.resolve().parents]
    usb = next((folder for folder in above if (folder / "idVendor").exists()), None)
    state = None if usb is None else read_text(usb / "power/control")
    if usb is None or state is None:
        return
    never = machine.read("/sys/module/usbcore/parameters/autosuspend") == "-1"
    check = f"port {name} sleep"
    if state == "auto" and not never:
        vendor = read_text(usb / "idVendor") or ""
        fix = (
            f'udev: ACTION=="add", SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor}", '
            'ATTR{power/control}="on"'
        )
        yield wrong(check, "USB autosuspend may switch the adapter off", fix)
    else:
        yield good(check, "the adapter stays awake")


def others(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Other programs at our ports: those that hold one, and those that are known to take them."""
    named = [(name, machine.at(path)) for name, path in _named(config)]
    there = [(name, device.resolve()) for name, device in named if device.exists()]
    if not there:
        return
    running = {name: number for number, name in machine.processes()}
    found = [name for name in _GRABBERS if name in running]
    for name in found:
        ignored = name == "ModemManager" and all(_ignored(machine, d) for _, d in there)
        if not ignored:
            yield wrong(name, f"runs as process {running[name]}", _GRABBERS[name])
    if running and not found:
        yield good("port takers", "neither ModemManager nor brltty runs")
    for name, device in there:
        holder = _holder(machine, device)
        if holder is not None:
            yield wrong(f"port {name} holder", f"{holder} has it open", "end that program")


def _ignored(machine: Machine, device: Path) -> bool:
    """Whether udev tells ModemManager to leave the port alone."""
    number = device.stat().st_rdev
    text = machine.read(f"/run/udev/data/c{os.major(number)}:{os.minor(number)}") or ""
    return any(
        f"E:ID_MM_{what}_IGNORE=1" in text.splitlines() for what in ("DEVICE", "PORT", "TTY")
    )


def _holder(machine: Machine, device: Path) -> str | None:
    """A program other than the agent that has the port open, as far as we may see."""
    for number, name in machine.processes():
        command = machine.read(f"/proc/{number}/cmdline") or ""
        if "kickstand" in command or "edge_agent" in command:
            continue
        try:
            open_files = list(machine.at(f"/proc/{number}/fd").iterdir())
        except OSError:
            continue  # not ours to see, or gone meanwhile
        if any(_points_at(handle, device) for handle in open_files):
            return f"{name} ({number})"
    return None


def _points_at(handle: Path, device: Path) -> bool:
    try:
        return os.readlink(handle) == str(device)  # noqa: PTH115 - a socket's link is no path
    except OSError:
        return False
