"""What a customer's number, name and address look like. No I/O."""

import hashlib
import hmac
import re
import unicodedata
from typing import Final, Literal, TypeAlias

import phonenumbers

Kind: TypeAlias = Literal["phone", "bsuid", "email"]
"""Of a key by which a customer is found again."""

COUNTRY: Final = "ID"
NAME_CHARS_MAX: Final = 100
_E164: Final = re.compile(r"[1-9]\d{6,14}", re.ASCII)
_FLOAT: Final = re.compile(r"(\+?\d{6,15})\.0{1,3}", re.ASCII)
"""A number that a spreadsheet or a program took for an amount."""
_DIALLED: Final = re.compile(r"\+?[\d\s().\-/\u00a0\u2010-\u2015]{6,40}", re.ASCII)
_BSUID: Final = re.compile(r"[A-Za-z0-9.]{1,128}", re.ASCII)
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")
_MOBILE: Final = frozenset(
    {
        phonenumbers.PhoneNumberType.MOBILE,
        phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
    }
)


def whatsapp_phone(written: str) -> str | None:
    """A number somebody typed or shared, as E.164 without ``+``; None: nobody has WhatsApp there.

    Without a country it is Indonesian; ``0062…`` and a lost leading zero are understood. Landlines
    and service numbers are None: WhatsApp does not reach them.
    """
    trimmed = _whole(written.strip())
    if _DIALLED.fullmatch(trimmed) is None:
        return None
    digits = re.sub(r"\D", "", trimmed)
    dialled = f"+{digits}" if trimmed.startswith("+") else re.sub(r"^00", "+", digits)
    try:
        parsed = phonenumbers.parse(dialled, COUNTRY)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed) or phonenumbers.number_type(parsed) not in _MOBILE:
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)[1:]


def _whole(written: str) -> str:
    """Without the fraction of zeros that would make it somebody else's number."""
    found = _FLOAT.fullmatch(written)
    return found[1] if found else written


def canonical_phone(written: str) -> str | None:
    """A number as a till or a person wrote it, in the one form in which it is looked for.

    Landlines are welcome: a buyer is found by whatever number the till had.
    """
    digits = re.sub(r"\D", "", _whole(written.strip()))
    if digits.startswith("0"):
        digits = digits[2:] if digits.startswith("00") else f"62{digits[1:]}"
    return whatsapp_phone(written) or clean_phone(digits)


def clean_phone(phone: str | None) -> str | None:
    """A vendor's phone, which is E.164 already; what cannot be one is none."""
    return phone if phone is not None and _E164.fullmatch(phone) else None


def clean_bsuid(bsuid: str | None) -> str | None:
    """A business-scoped user id; its form may change, so only its letters are looked at."""
    return bsuid if bsuid is not None and _BSUID.fullmatch(bsuid) else None


def clean_email(email: str | None) -> str | None:
    """An address in the form in which two writings of it are equal."""
    trimmed = (email or "").strip().lower()
    return trimmed if len(trimmed) <= 254 and _EMAIL.fullmatch(trimmed) else None


def clean_name(name: str | None) -> str | None:
    """A name as it may be shown: on one line, without controls that turn the text around."""
    kept = "".join(
        # Of the invisible format characters only the joiner within an emoji is wanted.
        letter if unicodedata.category(letter)[0] != "C" or letter == "\u200d" else " "
        for letter in name or ""
    )
    return " ".join(kept.split())[:NAME_CHARS_MAX].strip() or None


def masked(phone: str) -> str:
    """``62812•••890``: enough to recognise, too little to call."""
    return f"{phone[:5]}•••{phone[-3:]}" if len(phone) > 8 else "•••"


def key_hash(secret: bytes, kind: Kind | Literal["buyer"], value: str) -> str:
    """What may be remembered of a key whose owner was erased: worthless without `secret`."""
    message = f"kickstand contact v1\0{kind}\0{value}".encode()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()
