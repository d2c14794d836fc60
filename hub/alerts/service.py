"""Raising, closing and listing alerts."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Connection

from hub.alerts import store
from hub.alerts.deeds import Deeds
from hub.outbox.messages import Failed
from hub.outbox.service import Outbox, delivery
from hub.store import Database
from shared.clock import Clock
from shared.identifiers import new_id
from shared.instants import rfc3339

Tier: TypeAlias = Literal["P0", "P1", "P2"]
SHOWN: Final = (
    *("id", "tier", "rule", "rule_version", "key", "region", "dealer", "serial"),
    *("what", "consequence", "action", "owner", "count", "close_reason", "absorbed_by"),
)
TIMES: Final = {
    "act_by": "act_by_ms",
    "first_at": "first_ms",
    "last_at": "last_ms",
    "closed_at": "closed_ms",
    "snoozed_until": "snoozed_until_ms",
}


class Alerts:
    """One open alert per key."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Touch nothing yet."""
        self._database = database
        self._clock = clock
        self.deeds: Final = Deeds(database, clock)

    def raise_(
        self,
        connection: Connection,
        tier: Tier,
        rule: str,
        key: str,
        *,
        what: str,
        consequence: str,
        action: str,
        region: str | None = None,
        dealer: str | None = None,
        serial: str | None = None,
        act_by_ms: int | None = None,
        owner: str | None = None,
        rule_version: int = 1,
    ) -> str:
        """Say in the caller's transaction that something is wrong; the alr_… id.

        `key` tells one trouble from another, e.g. ``lead_unclaimed/JATIM``. While an alert of
        this key is open it is counted once more and says `what` is known last. Without a
        consequence and an action nobody should be disturbed: both are required, never empty.
        """
        for name, value in (("what", what), ("consequence", consequence), ("action", action)):
            if not value.strip():
                raise ValueError(f"an alert of {rule} without {name}")
        values = {
            "id": new_id("alr"),
            "tier": tier,
            "rule": rule,
            "rule_version": rule_version,
            "key": key,
            "region": region,
            "dealer": dealer,
            "serial": serial,
            "what": what,
            "consequence": consequence,
            "action": action,
            "act_by_ms": act_by_ms,
            "owner": owner,
            "now_ms": self._clock.wall_ms(),
        }
        return store.raise_(connection, values)

    def close(self, connection: Connection, key: str, reason: str) -> bool:
        """Say that the trouble of `key` is over; whether an alert was open."""
        return store.close(connection, key, reason, self._clock.wall_ms())

    def number_stopped(self, connection: Connection, number: str, failed: Failed) -> None:
        """The vendor lets nothing through one of our numbers: `Numbers.on_stopped` of the outbox.

        Blocked as spam it may still answer.
        """
        answers = failed.action == "spam"
        refused = "first messages" if answers else "everything"
        if number == "mail":
            who, doctor = "The mail server", "[smtp] in hub.toml"
        else:
            who, doctor = "WhatsApp", "what `kickstand-hub whatsapp doctor` says"
        self.raise_(
            connection,
            "P0",
            "number_stopped",
            f"number_stopped/{number}",
            what=f"{who} refuses {refused} from number {number}: {failed.reason[:400]}"
            + ("" if failed.code is None else f" ({failed.code})"),
            consequence="Who has not written today is told nothing; offers go to others or stale."
            if answers
            else "Customers and reps get no messages; offers go stale unseen.",
            action=f"See {doctor}.",
        )

    def number_resumed(self, connection: Connection, number: str) -> None:
        """The vendor takes its messages again: `Numbers.on_resumed`."""
        self.close(connection, f"number_stopped/{number}", "messages are taken again")

    def page(
        self,
        after: str | None,
        limit: int,
        *,
        only_open: bool = False,
        worst_first: bool = False,
        dealers: Collection[str] | None = None,
        regions: Collection[str] = (),
    ) -> dict[str, object]:
        """Alerts behind `after`, oldest first, in the contract's words.

        With `dealers` those of these dealers and of `regions` alone; `worst_first` by tier first.
        """
        with self._database.read() as connection:
            rows = store.page(
                connection,
                after,
                limit + 1,
                only_open=only_open,
                worst_first=worst_first,
                dealers=dealers,
                regions=regions,
            )
            items = [self._object(connection, row) for row in rows[:limit]]
        return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}

    def show(self, alert_id: str) -> dict[str, object] | None:
        """One alert in the contract's words."""
        with self._database.read() as connection:
            row = store.of_id(connection, alert_id)
            return None if row is None else self._object(connection, row)

    def occurrences(self, alert_id: str, after: int, limit: int) -> dict[str, object]:
        """Every time its trouble was found, the first first: at most `limit` behind `after`."""
        with self._database.read() as connection:
            rows = store.occurrences(connection, alert_id, after, limit + 1)
        items = [{"n": n, "at": rfc3339(at_ms), "what": what} for n, at_ms, what in rows[:limit]]
        return {"items": items, "next": items[-1]["n"] if len(rows) > limit else None}

    def _object(self, connection: Connection, row: Mapping[str, Any]) -> dict[str, object]:
        until_ms = row["snoozed_until_ms"]
        # Put off until a time that has come: open again, without anybody writing that down.
        over = row["state"] == "snoozed" and (until_ms or 0) <= self._clock.wall_ms()
        return {
            **{name: row[name] for name in SHOWN},
            **{name: None if row[ms] is None else rfc3339(row[ms]) for name, ms in TIMES.items()},
            "state": "open" if over else row["state"],
            "active": bool(row["active"]),
            "seen": bool(row["seen"]),
            "occurrences_url": f"/alerts/{row['id']}.json?part=occurrences",
            "deliveries": [delivery(sent) for sent in Outbox.of(connection, row["id"])],
        }
