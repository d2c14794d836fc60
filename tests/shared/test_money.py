"""Money: whole rupiah, read as tills print them, never a float."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import MAX_IDR, MalformedMoney, format_idr, parse_idr


@pytest.mark.parametrize(
    "text",
    [
        "Rp 21.400.000",
        "Rp21.400.000",
        "Rp. 21.400.000",
        "rp 21.400.000,00",
        "RP 21.400.000,-",
        "IDR 21,400,000.00",
        "21,400,000",
        "21400000",
        "21400000.00",
        "21400000,00",
        "21400000,-",
        " Rp\N{NO-BREAK SPACE}21.400.000 ",
    ],
)
def test_the_ways_a_till_prints_an_amount(text):
    """Indonesian and English grouping, prefix, cents of zero: all the same amount."""
    assert parse_idr(text) == 21_400_000


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0", 0), ("500", 500), ("1.000", 1_000), ("5,00", 5), ("100.00", 100), ("Rp 500,-", 500)],
)
def test_small_amounts(text, amount):
    """A group has three digits, cents have two: no amount can be read in two ways."""
    assert parse_idr(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Rp",
        "-500",
        "\N{MINUS SIGN}500",
        "(500)",
        "1.5",
        "12.34",
        "21.400.00",
        "21.400,000",
        "21,400.000",
        "1.0000",
        "1 000 000",
        "1e6",
        "0x10",
        "٢١",
        "²",
        "21.400.000,50",
        "1000000000001",
        "9" * 65,
        "Rp Rp 5",
        "5 Rp",
    ],
)
def test_what_is_no_amount_is_refused(text):
    """Negative, broken, mixed, cents that are not zero, foreign digits, far too much."""
    with pytest.raises(MalformedMoney):
        parse_idr(text)


@given(st.integers(0, MAX_IDR), st.sampled_from(["id", "en"]))
def test_what_is_printed_reads_back(amount_idr, language):
    """Any amount in either language."""
    assert parse_idr(format_idr(amount_idr, language)) == amount_idr


@given(st.text() | st.text("0123456789.,- Rp"))
def test_any_text_is_an_amount_or_malformed(text):
    """A whole number within bounds, or MalformedMoney and nothing else."""
    try:
        amount_idr = parse_idr(text)
    except MalformedMoney:
        return
    assert type(amount_idr) is int
    assert 0 <= amount_idr <= MAX_IDR


def test_negative_amounts_are_printed_with_a_minus_sign():
    """A difference may be negative; an amount read from outside may not."""
    assert format_idr(-21_400_000, "en") == "\N{MINUS SIGN}Rp\N{NO-BREAK SPACE}21,400,000"
