"""What a till can say, whatever dialect it speaks: a sale, a void, a return."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import orjson

from edge_agent.codecs.redaction import mask_cards, mask_serial
from shared import serials

MAX_UNITS: Final = 50
MAX_UNIT_PRICE_IDR: Final = 1_000_000_000
"""A scooter above a billion rupiah is a misread, never a sale."""

Payment = Literal["cash", "instalments", "unknown"]


class MalformedTillMessage(ValueError):
    """The till said something that cannot be read as a sale, a void or a return.

    `why` is one word for the till's operator; it never holds a value from the message.
    """

    def __init__(self, why: str, seq: int | None = None) -> None:
        """Say why, and which message of the till it was when that much could be read."""
        super().__init__(why)
        self.why = why
        self.seq = seq


@dataclass(frozen=True, slots=True, kw_only=True)
class TillUnit:
    """One scooter on a receipt. `serial_raw` holds what the till said when that is no serial."""

    serial: str | None
    serial_raw: str | None
    model: str | None
    list_idr: int
    discount_idr: int
    net_idr: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TillBuyer:
    """A person. Never printed, never logged, stored only encrypted."""

    name: str = field(repr=False)
    phone: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TillSale:
    """Payment is complete. `seq` numbers the till's messages where its dialect does."""

    till: str
    receipt: str
    units: tuple[TillUnit, ...]
    payment: Payment
    operator: str | None
    buyer: TillBuyer | None
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TillReversal:
    """A receipt, or some of its serials (None: all), was voided or came back."""

    type: Literal["pos.void", "pos.return"]
    till: str
    receipt: str
    serials: tuple[str, ...] | None
    seq: int | None = None


TillMessage = TillSale | TillReversal


def clean_text(value: object, limit: int) -> str | None:
    """`value` as a text an event may hold: printable, no card number, at most `limit` characters.

    None when it is no text, or nothing is left of it.
    """
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text).strip()
    return mask_cards(text)[:limit].strip() or None


def read_serial(value: object) -> tuple[str | None, str | None]:
    """(serial in its normal form, raw text): the first is None when the text is no serial."""
    if not isinstance(value, str) or not value.strip():
        return None, None
    masked = mask_serial(value.strip())
    shown = "".join(c if c.isprintable() else " " for c in masked)[:64].strip()
    if not shown:
        return None, None
    try:
        return serials.parse(shown), shown
    except serials.MalformedSerial:
        return None, shown


def read_price(value: object) -> int:
    """Whole rupiah of one unit. Raises MalformedTillMessage for anything that is no price."""
    if type(value) is not int or not 0 <= value <= MAX_UNIT_PRICE_IDR:
        raise MalformedTillMessage("price")
    return value


def sale_data(sale: TillSale, commitment: str | None) -> dict[str, object]:
    """The `data` of a ``pos.sale`` event; of the buyer it holds only the commitment."""
    return {
        "till": sale.till,
        "receipt": sale.receipt,
        "units": [
            {
                "serial": unit.serial,
                "serial_raw": unit.serial_raw,
                "model": unit.model,
                "list_idr": unit.list_idr,
                "discount_idr": unit.discount_idr,
                "net_idr": unit.net_idr,
            }
            for unit in sale.units
        ],
        "payment": sale.payment,
        "operator": sale.operator,
        "buyer": None if commitment is None else {"commitment": commitment},
    }


def reversal_data(reversal: TillReversal) -> dict[str, object]:
    """The `data` of a ``pos.void`` or ``pos.return`` event."""
    named: Sequence[str] | None = reversal.serials
    return {
        "till": reversal.till,
        "receipt": reversal.receipt,
        "serials": None if named is None else list(named),
    }


def content_hash(kind: str, data: Mapping[str, object]) -> bytes:
    """What makes two messages of one receipt the same: SHA-256 over kind and data.

    The buyer is left out: a hash of a phone number can be guessed back.
    """
    content = {key: value for key, value in data.items() if key != "buyer"}
    return hashlib.sha256(orjson.dumps([kind, content], option=orjson.OPT_SORT_KEYS)).digest()
