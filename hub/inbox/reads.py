"""Deliveries as they are looked at: SQL that reads and decides nothing.

Promises: lists are newest first or oldest first with a cursor, counts stop at `COUNT_MAX`, and no
list touches a body.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, Select, func, insert, literal_column, select

from hub.inbox.store import INBOX, INBOX_BODY, INBOX_READING, INBOX_SUBJECT

COUNT_MAX: Final = 10_000
STATES: Final = ("new", "kept", "done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A delivery without what it holds. `body_bytes` is None when that is no longer kept."""

    id: str
    seq: int
    source: str
    received_ms: int
    state: str
    reason: str | None
    attempts: int
    body_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Who was shown what a delivery holds, and when."""

    at_ms: int
    by: str


def page(
    connection: Connection,
    *,
    state: str | None,
    source: str | None,
    after: str | None,
    before: str | None,
    limit: int,
    newest: bool = True,
) -> list[Kept]:
    """A page of deliveries; behind an unknown one there is nothing."""
    query = _wanted(_kept(), state, source)
    downwards = newest == (before is None)
    cursor = after if before is None else before
    if cursor is not None:
        place = connection.execute(select(INBOX.c.seq).where(INBOX.c.id == cursor)).scalar()
        if place is None:
            return []
        query = query.where(INBOX.c.seq < place if downwards else INBOX.c.seq > place)
    query = query.order_by(INBOX.c.seq.desc() if downwards else INBOX.c.seq).limit(limit)
    rows = [_as_kept(row) for row in connection.execute(query)]
    return rows if before is None else rows[::-1]


def counts(connection: Connection) -> dict[str, int]:
    """How many wait and how many are kept with a reason, up to `COUNT_MAX`."""
    found = {}
    for state in ("new", "kept"):
        some = _wanted(select(INBOX.c.seq), state, None).limit(COUNT_MAX).subquery()
        query = select(func.count()).select_from(some)
        found[state] = int(connection.execute(query).scalar_one())
    return found


def sources(connection: Connection) -> list[str]:
    """Where deliveries come from, among the latest."""
    latest = select(INBOX.c.source).order_by(INBOX.c.seq.desc()).limit(1000).subquery()
    query = select(latest.c.source).distinct().order_by(latest.c.source)
    return [str(source) for source in connection.scalars(query)]


def any_row(connection: Connection) -> bool:
    """Whether anything ever came."""
    return connection.execute(select(INBOX.c.seq).limit(1)).first() is not None


def one(connection: Connection, inbox_id: str) -> Kept | None:
    """One delivery, with the size of its body."""
    query = (
        select(*_COLUMNS, func.length(INBOX_BODY.c.body).label("body_bytes"))
        .outerjoin(INBOX_BODY, INBOX_BODY.c.seq == INBOX.c.seq)
        .where(INBOX.c.id == inbox_id)
    )
    row = connection.execute(query).first()
    return None if row is None else _as_kept(row)


def content(connection: Connection, seq: int) -> tuple[bytes, Mapping[str, str]] | None:
    """What a delivery holds, and its headers; None when that is no longer kept."""
    query = select(INBOX_BODY.c.body, INBOX_BODY.c.headers).where(INBOX_BODY.c.seq == seq)
    row = connection.execute(query).first()
    return None if row is None else (bytes(row.body), orjson.loads(row.headers))


def subjects(connection: Connection, seq: int) -> Sequence[str]:
    """Whose data a delivery holds, as far as is known."""
    query = select(INBOX_SUBJECT.c.subject).where(INBOX_SUBJECT.c.seq == seq)
    return list(connection.scalars(query.order_by(INBOX_SUBJECT.c.subject)))


def read_by(connection: Connection, inbox_id: str, *, by: str, at_ms: int) -> None:
    """Log that somebody is shown what a delivery holds."""
    connection.execute(insert(INBOX_READING).values(inbox=inbox_id, at_ms=at_ms, by=by))


def readings(connection: Connection, inbox_id: str) -> list[Reading]:
    """Who was shown it, in order."""
    query = select(INBOX_READING.c.at_ms, INBOX_READING.c.by).where(
        INBOX_READING.c.inbox == inbox_id
    )
    return [Reading(*row) for row in connection.execute(query.order_by(INBOX_READING.c.n))]


_COLUMNS: Final = (
    *(INBOX.c.id, INBOX.c.seq, INBOX.c.source, INBOX.c.received_ms),
    *(INBOX.c.state, INBOX.c.reason, INBOX.c.attempts),
)


def _kept() -> Select[Any]:
    return select(*_COLUMNS)


def _wanted(query: Select[Any], state: str | None, source: str | None) -> Select[Any]:
    if state in STATES:
        # Spelt out: of a value that is bound SQLite cannot see that the partial index holds it.
        query = query.where(INBOX.c.state == literal_column(f"'{state}'"))
    return query if source is None else query.where(INBOX.c.source == source)


def _as_kept(row: Row[*tuple[Any, ...]]) -> Kept:
    return Kept(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public way to a row's names
