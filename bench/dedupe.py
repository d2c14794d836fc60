"""Telling a new lead from one we have, with a thousand leads stored and with a million.

The table is filled in bulk; then leads come in through the intake: new ones, and ones whose phone,
e-mail or WhatsApp id is known. The time for each must not grow with what is stored.

    python -m bench.dedupe [--sizes 1000 10000 100000 1000000] [--each N]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final, TypeAlias

from sqlalchemy import Connection, Table

from bench._figures import percentile
from bench.claims.market import open_market
from hub.contacts.store import CONTACT, CONTACT_KEY
from hub.leads import store
from hub.leads.lead_rows import LeadRow
from hub.leads.tables import LEAD
from hub.store import bulk_insert
from hub.wiring import Hub

Take: TypeAlias = Callable[[Connection, int], str | None]
CHUNK: Final = 50_000
FLAT_MAX: Final = 3.0
"""A million may cost so many times what a thousand does: the trees are deeper, not longer."""
NOW_MS: Final = 1_795_000_000_000
FILLED: Final = 628_100_000_000
FRESH: Final = 628_900_000_000
KINDS: Final = ("new", "phone", "email", "bsuid")


def fill(hub: Hub, start: int, end: int) -> None:
    """Contacts `start` to `end`, each with three keys and an open lead."""
    for first in range(start, end, CHUNK):
        numbers = range(first, min(end, first + CHUNK))

        def work(connection: Connection, numbers: range = numbers) -> None:
            _insert(connection, CONTACT, ({"id": f"cus_{n:026d}"} for n in numbers))
            _insert(connection, CONTACT_KEY, _keys(numbers))
            _insert(
                connection,
                LEAD,
                ({"id": f"led_{n:026d}", "contact": f"cus_{n:026d}"} for n in numbers),
            )

        hub.database.write(work)


def _keys(numbers: range) -> Iterator[dict[str, object]]:
    for n in numbers:
        for kind, value in keys_of(n).items():
            yield {"kind": kind, "value": value, "contact": f"cus_{n:026d}"}


def keys_of(n: int) -> dict[str, str]:
    """What contact `n` is known by."""
    return {"phone": str(FILLED + n), "email": f"c{n}@example.com", "bsuid": f"ID.{n:015d}"}


DEFAULTS: Final[Mapping[str, object]] = {
    "state": "QUALIFIED",
    "source": "form",
    "payment": "unknown",
    "buy_when": "unknown",
    "round": 1,
    "language": "id",
}


def _insert(connection: Connection, table: Table, rows: Iterator[dict[str, object]]) -> None:
    """What a row does not say is its default, a time, nothing, or zero."""
    blank = [
        (
            column.name,
            DEFAULTS.get(column.name)
            if column.name in DEFAULTS
            else None
            if column.nullable
            else NOW_MS
            if column.name.endswith("_ms")
            else 0,
        )
        for column in table.columns
    ]
    bulk_insert(
        connection, table, [tuple(row.get(name, other) for name, other in blank) for row in rows]
    )


def row_of(phone: str | None, email: str | None) -> LeadRow:
    """A form's lead without a place: nothing but the telling apart is timed."""
    return LeadRow(
        source="form",
        external_id=None,
        campaign=None,
        name="Bench",
        phone=phone,
        email=email,
        model=None,
        payment="unknown",
        buy_when="unknown",
        place=None,
        at=None,
        consent_version=None,
        consent_ms=None,
    )


def takers(hub: Hub, size: int) -> Mapping[str, Take]:
    """How a lead of each kind comes in; what it was a duplicate of."""
    leads = hub.leads
    intake = leads.intake.intake

    def take(connection: Connection, row: LeadRow) -> str | None:
        return intake.take(connection, row, raw=b"", key=None, now_ms=NOW_MS).duplicate_of

    def heard(connection: Connection, turn: int) -> str | None:
        contact = leads.contacts.meet(connection, bsuid=keys_of(turn)["bsuid"], now_ms=NOW_MS)
        newest = store.newest_of(connection, contact)
        return None if newest is None else newest.id

    return {
        "new": lambda connection, turn: take(connection, row_of(str(FRESH + size + turn), None)),
        "phone": lambda connection, turn: take(connection, row_of(keys_of(turn)["phone"], None)),
        "email": lambda connection, turn: take(connection, row_of(None, keys_of(turn)["email"])),
        "bsuid": heard,
    }


def measure(hub: Hub, size: int, each: int) -> dict[str, float]:
    """Median microseconds of each kind, `size` leads being stored."""
    medians = {}
    for place, (kind, take) in enumerate(takers(hub, size).items()):
        # Spread over the whole table, and each contact once.
        turns = [(turn * 4 + place) * (size // (4 * each)) for turn in range(each)]
        took = hub.database.write(partial(_timed, turns=turns, take=take, new=kind == "new"))
        medians[kind] = percentile(took, 0.5)
    return medians


def _timed(connection: Connection, *, turns: list[int], take: Take, new: bool) -> list[float]:
    took = []
    for turn in turns:
        began = time.perf_counter()
        found = take(connection, turn)
        took.append((time.perf_counter() - began) * 1e6)
        assert (found is None) == new, (turn, found)
    return took


def main() -> None:
    """Fill, measure, fill more, measure again; the ratio of the largest to the smallest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--each", type=int, default=200)
    asked = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        hub = open_market(folder, 1)
        filled = 0
        for size in asked.sizes:
            fill(hub, filled, size)
            filled = size
            results.append(measure(hub, size, min(asked.each, size // 4)))
            told = ", ".join(f"{kind} {results[-1][kind]:.0f} us" for kind in KINDS)
            print(f"{size:>9,} leads: {told}", flush=True)
        hub.close()
    for kind in KINDS:
        ratio = results[-1][kind] / results[0][kind]
        print(f"{kind}: {ratio:.2f} x of {asked.sizes[0]:,} at {asked.sizes[-1]:,} leads")
    worst = max(results[-1][kind] / results[0][kind] for kind in KINDS)
    print(f"the worst is {worst / FLAT_MAX:.2f} x the limit of {FLAT_MAX:.0f} x")


if __name__ == "__main__":
    main()
