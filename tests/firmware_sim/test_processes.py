"""Programs that a simulation starts never outlive it."""

import os
import signal
import subprocess
import sys

import pytest

from firmware_sim.errors import CommandFailed, NotReady
from firmware_sim.processes import ROOT, Program, run, wait_until

DEADLINE_MS = 10_000
WAITS = "import signal, sys; print('up', flush=True); signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\n"
PARENT = f"""
import sys, pathlib
from firmware_sim.processes import Program
child = Program("child", [sys.executable, "-c", {WAITS!r}], log=pathlib.Path(sys.argv[1]))
print(child.pid, flush=True)
sys.stdin.read()
"""


def alive(pid):
    """Is there such a process, and is it more than a zombie?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 - not a file
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_each_line_is_heard_and_kept_in_the_log(tmp_path):
    """While the program runs."""
    heard: list[str] = []
    program = Program(
        "waits", [sys.executable, "-c", WAITS], log=tmp_path / "log", on_line=heard.append
    )

    wait_until(lambda: heard == ["up"], what="line", deadline_ms=DEADLINE_MS)
    assert program.resident_bytes() > 0
    assert program.stop() == -signal.SIGTERM
    assert (tmp_path / "log").read_text() == "up\n"
    assert not alive(program.pid)


def test_a_program_that_ignores_the_request_is_ended_by_force(tmp_path, monkeypatch):
    """With everything in its process group."""
    monkeypatch.setattr("firmware_sim.processes.STOP_MS", 300)
    heard: list[str] = []
    program = Program(
        "deaf",
        [sys.executable, "-c", DEAF + "signal.pause()"],
        log=tmp_path / "log",
        on_line=heard.append,
    )
    wait_until(lambda: heard == ["up"], what="line", deadline_ms=DEADLINE_MS)

    assert program.stop() == -signal.SIGKILL


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_program_outlives_a_parent_that_is_killed(tmp_path, how):
    """The kernel tells the child, so even SIGKILL leaves nothing behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    wait_until(lambda: alive(child), what="child", deadline_ms=DEADLINE_MS)

    os.kill(parent.pid, how)
    parent.communicate()

    wait_until(lambda: not alive(child), what="child to end", deadline_ms=DEADLINE_MS)


def test_a_command_that_fails_says_its_last_words():
    """So that nobody has to look for a log."""
    with pytest.raises(CommandFailed, match=r"^the test ended with 3: no luck$"):
        run(
            [sys.executable, "-c", "import sys; sys.stderr.write('no luck'); sys.exit(3)"],
            what="the test",
        )


def test_waiting_ends_with_the_name_of_what_did_not_come():
    """And after the promised time."""
    with pytest.raises(NotReady, match="the bus: not within 50 ms"):
        wait_until(lambda: False, what="the bus", deadline_ms=50)
