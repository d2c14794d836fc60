"""The index of the ledger: what each entry is, whose, and about which units."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, Table, insert, update

from hub.ledger.followers import LedgerEntry, Write
from hub.ledger.tables import DEVICE_DEALER, ENTRY, ENTRY_COUNT, ENTRY_SERIAL
from hub.store import Statement, Values, bulk_insert
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

    def fold(self, entries: Sequence[LedgerEntry]) -> Write:
        """Fold in `entries`; few wide statements, because telemetry is most of a ledger."""
        rows: list[Values] = []
        serials: list[Values] = []
        counts: Counter[tuple[str, str, int]] = Counter()
        facts: list[LedgerEntry] = []
        received_ms = day = -1
        for entry in entries:
            event, index = entry.event, entry.index
            kind = event.type if event is not None else QUARANTINED
            rows.append((index, kind, entry.dealer, entry.device, entry.at_ms, entry.quarantined))
            if entry.received_ms != received_ms:
                received_ms = entry.received_ms
                day = day_of(received_ms)
            counts[entry.dealer or "", kind, day] += 1
            if event is None:
                continue
            named = event.serials
            if len(named) == 1:
                serials.append((named[0], index))
            else:
                serials.extend((serial, index) for serial in sorted(set(named)))
            if entry.lane == "hub":
                facts.append(entry)
        # In the order of their table: half the work of finding each one's place.
        serials.sort()
        counted = [
            {"dealer": dealer, "type": kind, "day": day, "count": count}
            for (dealer, kind, day), count in sorted(counts.items())
        ]

        def write(connection: Connection) -> None:
            bulk_insert(connection, ENTRY, rows)
            bulk_insert(connection, ENTRY_SERIAL, serials)
            _COUNT.run(connection, counted)
            for fact in facts:
                self._hub_fact(connection, fact)

        return write

    @staticmethod
    def _hub_fact(connection: Connection, entry: LedgerEntry) -> None:
        event = entry.event
        if event is None or event.type != "device.enrolled" or entry.dealer is None:
            return
        if not isinstance(event.data, Fact):
            return
        device = event.data.values["device"]
        changed = connection.execute(
            update(DEVICE_DEALER)
            .where(DEVICE_DEALER.c.device == device)
            .values(dealer=entry.dealer)
        ).rowcount
        if not changed:
            connection.execute(insert(DEVICE_DEALER).values(device=device, dealer=entry.dealer))
