"""One cell: what people and spreadsheets type, and what becomes of it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.registry import cells
from hub.registry.cells import CellRefused
from hub.registry.hours import parse_hours
from hub.registry.rules import DEALER_COLUMNS


@pytest.mark.parametrize(
    "typed",
    [
        "0812-3456-7890",
        "+62 812 3456 7890",
        "6281234567890",
        "0062 812 3456 7890",
        "+62 0812 3456 7890",
        "81234567890",
        "81234567890.0",
    ],
)
def test_every_way_to_write_a_phone_is_one_number(typed):
    """The same Indonesian mobile, however a person writes it, is E.164 without the plus."""
    assert cells.phone(typed) == "6281234567890"


def test_a_store_may_have_a_landline():
    """A dealer's phone is for calling, not for WhatsApp: a fixed line is a phone."""
    assert cells.phone("(031) 567 8901") == "62315678901"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("8.12E+10", "spreadsheet_number"),
        ("8,12E+10", "spreadsheet_number"),
        ("12", "malformed_phone"),
        ("call me", "malformed_phone"),
        ("=HYPERLINK(1)", "malformed_phone"),
        ("0" * 500, "malformed_phone"),
    ],
)
def test_what_is_no_phone_is_refused_with_its_reason(typed, code):
    """A number that a spreadsheet destroyed says so; other nonsense is malformed."""
    with pytest.raises(CellRefused) as refused:
        cells.phone(typed)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("typed", "zone"),
    [("WIB", "Asia/Jakarta"), ("wita", "Asia/Makassar"), ("Asia/Jayapura", "Asia/Jayapura")],
)
def test_time_zones_have_their_indonesian_names_too(typed, zone):
    """WIB, WITA and WIT are what people in Indonesia call their zones."""
    assert cells.timezone(typed) == zone


@pytest.mark.parametrize("typed", ["GMT+7", "../../etc/passwd", "Asia/Surabaya", "\0"])
def test_other_time_zones_are_refused(typed):
    """Only names of the time zone database; a path is none."""
    with pytest.raises(CellRefused) as refused:
        cells.timezone(typed)
    assert refused.value.code == "unknown_timezone"


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("Mon-Fri 09:00-17:00|Sat 09:00-14:00", "Mon-Fri 09:00-17:00|Sat 09:00-14:00"),
        ("mon – fri 9.00 – 17.00 | SAT 9:00-14:00", "Mon-Fri 09:00-17:00|Sat 09:00-14:00"),  # noqa: RUF001 - people type dashes
        ("Sun 00:00-24:00", "Sun 00:00-24:00"),
        ("Mon 08:00-12:00|Mon 13:00-17:00", "Mon 08:00-12:00|Mon 13:00-17:00"),
    ],
)
def test_hours_have_one_written_form(typed, written):
    """Hours are read generously and kept in the grammar's own form."""
    assert parse_hours(typed).written == written


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "malformed_hours"),
        ("9-5", "malformed_hours"),
        ("Mon-Fri 17:00-09:00", "malformed_hours"),
        ("Fri-Mon 09:00-17:00", "malformed_hours"),
        ("Mon 09:00-25:00", "malformed_hours"),
        ("Mon 09:61-17:00", "malformed_hours"),
        ("Sen-Jum 09:00-17:00", "malformed_hours"),
        ("Mon 09:00-12:00|Mon-Fri 11:00-17:00", "overlapping_hours"),
        ("|".join(["Mon 09:00-10:00"] * 29), "too_long"),
    ],
)
def test_hours_that_are_none_are_refused(typed, code):
    """A store cannot be open in a time that does not exist, or twice at once."""
    with pytest.raises(CellRefused) as refused:
        parse_hours(typed)
    assert refused.value.code == code


def test_a_dealer_is_open_until_the_minute_it_closes():
    """The opening minute belongs to the span, the closing minute does not."""
    hours = parse_hours("Sat 09:00-14:00")
    found = [hours.open_at(5, minute) for minute in (9 * 60 - 1, 9 * 60, 14 * 60 - 1, 14 * 60)]
    assert found == [False, True, True, False]


def test_a_paused_day_ends_at_the_dealers_own_midnight():
    """Midnight in Makassar is 16:00 UTC of the day before."""
    assert cells.midnight_ms("2026-11-23", "Asia/Makassar") == 1795363200000


@pytest.mark.parametrize("typed", ["1e5", "nan", "inf", "١٢", "1.2.3", "", "--1", "0x10"])
def test_only_plain_decimals_are_numbers(typed):
    """What Python would take for a float is not what a person means by a coordinate."""
    with pytest.raises(CellRefused):
        cells.number(typed)


@given(st.text())
def test_any_text_is_read_or_refused(typed):
    """Whatever stands in a cell, each column reads it or says why not, and raises nothing else."""
    for column in DEALER_COLUMNS:
        with suppress(CellRefused):
            column.read(typed)
