"""Money: whole rupiah as integers. Nothing here is ever a float."""

import re

MAX_IDR = 10**12
"""No single price is above a trillion rupiah; more is a misread."""

_AMOUNT = re.compile(
    r"(?:(?P<grouped>\d{1,3}(?P<mark>[.,])\d{3}(?:(?P=mark)\d{3})*)|(?P<plain>\d+))"
    r"(?:[.,]-|(?P<cents>[.,])00)?",
    re.ASCII,
)
_PREFIX = re.compile(r"^(?:rp\.?|idr)\s*", re.IGNORECASE)


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
    amount = _AMOUNT.fullmatch(body)
    # Behind groups set off by one mark, cents take the other: 21.400.00 has lost a digit.
    if amount is None or (amount["cents"] and amount["cents"] == amount["mark"]):
        raise MalformedMoney(f"not an amount of rupiah: {text!r}")
    value = int((amount["grouped"] or amount["plain"]).replace(".", "").replace(",", ""))
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
