"""A CSV or XLSX file as a table of texts. The file is hostile: every dimension has a limit."""

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import zip_longest
from typing import Final
from xml.etree.ElementTree import ParseError

from hub.registry.cells import Column
from hub.registry.rules import EXTRA_CELLS, Refusal

MAX_FILE_BYTES: Final = 32 * 1024 * 1024
MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
MAX_PARTS: Final = 500
MAX_ROWS: Final = 100_000
MAX_COLUMNS: Final = 64
XLSX_MAGIC: Final = b"PK\x03\x04"
OLD_EXCEL_MAGIC: Final = b"\xd0\xcf\x11\xe0"
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")

Record = Sequence[str]


class SheetRefused(Exception):
    """The file, or everything from one row on, cannot be read; nothing of it is imported."""

    def __init__(self, code: str, message: str, *, row: int = 0, column: str | None = None) -> None:
        """Say what, and in which row below the header (0: the file itself)."""
        super().__init__(message)
        self.refusal = Refusal(row, column, code, message)


@dataclass(frozen=True, slots=True)
class Row:
    """One row below the header, counted from 1: a cell for every column that the file has.

    A row that has more cells than that has them under `EXTRA_CELLS`, and `rules.read_row` refuses
    it, as it does a cell that is too long: the rows beside it may still be imported.
    """

    number: int
    cells: Mapping[str, str]


def read_rows(content: bytes, columns: Sequence[Column]) -> Iterator[Row]:
    """The rows of a file with these columns, in any order; blank rows are left out.

    CSV is UTF-8, with or without a byte order mark, separated by commas or semicolons; XLSX is
    known by its first bytes. Raises SheetRefused, and nothing else, for any bytes.
    """
    if len(content) > MAX_FILE_BYTES:
        raise SheetRefused(
            "too_large", f"the file has {len(content)} bytes; at most {MAX_FILE_BYTES}"
        )
    records = _xlsx(content) if content.startswith(XLSX_MAGIC) else _csv(content, columns)
    header: Sequence[str | None] | None = None
    number = 0
    for record in records:
        if header is None:
            header = _header(record, columns)
            continue
        number += 1
        if not any(cell.strip() for cell in record):
            continue
        if number > MAX_ROWS:
            raise SheetRefused(
                "too_many_rows", f"more than {MAX_ROWS} rows; split the file", row=number
            )
        yield _row(number, header, record)
    if header is None:
        raise SheetRefused("empty", f"the file is empty; its first row names {_known(columns)}")


def _row(number: int, header: Sequence[str | None], record: Record) -> Row:
    # A spreadsheet may leave out what is empty at the end of a row.
    named = zip_longest(header, record[: len(header)], fillvalue="")
    cells = {name: cell for name, cell in named if name is not None}
    extra = "".join(record[len(header) :]).strip()
    return Row(number, cells | {EXTRA_CELLS: extra} if extra else cells)


def _header(record: Record, columns: Sequence[Column]) -> Sequence[str | None]:
    """Column names by place; None for a column without a name."""
    known = {column.name for column in columns}
    _refuse_bytes(record)
    header = [_name(cell) for cell in record]
    while header and header[-1] is None:
        header.pop()
    names = [name for name in header if name is not None]
    for name in names:
        if name not in known:
            raise SheetRefused(
                "unknown_column",
                f"there is no column {name[:40]!r}; the columns are {_known(columns)}",
                column=name[:40],
            )
        if names.count(name) > 1:
            raise SheetRefused("repeated_column", f"column {name} stands twice", column=name)
    for column in columns:
        if column.required and column.name not in names:
            raise SheetRefused(
                "missing_column",
                f"column {column.name} is missing; the columns are {_known(columns)}",
                column=column.name,
            )
    return header


def _refuse_bytes(record: Record) -> None:
    """What stands for bytes that are not UTF-8 could be repeated in no answer."""
    for place, cell in enumerate(record, start=1):
        if any("\ud800" <= character <= "\udfff" for character in cell):
            raise SheetRefused(
                "not_utf8", f"column {place} of the header is not UTF-8; save it as CSV UTF-8"
            )


