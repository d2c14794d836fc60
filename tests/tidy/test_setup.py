"""scripts/setup on machines that lack things: it gets them, or says in one sentence what to get.

Root, sudo, apt-get, Python and pip are stand-ins that write down how they were called; the script
and the shell that runs it are real.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT

NEEDED = [
    "sh",
    "cat",
    "printf",
    "dirname",
    "id",
    "env",
    "sha256sum",
    "rm",
    "flock",
    "sleep",
    "grep",
    "pwd",
    "basename",
]
SERVERS = ["mosquitto", "postgres", "chromium", "systemd-analyze"]


class Machine:
    """A bare machine in a folder: its PATH, its checkout, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.checkout = folder / "check out"
        self.calls = folder / "calls"
        self.bin.mkdir()
        self.calls.touch()
        for name in NEEDED:
            if found := shutil.which(name):
                (self.bin / name).symlink_to(found)
        for path in ("scripts/setup", "pyproject.toml"):
            (self.checkout / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, self.checkout / path)
        shutil.copytree(ROOT / "requirements", self.checkout / "requirements")

    def has(self, name: str, script: str = "") -> None:
        """Give the machine a program that writes its arguments down and then runs `script`."""
        self.write(self.bin / name, script)

    def write(self, path: Path, script: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{path.name} $*" >>"{self.calls}"\n{script}\n')
        path.chmod(0o755)

    def is_root(self) -> None:
        (self.bin / "id").unlink()
        self.write(self.bin / "id", "echo 0")

    def is_nobody_special(self) -> None:
        (self.bin / "id").unlink()
        self.write(self.bin / "id", "echo 1000")

    def has_python(self) -> None:
        """A Python that is new enough, and an environment that it has made already."""
        self.has("python3")
        self.write(
            self.checkout / ".venv/bin/python", '[ "$1" != --version ] || echo Python 3.11.2'
        )

    def setup(self, what: str) -> subprocess.CompletedProcess[str]:
        # Without the real /usr/sbin, so that this machine's own servers are not seen.
        script = (self.checkout / "scripts/setup").read_text()
        script = script.replace("PATH=$PATH:/usr/sbin:/sbin", "").replace("sleep 10", "sleep 0")
        script = script.replace("/usr/lib/postgresql", str(self.bin / "none"))
        return subprocess.run(
            ["sh", "-c", script.replace('"$(dirname "$0")/.."', "."), "setup", what],
            cwd=self.checkout,
            env={"PATH": str(self.bin)},
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def asked(self, program: str) -> list[str]:
        """How often and with which words a program was called."""
        return [line for line in self.calls.read_text().splitlines() if line.startswith(program)]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_the_demo_needs_no_server(machine):
    """With Python alone, and neither root nor apt-get, the demo's environment is made."""
    machine.is_nobody_special()
    machine.has_python()

    result = machine.setup("demo")

    assert 0 == result.returncode, result.stderr
    assert any("requirements/sim.txt" in call for call in machine.asked("python -m pip"))


def test_the_second_time_there_is_nothing_to_do(machine):
    """Nothing has changed, so pip is not asked again; a changed requirement asks it again."""
    machine.has_python()
    machine.setup("demo")
    asked_once = machine.asked("python -m pip")

    assert 0 == machine.setup("demo").returncode
    assert asked_once == machine.asked("python -m pip")

    with (machine.checkout / "requirements/sim.txt").open("a") as requirements:
        requirements.write("another==1.0\n")
    machine.setup("demo")
    assert len(machine.asked("python -m pip")) == 2 * len(asked_once)


def test_an_interrupted_installation_is_done_again(machine):
    """pip fails once: setup fails with a sentence, and the next run does not believe it is done."""
    machine.has_python()
    broken = '[ "$2" != pip ] || exit 1'
    machine.write(machine.checkout / ".venv/bin/python", broken)
    failed = machine.setup("demo")
    machine.has_python()

    assert 1 == failed.returncode
    assert "pip could not install requirements/sim.txt" in failed.stderr
    assert 0 == machine.setup("demo").returncode


def test_missing_servers_are_installed_by_root(machine):
    """make test on a bare Debian: all four come from Debian's packages, without questions."""
    machine.is_root()
    machine.has_python()
    links = " ; ".join(
        f'{shutil.which("ln")} -sf /bin/true "{machine.bin / server}"' for server in SERVERS
    )
    machine.has("apt-get", f'case "$*" in *install*) {links} ;; esac')

    result = machine.setup("test")

    assert 0 == result.returncode, result.stderr
    installed = machine.asked("apt-get")[-1]
    for package in ("mosquitto", "postgresql", "chromium", "systemd", "-y"):
        assert package in installed.split()


def test_what_drives_the_browser_gets_the_library_it_is_linked_against(machine):
    """A bare Debian has no libatomic, and the driver's own message names a file and no package."""
    machine.is_root()
    machine.has_python()
    for server in SERVERS:
        machine.has(server)
    found = machine.bin / "libatomic"
    machine.has("ldconfig", f'[ ! -e "{found}" ] || echo "libatomic.so.1 (libc6) => /lib"')
    machine.has("apt-get", f'case "$*" in *install*) : >"{found}" ;; esac')

    results = [machine.setup("test") for _ in range(2)]

    assert [0, 0] == [each.returncode for each in results]
    installs = [line for line in machine.asked("apt-get") if "install" in line]
    assert ["libatomic1"] == [line.split()[-1] for line in installs]


def test_old_package_lists_are_better_than_none(machine):
    """apt-get update fails (a mirror is away): the installation is tried with the lists at hand."""
    machine.is_root()
    machine.has_python()
    for server in SERVERS[1:]:
        machine.has(server)
    mosquitto = machine.bin / "mosquitto"
    machine.has(
        "apt-get",
        f"""case "$*" in
*update*) exit 100 ;;
*) {shutil.which("ln")} -sf /bin/true "{mosquitto}" ;;
esac""",
    )

    assert 0 == machine.setup("test").returncode


def test_apt_that_keeps_failing_is_told_by_hand(machine):
    """Three attempts, then one sentence with the command that a person can run."""
    machine.is_root()
    machine.has_python()
    machine.has("apt-get", "exit 100")

    result = machine.setup("test")

    assert 1 == result.returncode
    assert 3 == len([call for call in machine.asked("apt-get") if " install " in call])
    assert "Please run: apt-get install mosquitto postgresql chromium" in result.stderr


def test_without_root_one_sentence_says_what_to_install(machine):
    """Neither root nor sudo without a password: nothing is tried, the packages are named."""
    machine.is_nobody_special()
    machine.has_python()
    machine.has("apt-get")
    machine.has("sudo", "exit 1")

    result = machine.setup("test")

    assert 1 == result.returncode
    assert [] == machine.asked("apt-get")
    assert result.stderr == (
        "setup: The tests run real servers and a real browser. Please run: apt-get install"
        " mosquitto postgresql chromium fonts-liberation systemd\n"
    )


def test_another_distribution_is_told_what_it_needs(machine):
    """Where there is no apt-get the same names are given."""
    machine.has_python()

    result = machine.setup("test")

    assert 1 == result.returncode
    assert "no apt-get" in result.stderr


def test_a_debian_without_venv_gets_it(machine):
    """Debian's Python has no ensurepip before python3-venv: it is installed, then used."""
    machine.is_root()
    marker = machine.bin / "venv-installed"
    machine.has(
        "python3",
        f"""case "$*" in
*ensurepip*) [ -e "{marker}" ] ;;
*"-m venv"*) {shutil.which("mkdir")} -p .venv/bin
    {shutil.which("cp")} "{machine.bin}/fresh-python" .venv/bin/python ;;
esac""",
    )
    machine.has("fresh-python", '[ "$1" != --version ] || echo Python 3.11.2')
    machine.has("apt-get", f'case "$*" in *python3-venv*) echo >"{marker}" ;; esac')

    result = machine.setup("demo")

    assert 0 == result.returncode, result.stderr
    assert any("python3-venv" in call for call in machine.asked("apt-get"))


def test_an_old_python_is_refused(machine):
    """Python below 3.11 is not used, and the sentence says what is wanted."""
    machine.has("python3", "exit 1")

    result = machine.setup("demo")

    assert 1 == result.returncode
    assert "needs Python 3.11 or newer" in result.stderr


def test_a_wrong_word_is_wrong_usage(machine):
    """Anything but demo and test exits with 2."""
    assert 2 == machine.setup("everything").returncode
