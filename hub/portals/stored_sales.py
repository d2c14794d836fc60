"""The pages' questions about sales and units, answered by the sales feature."""

from collections.abc import Sequence

from hub.portals.kept_counts import Counts, KeptCounts
from hub.portals.read_models import Count, Slice
from hub.sales import reads
from hub.sales.views import Sale, SaleFilter, Unit, UnitFilter
from hub.store import Database
from shared.clock import Clock


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
                chosen,
                below=None if below is None else int(below),
                above=None if above is None else int(above),
                limit=page.limit,
            )
        if page.before is not None:
            rows.reverse()
        return rows

    def sale(self, index: int) -> Sale | None:
        """One receipt."""
        with self._database.read() as connection:
            return reads.one_sale(connection, index)

    def sale_counts(self, chosen: SaleFilter) -> Counts:
        """How many by state, payment, ``flagged`` and ``all``."""
        return self._counts.get(chosen, lambda: self._count_sales(chosen))

    def _count_sales(self, chosen: SaleFilter) -> Counts:
        with self._database.read() as connection:
            counts, capped = reads.count_sales(connection, chosen)
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
                chosen,
                above=None if page.after is None else str(page.after),
                below=None if page.before is None else str(page.before),
                limit=page.limit,
            )
        if page.before is not None:
            rows.reverse()
        return rows

    def unit(self, serial: str) -> Unit | None:
        """One scooter."""
        with self._database.read() as connection:
            return reads.one_unit(connection, serial)

    def unit_counts(self, chosen: UnitFilter) -> Counts:
        """How many by state, ``quiet`` and ``all``, whatever state is chosen."""
        stateless = UnitFilter(dealer=chosen.dealer, model=chosen.model, serial=chosen.serial)
        return self._counts.get(stateless, lambda: self._count_units(stateless))

    def _count_units(self, chosen: UnitFilter) -> Counts:
        with self._database.read() as connection:
            counts = reads.count_units(connection, chosen)
        return {name: Count(n=n, capped=capped) for name, (n, capped) in counts.items()}
