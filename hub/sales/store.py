"""All SQL of the sales tables that writes, and what a fold needs to read."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from hub.sales.books import Books
from hub.sales.records import Answer, Line, Record
from hub.sales.rules import WINDOW
from hub.sales.tables import SALE, SALE_ANSWER, SALE_UNIT, UNIT
from hub.store import bulk_insert

FLAG_SEPARATOR: Final = "|"


def flags_text(flags: Sequence[str]) -> str:
    """Flags as they are stored: ``|a|b|``, so that one can be searched for; none is empty."""
    return f"|{FLAG_SEPARATOR.join(flags)}|" if flags else ""


def flags_of(text: str) -> tuple[str, ...]:
    """The flags in a stored text."""
    return tuple(text.strip(FLAG_SEPARATOR).split(FLAG_SEPARATOR)) if text else ()


# --- rows to records and back ---


def _line(row: Row[Any]) -> Line:
    return Line(
        line=row.line,
        serial=row.serial,
        serial_raw=row.serial_raw,
        model=row.model,
        list_idr=row.list_idr,
        discount_idr=row.discount_idr,
        net_idr=row.net_idr,
        state=row.state,
        flag=row.flag,
        reversed_by=row.reversed_by,
        activated_index=row.activated_index,
        activated_ms=row.activated_ms,
        unanswered_index=row.unanswered_index,
    )


def _record(row: Row[Any], lines: list[Line]) -> Record:
    stored = row._mapping  # noqa: SLF001 - SQLAlchemy's public way to a row's names
    return Record(
        index=stored["index"],
        dealer=row.dealer,
        device=row.device,
        gen=row.gen,
        n=row.n,
        kind=row.kind,
        till=row.till,
        receipt=row.receipt,
        at_ms=row.at_ms,
        err_ms=row.err_ms,
        received_ms=row.received_ms,
        state=row.state,
        flags=flags_of(row.flags),
        content=bytes(row.content),
        payment=row.payment,
        operator=row.operator,
        buyer_commitment=row.buyer_commitment,
        list_idr=row.list_idr,
        discount_idr=row.discount_idr,
        net_idr=row.net_idr,
        serials=None if row.serials is None else tuple(orjson.loads(row.serials)),
        refers_to=row.refers_to,
        reversed_by=row.reversed_by,
        lines=lines,
        stored=True,
    )


def _answer(row: Row[Any]) -> Answer:
    return Answer(**row._mapping, stored=True)  # noqa: SLF001 - as above; the names are the same


def _record_values(record: Record) -> tuple[object, ...]:
    serials = None if record.serials is None else orjson.dumps(record.serials).decode()
    return (
        record.dealer,
        record.index,
        record.device,
        record.gen,
        record.n,
        record.kind,
        record.till,
        record.receipt,
        record.at_ms,
        record.err_ms,
        record.received_ms,
        record.state,
        flags_text(record.flags),
        record.content,
        record.payment,
        record.operator,
        record.buyer_commitment,
        record.list_idr,
        record.discount_idr,
        record.net_idr,
        serials,
        record.refers_to,
        record.reversed_by,
    )


def _line_values(record: Record, line: Line) -> tuple[object, ...]:
    return (
        record.dealer,
        record.index,
        line.line,
        line.serial,
        line.serial_raw,
        line.model,
        line.list_idr,
        line.discount_idr,
        line.net_idr,
        line.state,
        line.flag,
        line.reversed_by,
        line.activated_index,
        line.activated_ms,
        line.unanswered_index,
    )


def _answer_values(answer: Answer) -> tuple[object, ...]:
    return (
        answer.dealer,
        answer.index,
        answer.device,
        answer.serial,
        answer.kind,
        answer.sale_gen,
        answer.sale_n,
        answer.at_ms,
        answer.err_ms,
        answer.sale,
    )


# --- reading what was folded before ---


def load_records(connection: Connection, query: Select[Any]) -> list[Record]:
    """The records a query on SALE finds, with their lines, in the query's order."""
    rows = list(connection.execute(query))
    lines: dict[int, list[Line]] = {row._mapping["index"]: [] for row in rows}  # noqa: SLF001 - SQLAlchemy documents it
    by_dealer: dict[str, list[int]] = {}
    for row in rows:
        by_dealer.setdefault(row.dealer, []).append(row._mapping["index"])  # noqa: SLF001 - SQLAlchemy documents it
    for dealer, indexes in by_dealer.items():
        found = connection.execute(
            select(SALE_UNIT)
            .where(SALE_UNIT.c.dealer == dealer, SALE_UNIT.c.sale.in_(indexes))
            .order_by(SALE_UNIT.c.sale, SALE_UNIT.c.line)
        )
        for row in found:
            lines[row.sale].append(_line(row))
    return [_record(row, lines[row._mapping["index"]]) for row in rows]  # noqa: SLF001 - SQLAlchemy documents it


