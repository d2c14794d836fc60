"""Keeping what comes in, and acting on it once, in order."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Literal, TypeAlias

import orjson
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from hub.errors import Refused
from hub.inbox import store
from hub.inbox.store import InboxRow, first_time, first_times, seen
from hub.store import Database
from hub.store.database import lost_a_deadlock
from hub.store.savepoint import savepoint
from shared.clock import Clock
from shared.identifiers import new_id
from shared.instants import rfc3339

__all__ = [
    "Handle",
    "HandleRun",
    "Inbox",
    "InboxRow",
    "Outcome",
    "first_time",
    "first_times",
    "seen",
]

KEEP_MAX = 64
"""Deliveries stored by one commit."""
GROUP_MAX = 64
"""Rows acted on in one transaction."""
GROUP_MS = 20
"""After so long a transaction takes up no further row, or run of rows: a delivery that waits for
the writer is to be answered within 50 ms. Where more taps come than one core decides, shorter
groups answer the vendor sooner and the reps later."""
STAND_BACK_MS = 10
"""How long who found another process at it does not ask for another turn."""
LEFT_MS, FEW = 100, 8
"""What is next for so long is left to no other process, nor when so few wait: by the time that the
other has looked they would be decided."""
ATTEMPTS_MAX = 3
SEEN_DAYS = 30
"""How long a message is remembered: vendors repeat theirs for 7 days."""
DAY_MS = 86_400_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row."""

    state: Literal["done", "kept"]
    """kept: it could not be read or acted on; an admin sees why and may replay it."""
    reason: str | None = None
    subjects: tuple[str, ...] = ()
    """Whose data the body holds (cus_…, per_…): found again when they ask for it or its end."""


GONE = Outcome("kept", "its body was erased")
Handle: TypeAlias = Callable[[Connection, InboxRow], Outcome]
HandleRun: TypeAlias = Callable[[Connection, Sequence[InboxRow]], Sequence[Outcome]]
"""Acts on the first of these rows together, with what each alone would have led to, and gives what
became of them; of none when they have to be acted on one by one."""


class _RowFailed(Exception):
    """A row of a group could not be acted on; it knows why."""


