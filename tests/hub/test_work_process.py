"""`serve` and the worker beside it are one program: they begin together and end together."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware_sim.processes import wait_until

ROOT = Path(__file__).parents[2]
GONE_S = 30.0
ADDRESSES: dict[int, str] = {}

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="with one core the worker is inside"
)


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """`kickstand-hub` on settings of its own."""
    folder = tmp_path_factory.mktemp("beside")
    config = folder / "hub.toml"
    config.write_text(
        f'[server]\nlisten = "127.0.0.1:0"\npublic_url = "http://hub.example"\n'
        f'keys_dir = "{folder}/keys"\ndatabase = "sqlite:///{folder}/hub.db"\n'
    )
    made = [sys.executable, "-m", "hub", "--config", str(config)]
    subprocess.run(
        [*made, "init", "--admin", "a@hub.example"], check=True, cwd=ROOT, stdout=subprocess.DEVNULL
    )
    return made


@contextmanager
def serving(call: list[str], *, cores: set[int] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A hub that listens, in a group of its own, on so many cores."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or ours)  # a process that we start has the same
    try:
        process = subprocess.Popen(
            [*call, "serve"], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    finally:
        os.sched_setaffinity(0, ours)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on ")
        ADDRESSES[process.pid] = line.split()[-1]
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def address_of(process: subprocess.Popen[str]) -> str:
    """Where it listens."""
    return ADDRESSES[process.pid]


def worker_of(process: subprocess.Popen[str]) -> int:
    """The pid of the process beside `serve`."""
    [worker] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(worker)


@contextmanager
def watched(pid: int) -> Iterator[int]:
    """A handle that says when the process is gone."""
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


def is_gone(handle: int) -> bool:
    """Wait for its end."""
    return bool(select.select([handle], [], [], GONE_S)[0])


def test_a_worker_that_dies_takes_serve_along(call):
    """The service manager then starts both anew; the reason is said."""
    with serving(call) as process:
        os.kill(worker_of(process), signal.SIGKILL)
        _, said = process.communicate(timeout=60)

        assert process.returncode == 1
        assert "worker_ended" in said
        assert "Error: the worker ended by itself; the log above says why" in said


def test_a_serve_that_is_killed_takes_the_worker_along(call):
    """Whatever kills the one is a power cut to both."""
    with serving(call) as process, watched(worker_of(process)) as worker:
        process.kill()
        assert is_gone(worker)


@pytest.mark.parametrize("whom", ["serve", "the group"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_finish_when_they_are_told_to(call, whom, number):
    """By a signal to `serve`, or to both as a terminal and a service manager send it."""
    with serving(call) as process, watched(worker_of(process)) as worker:
        (os.kill if whom == "serve" else os.killpg)(process.pid, number)
        _, said = process.communicate(timeout=60)

        assert (process.returncode, said) == (0, "")
        assert is_gone(worker)


def test_with_one_core_there_is_no_worker_beside(call):
    """There it would only cost memory: it is a thread."""
    with serving(call, cores={min(os.sched_getaffinity(0))}) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        assert children == ""
        process.terminate()
        assert process.wait(60) == 0


def test_a_serve_that_cannot_begin_leaves_no_worker_behind(call):
    """A second one on the same file says why it ends; its pipes are closed by all who held them."""
    with serving(call):
        second = subprocess.run(
            [*call, "serve"], cwd=ROOT, text=True, capture_output=True, timeout=60, check=False
        )
        assert second.returncode == 1
        assert second.stderr.startswith("Error: "), second.stderr


SLOW = """
import sys, threading
from pathlib import Path
import hub.app

folder, made = Path(sys.argv[1]), hub.app.create_app

def create_app(*arguments, **options):
    app = made(*arguments, **options)
    inner = app.wsgi_app

    def outer(environment, start):
        if environment["PATH_INFO"] != "/slow":
            return inner(environment, start)
        (folder / "asked").touch()
        while not (folder / "go").exists():
            threading.Event().wait(0.02)
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    app.wsgi_app = outer
    return app

hub.app.create_app = create_app
from hub.__main__ import main
sys.argv[1:] = sys.argv[2:]
main()
"""


def test_an_answer_in_hand_is_given_when_both_are_told_to_stop(call, tmp_path):
    """The worker, idle, ends first; its end is no second signal that cuts the answer off."""
    slow = [sys.executable, "-c", SLOW, str(tmp_path), *call[3:]]
    with serving(slow) as process, watched(worker_of(process)) as worker:
        port = int(address_of(process).rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=GONE_S) as asking:
            asking.sendall(b"GET /slow HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
            wait_until((tmp_path / "asked").exists, what="the question", deadline_ms=30_000)
            os.killpg(process.pid, signal.SIGTERM)
            assert is_gone(worker)
            (tmp_path / "go").touch()
            answer = b"".join(iter(lambda: asking.recv(4096), b""))

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"ok")
        assert process.wait(60) == 0


LOST = """
import sys
import hub.server
hub.server._stop = lambda _signal, _frame: hub.server.told_to_stop.set()
from hub.__main__ import main
main()
"""


def test_a_signal_whose_exception_is_lost_ends_both_all_the_same(call):
    """It is lost where it comes while something is thrown away."""
    lost = [sys.executable, "-c", LOST, *call[3:]]
    with serving(lost) as process, watched(worker_of(process)) as worker:
        process.terminate()
        assert process.wait(60) == 0
        assert is_gone(worker)


BROKEN = """
import signal
from hub.server import _stop
from hub.work_process import WorkProcess

def run(lifeline):
    raise RuntimeError("no disk")

signal.signal(signal.SIGTERM, _stop)
beside = WorkProcess(run)
try:
    beside.go()
finally:
    beside.tell_to_stop()
    beside.stop()
"""


def test_a_worker_that_cannot_begin_is_said_so():
    """Not a silent end that looks like an orderly one."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN],
        cwd=ROOT, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no disk" in done.stdout + done.stderr
    assert "WorkerEnded" in done.stderr
