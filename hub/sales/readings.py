"""What scooters say of themselves, reduced to the last word of each. No I/O."""

from collections.abc import Iterable
from functools import lru_cache

from hub.ledger.followers import LedgerEntry
from hub.sales.rules import normal_serial
from shared.wire.events import Activated, Fault, Report

Reading = tuple[object, ...]
"""The values of `store.READING`, in its order."""
_NO_FAULT = (None, None, None)
_NO_WORD = (None,) * 7
_normal = lru_cache(maxsize=65_536)(normal_serial)


def last_words(entries: Iterable[LedgerEntry]) -> list[Reading]:
    """One reading a serial: of each value the last that was said, in the order of the ledger.

    `entries` come newest first, so that of a thousand reports of one scooter nearly all are
    passed over with one look. Null means that no entry knew.
    """
    words: dict[str, list[object]] = {}
    faults: dict[str, tuple[object, ...]] = {}
    for entry in entries:
        data = _said(entry)
        serial = None if data is None else _normal(data.serial)
        if data is None or serial is None:
            continue
        if isinstance(data, Fault):
            faults.setdefault(serial, (entry.index, entry.at_ms, data.code))
            if data.sale is not None:
                continue  # "did not answer" does not mean that it was heard
        known = words.get(serial)
        if known is None:
            words[serial] = _word(entry, data)
        elif None in known:
            _complete(known, _word(entry, data))
    return [
        (serial, *words.get(serial, _NO_WORD), *faults.get(serial, _NO_FAULT))
        for serial in sorted(words.keys() | faults.keys())
    ]


def _said(entry: LedgerEntry) -> Report | Activated | Fault | None:
    if entry.lane not in ("vehicle", "sale") or entry.event is None:
        return None
    data = entry.event.data
    return data if isinstance(data, Report | Activated | Fault) else None


def _complete(known: list[object], older: list[object]) -> None:
    for place, value in enumerate(known):
        if value is None:
            known[place] = older[place]


def _word(entry: LedgerEntry, data: Report | Activated | Fault) -> list[object]:
    if isinstance(data, Fault):
        return [entry.dealer, None, None, None, None, entry.index, entry.at_ms]
    state = data.state if isinstance(data, Report) and data.state != "unknown" else None
    return [
        entry.dealer,
        state,
        data.firmware,
        data.battery_pct,
        data.odometer_m,
        entry.index,
        entry.at_ms,
    ]
