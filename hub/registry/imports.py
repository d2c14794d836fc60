"""From a file to the rows that change: what is new, what differs, what is refused."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Protocol, TypeVar

from hub.registry.cells import Column
from hub.registry.rules import Refusal
from hub.registry.sheets import SheetRefused, read_rows


class Coded(Protocol):
    """A row that is known by its code."""

    @property
    def code(self) -> str:
        """What the row is known by."""
        ...


R = TypeVar("R", bound=Coded)
MAX_REFUSALS = 10_000
ENDS_THE_FILE: Final = frozenset({"malformed_csv", "too_many_rows", "too_many_refusals"})
"""Codes of a row behind which nothing was read."""


@dataclass(frozen=True, slots=True)
class ImportAnswer:
    """What an import did, or with `dry_run` would have done."""

    rows: int
    created: int
    changed: int
    unchanged: int
    refused: tuple[Refusal, ...]
    dry_run: bool

    @property
    def unreadable(self) -> bool:
        """Could the file not be read to its end? Then it has no good rows."""
        return any(r.row == 0 or r.code in ENDS_THE_FILE for r in self.refused)

    def as_json(self) -> dict[str, object]:
        """The shape of contract.md §2."""
        return {
            "rows": self.rows,
            "created": self.created,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "refused": [
                {"row": r.row, "column": r.column, "code": r.code, "message": r.message}
                for r in self.refused
            ],
            "dry_run": self.dry_run,
        }


@dataclass(frozen=True, slots=True)
class ParsedFile(Generic[R]):
    """The good rows of a file by code, and every refusal."""

    row_count: int
    good: Mapping[str, R]
    refused: tuple[Refusal, ...]
    unsaid: frozenset[str] = frozenset()
    """Columns that the file does not have: it says nothing about them."""


@dataclass(frozen=True, slots=True)
class Plan(Generic[R]):
    """What has to be written."""

    to_create: tuple[R, ...]
    to_change: tuple[R, ...]
    unchanged: int


def parse_file(
    content: bytes,
    columns: Sequence[Column],
    rule: Callable[[int, Mapping[str, str]], R | Sequence[Refusal]],
    *,
    key_column: str = "code",
) -> ParsedFile[R]:
    """Read a whole file. A file that cannot be read has no good rows and one refusal.

    Two rows with one code contradict each other: the second is refused.
    """
    good: dict[str, R] = {}
    first_rows: dict[str, int] = {}
    refused: list[Refusal] = []
    unsaid = {column.name for column in columns}
    row_count = 0
    try:
        for row in read_rows(content, columns):
            row_count += 1
            unsaid -= row.cells.keys()
            verdict = rule(row.number, row.cells)
            if isinstance(verdict, Sequence):
                refused += verdict
            elif verdict.code in good:
                first_row = first_rows[verdict.code]
                refused.append(_repeated(row.number, key_column, verdict.code, first_row))
            else:
                good[verdict.code] = verdict
                first_rows[verdict.code] = row.number
            if len(refused) > MAX_REFUSALS:
                return ParsedFile(row_count, {}, (*refused, gave_up(row.number)))
    except SheetRefused as error:
        return ParsedFile(row_count, {}, (*refused, error.refusal))
    return ParsedFile(row_count, good, tuple(refused), frozenset(unsaid))


def plan(
    good: Mapping[str, R], existing: Mapping[str, R], *, keeps: Collection[str] = ()
) -> Plan[R]:
    """Which rows are new and which differ from what is stored; `keeps`: fields that stay."""
    if keeps:
        good = {
            code: replace(row, **{name: getattr(existing[code], name) for name in keeps})  # type: ignore[type-var]
            if code in existing
            else row
            for code, row in good.items()
        }
    return Plan(
        to_create=tuple(row for code, row in good.items() if code not in existing),
        to_change=tuple(
            row for code, row in good.items() if code in existing and existing[code] != row
        ),
        unchanged=sum(existing.get(code) == row for code, row in good.items()),
    )


def gave_up(row: int) -> Refusal:
    """The last refusal of a file that was not read to its end."""
    return Refusal(
        row, None, "too_many_refusals", f"nothing was read after row {row}: is it the right file?"
    )


def _repeated(row: int, column: str, code: str, first_row: int) -> Refusal:
    return Refusal(row, column, "repeated", f"{column}: {code} stands in row {first_row} already")


def answer(
    parsed: ParsedFile[Any], todo: Plan[Any], *, stopped: bool, dry_run: bool
) -> ImportAnswer:
    """What became of a file. `stopped`: a refused row kept all the others out."""
    return ImportAnswer(
        rows=parsed.row_count,
        created=0 if stopped else len(todo.to_create),
        changed=0 if stopped else len(todo.to_change),
        unchanged=todo.unchanged,
        refused=parsed.refused,
        dry_run=dry_run,
    )
