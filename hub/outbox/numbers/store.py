"""What the vendor lets our numbers do: its table and the SQL over it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import CheckConstraint, Column, Connection, Table

from hub.store import INT64, METADATA, TEXT, Statement

OUTBOX_NUMBER = Table(
    "outbox_number",
    METADATA,
    Column("number", TEXT, primary_key=True),
    Column("why", TEXT),
    Column("late", INT64, nullable=False),
    Column("since_ms", INT64, nullable=False),
    Column("shut_until_ms", INT64, nullable=False),
    Column("silent_until_ms", INT64, nullable=False),
    CheckConstraint("why IN ('stop', 'spam')", name="outbox_number_why"),
)
_NUMBER = Statement(
    "SELECT why, late, since_ms, shut_until_ms, silent_until_ms FROM outbox_number"
    " WHERE number = :number"
)
_SHUT = Statement("SELECT number FROM outbox_number WHERE shut_until_ms > :now_ms")
_KEEP_NUMBER = Statement(
    "INSERT INTO outbox_number (number, why, late, since_ms, shut_until_ms, silent_until_ms)"
    " VALUES (:number, :why, :late, :since_ms, :shut_until_ms, :silent_until_ms)"
    " ON CONFLICT (number) DO UPDATE SET why = excluded.why, late = excluded.late,"
    " since_ms = excluded.since_ms, shut_until_ms = excluded.shut_until_ms,"
    " silent_until_ms = excluded.silent_until_ms"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberState:
    """What the vendor lets one of our numbers do."""

    why: Literal["stop", "spam"] | None = None
    """Why somebody was told that it is not well; None while it is."""
    late: bool = False
    """Whether that was said of messages which had been accepted."""
    since_ms: int = 0
    shut_until_ms: int = 0
    """Nothing goes through it before."""
    silent_until_ms: int = 0
    """It writes to nobody first before."""


def state(connection: Connection, number: str) -> NumberState:
    """What a number of ours may do."""
    for why, late, since_ms, shut_until_ms, silent_until_ms in _NUMBER.rows(
        connection, number=number
    ):
        return NumberState(
            why=why,
            late=bool(late),
            since_ms=since_ms,
            shut_until_ms=shut_until_ms,
            silent_until_ms=silent_until_ms,
        )
    return NumberState()


def shut(connection: Connection, now_ms: int) -> Callable[[], set[str]]:
    """Numbers of ours through which nothing goes now; asked now, answered later."""
    rows = _SHUT.later(connection, now_ms=now_ms)
    return lambda: {number for (number,) in rows()}


def keep(connection: Connection, number: str, kept: NumberState) -> None:
    """Remember what a number of ours may do."""
    values = {"number": number, **asdict(kept)}
    _KEEP_NUMBER.run(connection, [values | {"late": int(kept.late)}])
