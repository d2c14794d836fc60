"""What must never reach the buffer, a log or a rejected-input table: card numbers and people.

Card numbers are removed before anything is stored. Raw input that could not be read is kept as
evidence, but without phone numbers and without the lines or fields that name a buyer.
"""

import re

# A run of digits, or digits in the groups cards are printed in (4-4-4-4-3, 4-6-5).
_CARD = re.compile(
    r"(?<!\d)(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5})"
    r"(?!\d)"
)
# 15-digit card numbers start with 34, 37 (American Express), 1800 or 2131 (JCB). No type
# allocation code of a modem and no Chinese vehicle code starts so, which keeps serials whole.
_CARD_15 = re.compile(r"3[47]|1800|2131")
_PHONE = re.compile(r"(?<!\d)(?:\+?62|0)[ -]?8\d{1,3}(?:[ -]?\d{2,5}){2,3}(?!\d)")
_PERSON_FIELD = re.compile(r"""["']?(?:buyer|name|phone|uyer"|ame"|hone")""", re.IGNORECASE)
_PERSON_LINE = re.compile(
    r"^\s*(?:pembeli|pelanggan|nama|hp|no\.?\s*hp|telp\w*|telepon|wa|alamat|e-?mail"
    r"|customer|buyer|name|phone|tel|address|sold to|bill to)\b.*$",
    re.IGNORECASE | re.MULTILINE,
)
_PLACE = re.compile(rb"-?\d{1,3}\.\d{2,}")
_RAW_CHARS_MAX = 4096


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others."""
    total = 0
    for position, character in enumerate(reversed(digits)):
        value = int(character)
        if position % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def _mask(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    if not is_luhn(digits):
        return match[0]
    return "*" * (len(digits) - 4) + digits[-4:]


def mask_cards(text: str) -> str:
    """`text` with every card number (13-19 digits, Luhn) reduced to its last four digits."""
    return _CARD.sub(_mask, text)


def mask_serial(text: str) -> str:
    """Like mask_cards, but 15 digits that no card starts with are a vehicle's own number."""
    digits = re.sub(r"\D", "", text)
    if len(digits) == 15 and digits == text.strip() and not _CARD_15.match(digits):
        return text
    return mask_cards(text)


def redact(text: str) -> str:
    """Unreadable input as it may be kept: no card, no phone number, no field that names a person.

    Everything after the first field of a buyer is cut, because where it ends cannot be known in
    input that could not be parsed.
    """
    kept = mask_cards(text[:_RAW_CHARS_MAX])
    person = _PERSON_FIELD.search(kept) if kept.lstrip()[:1] in "{K" else None
    if person is not None:
        kept = f"{kept[: person.start()]}[person removed]"
    kept = _PERSON_LINE.sub("[person removed]", kept)
    return _PHONE.sub("[phone removed]", kept)


def redact_bytes(raw: bytes) -> bytes:
    """`redact` for bytes in an unknown encoding; what is not UTF-8 is shown as replacement."""
    return redact(raw.decode("utf-8", "replace")).encode()


def redact_place(raw: bytes) -> bytes:
    """A scooter's unreadable message without numbers that could be its position."""
    return redact_bytes(_PLACE.sub(b"[place removed]", raw))