class TableShelf:
    """The tables as the shelf of a fold (`books.Shelf`); one connection, one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Read through `connection`."""
        self._connection = connection

    def _last_records(self, *conditions: ColumnElement[bool]) -> list[Record]:
        query = select(SALE).where(*conditions).order_by(SALE.c.index.desc()).limit(WINDOW)
        return load_records(self._connection, query)[::-1]

    def history(self, dealer: str, till: str, receipt: str) -> list[Record]:
        """The last WINDOW records of one receipt number."""
        return self._last_records(
            SALE.c.dealer == dealer, SALE.c.till == till, SALE.c.receipt == receipt
        )

    def captured(self, device: str, gen: int, n: int) -> list[Record]:
        """The last WINDOW sales and copies with one capture number."""
        return self._last_records(
            SALE.c.device == device,
            SALE.c.gen == gen,
            SALE.c.n == n,
            SALE.c.kind.in_(("sale", "duplicate")),
        )

    def newest_sale(self, serial: str) -> Record | None:
        """The newest sale on which a serial stands."""
        place = _newest_line(self._connection, serial, ("sold", "voided", "returned"))
        if place is None:
            return None
        query = select(SALE).where(SALE.c.dealer == place.dealer, SALE.c.index == place.sale)
        return load_records(self._connection, query)[0]

    def live_count(self, serial: str) -> int:
        """How many lines with this serial are sold and not undone."""
        query = select(UNIT.c.live_count).where(UNIT.c.serial == serial)
        return self._connection.scalar(query) or 0

    def answers_to(self, device: str, gen: int, n: int) -> list[Answer]:
        """The last WINDOW answers that name one capture."""
        query = (
            select(SALE_ANSWER)
            .where(
                SALE_ANSWER.c.device == device,
                SALE_ANSWER.c.sale_gen == gen,
                SALE_ANSWER.c.sale_n == n,
            )
            .order_by(SALE_ANSWER.c.index.desc())
            .limit(WINDOW)
        )
        return [_answer(row) for row in self._connection.execute(query)][::-1]

    def newest_answer(self, serial: str, kind: str) -> Answer | None:
        """The newest answer of one kind from a scooter."""
        query = (
            select(SALE_ANSWER)
            .where(SALE_ANSWER.c.serial == serial, SALE_ANSWER.c.kind == kind)
            .order_by(SALE_ANSWER.c.index.desc())
            .limit(1)
        )
        row = self._connection.execute(query).first()
        return None if row is None else _answer(row)


def _newest_line(connection: Connection, serial: str, states: Sequence[str]) -> Row[Any] | None:
    """The line of the newest sale of a serial in one of these states.

    One question a state, so that each is one step in the index however often a dummy serial
    was sold.
    """
    found = [
        connection.execute(
            select(SALE_UNIT)
            .where(SALE_UNIT.c.serial == serial, SALE_UNIT.c.state == state)
            .order_by(SALE_UNIT.c.sale.desc(), SALE_UNIT.c.line.desc())
            .limit(1)
        ).first()
        for state in states
    ]
    return max((row for row in found if row is not None), key=_place, default=None)


def _place(row: Row[Any]) -> tuple[int, int]:
    return row.sale, row.line


# --- writing what was folded ---


def save(connection: Connection, books: Books) -> None:
    """Write what changed in the books, and what it means for the units."""
    _save_records(connection, books.records.values())
    _save_answers(connection, books.answers.values())
    _save_units(connection, books)


def _save_records(connection: Connection, records: Iterable[Record]) -> None:
    fresh = [record for record in records if not record.stored]
    changed = [record for record in records if record.stored and record.changed]
    bulk_insert(connection, SALE, [_record_values(record) for record in fresh])
    bulk_insert(
        connection,
        SALE_UNIT,
        [_line_values(record, line) for record in fresh for line in record.lines],
    )
    if changed:
        connection.execute(_UPDATE_SALE, [_sale_changes(record) for record in changed])
    lines = [_line_changes(record, line) for record in changed for line in record.lines]
    if lines:
        connection.execute(_UPDATE_LINE, lines)


