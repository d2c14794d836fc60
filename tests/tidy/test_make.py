"""The Makefile and .ci/run, in a copy of the checkout whose programs are stand-ins."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT

CLOSING_LINE = "======== 3 passed, 1 skipped in 4.20s ========"


class Checkout:
    """A folder with our Makefile and .ci/run, and programs that do as they are told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path in ("Makefile", ".ci/run"):
            (folder / path).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
        self.program("scripts/setup", "exit 0")
        self.program("scripts/lint", "exit 0")
        self.program(".venv/bin/python", f'echo "{CLOSING_LINE}"')

    def program(self, path: str, script: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd="/",
            env={"PATH": os.environ["PATH"], **environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def make(self, *targets: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("make", "-C", str(self.folder), "-s", *targets, **environment)

    def ci(self) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.folder / ".ci/run"))


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_ci_ends_with_pytest_s_own_words(checkout):
    """Called from anywhere, .ci/run succeeds with the tests, and their closing line comes last."""
    result = checkout.ci()

    assert 0 == result.returncode
    assert CLOSING_LINE == result.stdout.splitlines()[-1]


@pytest.mark.parametrize("failing", [".venv/bin/python", "scripts/lint"])
def test_ci_fails_when_tests_or_linters_do(checkout, failing):
    """Whichever fails, the tests have run, their closing line is last, and the answer is not 0."""
    checkout.program(failing, f'echo "{CLOSING_LINE}"; exit 1')

    result = checkout.ci()

    assert 0 != result.returncode
    assert CLOSING_LINE == result.stdout.splitlines()[-1]


def test_what_linters_say_comes_behind_the_tests(checkout):
    """They run beside each other; nobody has to look for a complaint among two thousand dots."""
    checkout.program("scripts/lint", "echo lint: FAILED; exit 1")

    result = checkout.make("test")

    assert 0 != result.returncode
    assert [CLOSING_LINE, "lint: FAILED"] == result.stdout.splitlines()


def test_programs_may_keep_what_they_compile(checkout):
    """Or each of those that the tests start would compile all it imports anew."""
    for program in (".venv/bin/python", ".venv/bin/kickstand-sim"):
        checkout.program(program, 'echo "$PYTHONDONTWRITEBYTECODE."')

    done = [checkout.make(what, PYTHONDONTWRITEBYTECODE="1") for what in ("test", "demo")]

    assert [".\n", ".\n"] == [each.stdout for each in done]


def test_ci_says_when_there_were_no_tests(checkout):
    """When setup fails there is no closing line to repeat; the run fails and says so."""
    checkout.program("scripts/setup", "exit 1")

    result = checkout.ci()

    assert 0 != result.returncode
    assert "pytest did not finish" == result.stdout.splitlines()[-1]


def test_ci_waits_for_nobody(checkout):
    """Standard input is closed and CI is set: whatever asks a question gets no answer."""
    checkout.program(".venv/bin/python", 'read answer && exit 1; [ "$CI" = true ]')

    assert 0 == checkout.ci().returncode


def test_the_demo_s_last_line_stays_last(checkout):
    """DEMO_SECONDS reaches the simulator, and make adds nothing to what it prints."""
    checkout.program(".venv/bin/kickstand-sim", 'echo "{\\"seconds\\":$DEMO_SECONDS}"')

    by_environment = checkout.make("demo", DEMO_SECONDS="30")
    by_argument = checkout.make("demo", "DEMO_SECONDS=31")

    assert '{"seconds":30}\n' == by_environment.stdout
    assert '{"seconds":31}\n' == by_argument.stdout


def test_a_demo_that_lost_something_fails(checkout):
    """The simulator's exit code decides that of make."""
    checkout.program(".venv/bin/kickstand-sim", "exit 1")

    assert 0 != checkout.make("demo").returncode


def test_ctrl_c_leaves_no_process(checkout):
    """An interrupt reaches the simulator, make waits for it, and both are gone."""
    pid_file = checkout.folder / "pid"
    os.mkfifo(pid_file)
    goodbye = checkout.folder / "goodbye"
    checkout.program(
        ".venv/bin/kickstand-sim",
        f'trap "echo done >{goodbye}; exit 0" INT; echo $$ >{pid_file}; while :; do :; done',
    )
    make = subprocess.Popen(
        # As at a terminal: what runs the tests in the background may have them ignore it.
        ["env", "--default-signal=INT", "make", "-C", str(checkout.folder), "demo"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    simulator = int(pid_file.read_text())

    os.killpg(make.pid, signal.SIGINT)
    make.wait(timeout=20)

    assert "done\n" == goodbye.read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(simulator, 0)
