"""Tables of the registry, and all SQL on them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final, TypeVar

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Table,
    bindparam,
    select,
)

from hub.registry.rules import Dealer, Model, Region
from hub.store import INT64, METADATA, TEXT, Statement, bulk_insert

LIST_SEPARATOR: Final = "|"

region = Table(
    "region",
    METADATA,
    Column("code", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("timezone", TEXT, nullable=False),
    Column("manager", TEXT),
    Column("executives", TEXT, nullable=False),
    sqlite_strict=True,
)

model = Table(
    "model",
    METADATA,
    Column("code", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("serial_pattern", TEXT),
    Column("has_telemetry", INT64, nullable=False),
    Column("warranty_months", INT64),
    Column("active", INT64, nullable=False),
    CheckConstraint("has_telemetry IN (0, 1) AND active IN (0, 1)", name="model_yes_or_no"),
    sqlite_strict=True,
)

dealer = Table(
    "dealer",
    METADATA,
    Column("code", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("company", TEXT),
    Column("region", TEXT, ForeignKey("region.code"), nullable=False),
    Column("address", TEXT),
    Column("lat_udeg", INT64, nullable=False),
    Column("lon_udeg", INT64, nullable=False),
    Column("timezone", TEXT, nullable=False),
    Column("phone", TEXT),
    Column("email", TEXT),
    Column("hours", TEXT, nullable=False),
    Column("closed_days", TEXT, nullable=False),
    Column("capacity", INT64),
    Column("weight_milli", INT64, nullable=False),
    Column("authorised", INT64, nullable=False),
    Column("paused_until_ms", INT64),
    Column("opened_on", TEXT),
    Column("closed_on", TEXT),
    CheckConstraint("weight_milli > 0", name="dealer_weight"),
    CheckConstraint("authorised IN (0, 1)", name="dealer_authorised"),
    Index("dealer_region", "region"),
    sqlite_strict=True,
)

R = TypeVar("R", Region, Model, Dealer)
_LISTS: Final = frozenset({"executives", "closed_days"})
_YES_OR_NO: Final = frozenset({"has_telemetry", "active", "authorised"})
# Stored as whole numbers of the smallest step a file can state.
_STEPS: Final = {
    "lat": ("lat_udeg", 1_000_000),
    "lon": ("lon_udeg", 1_000_000),
    "weight": ("weight_milli", 1000),
}
_TABLES: Final[Mapping[type, Table]] = {Region: region, Model: model, Dealer: dealer}
_READ_SLICE: Final = 500


def _stored(row: Region | Model | Dealer) -> dict[str, object]:
    """The row's values by column, in the order of the columns."""
    values: dict[str, object] = {}
    for name, value in asdict(row).items():
        if name in _STEPS:
            column, steps = _STEPS[name]
            values[column] = round(value * steps)
        elif name in _LISTS:
            values[name] = LIST_SEPARATOR.join(value)
        else:
            values[name] = int(value) if name in _YES_OR_NO else value
    return values


_ONE: Final = {
    kind: Statement(
        "SELECT {} FROM {} WHERE code = :code".format(  # noqa: S608 - our own names
            ", ".join(table.c.keys()), table.name
        )
    )
    for kind, table in _TABLES.items()
}


def _loaded(kind: type[R], row: Sequence[Any]) -> R:
    """A row from the columns in the order of the table."""
    stored = dict(zip(_TABLES[kind].c.keys(), row, strict=True))
    values: dict[str, Any] = {}
    for field in fields(kind):
        name = field.name
        if name in _STEPS:
            column, steps = _STEPS[name]
            values[name] = stored[column] / steps
        elif name in _LISTS:
            values[name] = tuple(stored[name].split(LIST_SEPARATOR)) if stored[name] else ()
        else:
            values[name] = bool(stored[name]) if name in _YES_OR_NO else stored[name]
    return kind(**values)


def one(connection: Connection, kind: type[R], code: str) -> R | None:
    """The row with exactly this code."""
    return one_later(connection, kind, code)()


def one_later(connection: Connection, kind: type[R], code: str) -> Callable[[], R | None]:
    """The same, asked now and answered later."""
    rows = _ONE[kind].later(connection, code=code)
    return lambda: next((_loaded(kind, row) for row in rows()), None)


def by_code(connection: Connection, kind: type[R], codes: Iterable[str]) -> dict[str, R]:
    """The stored rows among `codes`, by code."""
    table = _TABLES[kind]
    wanted = sorted(set(codes))
    found: dict[str, R] = {}
    for start in range(0, len(wanted), _READ_SLICE):
        part = wanted[start : start + _READ_SLICE]
        for row in connection.execute(select(table).where(table.c.code.in_(part))):
            found[row.code] = _loaded(kind, row)
    return found


def page(connection: Connection, kind: type[R], *, after: str, limit: int) -> list[R]:
    """At most `limit` rows with a code above `after`, in the order of their codes."""
    table = _TABLES[kind]
    query = select(table).where(table.c.code > after).order_by(table.c.code).limit(limit)
    return [_loaded(kind, row) for row in connection.execute(query)]


def everything(connection: Connection, kind: type[R]) -> list[R]:
    """Every row, in the order of the codes."""
    table = _TABLES[kind]
    return [_loaded(kind, row) for row in connection.execute(select(table).order_by(table.c.code))]


def codes(connection: Connection, kind: type[R]) -> frozenset[str]:
    """Every code there is."""
    return frozenset(connection.scalars(select(_TABLES[kind].c.code)))


def create(connection: Connection, rows: Sequence[R]) -> None:
    """Add rows whose codes are new."""
    if not rows:
        return
    table = _TABLES[type(rows[0])]
    names = [column.name for column in table.columns]
    stored = [_stored(row) for row in rows]
    bulk_insert(connection, table, [[values[name] for name in names] for values in stored])


def change(connection: Connection, rows: Sequence[R]) -> None:
    """Replace rows whose codes are stored, every column."""
    if not rows:
        return
    table = _TABLES[type(rows[0])]
    names = [column.name for column in table.columns if column.name != "code"]
    statement = (
        table.update()
        .where(table.c.code == bindparam("the_code"))
        .values({name: bindparam(f"new_{name}") for name in names})
    )
    stored = [_stored(row) for row in rows]
    connection.execute(
        statement,
        [
            {"the_code": values["code"]} | {f"new_{name}": values[name] for name in names}
            for values in stored
        ],
    )
