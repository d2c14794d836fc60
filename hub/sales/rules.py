"""Decisions about receipts: what is odd about one, what undoes what. Values in, reasons out."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import orjson

from hub.sales.records import Answer, Line, LineState, Record, RecordState
from shared import serials
from shared.wire.events import Sale

# What can be odd about a line, the gravest first. A line shows its gravest, a receipt all.
SERIAL_MISSING: Final = "serial_missing"
SERIAL_MALFORMED: Final = "serial_malformed"
SERIAL_REPEATED: Final = "serial_repeated"
ALREADY_SOLD: Final = "already_sold"
ARITHMETIC: Final = "arithmetic"
PRICE_ZERO: Final = "price_zero"
ACTIVATED_BEFORE_SALE: Final = "activated_before_sale"
# What can be odd about a receipt as a whole.
RECEIPT_REUSED: Final = "receipt_reused"
CAPTURE_REPEATED: Final = "capture_repeated"
DUPLICATE: Final = "duplicate"
EMPTY: Final = "no_units"
# What can be odd about a void or return.
UNKNOWN_RECEIPT: Final = "unknown_receipt"
ALREADY_REVERSED: Final = "already_reversed"
SERIAL_NOT_ON_RECEIPT: Final = "serial_not_on_receipt"

FLAGS: Final = (
    SERIAL_MISSING,
    SERIAL_MALFORMED,
    SERIAL_REPEATED,
    ALREADY_SOLD,
    ARITHMETIC,
    PRICE_ZERO,
    ACTIVATED_BEFORE_SALE,
    RECEIPT_REUSED,
    CAPTURE_REPEATED,
    DUPLICATE,
    EMPTY,
    UNKNOWN_RECEIPT,
    ALREADY_REVERSED,
    SERIAL_NOT_ON_RECEIPT,
)
"""Every flag there is, in the order in which a receipt's flags are kept."""
_GRAVITY: Final = {flag: place for place, flag in enumerate(FLAGS)}
WINDOW: Final = 64
"""How many earlier facts of one number are looked at: a till that prints one number for ever must
not make every later sale dearer."""


def in_order(flags: Iterable[str]) -> tuple[str, ...]:
    """Each flag once, the gravest first."""
    return tuple(sorted(set(flags), key=_GRAVITY.__getitem__))


def normal_serial(text: str | None) -> str | None:
    """The form under which a unit is known, or None when nothing is left of the text.

    The grammar is not asked for: each model may have its own, and the box has judged it already.
    """
    return serials.normalise(text) or None if text else None


def content_of(sale: Sale) -> bytes:
    """Digest of what a receipt says, the same for every print of it.

    The buyer's commitment is left out: its salt differs each time a box reads the receipt.
    """
    units = [
        (normal_serial(u.serial), u.serial_raw, u.model, u.list_idr, u.discount_idr, u.net_idr)
        for u in sale.units
    ]
    stated = (sale.till, sale.receipt, units, sale.payment, sale.operator)
    return hashlib.sha256(orjson.dumps(stated)).digest()[:16]


def line_flags(line: Line, *, repeated: bool, live_elsewhere: bool) -> tuple[str, ...]:
    """What is odd about one unit of a sale, the gravest first.

    `repeated`: its serial stands on this receipt already. `live_elsewhere`: an earlier sale of
    this serial is not undone.
    """
    found = []
    if line.serial is None:
        found.append(SERIAL_MALFORMED if line.serial_raw else SERIAL_MISSING)
    if repeated:
        found.append(SERIAL_REPEATED)
    elif live_elsewhere:
        found.append(ALREADY_SOLD)
    if line.list_idr - line.discount_idr != line.net_idr:
        found.append(ARITHMETIC)
    if line.net_idr == 0:
        found.append(PRICE_ZERO)
    return tuple(found)


def may_precede(first: Record, second: Record) -> bool:
    """Whether `first` can have happened before `second`.

    Two facts of one box are in the order of their capture. Of two boxes only their clocks tell,
    as far as their stated errors allow; without a clock anything is possible.
    """
    if first.device == second.device:
        return (first.gen, first.n) < (second.gen, second.n)
    return _clocks_allow(first, second) is not False


