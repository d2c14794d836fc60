"""Questions about sales and units: pages of lists, one receipt, one unit, bounded counters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    column,
    func,
    literal,
    select,
    union_all,
    values,
)

from hub.sales.rows import flags_of
from hub.sales.tables import QUIET, SALE, SALE_UNIT, UNIT
from hub.sales.views import Sale, SaleFilter, SaleState, SoldUnit, Unit, UnitFilter, UnitState
from hub.store import INT64, TEXT

COUNT_MAX: Final = 10_000
"""Sales are counted up to here, and then said to be more."""

LAST: Final = "\U0010ffff"
"""Above every character: text is compared byte by byte on both engines."""
UNIT_STATES: Final = ("stock", "sold", "returned", "unknown")
UNDONE: Final[Mapping[str, Literal["void", "return"]]] = {"voided": "void", "returned": "return"}


# --- sales ---


def _sale_terms(wanted: SaleFilter) -> list[ColumnElement[bool]]:
    terms = [SALE.c.kind == "sale"]
    for name, value in (
        (SALE.c.dealer, wanted.dealer),
        (SALE.c.state, wanted.state),
        (SALE.c.payment, wanted.payment),
        (SALE.c.receipt, wanted.receipt),
    ):
        if value is not None:
            terms.append(name == value)
    if wanted.flagged:
        terms.append(SALE.c.flags != "")
    if wanted.serial is not None:
        terms.append(
            SALE.c.index.in_(select(SALE_UNIT.c.sale).where(SALE_UNIT.c.serial == wanted.serial))
        )
    if wanted.since_ms is not None:
        terms.append(SALE.c.at_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        terms.append(SALE.c.at_ms < wanted.until_ms)
    return terms


def list_sales(
    connection: Connection,
    wanted: SaleFilter,
    *,
    below: int | None = None,
    above: int | None = None,
    limit: int,
) -> list[Sale]:
    """Sales newest first below a place on the ledger, or oldest first above one."""
    terms = _sale_terms(wanted)
    order = SALE.c.index.desc()
    if above is not None:
        terms.append(SALE.c.index > above)
        order = SALE.c.index.asc()
    elif below is not None:
        terms.append(SALE.c.index < below)
    return _with_lines(connection, _sales().where(*terms).order_by(order).limit(limit))


def one_sale(connection: Connection, index: int) -> Sale | None:
    """The sale at a place of the ledger; None when something else stands there."""
    found = _with_lines(
        connection, _sales().where(SALE.c.index == index, SALE.c.kind == "sale").limit(1)
    )
    return found[0] if found else None


def places_of_receipt(connection: Connection, receipt: str, limit: int) -> list[int]:
    """Where sales, voids and returns of this receipt number stand, newest first."""
    query = (
        select(SALE.c.index)
        .where(SALE.c.receipt == receipt)
        .order_by(SALE.c.index.desc())
        .limit(limit)
    )
    return list(connection.scalars(query))


def count_sales(connection: Connection, wanted: SaleFilter) -> tuple[Mapping[str, int], bool]:
    """How many by state, by payment, ``flagged`` and ``all``; True when counting stopped early."""
    flagged = (SALE.c.flags != "").label("flagged")
    found = (
        select(SALE.c.state, SALE.c.payment, flagged)
        .where(*_sale_terms(wanted))
        .limit(COUNT_MAX)
        .subquery()
    )
    groups = (found.c.state, found.c.payment, found.c.flagged)
    counts: Counter[str] = Counter()
    for state, payment, odd, n in connection.execute(
        select(*groups, func.count()).group_by(*groups)
    ):
        counts["all"] += n
        counts[state] += n
        if payment is not None:
            counts[payment] += n
        if odd:
            counts["flagged"] += n
    return counts, counts["all"] >= COUNT_MAX


def _sales() -> Select[Any]:
    return select(SALE, SALE.c.index.label("place"))


def _with_lines(connection: Connection, query: Select[Any]) -> list[Sale]:
    rows = connection.execute(query).all()
    lines: dict[int, list[SoldUnit]] = {row.place: [] for row in rows}
    if not rows:
        return []
    # Joined, not searched for: either engine then takes each receipt's lines from the table's key.
    wanted = values(column("dealer", TEXT), column("place", INT64), name="wanted")
    receipts = wanted.data([(row.dealer, row.place) for row in rows]).cte("wanted")
    for line in connection.execute(
        select(SALE_UNIT)
        .join(
            receipts,
            and_(
                SALE_UNIT.c.dealer == receipts.c.dealer,
                SALE_UNIT.c.sale == receipts.c.place,
            ),
        )
        .order_by(SALE_UNIT.c.sale, SALE_UNIT.c.line)
    ):
        lines[line.sale].append(_line(line))
    return [_sale(row, lines[row.place]) for row in rows]


def _line(row: Row[Any]) -> SoldUnit:
    return SoldUnit(
        serial=row.serial,
        serial_raw=row.serial_raw or "",
        model=row.model or "",
        list_idr=row.list_idr,
        discount_idr=row.discount_idr,
        net_idr=row.net_idr,
        flag=row.flag,
        undone=UNDONE.get(row.state),
        undone_index=row.reversed_by,
        activated_index=row.activated_index,
        activated_ms=row.activated_ms,
    )


def _sale(row: Row[Any], lines: Sequence[SoldUnit]) -> Sale:
    return Sale(
        index=row.place,
        dealer=row.dealer or None,
        device=row.device,
        till=row.till,
        receipt=row.receipt,
        units=tuple(lines),
        payment=row.payment or "unknown",
        operator=row.operator,
        has_buyer=row.buyer_commitment is not None,
        at_ms=row.at_ms,
        received_ms=row.received_ms,
        state=cast("SaleState", row.state),
        flags=flags_of(row.flags),
        total_idr=row.net_idr,
    )


# --- units ---


def _unit_terms(wanted: UnitFilter) -> list[ColumnElement[bool]]:
    terms: list[ColumnElement[bool]] = []
    # A dealer's units are few, quiet ones too, a model's are a third of all: SQLite must not take
    # the model's index for both, and it knows no better without statistics.
    few = wanted.dealer is not None or wanted.quiet
    model = UNIT.c.model + "" if few else UNIT.c.model
    for name, value in (
        (UNIT.c.dealer, wanted.dealer),
        (UNIT.c.state, wanted.state),
        (model, wanted.model),
    ):
        if value is not None:
            terms.append(name == value)
    if wanted.quiet:
        terms.append(QUIET)
    if wanted.serial is not None:
        start = wanted.serial
        terms += [UNIT.c.serial >= start, UNIT.c.serial < start + LAST]
    return terms


def list_units(
    connection: Connection,
    wanted: UnitFilter,
    *,
    above: str | None = None,
    below: str | None = None,
    limit: int,
) -> list[Unit]:
    """Units by serial above one, or backwards below one."""
    terms = _unit_terms(wanted)
    order = UNIT.c.serial.asc()
    if below is not None:
        terms.append(UNIT.c.serial < below)
        order = UNIT.c.serial.desc()
    elif above is not None:
        terms.append(UNIT.c.serial > above)
    query = select(UNIT).where(*terms).order_by(order).limit(limit)
    return [_unit(row) for row in connection.execute(query)]


def one_unit(connection: Connection, serial: str) -> Unit | None:
    """The unit with this serial in its normal form."""
    row = connection.execute(select(UNIT).where(UNIT.c.serial == serial)).one_or_none()
    return None if row is None else _unit(row)


def count_units(connection: Connection, wanted: UnitFilter) -> Mapping[str, tuple[int, bool]]:
    """How many in each state, ``quiet`` and ``all``, each with whether counting stopped early.

    The states are counted to the end: an index alone answers, and there are as many units as
    were ever made.
    """
    terms = _unit_terms(wanted)
    # One range of an index each: to group them costs SQLite three times as much.
    by_state = union_all(
        *(
            select(literal(state), func.count()).where(UNIT.c.state == state, *terms)
            for state in UNIT_STATES
        )
    )
    counts = {str(state): int(n) for state, n in connection.execute(by_state)}
    found = {state: (n, False) for state, n in counts.items()}
    found["all"] = (sum(counts.values()), False)
    found["quiet"] = _bounded(connection, _unit_terms(replace(wanted, quiet=True)), COUNT_MAX)
    return found


def _bounded(
    connection: Connection, terms: Sequence[ColumnElement[bool]], most: int
) -> tuple[int, bool]:
    first = select(UNIT.c.serial).where(*terms).limit(most).subquery()
    n = int(connection.execute(select(func.count()).select_from(first)).scalar_one())
    return n, n >= most


def _unit(row: Row[Any]) -> Unit:
    # After a void the unit is as it was before its sale; after a return the sale still matters.
    sold = row.undone != "voided"
    faulty = row.fault_index is not None and row.fault_index >= (row.seen_index or 0)
    return Unit(
        serial=row.serial,
        model=row.model,
        dealer=row.dealer or None,
        state=cast("UnitState", row.state),
        sale_index=row.sale_index if sold else None,
        sold_ms=row.sale_ms if sold else None,
        activated_ms=row.activated_ms,
        seen_ms=row.seen_ms,
        battery_pct=row.battery_pct,
        odometer_m=row.odometer_m,
        firmware=row.firmware,
        fault=row.fault_code if faulty else None,
    )
