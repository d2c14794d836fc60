"""The doctor's checks of board, card, ports and service: each finds the fault, and its absence."""

import json
from collections.abc import Callable

import pytest

from edge_agent.buffer import Buffer
from edge_agent.doctor import board, broker, card, examine, hub, ports, service, state
from edge_agent.doctor.examination import CHECKS, Check
from shared.crypto.keys import SigningKey
from tests.edge_agent.doctor.boxes import DISK, PORT, UNIT, USB, Box, room
from tests.edge_agent.sources.conftest import CLOCK, occurred

Do = Callable[[Box], object]
THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
ACL = "/etc/mosquitto/kickstand.acl"
CONF = "/etc/mosquitto/conf.d/kickstand.conf"


@pytest.fixture
def box(tmp_path):
    """A box that is well."""
    return Box(tmp_path)


def a_key(box, mode=0o600):
    """The box has a key."""
    path = box.state / "key.pem"
    SigningKey.generate().save(path)
    path.chmod(mode)


def slow(ms):
    """Each fsync takes this long."""
    return lambda box: box.change(fsync=lambda _file: box.clock.advance(ms))


def refusing(box):
    """The card takes nothing: what is in the way is a folder, which cannot be written."""
    (box.state / card.LATENCY_FILE).mkdir()


def a_buffer(box, sources=None):
    """The agent has run and has said how its sources are."""
    path = box.state / "buffer.db"
    made = Buffer(path, device="d", clock=CLOCK, now=lambda: occurred(CLOCK.mono_ms(), 0))
    made.save_running({"sources": json.dumps(sources or {})})
    made.close()


def said(condition, detail=""):
    """The agent's own word on its broker."""
    return lambda box: a_buffer(box, {"mqtt": {"state": condition, "detail": detail}})


def onboard(box):
    """The till is at the board's own port, where the kernel's console speaks."""
    box.wire("ttyAMA0")
    box.write("/sys/class/tty/console/active", "tty1 ttyAMA0\n")


def allowed(box):
    """The till is at the board's own port, and the unit was told."""
    box.wire("ttyAMA0")
    box.write(f"{UNIT}.d/port.conf", "[Service]\nDeviceAllow=/dev/ttyAMA0 rw\n")


def in_dialout(box):
    """The port is dialout's, and the service is given that group."""
    node = box.at(PORT).resolve()
    node.chmod(0o060 if node.stat().st_uid != box.state.stat().st_uid else 0o660)
    box.write("/etc/group", f"dialout:x:{node.stat().st_gid}:\n")


def by_number(box):
    """The till is bound by the number of its device."""
    box.tables["tills"] = '[[tills]]\nname = "t1"\nport = "/dev/ttyUSB0"\n'


def modem_manager(box, ignored=""):
    """ModemManager runs; udev's record of the port."""
    box.runs(500, "ModemManager")
    box.write("/run/udev/data/c0:0", f"E:ID_VENDOR=FTDI\n{ignored}\n")


def with_broker(*edits):
    """A broker in the settings, and changes of its files."""

    def do(box):
        box.broker()
        for path, old, new in edits:
            box.edit(path, old, new)

    return do


def well(_box):
    """As it is."""


