"""The pages' questions about sales and units, answered by the sales feature."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal, cast

from hub.portals.kept_counts import Counts, KeptCounts
from hub.portals.read_models import Count, Sale, SaleFilter, Slice, SoldUnit, Unit, UnitFilter
from hub.sales import reads
from hub.store import Database
from shared.clock import Clock

State = Literal["final", "part", "voided", "returned"]
UnitState = Literal["stock", "sold", "returned", "unknown"]


class StoredSales:
    """Reads the sales and units of one hub."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Nothing is read yet."""
        self._database = database
        self._counts = KeptCounts(clock)

    def sales(self, chosen: SaleFilter, page: Slice) -> Sequence[Sale]:
        """A page of sales in the order asked for."""
        newest = page.order == "newest"
        below = page.after if newest else page.before
        above = page.before if newest else page.after
        if not newest and page.before is None and page.after is None:
            above = -1
        with self._database.read() as connection:
            rows = reads.list_sales(
                connection,
                reads.SaleFilter(**asdict(chosen)),
                below=None if below is None else int(below),
                above=None if above is None else int(above),
                limit=page.limit,
            )
        if page.before is not None:
            rows.reverse()
        return [_sale(row) for row in rows]

    def sale(self, index: int) -> Sale | None:
        """One receipt."""
        with self._database.read() as connection:
            row = reads.one_sale(connection, index)
        return None if row is None else _sale(row)

    def sale_counts(self, chosen: SaleFilter) -> Counts:
        """How many by state, payment, ``flagged`` and ``all``."""
        return self._counts.get(chosen, lambda: self._count_sales(chosen))

    def _count_sales(self, chosen: SaleFilter) -> Counts:
        with self._database.read() as connection:
            counts, capped = reads.count_sales(connection, reads.SaleFilter(**asdict(chosen)))
        found = {name: Count(n=n, capped=capped) for name, n in counts.items()}
        return {"all": Count(n=0), **found}

    def receipts(self, receipt: str, limit: int) -> Sequence[int]:
        """Where this receipt stands on the ledger."""
        with self._database.read() as connection:
            return reads.places_of_receipt(connection, receipt, limit)

    def units(self, chosen: UnitFilter, page: Slice) -> Sequence[Unit]:
        """A page of units by serial; `order` does not turn it."""
        with self._database.read() as connection:
            rows = reads.list_units(
                connection,
                _stored(chosen),
                above=None if page.after is None else str(page.after),
                below=None if page.before is None else str(page.before),
                limit=page.limit,
            )
        if page.before is not None:
            rows.reverse()
        return [_unit(row) for row in rows]

    def unit(self, serial: str) -> Unit | None:
        """One scooter."""
        with self._database.read() as connection:
            row = reads.one_unit(connection, serial)
        return None if row is None else _unit(row)

    def unit_counts(self, chosen: UnitFilter) -> Counts:
        """How many by state, ``quiet`` and ``all``, whatever state is chosen."""
        stateless = UnitFilter(dealer=chosen.dealer, model=chosen.model, serial=chosen.serial)
        return self._counts.get(stateless, lambda: self._count_units(stateless))

    def _count_units(self, chosen: UnitFilter) -> Counts:
        with self._database.read() as connection:
            counts = reads.count_units(connection, _stored(chosen))
        return {name: Count(n=n, capped=capped) for name, (n, capped) in counts.items()}


def _stored(chosen: UnitFilter) -> reads.UnitFilter:
    return reads.UnitFilter(
        dealer=chosen.dealer,
        state=chosen.state,
        model=chosen.model,
        quiet=chosen.quiet,
        serial_start=chosen.serial,
    )


def _sale(row: reads.SaleRow) -> Sale:
    return Sale(
        index=row.at,
        dealer=row.dealer,
        device=row.device,
        till=row.till,
        receipt=row.receipt,
        units=tuple(_line(line) for line in row.lines),
        payment=row.payment,
        operator=row.operator,
        has_buyer=row.has_buyer,
        at_ms=row.at_ms,
        received_ms=row.received_ms,
        state=cast("State", row.state),
        flags=row.flags,
        total_idr=row.net_idr,
    )


def _line(line: reads.SoldLine) -> SoldUnit:
    undone: dict[str, Literal["void", "return"]] = {"voided": "void", "returned": "return"}
    return SoldUnit(
        serial=line.serial,
        serial_raw=line.serial_raw or "",
        model=line.model or "",
        list_idr=line.list_idr,
        discount_idr=line.discount_idr,
        net_idr=line.net_idr,
        flag=line.flag,
        undone=undone.get(line.state),
        undone_index=line.reversed_by,
        activated_index=line.activated_index,
        activated_ms=line.activated_ms,
    )


def _unit(row: reads.UnitRow) -> Unit:
    return Unit(
        serial=row.serial,
        model=row.model,
        dealer=row.dealer,
        state=cast("UnitState", row.state),
        sale_index=row.sale_index,
        sold_ms=row.sale_ms,
        activated_ms=row.activated_ms,
        seen_ms=row.seen_ms,
        battery_pct=row.battery_pct,
        odometer_m=row.odometer_m,
        firmware=row.firmware,
        fault=row.fault,
    )
