"""The table of alerts and the SQL over it."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Table,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from hub.store import INT64, METADATA, TEXT, Statement

ALERT = Table(
    "alert",
    METADATA,
    Column("seq", INT64, primary_key=True, autoincrement=True),
    Column("id", TEXT, nullable=False, unique=True),
    Column("tier", TEXT, nullable=False),
    Column("rule", TEXT, nullable=False),
    Column("rule_version", INT64, nullable=False),
    Column("key", TEXT, nullable=False),
    # Its key until it is closed: of one key at most one alert is open.
    Column("open_key", TEXT, unique=True),
    Column("state", TEXT, nullable=False),
    Column("active", INT64, nullable=False),
    Column("seen", INT64, nullable=False),
    Column("region", TEXT),
    Column("dealer", TEXT),
    Column("serial", TEXT),
    Column("what", TEXT, nullable=False),
    Column("consequence", TEXT, nullable=False),
    Column("action", TEXT, nullable=False),
    Column("act_by_ms", INT64),
    Column("owner", TEXT),
    Column("count", INT64, nullable=False),
    Column("first_ms", INT64, nullable=False),
    Column("last_ms", INT64, nullable=False),
    Column("closed_ms", INT64),
    Column("close_reason", TEXT),
    Column("absorbed_by", TEXT),
    Column("snoozed_until_ms", INT64),
    CheckConstraint("tier IN ('P0', 'P1', 'P2')", name="alert_tier"),
    CheckConstraint("state IN ('open', 'acked', 'snoozed', 'closed')", name="alert_state"),
    CheckConstraint(
        "(state = 'closed') = (open_key IS NULL) AND (state = 'closed') = (closed_ms IS NOT NULL)",
        name="alert_closed",
    ),
    CheckConstraint("active IN (0, 1) AND seen IN (0, 1)", name="alert_flags"),
    Index("alert_key", "key", "seq"),
    Index("alert_region", "region", "seq"),
    Index("alert_dealer", "dealer", "seq"),
)

ALERT_DEED = Table(
    "alert_deed",
    METADATA,
    Column("n", INT64, primary_key=True, autoincrement=True),
    Column("alert", TEXT, ForeignKey("alert.id"), nullable=False),
    Column("at_ms", INT64, nullable=False),
    Column("by", TEXT, nullable=False),
    Column("deed", TEXT, nullable=False),
    Column("value", TEXT),
    CheckConstraint("deed IN ('ack', 'snooze', 'resolve', 'feedback')", name="alert_deed_known"),
    Index("alert_deed_alert", "alert", "n"),
)
"""What people did about alerts. Ids and words of a list only."""

ALERT_OCCURRENCE = Table(
    "alert_occurrence",
    METADATA,
    Column("n", INT64, primary_key=True, autoincrement=True),
    Column("alert", TEXT, ForeignKey("alert.id"), nullable=False),
    Column("at_ms", INT64, nullable=False),
    Column("what", TEXT, nullable=False),
    Index("alert_occurrence_alert", "alert", "n"),
)
"""Every time the trouble of an alert was found: its `count`, one by one."""

_RAISE = Statement(
    "INSERT INTO alert (id, tier, rule, rule_version, key, open_key, state, active, seen, region,"
    " dealer, serial, what, consequence, action, act_by_ms, owner, count, first_ms, last_ms)"
    " VALUES (:id, :tier, :rule, :rule_version, :key, :key, 'open', 1, 0, :region,"
    " :dealer, :serial, :what, :consequence, :action, :act_by_ms, :owner, 1, :now_ms, :now_ms)"
    " ON CONFLICT (open_key) DO UPDATE SET count = alert.count + 1, last_ms = excluded.last_ms,"
    " active = 1, what = excluded.what, consequence = excluded.consequence,"
    " action = excluded.action"
    " RETURNING id"
)


def raise_(connection: Connection, values: Mapping[str, object]) -> str:
    """Open an alert, or count it in the open one of its key; its id."""
    [(alert_id,)] = _RAISE.rows(connection, **values)
    occurrence = {"alert": alert_id, "at_ms": values["now_ms"], "what": values["what"]}
    connection.execute(insert(ALERT_OCCURRENCE).values(occurrence))
    return str(alert_id)


def close(connection: Connection, key: str, reason: str, now_ms: int) -> bool:
    """Close the open alert of a key; whether there was one."""
    closed = connection.execute(
        update(ALERT)
        .where(ALERT.c.open_key == key)
        .values(state="closed", active=0, open_key=None, closed_ms=now_ms, close_reason=reason)
    )
    return bool(closed.rowcount)


def page(
    connection: Connection,
    after: str | None,
    limit: int,
    *,
    only_open: bool,
    worst_first: bool = False,
    dealers: Collection[str] | None = None,
    regions: Collection[str] = (),
) -> list[Mapping[str, Any]]:
    """Alerts behind `after`, oldest first; of some dealers and regions alone if they are named.

    `worst_first`: those of the first tier before all others.
    """
    order = (ALERT.c.tier, ALERT.c.seq) if worst_first else (ALERT.c.seq,)
    which = select(ALERT).order_by(*order).limit(limit)
    if after is not None:
        behind = [select(one).where(ALERT.c.id == after).scalar_subquery() for one in order]
        which = which.where(tuple_(*order) > tuple_(*behind))
    if only_open:
        which = which.where(ALERT.c.open_key.is_not(None))
    if dealers is not None:
        of_regions = ALERT.c.region.in_(sorted(regions))
        which = which.where(or_(ALERT.c.dealer.in_(sorted(dealers)), of_regions))
    return [row._asdict() for row in connection.execute(which)]


def of_id(connection: Connection, alert_id: str) -> Mapping[str, Any] | None:
    """One alert."""
    row = connection.execute(select(ALERT).where(ALERT.c.id == alert_id)).one_or_none()
    return None if row is None else row._asdict()


def occurrences(
    connection: Connection, alert_id: str, after: int, limit: int
) -> list[tuple[int, int, str]]:
    """Number, time and finding of each occurrence behind `after`, in order."""
    of = (
        select(ALERT_OCCURRENCE.c.n, ALERT_OCCURRENCE.c.at_ms, ALERT_OCCURRENCE.c.what)
        .where(ALERT_OCCURRENCE.c.alert == alert_id, ALERT_OCCURRENCE.c.n > after)
        .order_by(ALERT_OCCURRENCE.c.n)
        .limit(limit)
    )
    return [(row.n, row.at_ms, row.what) for row in connection.execute(of)]


def change_open(connection: Connection, alert_id: str, **values: object) -> bool:
    """Change an alert that is not closed; whether there was one."""
    changed = connection.execute(
        update(ALERT).where(ALERT.c.id == alert_id, ALERT.c.open_key.is_not(None)).values(**values)
    )
    return bool(changed.rowcount)


def did(
    connection: Connection, alert_id: str, *, by: str, deed: str, value: str | None, now_ms: int
) -> None:
    """Write down what somebody did about an alert."""
    connection.execute(
        insert(ALERT_DEED).values(alert=alert_id, at_ms=now_ms, by=by, deed=deed, value=value)
    )


def deeds_of(connection: Connection, alert_id: str) -> list[Mapping[str, Any]]:
    """What was done about an alert, in order."""
    of = select(ALERT_DEED).where(ALERT_DEED.c.alert == alert_id).order_by(ALERT_DEED.c.n)
    return [row._asdict() for row in connection.execute(of)]
