"""A box of plain files that the doctor looks at: sysfs, proc and etc below a folder."""

import os
import stat
from dataclasses import replace
from pathlib import Path

from edge_agent import config as configs
from edge_agent.doctor import Machine
from edge_agent.doctor.examination import Check
from edge_agent.doctor.finding import Finding
from tests.fakes.manual_clock import ManualClock

PORT = "/dev/serial/by-id/usb-FTDI_till-if00-port0"
DISK = "/sys/devices/platform/mmc/mmc_host/mmc0/block/mmcblk0"
USB = "/sys/devices/platform/usb1/1-1"
UNIT = "/etc/systemd/system/kickstand-agent.service"
SHIPPED = Path(__file__).parents[3] / "systemd"


class Box:
    """Begins well in every respect; a test takes something away."""

    def __init__(self, folder: Path) -> None:
        """Nothing is written outside `folder`."""
        self.root, self.state = folder / "root", folder / "state"
        self.clock = ManualClock(wall_ms=1_800_000_000_000)
        self.machine = Machine(root=self.root, clock=self.clock, kernel_error=lambda: 3)
        self.settings = {
            "state_dir": f'"{self.state}"',
            "hub_url": '"http://127.0.0.1:1"',
        }
        self.tables = {"tills": f'[[tills]]\nname = "t1"\nport = "{PORT}"\n'}
        self.state.mkdir(mode=0o700)
        self._system()
        self._card()
        self._port()
        self._service()
        self._broker()

    def config(self):
        """The settings, parsed."""
        path = self.root.parent / "agent.toml"
        lines = "".join(f"{name} = {value}\n" for name, value in self.settings.items())
        path.write_text(lines + "".join(self.tables.values()), "utf-8")
        return configs.load(path)

    def findings(self, check: Check) -> dict[str, Finding]:
        """What one check finds."""
        return {item.check: item for item in check(self.config(), self.machine)}

    def change(self, **changes):
        """Another system call."""
        self.machine = replace(self.machine, **changes)

    def at(self, path):
        """A path of the box."""
        return self.machine.at(path)

    def write(self, path, text=""):
        """A file of the box."""
        place = self.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")

    def link(self, path, target):
        """A symbolic link of the box to another of its paths."""
        place = self.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(self.at(target))

    def runs(self, number, name, *, command="", holds=None):
        """A process."""
        self.write(f"/proc/{number}/comm", f"{name}\n")
        self.write(f"/proc/{number}/cmdline", command or name)
        if holds is not None:
            self.link(f"/proc/{number}/fd/3", holds)

    def mount(self, kind="ext4", options="rw,noatime", device="179:2"):
        """What the state folder stands on."""
        self.write(
            "/proc/self/mountinfo",
            f"22 1 0:5 / / rw - ext4 /dev/root rw\n"
            f"23 22 {device} / {self.state} {options} shared:1 - {kind} /dev/x rw\n",
        )

    def wire(self, tty):
        """The till's port is this device."""
        self.write(f"/dev/{tty}")
        self.link(PORT, f"/dev/{tty}")
        os.chmod(self.at(f"/dev/{tty}"), 0o660)  # noqa: PTH101 - as udev does

    def _system(self):
        self.write("/sys/devices/platform/soc/soc:firmware/get_throttled", "0\n")
        self.write("/sys/class/thermal/thermal_zone0/temp", "48312\n")
        self.write("/proc/meminfo", "MemTotal: 949448 kB\nMemAvailable: 612340 kB\n")
        self.write("/sys/class/rtc/rtc0/since_epoch", "1800000000\n")
        self.write("/sys/class/net/lo/operstate", "unknown")
        self.write("/sys/class/net/eth0/operstate", "up")
        self.write("/proc/cmdline", "console=tty1 root=PARTUUID=1 rootwait")
        self.runs(1, "systemd")

    def _card(self):
        self.write(f"{DISK}/mmcblk0p2/partition", "2")
        self.write(f"{DISK}/device/life_time", "0x01 0x02\n")
        self.write(f"{DISK}/device/pre_eol_info", "0x01\n")
        self.link("/sys/dev/block/179:2", f"{DISK}/mmcblk0p2")
        self.write("/sys/fs/ext4/mmcblk0p2/errors_count", "0\n")
        self.write("/proc/swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 1 0 1\n")
        self.mount()

    def _port(self):
        self.wire("ttyUSB0")
        self.write(f"{USB}/idVendor", "0403\n")
        self.write(f"{USB}/power/control", "on\n")
        self.write(f"{USB}/1-1:1.0/ttyUSB0/x")
        self.link("/sys/class/tty/ttyUSB0/device", f"{USB}/1-1:1.0/ttyUSB0")
        self.write("/sys/module/usbcore/parameters/autosuspend", "2\n")
        self.write("/sys/class/tty/console/active", "tty1\n")

    def _service(self):
        self.at("/run/systemd/system").mkdir(parents=True)
        self.write(UNIT, (SHIPPED / "kickstand-agent.service").read_text("utf-8"))
        self.link("/etc/systemd/system/multi-user.target.wants/kickstand-agent.service", UNIT)
        self.write("/dev/watchdog")
        self.write("/etc/systemd/system.conf.d/watchdog.conf", "[Manager]\nRuntimeWatchdogSec=15\n")
        self.runs(812, "kickstand-agent", command="python\0/opt/kickstand/bin/kickstand-agent\0run")
        (self.state / "agent.lock").write_text("812", "ascii")

    def _broker(self):
        shipped = (SHIPPED / "mosquitto/kickstand.conf").read_text("utf-8")
        self.write("/etc/mosquitto/conf.d/kickstand.conf", shipped)
        access = (SHIPPED / "mosquitto/acl.example").read_text("utf-8")
        self.write("/etc/mosquitto/kickstand.acl", access)

    def broker(self, port=1):
        """A broker is part of the settings."""
        secret = self.state / "mqtt-password"
        secret.write_text("x", "utf-8")
        secret.chmod(0o600)
        self.tables["mqtt"] = (
            f'[mqtt]\nport = {port}\nusername = "kickstand-agent"\n'
            f'password_file = "{secret}"\nauthenticated_by = "broker"\n'
        )

    def edit(self, path, old, new):
        """Replace part of a file."""
        text = self.at(path).read_text("utf-8")
        assert old in text
        self.write(path, text.replace(old, new))

    def lock_out(self):
        """The port is of a user and a group that are not the agent's."""
        node = self.at(PORT).resolve()
        node.chmod(stat.S_IRUSR)


def room(**changes):
    """What statvfs says of a card with 10 GB and many files free."""
    values = {"f_bsize": 4096, "f_frsize": 4096, "f_blocks": 5_000_000, "f_bfree": 2_500_000,
              "f_bavail": 2_500_000, "f_files": 1_000_000, "f_ffree": 900_000,
              "f_favail": 900_000, "f_flag": 0, "f_namemax": 255} | changes  # fmt: skip
    return lambda _path: os.statvfs_result(list(values.values()))
