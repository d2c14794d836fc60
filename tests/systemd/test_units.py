"""The shipped units: correct for systemd, closed to the outside, and true to the programs."""

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
EXPOSURE_MAX = 3.0

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


class _Directives(configparser.RawConfigParser):
    """A unit's keys keep their case; of a repeated key the last one is seen."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def directives(unit: Path) -> _Directives:
    parser = _Directives(strict=False, interpolation=None)
    parser.read_string(unit.read_text())
    return parser


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_three_services_are_there():
    """A newcomer finds one unit for the box and two for the hub."""
    assert {"kickstand-agent", "kickstand-hub", "kickstand-hub-worker"} == {
        unit.stem for unit in UNITS
    }


@each_unit
def test_systemd_finds_nothing_to_complain_about(unit, tmp_path):
    """systemd-analyze verify is silent: no unknown setting, no bad value, no missing program."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program}", unit.read_text()))

    result = analyze("verify", "--man=no", str(copy))

    assert "" == result.stdout + result.stderr
    assert 0 == result.returncode


@each_unit
def test_the_sandbox_leaves_little_exposed(unit):
    """systemd's own exposure score stays at or below 3.0 of 10, without a running systemd."""
    result = analyze("security", "--offline=true", str(unit))

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", result.stdout)

    assert found, result.stderr
    assert float(found[1]) <= EXPOSURE_MAX


@each_unit
def test_a_service_that_hangs_is_started_again_for_ever(unit):
    """Ready and watchdog are told by the program, and systemd never gives up on it."""
    settings = directives(unit)

    assert "notify" == settings["Service"]["Type"]
    assert 0 < int(settings["Service"]["WatchdogSec"]) <= 120
    assert "always" == settings["Service"]["Restart"]
    assert "0" == settings["Unit"]["StartLimitIntervalSec"]


@each_unit
def test_a_service_writes_to_its_state_directory_only(unit):
    """The file system is read-only but for one directory that nobody else can read."""
    service = directives(unit)["Service"]

    assert "strict" == service["ProtectSystem"]
    assert "0700" == service["StateDirectoryMode"]
    assert service["StateDirectory"] in {"kickstand", "kickstand-agent"}
    assert "ReadWritePaths" not in service
    assert service["User"] != "root"


def test_the_users_that_the_services_run_as_are_declared():
    """sysusers.d makes every user named in a unit, with the state directory as its home."""
    declared = {
        line.split()[1]
        for line in (ROOT / "systemd" / "kickstand.sysusers.conf").read_text().splitlines()
        if line.startswith("u ")
    }

    assert {directives(unit)["Service"]["User"] for unit in UNITS} == declared


@each_unit
def test_a_unit_starts_what_we_ship_in_words_that_it_knows(unit):
    """ExecStart names a script of pyproject.toml, and that program takes the unit's arguments."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    program, *arguments = directives(unit)["Service"]["ExecStart"].split()
    module = scripts[Path(program).name].split(":")[0].removesuffix(".__main__")

    result = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--help"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ("", 0) == (result.stderr, result.returncode)


def test_the_agent_reaches_serial_ports_and_no_other_device():
    """Device access is closed; only USB serial ports are opened again."""
    lines = (ROOT / "systemd" / "kickstand-agent.service").read_text().splitlines()

    assert "DevicePolicy=closed" in lines
    assert ["DeviceAllow=char-ttyUSB rw", "DeviceAllow=char-ttyACM rw"] == [
        line for line in lines if line.startswith("DeviceAllow=")
    ]
