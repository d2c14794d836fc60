"""Card numbers and people stay out of everything that is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs.redaction import is_luhn, mask_cards, mask_serial, redact, redact_bytes

CARDS = [
    "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444",
    "2223003122003222", "378282246310005", "3782 822463 10005", "30569309025904",
    "6011111111111117", "3530111333300000", "6200000000000005", "4222222222222",
    "6304000000000000", "4000000000000000006",
]  # fmt: skip


@pytest.mark.parametrize("card", CARDS)
def test_published_test_cards_are_masked_wherever_they_stand(card):
    """Only the last four digits are left."""
    for text in (card, f"KARTU {card} OK", f'{{"x":"{card}"}}', f"A{card}B"):
        shown = mask_cards(text)

        assert card not in shown
        assert card[-4:].replace(" ", "") in shown.replace(" ", "")


@given(st.text("0123456789", min_size=12, max_size=18))
def test_every_run_with_a_luhn_digit_is_masked(digits):
    """Whatever the issuer, 13 to 19 digits with the right check digit do not pass."""
    card = next(digits + last for last in "0123456789" if is_luhn(digits + last))

    assert card not in mask_cards(f"no {card}.")


def test_a_vehicle_number_of_15_digits_is_no_card():
    """A modem's or vehicle's 15 digits end in a Luhn digit too: as a serial they stay whole."""
    imei = "490154203237518"

    assert is_luhn(imei)
    assert imei == mask_serial(imei)
    assert "378282246310005" not in mask_serial("378282246310005")


@pytest.mark.parametrize(
    "raw",
    [
        b'K1 0000 {"seq":1,"buyer":{"name":"Siti Rahma","phone":"081234567890"}}',
        b'K1 0000 {"seq":1,"b\x00yer":{"name":"Siti Rahma","phone":"081234567890"}}',
        b"Pembeli: Siti Rahma\nHP: 0812-3456-7890\nLUNAS",
        b"  Customer  Siti Rahma\n  +62 812 3456 7890",
    ],
)
def test_kept_evidence_names_nobody(raw):
    """Input that could not be read is kept without the person in it."""
    kept = redact_bytes(raw)

    assert b"Siti" not in kept
    assert b"7890" not in kept


def test_what_identifies_the_sale_is_kept():
    """Receipt number, serial and prices are what the evidence is kept for."""
    text = "No: 20261122-0093\nSN: KSE8JKT2600000123\nNetto Rp 21.400.000"

    assert text == redact(text)
