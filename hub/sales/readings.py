"""What scooters say of themselves, reduced to the last word of each. No I/O."""

from functools import lru_cache

from hub.ledger.followers import LedgerEntry
from hub.sales.rules import normal_serial
from shared.wire.events import Activated, Fault, Report

Reading = tuple[object, ...]
"""The values of `store.READING`, in its order."""
_NO_FAULT = (None, None, None)
_NO_WORD = (None,) * 7
_SAID = ((2, "firmware"), (3, "battery_pct"), (4, "odometer_m"))
_normal = lru_cache(maxsize=65_536)(normal_serial)


class LastWords:
    """Of every scooter and every value, the last that was said, in the order of the ledger.

    Entries are taken newest first, so that of a thousand reports of one scooter nearly all are
    passed over with one look.
    """

    def __init__(self) -> None:
        """Nobody has said anything."""
        self._words: dict[str, list[object]] = {}
        self._faults: dict[str, tuple[object, ...]] = {}

    def take(self, entry: LedgerEntry, data: Report | Activated) -> None:
        """Note an older word: only what no newer one has said."""
        serial = _normal(data.serial)
        if serial is None:
            return
        known = self._words.get(serial)
        if known is None:
            self._words[serial] = _word(entry, data)
        elif None in known:
            # Many scooters never say some of it: nothing is built for what stays unknown.
            if known[0] is None:
                known[0] = entry.dealer
            if known[1] is None:
                known[1] = _state(data)
            for place, name in _SAID:
                if known[place] is None:
                    known[place] = getattr(data, name)

    def take_fault(self, entry: LedgerEntry, fault: Fault) -> None:
        """Note an older fault."""
        serial = _normal(fault.serial)
        if serial is None:
            return
        self._faults.setdefault(serial, (entry.index, entry.at_ms, fault.code))
        if fault.sale is not None:
            return  # "did not answer" does not mean that it was heard
        heard: list[object] = [entry.dealer, *_NO_FAULT, None, entry.index, entry.at_ms]
        _complete(self._words.setdefault(serial, list(_NO_WORD)), heard)

    def readings(self) -> list[Reading]:
        """One reading a serial; null where nobody knew."""
        return [
            (serial, *self._words.get(serial, _NO_WORD), *self._faults.get(serial, _NO_FAULT))
            for serial in sorted(self._words.keys() | self._faults.keys())
        ]


def _complete(known: list[object], older: list[object]) -> None:
    for place, value in enumerate(known):
        if value is None:
            known[place] = older[place]


def _state(data: Report | Activated) -> str | None:
    return data.state if isinstance(data, Report) and data.state != "unknown" else None


def _word(entry: LedgerEntry, data: Report | Activated) -> list[object]:
    return [
        entry.dealer,
        _state(data),
        data.firmware,
        data.battery_pct,
        data.odometer_m,
        entry.index,
        entry.at_ms,
    ]
