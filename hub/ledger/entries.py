"""The index of the ledger: what each entry is, whose, and about which units."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, Table, insert, update

from hub.ledger.followers import LedgerEntry
from hub.ledger.tables import DEVICE_DEALER, ENTRY, ENTRY_COUNT, ENTRY_SERIAL
from hub.store import Statement, bulk_insert
from shared.wire.events import Fact

DAY_MS = 86_400_000
WIB_MS = 7 * 3_600_000
"""Head office's day begins at midnight of Western Indonesia Time, UTC+7 without summer time."""
QUARANTINED = "quarantined"
_COUNT = Statement(
    "INSERT INTO entry_count (dealer, type, day, count) VALUES (:dealer, :type, :day, :count) "
    "ON CONFLICT (dealer, type, day) DO UPDATE SET count = entry_count.count + excluded.count"
)


def day_of(ms: int) -> int:
    """Head office's day, counted from 1970."""
    return (ms + WIB_MS) // DAY_MS


class EntryFollower:
    """Keeps `entry`, `entry_serial`, `entry_count` and `device_dealer`."""

    name = "entries"
    tables: tuple[Table, ...] = (ENTRY, ENTRY_SERIAL, ENTRY_COUNT, DEVICE_DEALER)

    def apply(self, connection: Connection, entries: Sequence[LedgerEntry]) -> None:
        """Fold in `entries`; few wide statements, because telemetry is most of a ledger."""
        rows = []
        serials: list[tuple[str, int]] = []
        counts: Counter[tuple[str, str, int]] = Counter()
        for entry in entries:
            event = entry.event
            kind = event.type if event is not None else QUARANTINED
            rows.append(
                (entry.index, kind, entry.dealer, entry.device, entry.at_ms, entry.quarantined)
            )
            counts[entry.dealer or "", kind, day_of(entry.received_ms)] += 1
            if event is not None:
                serials.extend((serial, entry.index) for serial in sorted(set(event.serials)))
                if entry.lane == "hub":
                    self._hub_fact(connection, entry, event.type, event.data)
        bulk_insert(connection, ENTRY, rows)
        bulk_insert(connection, ENTRY_SERIAL, serials)
        _COUNT.run(
            connection,
            [
                {"dealer": dealer, "type": kind, "day": day, "count": count}
                for (dealer, kind, day), count in sorted(counts.items())
            ],
        )

    @staticmethod
    def _hub_fact(connection: Connection, entry: LedgerEntry, kind: str, data: object) -> None:
        if kind != "device.enrolled" or not isinstance(data, Fact) or entry.dealer is None:
            return
        device = data.values["device"]
        changed = connection.execute(
            update(DEVICE_DEALER)
            .where(DEVICE_DEALER.c.device == device)
            .values(dealer=entry.dealer)
        ).rowcount
        if not changed:
            connection.execute(insert(DEVICE_DEALER).values(device=device, dealer=entry.dealer))