def _name(cell: str) -> str | None:
    return cell.strip().strip("*").strip().lower() or None


def _known(columns: Sequence[Column]) -> str:
    return " ".join(f"{column.name}{'*' if column.required else ''}" for column in columns)


# --- CSV ---


def _csv(content: bytes, columns: Sequence[Column]) -> Iterator[Record]:
    text = _decoded(content)
    first_line, _, rest = text.partition("\n")
    if first_line.strip().lower() in ("sep=;", "sep=,"):  # Excel's own hint
        text, (first_line, _, _) = rest, rest.partition("\n")
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=_separator(first_line, columns), strict=True)
    number = -1  # the header
    while True:
        number += 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise SheetRefused(
                "malformed_csv",
                f"row {number} (line {reader.line_num}) is no CSV: {error}; look for a double "
                "quote that is not closed",
                row=number,
            ) from error
        yield _limited(record, number)


def _decoded(content: bytes) -> str:
    if content.startswith(UTF16_MARKS) or b"\0" in content[:200]:
        raise SheetRefused("not_utf8", "the file is UTF-16; save it as CSV UTF-8")
    if content.startswith(OLD_EXCEL_MAGIC):
        raise SheetRefused("old_excel", "the file is an old .xls; save it as .xlsx or CSV UTF-8")
    # Bytes that are not UTF-8 become lone surrogates, so that the refusal can name their cell.
    return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def _separator(first_line: str, columns: Sequence[Column]) -> str:
    known = {column.name for column in columns}

    def found(separator: str) -> int:
        names = (_name(cell.strip().strip('"')) for cell in first_line.split(separator))
        return sum(name in known for name in names)

    return max((",", ";"), key=found)


def _limited(record: list[str], number: int) -> Record:
    """The row without what no file needs; one cell too many stays, for which it is refused."""
    beyond = "".join(record[MAX_COLUMNS:]).strip()[:1]
    if number == 0 and beyond:
        raise SheetRefused(
            "too_many_columns", f"the header has {len(record)} cells; at most {MAX_COLUMNS}"
        )
    return [*record[:MAX_COLUMNS], beyond] if beyond else record[:MAX_COLUMNS]


# --- XLSX ---


def _xlsx(content: bytes) -> Iterator[Record]:
    # A tenth of a second that no other command has to wait for.
    import openpyxl  # noqa: PLC0415 - see above
    from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415 - see above

    _refuse_bombs(content)
    unreadable = (*_UNREADABLE, InvalidFileException)
    try:
        book = openpyxl.load_workbook(
            io.BytesIO(content), read_only=True, data_only=True, keep_links=False
        )
    except unreadable as error:
        raise SheetRefused("malformed_xlsx", f"no readable workbook: {error}") from error
    try:
        if not book.worksheets:
            raise SheetRefused("empty", "the workbook has no sheet")
        rows = book.worksheets[0].iter_rows(
            max_row=MAX_ROWS + 2, max_col=MAX_COLUMNS, values_only=True
        )
        for number, values in enumerate(rows):
            yield _limited([_text(value) for value in values], number)
    except unreadable as error:
        raise SheetRefused("malformed_xlsx", f"the first sheet is not readable: {error}") from error
    finally:
        book.close()


# What openpyxl and the modules below it raise for files that are no workbooks.
_UNREADABLE = (
    zipfile.BadZipFile,
    ParseError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    EOFError,
    OSError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)


def _refuse_bombs(content: bytes) -> None:
    """Judge the archive by its directory; zipfile never unpacks more than the directory states."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise SheetRefused("malformed_xlsx", f"no readable workbook: {error}") from error
    unpacked_bytes = sum(part.file_size for part in parts)
    if unpacked_bytes > MAX_UNPACKED_BYTES or len(parts) > MAX_PARTS:
        raise SheetRefused(
            "too_large",
            f"the workbook unpacks to {unpacked_bytes} bytes in {len(parts)} parts; "
            f"at most {MAX_UNPACKED_BYTES} in {MAX_PARTS}",
        )


def _text(value: object) -> str:
    """A spreadsheet's typed cell as the text a person would have typed."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
