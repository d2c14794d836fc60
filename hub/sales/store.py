"""All SQL of the sales tables that writes, and what a fold needs to read."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from hub.sales import rows
from hub.sales.books import Books
from hub.sales.records import Answer, Line, Record
from hub.sales.rules import WINDOW
from hub.sales.tables import SALE, SALE_ANSWER, SALE_UNIT, UNIT, unit_dealer, unit_state
from hub.store import Statement, Values, WideStatement, bulk_insert


def _listed(alias: str, names: Sequence[str]) -> str:
    return ", ".join(f'{alias}."{name}"' for name in names)


def _records_sql(where: str) -> Statement:
    """The last records that fulfil a condition, oldest first, one row a line (or one without)."""
    return Statement(
        f"SELECT {_listed('s', rows.RECORD_COLUMNS)}, {_listed('u', rows.LINE_COLUMNS)}"  # noqa: S608 - our own names
        f' FROM (SELECT * FROM sale WHERE {where} ORDER BY "index" DESC LIMIT {WINDOW}) s'
        ' LEFT JOIN sale_unit u ON u.dealer = s.dealer AND u.sale = s."index"'
        ' ORDER BY s."index", u.line'
    )


def _answers_sql(where: str, limit: int) -> str:
    return (
        f"SELECT {_listed('a', rows.ANSWER_COLUMNS)} FROM sale_answer a WHERE {where}"  # noqa: S608 - our own column names
        f' ORDER BY "index" DESC LIMIT {limit}'
    )


_HISTORY: Final = _records_sql("dealer = :dealer AND till = :till AND receipt = :receipt")
_CAPTURED: Final = _records_sql(
    "device = :device AND gen = :gen AND n = :n AND kind IN ('sale', 'duplicate')"
)
_ONE: Final = _records_sql('dealer = :dealer AND "index" = :index')
_LIVE_COUNT: Final = Statement("SELECT live_count FROM unit WHERE serial = :serial")
_ANSWERS_TO: Final = Statement(
    _answers_sql("device = :device AND sale_gen = :gen AND sale_n = :n", WINDOW)
)
_NEWEST_ANSWER: Final = Statement(_answers_sql("serial = :serial AND kind = :kind", 1))


class DecidingLine(NamedTuple):
    """The line of a sale that says what a unit is."""

    sale: int
    line: int
    dealer: str
    model: str | None
    state: str
    activated_index: int | None
    activated_ms: int | None
    at_ms: int


# One question a state, so that each is one step in the index however often a dummy serial was
# sold.
_LINE_BY_STATE: Final = (
    f"SELECT {_listed('u', DecidingLine._fields[:-1])}, s.at_ms FROM sale_unit u"  # noqa: S608 - our own column names
    ' JOIN sale s ON s.dealer = u.dealer AND s."index" = u.sale'
    " WHERE u.serial = :serial AND u.state = :state ORDER BY u.sale {0}, u.line {0} LIMIT 1"
)
_FIRST_LINE: Final = Statement(_LINE_BY_STATE.format("ASC"))
_LAST_LINE: Final = Statement(_LINE_BY_STATE.format("DESC"))


class TableShelf:
    """The tables as the shelf of a fold (`books.Shelf`); one connection, one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Read through `connection`."""
        self._connection = connection

    def history(self, dealer: str, till: str, receipt: str) -> list[Record]:
        """The last WINDOW records of one receipt number."""
        found = _HISTORY.rows(self._connection, dealer=dealer, till=till, receipt=receipt)
        return rows.records(found)

    def captured(self, device: str, gen: int, n: int) -> list[Record]:
        """The last WINDOW sales and copies with one capture number."""
        return rows.records(_CAPTURED.rows(self._connection, device=device, gen=gen, n=n))

    def newest_sale(self, serial: str) -> Record | None:
        """The newest sale on which a serial stands."""
        line = _last_line(self._connection, serial, ("sold", "voided", "returned"))
        if line is None:
            return None
        return rows.records(_ONE.rows(self._connection, dealer=line.dealer, index=line.sale))[0]

    def live_count(self, serial: str) -> int:
        """How many lines with this serial are sold and not undone."""
        found = _LIVE_COUNT.rows(self._connection, serial=serial)
        return found[0][0] if found else 0

    def answers_to(self, device: str, gen: int, n: int) -> list[Answer]:
        """The last WINDOW answers that name one capture."""
        return rows.answers(_ANSWERS_TO.rows(self._connection, device=device, gen=gen, n=n))

    def newest_answer(self, serial: str, kind: str) -> Answer | None:
        """The newest answer of one kind from a scooter."""
        found = rows.answers(_NEWEST_ANSWER.rows(self._connection, serial=serial, kind=kind))
        return found[0] if found else None


def _last_line(connection: Connection, serial: str, states: Sequence[str]) -> DecidingLine | None:
    """The line of the newest sale of a serial in one of these states."""
    found = [
        DecidingLine(*row)
        for state in states
        for row in _LAST_LINE.rows(connection, serial=serial, state=state)
    ]
    return max(found, default=None, key=lambda line: (line.sale, line.line))


# --- writing what was folded ---


def save(connection: Connection, books: Books) -> None:
    """Write what changed in the books, and what it means for the units."""
    _save_records(connection, books.records.values())
    _save_answers(connection, books.answers.values())
    _save_units(connection, books)


def _save_records(connection: Connection, records: Iterable[Record]) -> None:
    fresh = [record for record in records if not record.stored]
    changed = [record for record in records if record.stored and record.changed]
    bulk_insert(connection, SALE, [rows.record_values(record) for record in fresh])
    bulk_insert(
        connection,
        SALE_UNIT,
        [rows.line_values(record, line) for record in fresh for line in record.lines],
    )
    _UPDATE_SALE.run(connection, [_sale_changes(record) for record in changed])
    lines = [_line_changes(record, line) for record in changed for line in record.lines]
    _UPDATE_LINE.run(connection, lines)


_UPDATE_SALE: Final = Statement(
    "UPDATE sale SET state = :state, flags = :flags, refers_to = :refers_to,"
    ' reversed_by = :reversed_by WHERE dealer = :dealer AND "index" = :index'
)
_UPDATE_LINE: Final = Statement(
    "UPDATE sale_unit SET state = :state, reversed_by = :reversed_by,"
    " activated_index = :activated_index, activated_ms = :activated_ms,"
    " unanswered_index = :unanswered_index"
    " WHERE dealer = :dealer AND sale = :sale AND line = :line"
)
_UPDATE_ANSWER: Final = Statement(
    'UPDATE sale_answer SET sale = :sale WHERE dealer = :dealer AND "index" = :index'
)


def _sale_changes(record: Record) -> dict[str, object]:
    return {
        "dealer": record.dealer,
        "index": record.index,
        "state": record.state,
        "flags": rows.flags_text(record.flags),
        "refers_to": record.refers_to,
        "reversed_by": record.reversed_by,
    }


def _line_changes(record: Record, line: Line) -> dict[str, object]:
    return {
        "dealer": record.dealer,
        "sale": record.index,
        "line": line.line,
        "state": line.state,
        "reversed_by": line.reversed_by,
        "activated_index": line.activated_index,
        "activated_ms": line.activated_ms,
        "unanswered_index": line.unanswered_index,
    }


def _save_answers(connection: Connection, answers: Iterable[Answer]) -> None:
    fresh = [rows.answer_values(answer) for answer in answers if not answer.stored]
    bulk_insert(connection, SALE_ANSWER, fresh)
    changed = [
        {"dealer": answer.dealer, "index": answer.index, "sale": answer.sale}
        for answer in answers
        if answer.stored and answer.changed
    ]
    _UPDATE_ANSWER.run(connection, changed)


# --- units ---


_SALE_SIDE: Final = (
    "model",
    "live_count",
    "sale_index",
    "sale_ms",
    "sale_dealer",
    "undone",
    "activated_index",
    "activated_ms",
)
# A unit nobody has heard of: what its sales say is all there is.
_IF_NEW: Final = (
    unit_state(":live_count", ":undone", "NULL"),
    unit_dealer(":live_count", ":sale_dealer", "NULL"),
)
_IF_KNOWN: Final = (
    unit_state("excluded.live_count", "excluded.undone", "unit.reported_state"),
    unit_dealer("excluded.live_count", "excluded.sale_dealer", "unit.heard_dealer"),
)
_SAVE_SALE_SIDE: Final = Statement(
    f"INSERT INTO unit (serial, {', '.join(_SALE_SIDE)}, state, dealer)"  # noqa: S608 - our own names
    f" VALUES (:serial, {', '.join(f':{name}' for name in _SALE_SIDE)}, {', '.join(_IF_NEW)})"
    " ON CONFLICT (serial) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _SALE_SIDE)
    + f", state = {_IF_KNOWN[0]}, dealer = {_IF_KNOWN[1]}"
)


def _save_units(connection: Connection, books: Books) -> None:
    changed = [
        _unit_after(connection, serial, books.live_count(serial))
        for serial in sorted(books.touched)
    ]
    _SAVE_SALE_SIDE.run(connection, changed)


def _unit_after(connection: Connection, serial: str, live_count: int) -> dict[str, object]:
    """What a unit's sales say: the first that stands, else the last that was undone."""
    line: DecidingLine | None
    if live_count:
        line = DecidingLine(*_FIRST_LINE.rows(connection, serial=serial, state="sold")[0])
    else:
        line = _last_line(connection, serial, ("voided", "returned"))
    if line is None:
        raise AssertionError(f"unit {serial} was touched by no sale")
    return {
        "serial": serial,
        "model": line.model,
        "live_count": live_count,
        "sale_index": line.sale,
        "sale_ms": line.at_ms,
        "sale_dealer": line.dealer,
        "undone": None if live_count else line.state,
        "activated_index": line.activated_index if live_count else None,
        "activated_ms": line.activated_ms if live_count else None,
    }


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
_MEET_SAID: Final = READING[:3]
_INDEXED: Final = READING[1:3]
_PLAIN: Final = READING[3:]
# In two steps, because nearly always only columns without an index change: a scooter stays where
# it is and says the same of its state for weeks.
_HEARD: Final = {name: f"coalesce(excluded.{name}, unit.{name})" for name in _INDEXED}
_MEET_COLUMNS: Final = "serial, heard_dealer, reported_state, live_count, state, dealer"
_MEET_UNIT: Final = (
    " ON CONFLICT (serial) DO UPDATE SET "
    + ", ".join(f"{name} = {_HEARD[name]}" for name in _INDEXED)
    + f", state = {unit_state('unit.live_count', 'unit.undone', _HEARD['reported_state'])}"
    + f", dealer = {unit_dealer('unit.live_count', 'unit.sale_dealer', _HEARD['heard_dealer'])}"
    + " WHERE "
    + " OR ".join(f"coalesce({_HEARD[name]}, '') <> coalesce(unit.{name}, '')" for name in _INDEXED)
)
_MEET: Final = WideStatement(
    UNIT,
    _MEET_SAID,
    f"INSERT INTO unit ({_MEET_COLUMNS})"  # noqa: S608 - our own names
    " SELECT said.serial, said.heard_dealer, said.reported_state, 0,"
    f" {unit_state('0', 'NULL', 'said.reported_state')}, said.heard_dealer"
    " FROM said LEFT JOIN unit AS known ON known.serial = said.serial"
    " WHERE known.serial IS NULL OR "
    + " OR ".join(
        f"coalesce(said.{name}, known.{name}, '') <> coalesce(known.{name}, '')"
        for name in _INDEXED
    )
    + _MEET_UNIT,
)
_READ: Final = WideStatement(
    UNIT,
    READING,
    "UPDATE unit SET "  # noqa: S608 - our own names
    + ", ".join(f"{name} = coalesce(said.{name}, unit.{name})" for name in _PLAIN)
    + " FROM said WHERE unit.serial = said.serial",
)


def save_readings(connection: Connection, readings: Sequence[Values]) -> None:
    """Note what scooters said; one reading (READING's values) a serial."""
    _MEET.run(connection, [reading[: len(_MEET_SAID)] for reading in readings])
    _READ.run(connection, readings)
