"""Files: the same table as CSV or XLSX in every shape people send, and the hostile ones."""

import io
import time
import tracemalloc
import zipfile
from datetime import date, datetime

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.registry import sheets
from hub.registry.rules import DEALER_COLUMNS, REGION_COLUMNS
from hub.registry.sheets import SheetRefused, read_rows

HEADER = "code,name,timezone\n"


def cells_of(content, columns=REGION_COLUMNS):
    """The cells of every row."""
    return [dict(row.cells) for row in read_rows(content, columns)]


def refusal_of(content, columns=REGION_COLUMNS):
    """Why the file is refused."""
    with pytest.raises(SheetRefused) as refused:
        list(read_rows(content, columns))
    return refused.value.refusal


def workbook(rows):
    """The bytes of a workbook with one sheet."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    book.close()
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"code,name,timezone\nJATIM,Jawa Timur,WIB\n",
        b"\xef\xbb\xbfcode;name;timezone\r\nJATIM;Jawa Timur;WIB\r\n",
        b"sep=;\r\nname;timezone;code\r\nJawa Timur;WIB;JATIM",
        b' Name*,CODE*,"timezone"\n"Jawa Timur",JATIM,WIB\n\n,,\n',
        b"code,name,timezone,,\nJATIM,Jawa Timur,WIB,,\n",
        workbook([["timezone", "code", "name", None], ["WIB", "JATIM", "Jawa Timur", None]]),
    ],
)
def test_every_common_shape_of_a_file_is_the_same_table(content):
    """Mark or not, comma or semicolon, any order of columns, blank lines, CSV or XLSX."""
    assert cells_of(content) == [{"code": "JATIM", "name": "Jawa Timur", "timezone": "WIB"}]


def test_a_spreadsheets_typed_cells_are_read_as_typed():
    """Numbers, days and truth values become what a person would have typed."""
    required = {column.name: "x" for column in DEALER_COLUMNS if column.required}
    typed = {
        "phone": 6281234567890.0,
        "opened_on": date(2026, 5, 1),
        "paused_until": datetime(2026, 5, 2),  # noqa: DTZ001 - a spreadsheet's day has no zone
        "authorised": True,
        "lat": -7.25,
    }
    cells = required | typed
    content = workbook([list(cells), list(cells.values())])
    (row,) = cells_of(content, DEALER_COLUMNS)
    found = [row[name] for name in typed]
    assert found == ["6281234567890", "2026-05-01 00:00:00", "2026-05-02 00:00:00", "yes", "-7.25"]


@pytest.mark.parametrize(
    ("content", "code", "row", "column"),
    [
        (b"", "empty", 0, None),
        (b"code,name\nA,B\n", "missing_column", 0, "timezone"),
        (b"code,name,timezone,manger\nA,B,WIB,x\n", "unknown_column", 0, "manger"),
        (b"code,name,timezone,name\nA,B,WIB,x\n", "repeated_column", 0, "name"),
        (b'code,name,timezone\nA,B,WIB\nC,"D,WIB\n', "malformed_csv", 2, None),
        (HEADER.encode() + b"A," + b"x" * 200_000 + b",WIB\n", "malformed_csv", 1, None),
        (b"," * 5000 + b"x\n", "too_many_columns", 0, None),
        ("code,name,timezone\n".encode("utf-16"), "not_utf8", 0, None),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old", "old_excel", 0, None),
        (b"PK\x03\x04 and then nothing", "malformed_xlsx", 0, None),
        (b"x" * (sheets.MAX_FILE_BYTES + 1), "too_large", 0, None),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(content, code, row, column):
    """The refusal names row and column as far as they are known."""
    refusal = refusal_of(content)
    assert (refusal.code, refusal.row, refusal.column) == (code, row, column)


def test_more_rows_than_the_limit_are_refused():
    """A file of a hundred thousand rows is read, one more row refuses it."""
    row = b"A,B,WIB\n"
    assert len(cells_of(HEADER.encode() + row * sheets.MAX_ROWS)) == sheets.MAX_ROWS
    refusal = refusal_of(HEADER.encode() + row * (sheets.MAX_ROWS + 1))
    assert (refusal.code, refusal.row) == ("too_many_rows", sheets.MAX_ROWS + 1)


def bomb(part, unpacked_bytes):
    """A small workbook, one part of which unpacks to so many bytes."""
    stream = io.BytesIO(workbook([["code"]]))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(part, b"\0" * unpacked_bytes)
    return stream.getvalue()


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_unpacking():
    """A hundred kilobytes that become a hundred megabytes cost no memory."""
    content = bomb("xl/media/zero.bin", 100 * 1024 * 1024)
    tracemalloc.start()
    refusal = refusal_of(content)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.code == "too_large"
    assert peak_bytes < 4 * 1024 * 1024


def replaced(part, xml):
    """A workbook with one of its parts replaced."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook([["code"]]))) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, xml if name == part else old.read(name))
    return stream.getvalue()


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}'
    "</sheetData></worksheet>"
)


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        "".join(
            f'<row r="{n * 1000}"><c r="XFD{n * 1000}"><v>1</v></c></row>' for n in range(1, 99)
        ),
        '<row r="-1"><c r="A-1"><v>1</v></c></row>',
        '<row r="1"><c r="A1" t="s"><v>99</v></c></row>',
        '<row r="1"><c r="A1" t="n"><v>one</v></c></row>',
        '<row r="1"><c r="A1" t="d"><v>2026-99-99</v></c></row>',
        "<row",
    ],
)
def test_a_sheet_that_lies_about_its_size_ends_soon(rows):
    """Far-away cells, impossible references and broken XML are refused, and quickly."""
    started_s = time.monotonic()
    assert refusal_of(replaced("xl/worksheets/sheet1.xml", SHEET.format(rows)))
    assert time.monotonic() - started_s < 10


def test_a_workbook_whose_text_explodes_is_refused():
    """Entities that multiply themselves are stopped by the parser, not by the memory."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    xml = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "aaaaaaaaaa">{entities}]><x>&e9;</x>'
    assert refusal_of(replaced("xl/worksheets/sheet1.xml", xml)).code == "malformed_xlsx"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_refused(content):
    """Whatever the file holds, nothing but the refusal comes out."""
    for prefix in (b"", HEADER.encode(), b"PK\x03\x04"):
        try:
            list(read_rows(prefix + content, REGION_COLUMNS))
        except SheetRefused:
            continue
