"""Rows of the sales tables as records, and back. No I/O."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import orjson

from hub.sales.records import Answer, Line, Record
from hub.sales.tables import SALE, SALE_ANSWER, SALE_UNIT
from hub.store import Values

RECORD_COLUMNS: Final = tuple(column.name for column in SALE.columns)
LINE_COLUMNS: Final = tuple(column.name for column in SALE_UNIT.columns)[2:]
"""Without dealer and sale: a line is always read beside its receipt."""
ANSWER_COLUMNS: Final = tuple(column.name for column in SALE_ANSWER.columns)
FLAG_SEPARATOR: Final = "|"

# A column and the attribute it holds have the same name.
_values_of_record = attrgetter(*RECORD_COLUMNS)
_values_of_line = attrgetter(*LINE_COLUMNS)
_values_of_answer = attrgetter(*ANSWER_COLUMNS)
_FLAGS: Final = RECORD_COLUMNS.index("flags")
_SERIALS: Final = RECORD_COLUMNS.index("serials")
_INDEX: Final = RECORD_COLUMNS.index("index")


def flags_text(flags: Sequence[str]) -> str:
    """Flags as they are stored: ``|a|b|``, so that one can be searched for; none is empty."""
    return f"|{FLAG_SEPARATOR.join(flags)}|" if flags else ""


def flags_of(text: str) -> tuple[str, ...]:
    """The flags in a stored text."""
    return tuple(text.strip(FLAG_SEPARATOR).split(FLAG_SEPARATOR)) if text else ()


def records(rows: Sequence[Values]) -> list[Record]:
    """Records from rows of RECORD_COLUMNS and LINE_COLUMNS, one row a line, in their order."""
    found: dict[int, Record] = {}
    width = len(RECORD_COLUMNS)
    for row in rows:
        index = row[_INDEX]
        if index not in found:
            found[index] = _record(dict(zip(RECORD_COLUMNS, row[:width], strict=True)))
        if row[width] is not None:
            stored = dict(zip(LINE_COLUMNS, row[width:], strict=True))
            found[index].lines.append(Line(**stored))
    return list(found.values())


def _record(values: dict[str, Any]) -> Record:
    values["flags"] = flags_of(values["flags"])
    values["content"] = bytes(values["content"])
    if values["serials"] is not None:
        values["serials"] = tuple(orjson.loads(values["serials"]))
    return Record(**values, stored=True)


def answers(rows: Sequence[Values]) -> list[Answer]:
    """Answers, oldest first, from rows of ANSWER_COLUMNS, newest first."""
    found = [Answer(**dict(zip(ANSWER_COLUMNS, row, strict=True)), stored=True) for row in rows]
    return found[::-1]


def record_values(record: Record) -> Values:
    """The row of a receipt."""
    values = list(_values_of_record(record))
    values[_FLAGS] = flags_text(record.flags)
    if record.serials is not None:
        values[_SERIALS] = orjson.dumps(record.serials).decode()
    return tuple(values)


def line_values(record: Record, line: Line) -> Values:
    """The row of one unit on it."""
    return (record.dealer, record.index, *_values_of_line(line))


def answer_values(answer: Answer) -> Values:
    """The row of an answer."""
    return tuple(_values_of_answer(answer))