_UPDATE_SALE: Final = (
    SALE.update()
    .where(SALE.c.dealer == bindparam("the_dealer"), SALE.c.index == bindparam("the_index"))
    .values(
        {name: bindparam(f"new_{name}") for name in ("state", "flags", "refers_to", "reversed_by")}
    )
)
_LINE_CHANGES: Final = (
    "state",
    "reversed_by",
    "activated_index",
    "activated_ms",
    "unanswered_index",
)
_UPDATE_LINE: Final = (
    SALE_UNIT.update()
    .where(
        SALE_UNIT.c.dealer == bindparam("the_dealer"),
        SALE_UNIT.c.sale == bindparam("the_sale"),
        SALE_UNIT.c.line == bindparam("the_line"),
    )
    .values({name: bindparam(f"new_{name}") for name in _LINE_CHANGES})
)
_UPDATE_ANSWER: Final = (
    SALE_ANSWER.update()
    .where(
        SALE_ANSWER.c.dealer == bindparam("the_dealer"),
        SALE_ANSWER.c.index == bindparam("the_index"),
    )
    .values(sale=bindparam("new_sale"))
)


def _sale_changes(record: Record) -> dict[str, object]:
    return {
        "the_dealer": record.dealer,
        "the_index": record.index,
        "new_state": record.state,
        "new_flags": flags_text(record.flags),
        "new_refers_to": record.refers_to,
        "new_reversed_by": record.reversed_by,
    }


def _line_changes(record: Record, line: Line) -> dict[str, object]:
    return {
        "the_dealer": record.dealer,
        "the_sale": record.index,
        "the_line": line.line,
    } | {f"new_{name}": getattr(line, name) for name in _LINE_CHANGES}


def _save_answers(connection: Connection, answers: Iterable[Answer]) -> None:
    fresh = [_answer_values(answer) for answer in answers if not answer.stored]
    bulk_insert(connection, SALE_ANSWER, fresh)
    changed = [
        {"the_dealer": answer.dealer, "the_index": answer.index, "new_sale": answer.sale}
        for answer in answers
        if answer.stored and answer.changed
    ]
    if changed:
        connection.execute(_UPDATE_ANSWER, changed)


# --- units ---

_SALE_SIDE: Final = (
    "serial",
    "model",
    "live_count",
    "sale_index",
    "sale_ms",
    "sale_dealer",
    "undone",
    "activated_index",
    "activated_ms",
)
READING: Final = (
    "serial",
    "heard_dealer",
    "reported_state",
    "firmware",
    "battery_pct",
    "odometer_m",
    "seen_index",
    "seen_ms",
    "fault_index",
    "fault_ms",
    "fault_code",
)
"""The columns of a reading. Null means that nothing new was said: the last known stays."""


def _save_units(connection: Connection, books: Books) -> None:
    rows = [
        _unit_after(connection, serial, books.live_count(serial))
        for serial in sorted(books.touched)
    ]
    _upsert(connection, _SALE_SIDE, rows, replace=_SALE_SIDE[1:], keep_known=())


def _unit_after(connection: Connection, serial: str, live_count: int) -> tuple[object, ...]:
    """What a unit's sales say: the first that stands, else the last that was undone."""
    line: Row[Any] | None
    if live_count:
        line = connection.execute(
            select(SALE_UNIT)
            .where(SALE_UNIT.c.serial == serial, SALE_UNIT.c.state == "sold")
            .order_by(SALE_UNIT.c.sale, SALE_UNIT.c.line)
            .limit(1)
        ).one()
    else:
        line = _newest_line(connection, serial, ("voided", "returned"))
    if line is None:
        raise AssertionError(f"unit {serial} was touched by no sale")
    sold_ms = connection.scalar(
        select(SALE.c.at_ms).where(SALE.c.dealer == line.dealer, SALE.c.index == line.sale)
    )
    undone = None if live_count else line.state
    activated = (line.activated_index, line.activated_ms) if live_count else (None, None)
    return (
        serial,
        line.model,
        live_count,
        line.sale,
        sold_ms,
        line.dealer,
        undone,
        *activated,
    )


def save_readings(connection: Connection, readings: Sequence[Sequence[object]]) -> None:
    """Note what scooters said; one reading (READING's values) a serial."""
    # live_count is only for a unit that nobody has heard of before.
    rows = [(*reading, 0) for reading in readings]
    _upsert(connection, (*READING, "live_count"), rows, replace=(), keep_known=READING[1:])


def _upsert(
    connection: Connection,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    replace: Sequence[str],
    keep_known: Sequence[str],
) -> None:
    """Insert units, or change those that exist: a null of `keep_known` keeps what is there."""
    if not rows:
        return
    is_sqlite = connection.dialect.name == "sqlite"
    insert = sqlite.insert(UNIT) if is_sqlite else postgresql.insert(UNIT)
    statement = insert.values({name: bindparam(name) for name in columns}).on_conflict_do_update(
        index_elements=[UNIT.c.serial],
        set_={name: insert.excluded[name] for name in replace}
        | {name: func.coalesce(insert.excluded[name], UNIT.c[name]) for name in keep_known},
    )
    connection.execute(statement, [dict(zip(columns, row, strict=True)) for row in rows])
