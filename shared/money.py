"""Money: whole rupiah as integers. Nothing here is ever a float."""

import re

MAX_IDR = 10**12
"""No single price is above a trillion rupiah; more is a misread."""

_GROUPED = re.compile(r"\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*")
_PREFIX = re.compile(r"^(?:rp\.?|idr)\s*", re.IGNORECASE)
_CENTS = re.compile(r"[.,](?:00|-)$")


class MalformedMoney(ValueError):
    """The text is not an amount of rupiah."""


def parse_idr(text: str) -> int:
    """Whole rupiah from ``Rp 21.400.000``, ``21,400,000.00`` or ``21400000``.

    Cents other than ``00`` are refused, as is a negative amount: a discount is a field of its own.
    Raises MalformedMoney, and nothing else.
    """
    if len(text) > 64:
        raise MalformedMoney(f"amount of {len(text)} characters")
    body = _PREFIX.sub("", text.strip().replace("\N{NO-BREAK SPACE}", " ")).strip()
    plain = body
    if _CENTS.search(body) and (body.count(".") + body.count(",") > 1 or len(body) <= 6):
        plain = body[: _CENTS.search(body).start()]  # type: ignore[union-attr]
    if _GROUPED.fullmatch(plain):
        plain = plain.replace(".", "").replace(",", "")
    if not (plain.isascii() and plain.isdigit()):
        raise MalformedMoney(f"not an amount of rupiah: {text!r}")
    value = int(plain)
    if value > MAX_IDR:
        raise MalformedMoney(f"amount above {MAX_IDR}: {text!r}")
    return value


def format_idr(amount_idr: int, language: str = "id") -> str:
    """``Rp 21.400.000`` in Indonesian, ``Rp 21,400,000`` in English; a no-break space inside."""
    sign = "\N{MINUS SIGN}" if amount_idr < 0 else ""
    grouped = f"{abs(amount_idr):,}"
    if language == "id":
        grouped = grouped.replace(",", ".")
    return f"{sign}Rp\N{NO-BREAK SPACE}{grouped}"
