"""What people do about alerts: the same functions, whichever button is pressed."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sqlalchemy import Connection

from hub.alerts import store
from hub.store import Database
from shared.clock import Clock

MINUTE_MS: Final = 60_000
SNOOZE_MINUTES_MAX: Final = 7 * 24 * 60
Deed: TypeAlias = Literal["ack", "snooze", "resolve", "feedback"]
REASONS: Final = ("solved", "false_alarm", "not_needed")
"""Why an alert may be closed by hand: of a list, so that no name gets into it."""
OPINIONS: Final = ("useful", "useless")
"""What may be said of an alert."""


@dataclass(frozen=True, slots=True)
class Done:
    """Something that somebody did about an alert. `value`: minutes, a reason or an opinion."""

    at_ms: int
    by: str
    deed: Deed
    value: str | None


class Deeds:
    """Acknowledging, putting off, resolving and judging, each in one transaction.

    `by` is per_… or acc_…; each answers False when there is no such alert or it is closed.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        """Touch nothing yet."""
        self._database = database
        self._clock = clock

    def ack(self, alert_id: str, *, by: str) -> bool:
        """Somebody is at it: it is theirs. Whoever takes it over later has it then."""
        owner = {"owner": by} if by.startswith("per_") else {}
        return self._do(
            alert_id, "ack", None, by=by, state="acked", seen=1, snoozed_until_ms=None, **owner
        )

    def snooze(self, alert_id: str, *, by: str, minutes: int) -> bool:
        """Nothing is to be heard of it for so long; then it is open again, whoever had it."""
        if not 0 < minutes <= SNOOZE_MINUTES_MAX:
            raise ValueError(f"an alert is put off for 1 to {SNOOZE_MINUTES_MAX} minutes")
        until_ms = self._clock.wall_ms() + minutes * MINUTE_MS
        return self._do(
            alert_id,
            "snooze",
            str(minutes),
            by=by,
            state="snoozed",
            seen=1,
            snoozed_until_ms=until_ms,
        )

    def resolve(self, alert_id: str, *, by: str, reason: str) -> bool:
        """It is over; should it not be, whatever finds that raises a new one."""
        if reason not in REASONS:
            raise ValueError(f"no reason: {reason!r}")
        return self._do(
            alert_id,
            "resolve",
            reason,
            by=by,
            state="closed",
            active=0,
            seen=1,
            open_key=None,
            closed_ms=self._clock.wall_ms(),
            close_reason=reason,
        )

    def feedback(self, alert_id: str, *, by: str, opinion: str) -> bool:
        """Was it worth the disturbance? Also of a closed one."""
        if opinion not in OPINIONS:
            raise ValueError(f"no opinion: {opinion!r}")

        def work(connection: Connection) -> bool:
            if store.of_id(connection, alert_id) is None:
                return False
            self._note(connection, alert_id, by=by, deed="feedback", value=opinion)
            return True

        return self._database.write(work)

    def history(self, alert_id: str) -> list[Done]:
        """What was done about it, in order."""
        with self._database.read() as connection:
            rows = store.deeds_of(connection, alert_id)
        return [Done(row["at_ms"], row["by"], row["deed"], row["value"]) for row in rows]

    def _do(
        self, alert_id: str, deed: Deed, value: str | None, *, by: str, **values: object
    ) -> bool:
        def work(connection: Connection) -> bool:
            if not store.change_open(connection, alert_id, **values):
                return False
            self._note(connection, alert_id, by=by, deed=deed, value=value)
            return True

        return self._database.write(work)

    def _note(
        self, connection: Connection, alert_id: str, *, by: str, deed: Deed, value: str | None
    ) -> None:
        now_ms = self._clock.wall_ms()
        store.did(connection, alert_id, by=by, deed=deed, value=value, now_ms=now_ms)
