"""Messages as they are looked at: SQL that reads and decides nothing.

Promises: lists are newest first or oldest first with a cursor, and counts stop at `COUNT_MAX`.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from hub.outbox.store import COLUMNS, OUTBOX, OutboxRow, as_row

COUNT_MAX: Final = 10_000
STATES: Final = ("queued", "accepted", "delivered", "read", "failed", "withheld")
"""As they are shown: what is being sent is queued."""
COUNTED: Final = ("queued", "failed", "withheld")
"""States of which an index knows how many there are."""
_COLUMNS: Final = tuple(OUTBOX.c[name] for name in COLUMNS)


def page(
    connection: Connection,
    *,
    state: str | None,
    after: str | None,
    before: str | None,
    limit: int,
    newest: bool = True,
) -> list[OutboxRow]:
    """A page of messages; behind an unknown one there is nothing."""
    terms = _terms(state)
    downwards = newest == (before is None)
    cursor = after if before is None else before
    if cursor is not None:
        place = connection.execute(select(OUTBOX.c.seq).where(OUTBOX.c.id == cursor)).scalar()
        if place is None:
            return []
        terms.append(OUTBOX.c.seq < place if downwards else OUTBOX.c.seq > place)
    order = OUTBOX.c.seq.desc() if downwards else OUTBOX.c.seq
    query = select(*_COLUMNS).where(*terms).order_by(order).limit(limit)
    rows = [as_row(tuple(row)) for row in connection.execute(query)]
    return rows if before is None else rows[::-1]


def counts(connection: Connection) -> dict[str, int]:
    """How many wait, failed and were withheld, up to `COUNT_MAX`."""
    found = {}
    for state in COUNTED:
        some = select(OUTBOX.c.seq).where(*_terms(state)).limit(COUNT_MAX).subquery()
        query = select(func.count()).select_from(some)
        found[state] = int(connection.execute(query).scalar_one())
    return found


def any_row(connection: Connection) -> bool:
    """Whether anything was ever to be said."""
    return connection.execute(select(OUTBOX.c.seq).limit(1)).first() is not None


def _terms(state: str | None) -> list[ColumnElement[bool]]:
    if state not in STATES:
        return []
    # Spelt out, with the index's own condition: SQLite sees no further than the text.
    column: Any = OUTBOX.c.state
    of: list[ColumnElement[bool]] = []
    if state == "queued":
        return [column.in_([literal_column("'queued'"), literal_column("'sending'")])]
    if state in {"failed", "withheld"}:
        of = [column.in_([literal_column("'failed'"), literal_column("'withheld'")])]
    return [*of, column == literal_column(f"'{state}'")]