def _clocks_allow(first: Record | Answer, second: Record | Answer) -> bool | None:
    """Whether `first` can be the earlier by the clocks; None when one had none."""
    if first.err_ms is None or second.err_ms is None:
        return None
    return first.at_ms - first.err_ms <= second.at_ms + second.err_ms


def sale_to_reverse(reversal: Record, history: Sequence[Record]) -> Record | None:
    """The sale a void or return undoes: the newest open one of its number, or None.

    A sale of the same box goes before one of another, because two tills may share a name.
    `history` holds the receipts of this dealer, till and number in the order of the ledger.
    """
    named = None if reversal.serials is None else set(reversal.serials)

    def fits(sale: Record) -> bool:
        return (
            sale.is_open
            and may_precede(sale, reversal)
            and (named is None or any(_is_sold(line, named) for line in sale.lines))
        )

    candidates = [sale for sale in history if fits(sale)]
    return max(candidates, key=_same_box_then_newest(reversal), default=None)


def _same_box_then_newest(reversal: Record) -> Callable[[Record], tuple[bool, int]]:
    return lambda sale: (sale.device == reversal.device, sale.index)


def _is_sold(line: Line, named: set[str]) -> bool:
    return line.state == "sold" and line.serial in named


def why_unmatched(reversal: Record, history: Sequence[Record]) -> str:
    """The flag of a void or return for which `sale_to_reverse` found nothing."""
    sales = [record for record in history if record.kind == "sale"]
    if not sales:
        return UNKNOWN_RECEIPT
    if reversal.serials is not None and not any(
        sale.has(serial) for sale in sales for serial in reversal.serials
    ):
        return SERIAL_NOT_ON_RECEIPT
    return ALREADY_REVERSED


def lines_to_reverse(reversal: Record, sale: Record) -> list[Line]:
    """The units of `sale` that `reversal` undoes."""
    sold = [line for line in sale.lines if line.state == "sold"]
    if reversal.serials is None:
        return sold
    named = set(reversal.serials)
    return [line for line in sold if line.serial in named]


def reversal_flags(reversal: Record, sale: Record) -> tuple[str, ...]:
    """What is odd about a void or return that undoes `sale`."""
    strangers = any(not sale.has(serial) for serial in reversal.serials or ())
    return (SERIAL_NOT_ON_RECEIPT,) if strangers else ()


def undone_as(reversal: Record) -> LineState:
    """What a line becomes."""
    return "voided" if reversal.kind == "void" else "returned"


def state_after(sale: Record, reversal: Record) -> RecordState:
    """What a sale becomes once some of its lines were undone; the last word names the whole."""
    if any(line.state == "sold" for line in sale.lines):
        return "part"
    return "voided" if reversal.kind == "void" else "returned"


def answers_sale(answer: Answer, sale: Record) -> bool:
    """Whether the answer names this sale, by its capture and by a serial that stands on it."""
    return (
        sale.kind == "sale"
        and (answer.device, answer.sale_gen, answer.sale_n) == (sale.device, sale.gen, sale.n)
        and sale.has(answer.serial)
    )


def may_answer_sale(answer: Answer, sale: Record) -> bool:
    """Whether the answer can mean this sale although it names another capture.

    A box restored from an old image gives captures that collide a new generation, and an answer
    written before that still names the old one. Box, serial and time have to fit, and the unit
    has to be sold and to wait for this answer.
    """
    return (
        sale.kind == "sale"
        and answer.device == sale.device
        and any(_waits_for(answer, line) for line in sale.lines)
        and _clocks_allow(sale, answer) is True
    )


def _waits_for(answer: Answer, line: Line) -> bool:
    if line.serial != answer.serial or line.state != "sold":
        return False
    return (line.activated_index if answer.kind == "answered" else line.unanswered_index) is None


def answered_too_early(answer: Answer, sale: Record) -> bool:
    """Whether both clocks insist that the scooter answered before it was sold."""
    return _clocks_allow(sale, answer) is False