# check, what is done to a box that is well, name of the finding, verdict, what it says
CASES: list[tuple[Check, Do, str, str, str]] = [
    (state.folder, well, "state folder", "good", "drwx------"),
    (state.folder, lambda b: b.state.chmod(0o755), "state folder", "wrong", "drwxr-xr-x"),
    (state.folder, lambda b: b.state.rename(b.state.with_name("gone")), "state folder", "wrong",
     "does not exist"),
    (state.folder, lambda b: b.change(room=room()), "disk space", "good", "10240 MB"),
    (state.folder, lambda b: b.change(room=room(f_bavail=50_000)), "disk space", "wrong", "204 MB"),
    (state.folder, lambda b: b.change(room=room()), "inodes", "good", "900000"),
    (state.folder, lambda b: b.change(room=room(f_favail=12)), "inodes", "wrong", "12 free"),
    (state.key, a_key, "device key", "good", "600"),
    (state.key, lambda b: a_key(b, 0o640), "device key", "wrong", "640"),
    (state.key, well, "device key", "wrong", "there is none"),
    (state.enrolment, well, "enrolment", "wrong", "not joined"),
    (state.buffer, well, "buffer", "note", "not yet made"),
    (state.buffer, a_buffer, "buffer", "good", "of 536870 kB"),
    (state.buffer, lambda b: (b.state / "buffer.db").write_bytes(b"junk" * 2000), "buffer",
     "wrong", "cannot be read"),
    (state.sources, said("ok"), "source mqtt", "good", "hears"),
    (state.sources, said("failed", "check user"), "source mqtt", "wrong", "check user"),
    (state.sources, said("waiting", "no broker"), "source mqtt", "note", "no broker"),
    (card.file_system, well, "file system", "good", "ext4"),
    (card.file_system, lambda b: b.mount(options="ro,noatime"), "file system", "wrong",
     "read-only"),
    (card.file_system, lambda b: b.mount(kind="tmpfs"), "file system", "wrong", "memory"),
    (card.file_system, lambda b: (b.mount(kind="overlay"), b.write("/proc/cmdline",
     "boot=overlay")), "file system", "wrong", "boot=overlay"),
    (card.file_system, lambda b: b.mount(kind="overlay"), "file system", "good", "overlay"),
    (card.faults, well, "card errors", "good", "none"),
    (card.faults, lambda b: b.write("/sys/fs/ext4/mmcblk0p2/errors_count", "7"), "card errors",
     "wrong", "7"),
    (card.life, well, "card life", "good", "20 %"),
    (card.life, lambda b: b.write(f"{DISK}/device/life_time", "0x0a 0x01"), "card life", "note",
     "100 %"),
    (card.life, lambda b: b.write(f"{DISK}/device/life_time", "0x0b 0x01"), "card life", "wrong",
     "more than"),
    (card.life, lambda b: b.write(f"{DISK}/device/pre_eol_info", "0x03"), "card life", "wrong",
     "90 %"),
    (card.latency, slow(12), "card latency", "good", "100 durable writes 12 ms"),
    (card.latency, slow(300), "card latency", "note", "300 ms"),
    (card.latency, slow(1800), "card latency", "wrong", "1800 ms"),
    (card.latency, refusing, "card latency", "wrong", "not measured"),
    (card.writers, well, "swap", "good", "none"),
    (card.writers, lambda b: b.write("/proc/swaps", "Filename\n/var/swap file 1 0 -2\n"), "swap",
     "note", "/var/swap"),
    (card.writers, well, "journal", "good", "memory"),
    (card.writers, lambda b: b.write("/var/log/journal/x"), "journal", "note", "every line"),
    (card.writers, lambda b: (b.write("/var/log/journal/x"), b.write(
     "/etc/systemd/journald.conf", "[Journal]\nStorage=volatile\n")), "journal", "good", "memory"),
    (board.power, well, "power", "good", "no under-voltage"),
    (board.power, lambda b: b.write(THROTTLED, "50005"), "power", "wrong", "now"),
    (board.power, lambda b: b.write(THROTTLED, "50000"), "power", "note", "last start"),
    (board.power, lambda b: (b.write("/sys/class/hwmon/hwmon1/name", "rpi_volt"),
     b.write("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1")), "power", "wrong", "now"),
    (board.heat, well, "heat", "good", "48 °C"),
    (board.heat, lambda b: b.write("/sys/class/thermal/thermal_zone0/temp", "81200"), "heat",
     "wrong", "81 °C"),
    (board.heat, lambda b: b.write(THROTTLED, "80008"), "heat", "wrong", "slows"),
    (board.heat, lambda b: b.write(THROTTLED, "40000"), "heat", "note", "last start"),
    (board.memory, well, "memory", "good", "597 MB"),
    (board.memory, lambda b: b.write("/proc/meminfo", "MemAvailable: 30000 kB"), "memory", "wrong",
     "29 MB"),
    (board.clock, well, "system clock", "good", "2027-01-15"),
    (board.clock, lambda b: b.clock.set_wall(3_600_000), "system clock", "note", "1970-01-01"),
    (board.clock, well, "time service", "good", "3 ms"),
    (board.clock, lambda b: b.change(kernel_error=lambda: None), "time service", "note", "nothing"),
    (board.clock, well, "battery clock", "good", "present"),
    (board.clock, lambda b: b.at("/sys/class/rtc/rtc0/since_epoch").unlink(), "battery clock",
     "note", "none"),
    (board.clock, lambda b: b.write("/sys/class/rtc/rtc0/since_epoch", "86400"), "battery clock",
     "wrong", "empty"),
    (service.unit, well, "service", "good", "starts"),
    (service.unit, lambda b: b.at(UNIT).unlink(), "service", "wrong", "not installed"),
    (service.unit, lambda b: b.at("/etc/systemd/system/multi-user.target.wants/"
     "kickstand-agent.service").unlink(), "service", "wrong", "not enabled"),
    (service.watchdogs, well, "service watchdog", "good", "60"),
    (service.watchdogs, lambda b: b.write(f"{UNIT}.d/x.conf", "[Service]\nWatchdogSec=0\n"),
     "service watchdog", "wrong", "nobody"),
    (service.watchdogs, well, "board watchdog", "good", "15"),
    (service.watchdogs, lambda b: b.at("/dev/watchdog").unlink(), "board watchdog", "note", "none"),
    (service.watchdogs, lambda b: b.at("/etc/systemd/system.conf.d/watchdog.conf").unlink(),
     "board watchdog", "note", "not in use"),
    (service.process, well, "agent", "good", "812"),
    (service.process, lambda b: b.write("/proc/812/cmdline", "bash"), "agent", "wrong", "not run"),
    (ports.lines, well, "port t1", "good", PORT),
    (ports.lines, lambda b: b.at(PORT).unlink(), "port t1", "wrong", "missing"),
    (ports.lines, by_number, "port t1", "note", "/dev/ttyUSB0"),
    (ports.lines, lambda b: b.tables.clear(), "sources", "wrong", "none"),
    (ports.lines, in_dialout, "port t1 rights", "good", "may open"),
    (ports.lines, lambda b: b.lock_out(), "port t1 rights", "wrong", "closed"),
    (ports.lines, onboard, "port t1 console", "wrong", "ttyAMA0"),
    (ports.lines, lambda b: b.wire("ttyAMA0"), "port t1 console", "good", "none"),
    (ports.lines, onboard, "port t1 service", "wrong", "ttyAMA0"),
    (ports.lines, allowed, "port t1 service", "good", "may open"),
    (ports.lines, well, "port t1 sleep", "good", "awake"),
    (ports.lines, lambda b: b.write(f"{USB}/power/control", "auto"), "port t1 sleep", "wrong",
     "autosuspend"),
    (ports.others, well, "port takers", "good", "neither"),
    (ports.others, modem_manager, "ModemManager", "wrong", "500"),
    (ports.others, lambda b: b.runs(501, "brltty"), "brltty", "wrong", "501"),
    (ports.others, lambda b: b.runs(502, "minicom", holds="/dev/ttyUSB0"), "port t1 holder",
     "wrong", "minicom (502)"),
    (hub.network, well, "network", "good", "eth0 up"),
    (hub.network, lambda b: b.write("/sys/class/net/eth0/operstate", "down"), "network", "wrong",
     "no link"),
    (broker.access, with_broker(), "broker access", "good", "may hear"),
    (broker.access, with_broker((ACL, "topic read scooter/+/state\n", "")), "broker access",
     "wrong", "topic read scooter/+/state"),
    (broker.access, with_broker((ACL, "pattern write scooter/%u/ack\n", "")), "broker access",
     "wrong", "topic write scooter/kickstand-agent/ack"),
    (broker.access, with_broker(), "broker names", "good", "own name"),
    (broker.access, with_broker((ACL, "/%u/", "/+/")), "broker names", "wrong", "no rule"),
    (broker.access, with_broker((ACL, "# Copy", "topic scooter/#\n# Copy")), "broker names",
     "wrong", "not signed in"),
    (broker.settings, with_broker(), "broker sign-in", "good", "signed in as"),
    (broker.settings, with_broker((CONF, "allow_anonymous false", "allow_anonymous true")),
     "broker sign-in", "wrong", "everybody"),
    (broker.settings, with_broker((CONF, "use_username_as_clientid true", "")), "broker sign-in",
     "note", "take over"),
    (broker.settings, with_broker(), "broker memory", "good", "disk"),
    (broker.settings, with_broker((CONF, "persistence true", "")), "broker memory", "wrong",
     "forgets"),
    (broker.settings, with_broker(), "broker window", "good", "500"),
    (broker.settings, with_broker((CONF, "max_inflight_messages 500", "")), "broker window", "note",
     "20 messages"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "do", "name", "verdict", "says"), CASES)
