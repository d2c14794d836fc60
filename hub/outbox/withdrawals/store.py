"""Withholding what waits: the SQL on the outbox that does it."""

from collections.abc import Collection, Sequence
from functools import cache
from itertools import product

from sqlalchemy import Connection

from hub.outbox.moves import store as moves
from hub.outbox.store import OUTBOX


def withdraw(
    connection: Connection,
    refs: Sequence[str],
    *,
    kinds: Collection[str] | None,
    to: str | None,
    reason: str,
    now_ms: int,
) -> None:
    """Withhold what waits about any of `refs`. What has gone is not sent again."""
    by_kind = [()] if kinds is None else [(kind,) for kind in kinds]
    by_person = () if to is None else (to,)
    said = [(reason, now_ms, ref, *kind, *by_person) for ref, kind in product(refs, by_kind)]
    which = ["ref", *([] if kinds is None else ["kind"]), *([] if to is None else ["recipient"])]
    withdrawal_by(tuple(which)).run(connection, said)


@cache
def withdrawal_by(which: tuple[str, ...]) -> moves.Telling:
    """What withholds messages by these columns, ``ref`` first."""
    return moves.Telling(
        OUTBOX,
        ("reason", "at_ms", *which),
        "UPDATE outbox SET"
        " state = CASE WHEN outbox.state = 'queued' THEN 'withheld' ELSE outbox.state END,"
        " reason = CASE WHEN outbox.state = 'queued' THEN said.reason ELSE outbox.reason END,"
        " at_ms = CASE WHEN outbox.state = 'queued' THEN said.at_ms ELSE outbox.at_ms END,"
        " not_after_ms = CASE WHEN outbox.state = 'queued' THEN outbox.not_after_ms ELSE 0 END"
        " FROM said WHERE {meets} AND outbox.state IN ('queued', 'sending', 'accepted')"
        + "".join(f" AND outbox.{name} = said.{name}" for name in which[1:]),
        moved="outbox.state = 'withheld'",
        meets=("outbox.ref", "ref"),
    )
