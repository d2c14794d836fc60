"""What happens without being asked: facts get their places, projections follow, all is checked."""

import threading
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.exc import DBAPIError

from hub.errors import StoreUnavailable
from hub.ledger.service import Ledger
from hub.store import Database

IDLE_WAIT_S = 0.1
"""How often facts of other processes are looked for when nothing woke us."""
GATHER_S = 0.02
"""After a small round the next one waits this long: a round costs much the same for one entry."""
SMALL_ROUND = 200
BUSY_ROUNDS = 50
"""Full rounds after which the ledger is checked once more although there is other work."""
RETRY_WAIT_S = 1.0

log = structlog.get_logger()


class Worker:
    """One thread around `step`; several processes may run one on the same database."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        *,
        sequences: bool,
        follows: bool = True,
        timers: Sequence[Callable[[], int]] = (),
        idle: Callable[[], bool] = lambda: True,
    ) -> None:
        """`sequences`: this process may order the ledger (on SQLite: it holds the lock).

        `timers`: what time alone makes due; each says how much it did. `idle` says whether that
        which they do, here or in another process, has come to an end.

        `follows`: it keeps the projections; without both it only asks the database how it is.
        """
        self._database = database
        self._ledger = ledger
        self._sequences = sequences
        self._follows = follows
        self._timers = tuple(timers)
        self._idle = idle
        self._rounds = 0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.on_progress: Callable[[], object] = lambda: None
        """Called after every round that went through: feeds the watchdog."""
        ledger.sequencer.listeners.append(self._wake.set)

    def step(self) -> int:
        """One round; how much it did. 0: nothing is left that this process can do."""
        # One full round follows another: what is due is looked at in every tenth.
        done = 0 if self._rounds % 10 else sum(timer() for timer in self._timers)
        if self._sequences:
            with self._database.read() as connection:
                pending = self._ledger.pending(connection)
            if pending:
                done += self._ledger.sequencer.sequence_facts()
        if self._follows:
            return done + self._ledger.followers.step()
        self._ledger.size()
        return done

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                done = self.step()
            except (DBAPIError, StoreUnavailable) as error:
                # The next round begins with the cursor on disk: nothing is skipped.
                log.exception("worker_failed", error=type(error).__name__)
                self._stop.wait(RETRY_WAIT_S)
                continue
            self.on_progress()
            self._rounds = self._rounds + 1 if done >= SMALL_ROUND else BUSY_ROUNDS
            if self._rounds >= BUSY_ROUNDS:
                # While the projections are behind, re-reading what stands can wait a little.
                self._rounds = 0
                self._check()
            if not done:
                self._wake.wait(IDLE_WAIT_S)
            elif done < SMALL_ROUND:
                self._stop.wait(GATHER_S)

    def _check(self) -> None:
        """A piece of re-reading the ledger; whatever comes of it, the other work goes on."""
        if not self._follows:
            return
        try:
            self._ledger.checker.step()
        except (DBAPIError, StoreUnavailable) as error:
            log.warning("ledger_check_failed", error=type(error).__name__)

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round and return."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        try:
            self._ledger.checker.release()
        except (DBAPIError, StoreUnavailable) as error:
            log.warning("ledger_check_failed", error=type(error).__name__)

    def until_idle(self, *, patience_s: float = 30.0) -> bool:
        """Work until nothing is left, facts that another process has to order included.

        False when `patience_s` passed without progress.
        """
        waited = 0.0
        while True:
            if self.step():
                waited = 0.0
                continue
            if self._ledger.idle() and self._idle():
                return True
            if waited >= patience_s:
                return False
            self._stop.wait(IDLE_WAIT_S)
            waited += IDLE_WAIT_S


class Loop:
    """A thread of its own around one step: for what must not wait behind the ledger's chunks."""

    def __init__(self, name: str, step: Callable[[], int], *, idle_wait_s: float) -> None:
        """After a step without work the next one waits `idle_wait_s`, or for `wake`."""
        self._step = step
        self._idle_wait_s = idle_wait_s
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                done = self._step()
            except (DBAPIError, StoreUnavailable) as error:
                log.warning("loop_failed", loop=self._thread.name, error=type(error).__name__)
                self._stop.wait(RETRY_WAIT_S)
                continue
            if not done:
                self._wake.wait(self._idle_wait_s)

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the step and return."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
