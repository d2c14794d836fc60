"""Whose turn it is: how the messages that wait for a person stand, in the order they were said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import orjson
from sqlalchemy import Connection

from hub.outbox import moves
from hub.outbox.messages import Road
from hub.outbox.rules import PASSED_AT_DOUBTS
from hub.outbox.store import COLUMNS, OutboxRow, as_row
from hub.store import Statement

# The order in which things were said, except that what is urgent waits for nothing else; and what
# may have gone twice keeps nothing back while it waits for a word of it. Each subquery goes into
# the index of one recipient: the list of states is the index's own condition, without which SQLite
# does not see that it may be used.
_OF_PERSON = "recipient = who.person AND channel = :channel AND state IN ('queued', 'sending')"
_IN_TURN = f"{_OF_PERSON} AND not_before_ms <= :now_ms AND (doubts < :passed OR due_ms <= :now_ms)"
_FIRST = f"FROM outbox WHERE {_IN_TURN} AND urgent = :urgent ORDER BY seq LIMIT 1"
_FRONTS = (
    "SELECT who.person,"  # noqa: S608 - our own names
    f" EXISTS (SELECT 1 FROM outbox WHERE {_OF_PERSON} AND state = 'sending'"
    " AND urgent >= :urgent)"
    f" OR (:urgent = 0 AND EXISTS (SELECT 1 FROM outbox WHERE {_IN_TURN} AND urgent = 1)),"
    f" (SELECT min(due_ms) FROM outbox WHERE {_OF_PERSON} AND state = 'queued'"
    " AND urgent = :urgent AND seq <= coalesce(front.seq, 9223372036854775807)),"
    f" {', '.join(f'front.{name}' for name in COLUMNS)}"
)
_OF = Statement(
    f"{_FRONTS} FROM (SELECT value AS person, key AS place FROM json_each(:people)) AS who"  # noqa: S608 - our own names
    f" LEFT JOIN outbox AS front ON front.seq = (SELECT seq {_FIRST}) ORDER BY who.place",
    postgres=f"{_FRONTS} FROM json_array_elements_text(CAST(:people AS json))"
    " WITH ORDINALITY AS who (person, place)"
    f" LEFT JOIN LATERAL (SELECT * {_FIRST}) AS front ON true ORDER BY who.place",
    planned_anew=True,
)
_WAITING = Statement(
    "SELECT recipient, role, channel FROM outbox WHERE state = 'queued'"
    " GROUP BY recipient, role, channel ORDER BY min(seq)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """How one person's urgent messages, or the others, stand."""

    to: str
    behind: bool
    """They have to wait until something else to that person has moved."""
    next_ms: int | None
    """When one that is not behind the first may go; None when nothing waits."""
    row: OutboxRow | None
    """The first, which may not be due or may be on its way."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can go before `until_ms`; None: before something else to that person has moved."""

    until_ms: int | None
    held: bool = False
    """Not even what is said or moves meanwhile."""


Turn: TypeAlias = OutboxRow | Wait | Literal["empty"]


def of(
    connection: Connection, road: Road, people: Sequence[str], now_ms: int, *, urgent: bool
) -> list[Front]:
    """How the urgent messages that wait for `people` stand, or the others; in their order."""
    if not people:
        return []
    found = _OF.rows(
        connection,
        people=orjson.dumps(list(people)).decode(),
        channel=road.channel,
        now_ms=now_ms,
        urgent=int(urgent),
        passed=PASSED_AT_DOUBTS,
    )
    return [
        Front(
            to=to,
            behind=bool(behind),
            next_ms=next_ms,
            row=None if values[0] is None else as_row(values),
        )
        for to, behind, next_ms, *values in found
    ]


def turn(front: Front, now_ms: int) -> Turn:
    """What a look at them says: the message that wants to go now, or how long none does."""
    if front.row is None:
        return "empty" if front.next_ms is None else Wait(front.next_ms)
    if front.behind or front.row.state == "sending":
        return Wait(None)
    if front.row.due_ms > now_ms:
        return Wait(front.next_ms)
    return front.row


def waiting(connection: Connection) -> list[tuple[str, Road]]:
    """For whom something waits and by which road it goes, the longest waiting first."""
    return moves.people(_WAITING.rows(connection))
