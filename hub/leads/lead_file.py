"""A file of leads: every row takes the way of a request, and the same row comes in once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial as bound
from typing import Final

import orjson
from sqlalchemy import Connection

from hub.errors import Refused
from hub.leads.intake import Foreseen, Intake
from hub.leads.lead_rows import LeadRow, parse_row
from hub.registry import rules
from hub.registry.cells import Column
from hub.registry.imports import MAX_REFUSALS, ImportAnswer, gave_up
from hub.registry.rules import Refusal
from hub.registry.sheets import SheetRefused, read_rows
from hub.store import Database
from shared.clock import Clock

COLUMNS: Final = tuple(
    Column(name, str, required=name == "source")
    for name in (
        "source",
        "external_id",
        "campaign",
        "name",
        "phone",
        "email",
        "model",
        "payment",
        "buy_when",
        "place",
        "lat",
        "lon",
        "consent_version",
        "consent_at",
    )
)
ROWS_AT_ONCE: Final = 20
"""Rows of one transaction: taps that come meanwhile must not wait for a whole file."""
# Said without the cell: a customer's number in a terminal is one in a scroll-back and a log.
_WHY: Final[Mapping[str, str]] = {
    "missing": "is empty; every row needs a source, and a phone or an e-mail address",
    "unknown_word": "is none of the words that docs/leads.md lists",
    "not_mobile": "is no mobile number; if a spreadsheet wrote it as 8.12E+10, format as text",
    "malformed": "cannot be read",
    "no_time_zone": "does not say its time zone, such as +07:00",
    "not_a_number": "is no number such as -7.2575",
    "outside_indonesia": "and lon are no place in Indonesia; are the two swapped?",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that can become a lead."""

    number: int
    lead: LeadRow
    raw: bytes
    key: str


class LeadFile:
    """Takes files of leads in."""

    def __init__(self, database: Database, intake: Intake, clock: Clock) -> None:
        """Rows go through `intake`, as requests do."""
        self._database = database
        self._intake = intake
        self._clock = clock

    def import_file(
        self, content: bytes, *, partial: bool = False, dry_run: bool = False
    ) -> ImportAnswer:
        """Take in every row once: a file that comes again changes nothing.

        A row is known again by source and external_id, and without one by all it says. In the
        answer a row is *created* when it makes a new lead, *changed* when its person has an open
        lead, which hears of it, and *unchanged* when it came before. The whole file is judged
        before its first row is stored: one refused row stores nothing, unless `partial`. Rows
        are durable a few at a time; after a crash in between the same file does what is left.
        """
        rows, refused, row_count = self._read(content)
        done: Counter[Foreseen] = Counter()
        judged = self._judge(rows, done)
        refused += [found for found in judged.values() if found is not None]
        good = [row for row in rows if judged[row.number] is None]
        stopped = bool(refused) and not partial
        if not stopped and not dry_run:
            done.clear()
            for start in range(0, len(good), ROWS_AT_ONCE):
                some = good[start : start + ROWS_AT_ONCE]
                done.update(self._database.write(bound(self._take, rows=some)))
        return ImportAnswer(
            rows=row_count,
            created=0 if stopped else done["new"],
            changed=0 if stopped else done["duplicate"],
            unchanged=done["replay"],
            refused=tuple(sorted(refused, key=lambda found: found.row)),
            dry_run=dry_run,
        )

    def _read(self, content: bytes) -> tuple[list[_Row], list[Refusal], int]:
        """The rows that can become leads, why the others cannot, and how many there are."""
        rows: list[_Row] = []
        refused: list[Refusal] = []
        count = 0
        try:
            for row in read_rows(content, COLUMNS):
                count += 1
                found = self._row(row.number, row.cells)
                if isinstance(found, _Row):
                    rows.append(found)
                else:
                    refused += found
                if len(refused) > MAX_REFUSALS:
                    return [], [*refused, gave_up(row.number)], count
        except SheetRefused as error:
            return [], [*refused, error.refusal], count
        return rows, refused, count

    def _row(self, number: int, cells: Mapping[str, str]) -> _Row | Sequence[Refusal]:
        values = rules.read_row(number, cells, COLUMNS)
        if not isinstance(values, dict):
            return values
        lead = parse_row(values)
        if not isinstance(lead, LeadRow):
            return [
                Refusal(number, column, code, f"{column}: {_WHY[code]}")
                for column, code in sorted(lead.items())
            ]
        raw = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
        # No key of a request begins like this: a key's id has no space in it.
        key = f"(file) {lead.source}/{lead.external_id or self._intake.digest(raw)}"
        return _Row(number, lead, raw, key)

    def _judge(self, rows: Sequence[_Row], done: Counter[Foreseen]) -> dict[int, Refusal | None]:
        """Why each row cannot come in, after those before it; `done` is told what would be."""
        judged: dict[int, Refusal | None] = {}
        known: dict[str, bytes] = {}
        people: set[str] = set()
        with self._database.read() as connection:
            for row in rows:
                judged[row.number] = None
                if row.key in known:
                    if known[row.key] == row.raw:
                        done["replay"] += 1
                    else:
                        judged[row.number] = _other(row.number)
                    continue
                try:
                    what = self._foresee(connection, row)
                except Refused:
                    judged[row.number] = _other(row.number)
                    continue
                known[row.key] = row.raw
                # By a number a person of this file is known again; by an address alone maybe.
                who = row.lead.phone or row.lead.email or ""
                if what == "new" and who in people:
                    what = "duplicate"
                people.add(who)
                done[what] += 1
        return judged

    def _foresee(self, connection: Connection, row: _Row) -> Foreseen:
        now_ms = self._clock.wall_ms()
        return self._intake.foresee(connection, row.lead, raw=row.raw, key=row.key, now_ms=now_ms)

    def _take(self, connection: Connection, rows: Sequence[_Row]) -> Counter[Foreseen]:
        done: Counter[Foreseen] = Counter()
        for row in rows:
            answer = self._intake.take(
                connection, row.lead, raw=row.raw, key=row.key, now_ms=self._clock.wall_ms()
            )
            if answer.replayed:
                done["replay"] += 1
            else:
                done["new" if answer.duplicate_of is None else "duplicate"] += 1
        return done


def _other(row: int) -> Refusal:
    return Refusal(
        row,
        "external_id",
        "changed",
        "external_id: this source has brought another row with this id already",
    )
