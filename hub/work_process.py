"""A worker beside `serve`, in a process of its own: each of the two has an interpreter and a core.

Requests and background work share an interpreter's lock otherwise, and each waits for the other at
every step. The two are one program: they begin together, and neither goes on without the other.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NoReturn

import structlog

from hub.errors import WorkerEnded

BEATS_S: Final = 30.0
"""A worker that has got nowhere for so long is not well."""
STOP_S: Final = 12.0
"""How long it may take to finish what is in hand."""
GO: Final = b"g"
INBOX, LEDGER = b"i", b"l"
"""What may have grown."""
log = structlog.get_logger()


def affordable() -> bool:
    """Whether there is a core for it."""
    return len(os.sched_getaffinity(0)) > 1


def signals() -> int:
    """A descriptor that can be read once a signal has come: wait for it beside whatever else.

    A signal that comes just before a thread goes to sleep interrupts nothing, and would be acted on
    when something else wakes it: for a worker that is told to stop, never.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    return woken


class Lifeline:
    """The worker's end: what it hears of `serve`, and what it lets it know."""

    def __init__(self, heard: int, said: int) -> None:
        """Two ends of pipes."""
        self._heard, self._said = heard, said
        self._beat_s = -1.0

    def wait_to_go(self) -> None:
        """Until `serve` is ready for us; ends this process if it never is."""
        if os.read(self._heard, 1) != GO:
            os._exit(1)

    def follow(
        self, on_news: Mapping[bytes, Callable[[], object]], *, until: Callable[[], bool]
    ) -> None:
        """Call what belongs to the news of `serve`, until a signal ends this or has made `until`.

        When `serve` is gone without a word this process ends at once, as it did: by the same power
        cut, as far as anybody can tell.
        """
        told = signals()
        while not until():
            ready, _, _ = select.select([told, self._heard], [], [])
            if told in ready:
                os.read(told, 4096)  # what it does has been done by now, unless it does nothing
            if self._heard not in ready:
                continue
            heard = os.read(self._heard, 4096)
            if not heard:
                os._exit(1)
            for news, act in on_news.items():
                if news in heard:
                    act()

    def beat(self) -> None:
        """We have begun, or got somewhere since."""
        now_s = time.monotonic()
        if now_s - self._beat_s >= 1.0:
            self._beat_s = now_s
            with suppress(OSError):  # `serve` is gone: `follow` sees it
                os.write(self._said, b"b")


class WorkProcess:
    """The end of `serve`. Begin it before there is any thread, connection or lock."""

    def __init__(self, run: Callable[[Lifeline], object]) -> None:
        """Split this process in two; the new one waits for `go`, runs `run` and ends."""
        heard, self._say = os.pipe()
        self._hear, said = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._say)
            os.close(self._hear)
            _be_worker(run, Lifeline(heard, said))
        os.close(heard)
        os.close(said)
        os.set_blocking(self._say, False)
        self._beat_s = time.monotonic()
        self._watching = threading.Thread(target=self._watch, name="worker watch", daemon=True)
        self._begun = threading.Event()
        self._stopping = False
        self.failed = False
        """It has ended by itself."""

    def go(self) -> None:
        """The database is ready: it may begin; returns when it has. Raises WorkerEnded."""
        with suppress(OSError):  # it has ended: the watch sees it
            os.write(self._say, GO)
        self._watching.start()
        self._begun.wait()
        if self.failed:
            raise WorkerEnded("the worker did not begin; the log above says why")

    def tell(self, news: bytes) -> None:
        """Something has grown that it may act on."""
        # Full: it has yet to read what was said before. Broken: it is gone, and we go as well.
        with suppress(OSError):
            os.write(self._say, news)

    def well(self) -> bool:
        """Whether it gets somewhere."""
        return time.monotonic() - self._beat_s < BEATS_S

    def _watch(self) -> None:
        while os.read(self._hear, 4096):
            self._beat_s = time.monotonic()
            self._begun.set()
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self.failed = code != 0 and not self._stopping
        if self.failed:
            log.error("worker_ended", code=code)
        self._begun.set()
        if not self._stopping:
            # Told to stop by a signal to us both, or not: neither goes on without the other.
            os.kill(os.getpid(), signal.SIGTERM)

    def tell_to_stop(self) -> None:
        """Let it finish what is in hand."""
        self._stopping = True
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        """Wait until it has finished, after `tell_to_stop`.

        Raises WorkerEnded if it had ended by itself.
        """
        if self._watching.is_alive():
            self._watching.join(STOP_S)
        if self._watching.is_alive():
            log.warning("worker_killed", after_s=STOP_S)
            self._signal(signal.SIGKILL)
            self._watching.join()
        os.close(self._say)
        if self.failed:
            raise WorkerEnded("the worker ended by itself; the log above says why")

    def _signal(self, number: signal.Signals) -> None:
        # Until the watch has its end the number is that process's and nobody else's.
        if self._watching.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)


def _be_worker(run: Callable[[Lifeline], object], lifeline: Lifeline) -> NoReturn:
    code = 1
    # What the service manager hears comes from the process that it started.
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        os.environ.pop(name, None)
    try:
        lifeline.wait_to_go()
        run(lifeline)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        code = 130  # before it had begun
    except BaseException as error:
        log.exception("worker_failed", error=type(error).__name__)
    finally:
        os._exit(code)
