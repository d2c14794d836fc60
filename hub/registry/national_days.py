"""National days on which a network's dealers are shut, from a list that may be replaced."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from hub.errors import ConfigError
from hub.registry import cells
from hub.registry.cells import CellRefused, Column
from hub.registry.rules import Refusal, read_row
from hub.registry.sheets import SheetRefused, read_rows

Which: TypeAlias = Literal["none", "public", "all"]
SHIPPED: Final = Path(__file__).parent / "data" / "national_days.csv"


def _kind(cell: str) -> str:
    if cell not in {"public", "leave"}:
        raise CellRefused("unknown_word", "is neither public nor leave")
    return cell


COLUMNS: Final = (
    Column("day", cells.day, required=True),
    Column("kind", _kind, required=True),
    Column("name", cells.text),
)


def national_days(which: Which, path: Path | None = None) -> frozenset[str]:
    """The days (ISO) of the shipped list, or of the file at `path`. Raises ConfigError.

    ``public`` are the national holidays, ``all`` also the government's days of collective leave
    (cuti bersama), ``none`` asks for nothing.
    """
    if which == "none":
        return frozenset()
    source = SHIPPED if path is None else path
    try:
        rows = [_row(row.number, row.cells) for row in read_rows(source.read_bytes(), COLUMNS)]
    except OSError as error:
        raise ConfigError(f"[leads] holidays_file: {source}: {error.strerror}") from error
    except (SheetRefused, _Unreadable) as error:
        raise ConfigError(f"[leads] holidays_file: {source}: {error}") from error
    return frozenset(day for day, kind in rows if which == "all" or kind == "public")


class _Unreadable(ValueError):
    """A row that is no day."""


def _row(number: int, values: Mapping[str, str]) -> tuple[str, str]:
    read: dict[str, str] | Sequence[Refusal] = read_row(number, values, COLUMNS)
    if not isinstance(read, dict):
        raise _Unreadable(f"row {number}: {read[0].message}")
    return read["day"], read["kind"]
