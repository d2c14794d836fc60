"""The morning message: one tap of *Siap* opens a rep's window, and the day's offers are free."""

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final

from sqlalchemy import Connection

from hub.leads import store
from hub.leads.desk import HOUR_MS, MINUTE_MS, Desk, IsFree
from hub.outbox.messages import Draft
from hub.registry.opening import clock_ms, local_day
from hub.registry.rules import Dealer
from hub.store import Database

LATE_MS: Final = HOUR_MS
"""So long after its time, or after the dealer has opened, the message is still worth sending."""
LOOK_MS: Final = MINUTE_MS
"""A dealer that was imported or changed since the last look is seen so soon."""

"""Whether a person may be written to freely at a moment, as they last wrote."""


@dataclass(frozen=True, slots=True)
class _Morning:
    """A dealer whose people are to be asked now."""

    dealer: Dealer
    day: str
    last_ms: int
    closes_ms: int

    @property
    def cursor(self) -> str:
        """Which days have been asked is kept under this name."""
        return f"morning/{self.dealer.code}"

    @property
    def number(self) -> int:
        """The day as a place of that cursor."""
        return date.fromisoformat(self.day).toordinal()


class Mornings:
    """Asks each dealer's people once on every day that it opens. Any number of processes may."""

    def __init__(self, database: Database, desk: Desk, is_free: IsFree | None) -> None:
        """Without `is_free` (no number for reps, or no template) nobody is asked."""
        self._database = database
        self._desk = desk
        self._is_free = is_free
        self._rest: tuple[int, int] | None = None

    def step(self, now_ms: int) -> int:
        """Ask where it is time; how many dealers' people were asked.

        A dealer's day and its messages are one transaction: stopped at any moment, the next step
        asks those who were not, if it is not too late, and nobody twice.
        """
        if self._is_free is None or (self._rest and self._rest[0] <= now_ms < self._rest[1]):
            return 0
        with self._database.read() as connection:
            due, next_ms = self._look(connection, now_ms)
        for morning in due:
            self._database.write(partial(self._ask, morning=morning, now_ms=now_ms))
        self._rest = (now_ms, min(next_ms, now_ms + LOOK_MS))
        return len(due)

    def _look(self, connection: Connection, now_ms: int) -> tuple[list[_Morning], int]:
        """Where it is time, and when it will be next (far away when not today)."""
        due: list[_Morning] = []
        next_ms = now_ms + LOOK_MS
        for dealer in self._desk.directory.dealers(connection):
            hours = self._desk.directory.hours_today(connection, dealer, now_ms)
            if hours is None:
                continue
            opens_ms, closes_ms = hours
            at_ms = clock_ms(dealer.timezone, now_ms, self._desk.settings.checkin_at)
            last_ms = min(max(at_ms, opens_ms) + LATE_MS, closes_ms)
            if now_ms < at_ms:
                next_ms = min(next_ms, at_ms)
            elif now_ms < last_ms:
                day = local_day(dealer.timezone, now_ms)
                morning = _Morning(dealer, day, last_ms, closes_ms)
                if store.position(connection, morning.cursor) <= morning.number:
                    due.append(morning)
        return due, next_ms

    def _ask(self, connection: Connection, morning: _Morning, now_ms: int) -> None:
        done = store.position(connection, morning.cursor)
        if done > morning.number:
            return
        if not store.advance(connection, morning.cursor, done, morning.number + 1):
            return
        for rep in self._desk.directory.expected(connection, morning.dealer, now_ms):
            # Who has written since yesterday's closing costs nothing today without being asked.
            if self._is_free is None or self._is_free(connection, rep.id, morning.closes_ms):
                continue
            self._desk.outbox.enqueue(
                connection,
                Draft(
                    # Who works for two dealers is asked once.
                    key=f"morning/{rep.id}/{morning.day}",
                    to=rep.id,
                    role="reps",
                    kind="morning",
                    ref=rep.id,
                    data={"dealer": morning.dealer.code},
                    not_before_ms=now_ms,
                    not_after_ms=morning.last_ms,
                ),
            )