def test_a_check_tells_how_the_box_is(box, check, do, name, verdict, says):
    """Real files below a folder; a finding has a fix exactly when something is to be done."""
    do(box)
    found = box.findings(check)[name]
    assert (verdict, True) == (found.verdict, says in found.detail), found
    assert (verdict == "good") == (found.fix == ""), found


def test_every_check_here_can_fail_and_can_pass():
    """No check of the table says the same whatever the box; ports takers fail by their names."""
    seen: dict[str, set[bool]] = {}
    for _, _, name, verdict, _ in CASES:
        seen.setdefault(name, set()).add(verdict == "good")
    one_sided = {name for name, verdicts in seen.items() if verdicts != {True, False}}
    by_name_only = {"ModemManager", "brltty", "port t1 holder", "port takers", "sources"}
    by_network = {"enrolment"}  # its other side is in test_network
    assert by_name_only | by_network == one_sided


def test_modem_manager_may_run_beside_a_port_it_is_told_to_leave_alone(box):
    """udev's record of the device decides."""
    modem_manager(box, ignored="E:ID_MM_DEVICE_IGNORE=1")
    assert {} == box.findings(ports.others)


def test_a_machine_that_cannot_tell_is_not_called_good(tmp_path, box):
    """Without sysfs, proc and etc the checks of board and card say nothing of what they miss."""
    box.change(root=tmp_path / "empty")
    for check in (card.file_system, card.faults, card.life, card.writers, board.power, board.heat,
                  board.memory, service.unit, service.watchdogs, hub.network):  # fmt: skip
        assert {} == box.findings(check)


def test_the_measurement_leaves_nothing_behind(box):
    """The doctor's own file is gone, also when the card refused."""
    box.findings(card.latency)
    assert ["agent.lock"] == sorted(path.name for path in box.state.iterdir())


def test_junk_in_every_file_fails_no_check(box):
    """Whatever the system's files hold, each check answers with findings."""
    box.broker()
    for path in [path for path in box.root.rglob("*") if path.is_file() and not path.is_symlink()]:
        path.write_bytes(b"\xff junk\n - x\n=\n:::\n0x 0xzz\n\n" * 3)
    config = box.root.parent / "agent.toml"
    box.config()
    findings = examine(config, box.machine)
    assert all((item.verdict == "good") == (item.fix == "") for item in findings)


def test_a_whole_examination_has_more_than_twenty_five_checks(box):
    """Each with its own name, in one list, on a machine without a network."""
    box.broker()
    box.config()
    findings = examine(box.root.parent / "agent.toml", box.machine)
    names = [item.check for item in findings]
    assert len(names) == len(set(names)) > 25
    assert 26 == len(CHECKS)
