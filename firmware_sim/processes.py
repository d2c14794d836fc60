"""Programs that a simulation starts: each in a process group of its own, none left behind."""

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from firmware_sim import leash
from firmware_sim.errors import CommandFailed, NotReady
from shared.clock import SystemClock

STOP_MS = 10_000
COMMAND_MS = 60_000
ROOT = Path(__file__).resolve().parents[1]

OnLine = Callable[[str], None]


def python_program(package: str, *arguments: str) -> list[str]:
    """The command line of one of our programs, run by this very interpreter."""
    return [sys.executable, "-m", package, *arguments]


def _environment() -> dict[str, str]:
    """Our packages are found from any folder, installed or not."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


class Program:
    """A running program. Its standard output and error are read line by line into a log file.

    `on_line` hears each line on a thread of its own.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, on_line: OnLine | None = None
    ) -> None:
        """Start it. Call from the main thread: the leash belongs to the calling thread."""
        self.name = name
        self.log = log
        self._on_line = on_line
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env=_environment(),
        )
        _RUNNING.add(self)
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), name=f"{name} log", daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id, and id of its process group."""
        return self._process.pid

    def running(self) -> bool:
        """Is it still there?"""
        return self._process.poll() is None

    def _read(self, stream: IO[str]) -> None:
        with self.log.open("a", encoding="utf-8") as log, suppress(ValueError):
            for line in stream:
                log.write(line)
                log.flush()
                if self._on_line is not None:
                    self._on_line(line.rstrip("\n"))

    def send_signal(self, number: signal.Signals) -> None:
        """To the whole group; a group that is gone is no error."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and everything it started, by force after ten seconds. Returns its exit code."""
        self.send_signal(number)
        try:
            self._process.wait(STOP_MS / 1000)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.send_signal(signal.SIGKILL)
        code = self._process.wait()
        self._reader.join(STOP_MS / 1000)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()
        _RUNNING.discard(self)
        return code

    def resident_bytes(self) -> int:
        """Resident memory now; 0 when it is gone."""
        with suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0

    def last_words(self, lines: int = 8) -> str:
        """The end of its log, for an error message."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(encoding="utf-8").splitlines()[-lines:])
        return ""


_RUNNING: set[Program] = set()


def stop_all() -> None:
    """End every program, in parallel: first all are asked, then all are made to."""
    programs = list(_RUNNING)
    for program in programs:
        program.send_signal(signal.SIGTERM)
    for program in programs:
        program.stop()


atexit.register(stop_all)


def run(command: Sequence[str], *, what: str, settings: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return its standard output. Raises CommandFailed."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**_environment(), **(settings or {})},
        timeout=COMMAND_MS / 1000,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"{what} ended with {done.returncode}: {done.stderr[-2000:].strip()}")
    return done.stdout


def wait_until(
    condition: Callable[[], bool], *, what: str, deadline_ms: int, step_ms: int = 20
) -> None:
    """Return as soon as `condition` holds. Raises NotReady after `deadline_ms`."""
    clock, pause = SystemClock(), threading.Event()
    until_ms = clock.mono_ms() + deadline_ms
    while not condition():
        if clock.mono_ms() >= until_ms:
            raise NotReady(f"{what}: not within {deadline_ms} ms")
        pause.wait(step_ms / 1000)
