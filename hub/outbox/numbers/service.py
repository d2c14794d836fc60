"""Whether a number of ours is blocked, silenced or well. Any process may learn it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from sqlalchemy import Connection

from hub.outbox import rules
from hub.outbox.messages import Failed
from hub.outbox.numbers import store
from hub.outbox.numbers.store import NumberState
from hub.outbox.store import OutboxRow
from shared.clock import Clock


class Numbers:
    """Kept in the database: what a late status says stops the sender of another process too."""

    def __init__(self, clock: Clock) -> None:
        """Nobody is told yet."""
        self._clock = clock
        self.on_stopped: list[Callable[[Connection, str, Failed], object]] = []
        """Told, in a transaction, that the vendor lets nothing, or no first message, through."""
        self.on_resumed: list[Callable[[Connection, str], object]] = []
        """Told that it does again."""

    @staticmethod
    def state(connection: Connection, number: str) -> NumberState:
        """What a number may do."""
        return store.state(connection, number)

    def open(self, connection: Connection, number: str) -> bool:
        """Whether anything may go through it."""
        return self._clock.wall_ms() >= self.state(connection, number).shut_until_ms

    def shut(self, connection: Connection) -> Callable[[], set[str]]:
        """Those through which nothing may go; asked now, answered later."""
        return store.shut(connection, self._clock.wall_ms())

    def silent(self, connection: Connection, number: str) -> bool:
        """Whether it may write to nobody first."""
        return self._clock.wall_ms() < self.state(connection, number).silent_until_ms

    def refused(
        self, connection: Connection, number: str, failed: Failed, *, late: bool = False
    ) -> None:
        """Take in a refusal, if it concerns the whole number."""
        now_ms = self._clock.wall_ms()
        before = self.state(connection, number)
        match failed.action:
            case "slow" if late:
                shut_ms = max(before.shut_until_ms, now_ms + rules.SLOW_MS)
                store.keep(connection, number, replace(before, shut_until_ms=shut_ms))
                return
            case "stop":
                after = replace(before, shut_until_ms=now_ms + rules.STOP_MS, why="stop")
            case "spam":
                until_ms = now_ms + rules.STOP_MS
                # A number that is shut is not better off because of this.
                shut = before.why == "stop" and now_ms < before.shut_until_ms
                why: Literal["stop", "spam"] = "stop" if shut else "spam"
                after = replace(before, silent_until_ms=until_ms, why=why)
            case _:
                return
        store.keep(connection, number, replace(after, late=late, since_ms=now_ms))
        for listener in self.on_stopped:
            listener(connection, number, failed)

    def taken(self, connection: Connection, number: str, *, first: bool) -> None:
        """The vendor has taken a message; `first`: to somebody who had not written to us."""
        state = self.state(connection, number)
        if not state.late:
            self._resume(connection, number, state, first=first)

    def arrived(self, connection: Connection, row: OutboxRow) -> None:
        """A message is on its way: what was taken since the trouble was told says it is over."""
        if row.number is None:
            return
        state = self.state(connection, row.number)
        if state.late and row.state == "accepted" and row.at_ms > state.since_ms:
            first = row.first_contact_ms is not None
            self._resume(connection, row.number, state, first=first)

    def _resume(
        self, connection: Connection, number: str, state: NumberState, *, first: bool
    ) -> None:
        if state.why is None or (state.why == "spam" and not first):
            return
        store.keep(connection, number, NumberState())
        for listener in self.on_resumed:
            listener(connection, number)
