"""Serials: one normal form, a strict grammar, and the raw text is the caller's to keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.serials import MalformedSerial, normalise, parse

ALPHABET = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
SERIALS = st.text(ALPHABET, min_size=17, max_size=17) | st.text(
    "0123456789", min_size=15, max_size=15
)


@pytest.mark.parametrize(
    "raw",
    [
        "LSKT1E8A0RB000417",
        "lskt1e8a0rb000417",
        "LSK T1E8-A0RB000417",
        "LSKT1E8AORB00O417",
        "LSKTIE8A0RB0004I7",
        "LSKT1E8AQRB000417",
        " LSKT1E8A0RB_000.417\n",
        "LSKT1E8A0RB000417".translate({ord("1"): 0xFF11}),
        "LSKT1E8\N{EN DASH}A0RB000417",
    ],
)
def test_what_a_till_makes_of_a_serial_is_the_same_serial(raw):
    """Case, separators, full-width digits and O, Q, I for 0 and 1 do not make another unit."""
    assert parse(raw) == "LSKT1E8A0RB000417"


def test_the_fifteen_digits_of_a_whole_vehicle_code():
    """The second form: digits only."""
    assert parse("123-456-789-012-345") == "123456789012345"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "??",
        "LSKT1E8A0RB00041",
        "LSKT1E8A0RB0004171",
        "LSKT1E8A0RB00041Ä",
        "12345678901234",
        "LSKT1E8A0RB000417/LSKT1E8A0RB000418",
        "x" * 65,
        "LSKT1E8A0RB00041\0",
        "١٢٣٤٥٦٧٨٩٠١٢٣٤٥",
    ],
)
def test_what_is_no_serial_is_refused(raw):
    """Too short, too long, foreign letters and digits, two in one."""
    with pytest.raises(MalformedSerial):
        parse(raw)


@given(SERIALS, st.data())
def test_every_spelling_of_a_serial_has_one_normal_form(serial, data):
    """Any separators anywhere and any case; the normal form is its own."""
    spelled = "".join(
        data.draw(st.sampled_from(["", " ", "-"]))
        + (letter.lower() if data.draw(st.booleans()) else letter)
        for letter in serial
    )

    assert parse(spelled) == parse(serial) == serial
    assert normalise(normalise(spelled)) == normalise(spelled)


@given(st.text())
def test_any_text_is_a_serial_or_malformed(raw):
    """A text of the grammar, or MalformedSerial and nothing else."""
    try:
        serial = parse(raw)
    except MalformedSerial:
        return
    assert len(serial) in {15, 17}
    assert parse(serial) == serial


def test_a_dealer_may_have_another_grammar():
    """The pattern is an argument; it is matched whole and as ASCII."""
    assert parse("ab-12", r"[A-Z]{2}\d{2}") == "AB12"
    with pytest.raises(MalformedSerial):
        parse("ab-123", r"[A-Z]{2}\d{2}")