class Inbox:
    """Every delivery is durable and numbered before it is answered."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Touch nothing yet."""
        self._database = database
        self._clock = clock
        self._waiting: list[tuple[store.Delivery, Future[str]]] = []
        self._waiting_lock = threading.Lock()
        self._stood_back_ms = -STAND_BACK_MS
        self._others_act = False
        self._left = (0, 0)
        """Which row was next when we last left it to others, and since when."""
        self._goes_on = False
        """Several rows waited: while we acted on them others will have come."""
        self.listeners: list[Callable[[], object]] = []
        """Called after a commit that stored deliveries, on the writer's thread."""

    def keep(
        self, source: str, body: bytes, headers: Mapping[str, str], *, patient: bool = False
    ) -> str:
        """Store a delivery; its inb_… id once it is durable.

        `patient`: it is acted on when nothing else waits, as what became of our own messages; a
        tap waits for no such thing.

        Its number and its time of arrival are given in the storing transaction: by them taps are
        decided. What comes in at the same moment shares a commit.
        """
        delivery = store.Delivery(
            id=new_id("inb"),
            source=source,
            body=body,
            headers=orjson.dumps(dict(headers)).decode(),
            patient=patient,
        )
        done: Future[str] = Future()
        with self._waiting_lock:
            self._waiting.append((delivery, done))
            wake = len(self._waiting) == 1
        if wake:
            self._ask_to_store()
        return done.result()

    def _ask_to_store(self) -> None:
        done = self._database.submit(self._store, self._stored, shared=True)
        done.add_done_callback(self._drop)

    def _store(self, connection: Connection) -> int:
        with self._waiting_lock:
            group = [delivery for delivery, _ in self._waiting[:KEEP_MAX]]
        store.lock_numbers(connection)
        # The clock is read behind the lock: a later number never has an earlier turn.
        store.add(connection, group, self._clock.wall_ms())
        return len(group)

    def _stored(self, count: int) -> None:
        with self._waiting_lock:
            done, self._waiting = self._waiting[:count], self._waiting[count:]
            more = bool(self._waiting)
        if more:
            self._ask_to_store()
        for delivery, future in done:
            future.set_result(delivery.id)
        self.woken()

    def _drop(self, job: "Future[object]") -> None:
        """Fail those whose transaction failed: the vendor is told so and comes again."""
        error = job.exception()
        if error is None:
            return
        with self._waiting_lock:
            failed, self._waiting = self._waiting, []
        for _, future in failed:
            future.set_exception(error)

    def woken(self) -> None:
        """Tell the listeners that there may be something to do."""
        for listener in self.listeners:
            listener()

    def step(self, handle: Handle, handle_run: HandleRun | None = None) -> int:
        """Act on the next rows in order; how many went through or were given up.

        `handle` runs in the one write transaction that closes its row; what it wrote is undone
        when it fails. A row that fails three times is kept, so that it blocks nobody. 0 when
        nothing waits, or while another process is at it. `handle_run` is asked first.
        """
        if not self._goes_on and self.idle():
            return 0  # no turn to write is taken for nothing
        try:
            group = partial(self._act, handle=handle, handle_run=handle_run or _one_by_one)
            closed: int = self._database.write(group, shared=True)
        except (_RowFailed, DBAPIError) as failed:
            if isinstance(failed, OperationalError):
                raise  # the database is in trouble, no row is to blame
            # Nothing of the group is written. Once more, and this time each can fail alone.
            log.info("inbox_group_repeated", error=type(failed.__cause__ or failed).__name__)
            closed = self._database.write(partial(self._act, handle=handle, handle_run=None))
        self._goes_on = closed > 1
        return closed

    def _act(self, connection: Connection, handle: Handle, handle_run: HandleRun | None) -> int:
        """Without `handle_run` each in a part of the transaction that can fail by itself."""
        group = store.take(connection, GROUP_MAX)
        if group is None:
            self._stood_back_ms = self._clock.mono_ms()
            self._others_act = True
            return 0
        if handle_run is not None and not any(waiting.attempts for waiting in group):
            return self._act_on_all(connection, group, handle, handle_run)
        closed = 0
        for waiting in group:
            if not self._act_on(connection, waiting, handle):
                # It is tried again before those behind it: taps keep their order.
                return closed + 1
            closed += 1
        return closed

    def _act_on_all(
        self,
        connection: Connection,
        group: Sequence[store.Waiting],
        handle: Handle,
        handle_run: HandleRun,
    ) -> int:
        """Rows that all go through, as nearly always: a savepoint for each would cost a tenth.

        How many of them there was time for.
        """
        closed: list[tuple[int, Outcome]] = []
        enough_ms = self._clock.mono_ms() + GROUP_MS
        while len(closed) < len(group):
            if closed and self._clock.mono_ms() > enough_ms:
                break
            left = group[len(closed) :]
            try:
                outcomes = _act_on_first(connection, left, handle, handle_run)
            except Exception as error:
                if lost_a_deadlock(error):
                    raise
                raise _RowFailed from error
            closed += [
                (row.seq, each) for row, each in zip(left[: len(outcomes)], outcomes, strict=True)
            ]
        _close(connection, closed)
        return len(closed)

    @staticmethod
    def _act_on(connection: Connection, waiting: store.Waiting, handle: Handle) -> bool:
        """Whether the row is closed. What this cannot write down did not happen to the row."""
        outcome = GONE
        if waiting.row is not None:
            try:
                with savepoint(connection):
                    outcome = handle(connection, waiting.row)
            except Exception as error:
                if lost_a_deadlock(error):
                    raise  # the row is not to blame
                # Is it the database that is in trouble, this or the commit fails as well, and
                # the attempt is not counted.
                log.warning("inbox_row_failed", id=waiting.row.id, error=type(error).__name__)
                store.count_failure(connection, waiting.seq)
                if waiting.attempts + 1 < ATTEMPTS_MAX:
                    return False
                outcome = Outcome("kept", f"failed {ATTEMPTS_MAX} times: {type(error).__name__}")
        _close(connection, [(waiting.seq, outcome)])
        return True

    def waits(self, inbox_id: str) -> bool:
        """Whether a row is still to be acted on."""
        with self._database.look() as connection:
            found = store.state_of(connection, inbox_id)
        return found is not None and found[1] == "new"

    def news(self) -> bool:
        """Whether a row waits for us, as far as we know; it costs little to ask."""
        return self._clock.mono_ms() - self._stood_back_ms >= STAND_BACK_MS and not self.idle()

    def others_act(self) -> bool:
        """Whether what waits may be left to another process: there is a crowd, that process was
        seen at it, and the next row is another one now and then.
        """
        if not self._others_act:
            return False
        with self._database.look() as connection:
            waiting = store.first_new(connection, FEW + 1)
        if len(waiting) <= FEW:
            self._left = (0, 0)
            return False
        now_ms = self._clock.mono_ms()
        if waiting[0] != self._left[0]:
            self._left = (waiting[0], now_ms)
        self._others_act = now_ms - self._left[1] < LEFT_MS
        return self._others_act

    def idle(self) -> bool:
        """Whether no row waits."""
        with self._database.look() as connection:
            return not store.any_new(connection)

    def replay(self, inbox_id: str) -> None:
        """Let a row be acted on once more; what was seen before stays seen.

        Raises Refused when it is unknown or its body is gone.
        """

        def again(connection: Connection) -> None:
            found = store.state_of(connection, inbox_id)
            if found is None:
                raise Refused(404, "unknown", f"there is no {inbox_id}")
            seq, _, has_body = found
            if not has_body:
                raise Refused(410, "erased", f"the body of {inbox_id} is no longer kept")
            store.again(connection, seq)

        self._database.write(again)
        self.woken()

    def page(self, after: str | None, limit: int) -> dict[str, object]:
        """Rows behind `after`, oldest first, in the contract's words."""
        with self._database.read() as connection:
            rows = store.page(connection, after, limit + 1)
        items = [
            {
                "id": inbox_id,
                "source": source,
                "received_at": rfc3339(received_ms),
                "state": state,
                "reason": reason,
            }
            for inbox_id, source, received_ms, state, reason in rows[:limit]
        ]
        return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}

    def forget(self, raw_body_days: int, *, limit: int = 1000) -> int:
        """Drop bodies older than `raw_body_days` and what was seen long ago; how many, at most
        twice `limit`. Bodies nobody has acted on stay.
        """
        now_ms = self._clock.wall_ms()
        return self._database.write(
            lambda connection: store.forget(
                connection,
                bodies_before_ms=now_ms - raw_body_days * DAY_MS,
                keys_before_ms=now_ms - SEEN_DAYS * DAY_MS,
                limit=limit,
            )
        )


def _act_on_first(
    connection: Connection,
    waiting: Sequence[store.Waiting],
    handle: Handle,
    handle_run: HandleRun,
) -> Sequence[Outcome]:
    """Act on the first of them, and on those behind it that go with it; what became of them."""
    first = waiting[0].row
    if first is None:
        return [GONE]
    with_body = takewhile(lambda each: each.row is not None, waiting)
    rows = [each.row for each in with_body if each.row is not None]
    return handle_run(connection, rows) or [handle(connection, first)]


def _one_by_one(_connection: Connection, _rows: Sequence[InboxRow]) -> Sequence[Outcome]:
    """No rows go together."""
    return ()


def _close(connection: Connection, outcomes: Iterable[tuple[int, Outcome]]) -> None:
    store.close(
        connection,
        [
            store.Closed(seq=seq, state=each.state, reason=each.reason, subjects=each.subjects)
            for seq, each in outcomes
        ],
    )
