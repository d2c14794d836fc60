"""What the ledger says of sold units, as leads need it."""

from sqlalchemy import Connection

from hub.leads.winning import Sold
from hub.sales.reads import one_unit


class SoldUnits:
    """Implements `hub.leads.winning.Units` over the sales' projection."""

    def unit(self, connection: Connection, serial: str) -> Sold | None:
        """One unit, as far as the ledger has been followed; None: never heard of."""
        found = one_unit(connection, serial)
        if found is None:
            return None
        return Sold(
            state=found.state,
            dealer=found.dealer,
            sale_index=found.sale_index,
            sale_ms=found.sale_ms,
        )
