"""The board: its power, its heat, its memory, its clock."""

from collections.abc import Iterator
from datetime import UTC, datetime

from edge_agent.config import AgentConfig
from edge_agent.doctor.finding import Finding, good, note, wrong
from edge_agent.doctor.machine import Machine, read_text
from edge_agent.timekeeping import BUILD_FLOOR_MS

THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_UNDER_VOLTAGE = 1 << 0
_SLOWED = 1 << 1 | 1 << 2 | 1 << 3  # frequency capped, throttled, soft temperature limit
_SINCE_BOOT = 16
HOT_MILLIDEGREES = 80_000
MEMORY_MIN_KB = 64 * 1024
_SUPPLY = "use the board's own power supply (5.1 V, 3 A) and a short, thick cable"


def power(_config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Under-voltage: what most often breaks cards and drops USB devices."""
    flags = _throttled(machine)
    alarms = [
        read_text(folder / "in0_lcrit_alarm")
        for folder in machine.matching("/sys/class/hwmon", "hwmon*")
        if read_text(folder / "name") == "rpi_volt"
    ]
    told = [alarm for alarm in alarms if alarm is not None]
    if flags is None and not told:
        return
    bits = flags or 0
    if bits & _UNDER_VOLTAGE or "1" in told:
        yield wrong("power", "the voltage is too low now", _SUPPLY)
    elif bits >> _SINCE_BOOT & _UNDER_VOLTAGE:
        yield note("power", "the voltage was too low since the last start", _SUPPLY)
    else:
        yield good("power", "no under-voltage since the last start")


def heat(_config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Temperature, and whether the board had to slow down."""
    fix = "give the box air: not on the till's printer, not in a closed drawer"
    flags = _throttled(machine)
    text = machine.read("/sys/class/thermal/thermal_zone0/temp")
    millidegrees = int(text) if text is not None and text.isdecimal() else None
    if millidegrees is not None and millidegrees >= HOT_MILLIDEGREES:
        yield wrong("heat", f"{millidegrees // 1000} °C", fix)
    elif flags is not None and flags & _SLOWED:
        yield wrong("heat", "the board slows itself down now", f"{fix}; see power too")
    elif flags is not None and flags >> _SINCE_BOOT & _SLOWED:
        yield note("heat", "the board had to slow down since the last start", fix)
    elif millidegrees is not None:
        yield good("heat", f"{millidegrees // 1000} °C")


def _throttled(machine: Machine) -> int | None:
    """The firmware's flags: bits 0-3 hold now, bits 16-19 since the last start."""
    try:
        return int(machine.read(THROTTLED) or "", 16)
    except ValueError:
        return None


def memory(_config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """What is left before the kernel must end a program."""
    for line in (machine.read("/proc/meminfo") or "").splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "MemAvailable:" or not words[1].isdecimal():
            continue
        detail = f"{int(words[1]) // 1024} MB to be had"
        if int(words[1]) < MEMORY_MIN_KB:
            fix = "end other programs: `ps aux --sort=-rss | head`; the box is for the agent"
            yield wrong("memory", detail, fix)
        else:
            yield good("memory", detail)


def clock(_config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """What the system takes for the time, what keeps it, what carries it over a power cut."""
    wall_ms = machine.clock.wall_ms()
    day = datetime.fromtimestamp(wall_ms / 1000, UTC).date()
    if wall_ms < BUILD_FLOOR_MS:
        fix = "nothing to do: the hub's time is used; fit a battery clock for sales offline"
        yield note("system clock", f"{day} is before this program was written", fix)
    else:
        yield good("system clock", f"{day} is plausible")
    error_ms = machine.kernel_error()
    if error_ms is None:
        fix = "systemctl enable --now systemd-timesyncd, and let UDP port 123 out"
        yield note("time service", "nothing keeps the clock", fix)
    else:
        yield good("time service", f"within {error_ms} ms")
    yield _battery_clock(machine)


def _battery_clock(machine: Machine) -> Finding:
    text = machine.read("/sys/class/rtc/rtc0/since_epoch")
    if text is None or not text.isdecimal():
        fix = "sales made before the hub is reached carry no wall time"
        return note("battery clock", "none", fix)
    if int(text) * 1000 < BUILD_FLOOR_MS:
        fix = "put a new battery in, let the time service set the clock, then `hwclock -w`"
        return wrong("battery clock", "it has forgotten the time: its battery is empty", fix)
    return good("battery clock", "present")
