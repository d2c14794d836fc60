"""Rows: what makes a region, a model, a dealer, and what is said of those that are none."""

import time

import pytest

from hub.registry.rules import Dealer, Model, Region, dealer_row, model_row, region_row

SURABAYA = {
    "code": "sby01",
    "name": "Kickstand Surabaya",
    "region": "JATIM",
    "lat": "-7.2575",
    "lon": "112.7521",
    "timezone": "Asia/Jakarta",
    "hours": "Mon-Fri 09:00-17:00|Sat 09:00-14:00",
    "authorised": "yes",
}


def codes_of(verdict):
    """(column, code) of every refusal."""
    assert isinstance(verdict, list)
    return [(refusal.column, refusal.code) for refusal in verdict]


def dealer(**cells):
    """The verdict on a dealer's row that differs from Surabaya in these cells."""
    return dealer_row(7, SURABAYA | cells, {"JATIM"})


def test_a_dealer_needs_only_the_starred_columns():
    """Codes are in upper case, and what is not stated is nothing or one share."""
    found = dealer()
    assert isinstance(found, Dealer)
    assert (found.code, found.weight, found.phone, found.closed_days) == ("SBY01", 1.0, None, ())


def test_every_bad_cell_of_a_row_is_named():
    """One import shows everything that has to be mended, not only the first thing."""
    verdict = dealer(name="", lat="north", timezone="GMT+7", authorised="maybe")
    assert codes_of(verdict) == [
        ("name", "missing"),
        ("lat", "not_a_number"),
        ("timezone", "unknown_timezone"),
        ("authorised", "not_yes_or_no"),
    ]
    assert {refusal.row for refusal in verdict} == {7}


@pytest.mark.parametrize(
    ("lat", "lon", "code"),
    [
        ("112.7521", "-7.2575", "swapped_coordinates"),
        ("0", "0", "outside_indonesia"),
        ("51.5", "-0.1", "outside_indonesia"),
        ("-7257500", "112", "outside_indonesia"),
    ],
)
def test_a_place_outside_indonesia_is_refused(lat, lon, code):
    """Swapped cells are told from wrong ones, because the remedy differs."""
    assert codes_of(dealer(lat=lat, lon=lon)) == [("lat", code)]


def test_a_decimal_comma_is_a_decimal_mark():
    """An Indonesian spreadsheet writes -7,2575."""
    assert dealer(lat="-7,2575", lon="112,7521").lat == -7.2575


def test_a_dealer_of_no_known_region_is_refused_with_the_next_step():
    """The message says what to import first."""
    (refusal,) = dealer(region="NTT")
    assert (refusal.column, refusal.code) == ("region", "unknown_region")
    assert "region import" in refusal.message


def test_a_dealer_cannot_close_before_it_opens():
    """The two days are compared with each other."""
    assert codes_of(dealer(opened_on="2026-05-01", closed_on="2026-04-30")) == [
        ("closed_on", "closed_before_opened")
    ]


@pytest.mark.parametrize(
    ("cell", "paused_until_ms"),
    [("2026-12-01", 1796058000000), ("2026-12-01T09:00:00+07:00", 1796090400000)],
)
def test_a_pause_ends_on_a_day_or_at_a_moment(cell, paused_until_ms):
    """A day means its midnight where the dealer is."""
    assert dealer(paused_until=cell).paused_until_ms == paused_until_ms


def test_bytes_that_are_not_utf8_are_refused_where_they_stand():
    """The sheet reader marks such bytes as lone surrogates; the row names the column."""
    assert codes_of(dealer(name="Caf\udce9")) == [("name", "not_utf8")]


def test_lists_are_separated_by_bars():
    """Executives of a region, in the order written."""
    verdict = region_row(
        1,
        {"code": "JATIM", "name": "Jawa Timur", "timezone": "WIB", "executives": "per_a| per_b |"},
    )
    assert isinstance(verdict, Region)
    assert verdict.executives == ("per_a", "per_b")


@pytest.mark.parametrize(
    "pattern", [r"[A-HJ-NPR-Z0-9]{17}|\d{15}", "KS[0-9]{4}", r"^(?:E8|E9)\d{6}$"]
)
def test_a_model_may_state_the_grammar_of_its_serials(pattern):
    """Classes, digits and counted repeats."""
    verdict = model_row(
        1, {"code": "E8", "name": "E8", "has_telemetry": "ya", "serial_pattern": pattern}
    )
    assert isinstance(verdict, Model)
    assert verdict.serial_pattern == pattern


@pytest.mark.parametrize(
    "pattern", ["(a{9}){9}{9}", "(a+)+$", "(a|a)*b", "(", "a{3}{4", r"(?=x)", "[" * 99]
)
def test_an_expression_that_could_run_away_is_no_serial_grammar(pattern):
    """A grammar is matched against serials from outside, so it must be safe on any of them."""
    verdict = model_row(
        1, {"code": "E8", "name": "E8", "has_telemetry": "no", "serial_pattern": pattern}
    )
    assert codes_of(verdict) == [("serial_pattern", "malformed_pattern")]


def test_the_check_of_a_hostile_grammar_is_itself_quick():
    """The longest admissible text does not keep the check busy."""
    started_s = time.monotonic()
    model_row(1, {"code": "E8", "serial_pattern": "(a|" * 39 + "\n"})
    model_row(1, {"code": "E8", "serial_pattern": "a" * 119 + "\n"})
    assert time.monotonic() - started_s < 1
