"""What happens without being asked: facts get their places, projections follow, all is checked."""

import threading
import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.exc import DBAPIError

from hub.errors import StoreUnavailable
from hub.ledger.sequencer import FACTS_MAX
from hub.ledger.service import Ledger
from hub.store import Database

ROUND_S = 0.05
"""One round begins so long after the one before it, unless entries were left over: a round costs
much the same for one entry as for a hundred."""
FACTS_ROUND_S = 0.25
"""Facts get their places so often: in a race for leads they come one by one, and a round of theirs,
with the signature over it and what follows, takes as much from those who tap as twenty taps."""
IDLE_WAIT_S = 0.1
"""How often facts of other processes, and what time makes due, are looked for."""
BEHIND_WAIT_S = 1.0
"""How often the latter while the projections are behind: then each look costs them."""
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
        self._look_due_s = 0.0
        self._facts_due_s = 0.0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.on_progress: Callable[[], object] = lambda: None
        """Called after every round that went through: feeds the watchdog."""
        ledger.sequencer.listeners.append(self.wake)

    def step(self) -> int:
        """One round; how much it did. 0: nothing is left that this process can do."""
        return sum(timer() for timer in self._timers) + self._round()

    def _round(self, *, at_once: bool = True) -> int:
        """What the ledger has for us; how much it was. Unless `at_once`, facts in their time."""
        done = 0
        if self._sequences and (at_once or time.monotonic() >= self._facts_due_s):
            with self._database.look() as connection:
                pending = self._ledger.any_pending(connection)
            if pending:
                placed = self._ledger.sequencer.sequence_facts()
                if placed < FACTS_MAX:  # else more of them wait
                    self._facts_due_s = time.monotonic() + FACTS_ROUND_S
                done += placed
        if self._follows:
            return done + self._ledger.followers.step()
        self._ledger.size()
        return done

    def _look(self, *, behind: bool) -> int:
        """If it is time: what time alone makes due, and a piece of re-reading the ledger."""
        if time.monotonic() < self._look_due_s:
            return 0
        done = sum(timer() for timer in self._timers)
        if self._follows:
            self._check()
        if not done:
            self._look_due_s = time.monotonic() + (BEHIND_WAIT_S if behind else IDLE_WAIT_S)
        return done

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            next_s = time.monotonic() + ROUND_S
            try:
                found = self._round(at_once=False)
                behind = self._follows and self._ledger.followers.behind
                due = self._look(behind=behind)
            except (DBAPIError, StoreUnavailable) as error:
                # The next round begins with the cursor on disk: nothing is skipped.
                log.exception("worker_failed", error=type(error).__name__)
                self._stop.wait(RETRY_WAIT_S)
                continue
            self.on_progress()
            if behind or due:
                continue
            if not found:
                self._wake.wait(IDLE_WAIT_S)
            self._stop.wait(next_s - time.monotonic())

    def _check(self) -> None:
        """A piece of re-reading the ledger; whatever comes of it, the other work goes on."""
        try:
            self._ledger.checker.step()
        except (DBAPIError, StoreUnavailable) as error:
            log.warning("ledger_check_failed", error=type(error).__name__)

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def wake(self) -> None:
        """The ledger may have grown."""
        self._wake.set()

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

    def __init__(
        self,
        name: str,
        step: Callable[[], int],
        *,
        idle_wait_s: float,
        glance: Callable[[], bool] = lambda: False,
        glance_wait_s: float | None = None,
    ) -> None:
        """After a step without work the next one waits `idle_wait_s`, or for `wake`.

        Meanwhile `glance` says every `glance_wait_s` whether there is something to do after all,
        for what other processes bring; it must cost little.
        """
        self._step = step
        self._idle_wait_s = idle_wait_s
        self._glance = glance
        self._glance_wait_s = glance_wait_s or idle_wait_s
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
                if not self._step():
                    self._rest()
            except (DBAPIError, StoreUnavailable) as error:
                log.warning("loop_failed", loop=self._thread.name, error=type(error).__name__)
                self._stop.wait(RETRY_WAIT_S)

    def _rest(self) -> None:
        """Until somebody wakes us, a glance finds something, or it is time."""
        until_s = time.monotonic() + self._idle_wait_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._wake.wait(min(left_s, self._glance_wait_s)) or self._glance():
                return

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the step and return."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
