"""Use cases of the registry: import a file, look a dealer up."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from hub.registry import rules, store
from hub.registry.cells import Column
from hub.registry.imports import ImportAnswer, Plan, parse_file, plan
from hub.registry.rules import Dealer, Model, Refusal, Region
from hub.store import Database

R = TypeVar("R", Region, Model, Dealer)
Rule = Callable[[int, Mapping[str, str]], "R | Sequence[Refusal]"]
MAX_PAGE: Final = 1000


class Registry:
    """Regions, models and dealers in one database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`; nothing is read yet."""
        self._database = database
        self.regions: Final = Book(database, Region, rules.REGION_COLUMNS, _region_rule)
        self.models: Final = Book(database, Model, rules.MODEL_COLUMNS, _model_rule)
        self.dealers: Final = Book(database, Dealer, rules.DEALER_COLUMNS, _dealer_rule)

    def dealer(self, code: str) -> Dealer | None:
        """The dealer with this code, in any case of letters; None if there is none."""
        return self.dealers.get(code)

    def dealer_names(self) -> Mapping[str, str]:
        """Every dealer's name by code, for pages."""
        return {dealer.code: dealer.name for dealer in self.dealers.all()}

    def dealer_timezones(self) -> Mapping[str, str]:
        """Every dealer's IANA time zone by code, for pages and day borders."""
        return {dealer.code: dealer.timezone for dealer in self.dealers.all()}


class Book(Generic[R]):
    """One kind of registry row: imported from files, read by code or page by page."""

    def __init__(
        self,
        database: Database,
        kind: type[R],
        columns: Sequence[Column],
        rule_for: "Callable[[Connection], Rule[R]]",
    ) -> None:
        """Read files with `columns`; `rule_for` makes the row rule from what is stored now."""
        self._database = database
        self._kind: type[R] = kind
        self.columns: Final = columns
        self._rule_for: Callable[[Connection], Rule[R]] = rule_for

    def import_file(
        self, content: bytes, *, partial: bool = False, dry_run: bool = False
    ) -> ImportAnswer:
        """Create and change rows from a CSV or XLSX file, in one transaction.

        One refused row imports nothing, unless `partial`. With `dry_run` nothing is written and
        the answer is what would have been done. Durable when it returns; repeatable.
        """
        # Read before the write transaction: a big file must not keep other writers waiting, and
        # what a rule depends on is never removed.
        with self._database.read() as connection:
            rule = self._rule_for(connection)
        parsed = parse_file(content, self.columns, rule)
        stopped = bool(parsed.refused) and not partial

        def compare(connection: Connection) -> Plan[R]:
            return plan(parsed.good, store.by_code(connection, self._kind, parsed.good))

        def apply(connection: Connection) -> Plan[R]:
            todo = compare(connection)
            store.create(connection, todo.to_create)
            store.change(connection, todo.to_change)
            return todo

        if stopped or dry_run:
            with self._database.read() as connection:
                todo = compare(connection)
        else:
            todo = self._database.write(apply)
        return ImportAnswer(
            rows=parsed.row_count,
            created=0 if stopped else len(todo.to_create),
            changed=0 if stopped else len(todo.to_change),
            unchanged=todo.unchanged,
            refused=parsed.refused,
            dry_run=dry_run,
        )

    def get(self, code: str) -> R | None:
        """The row with this code, in any case of letters; None if there is none."""
        wanted = code.strip().upper()
        with self._database.read() as connection:
            return store.by_code(connection, self._kind, [wanted]).get(wanted)

    def page(self, *, after: str = "", limit: int = 100) -> list[R]:
        """At most `limit` rows (never above MAX_PAGE) with a code above `after`, by code."""
        with self._database.read() as connection:
            return store.page(
                connection, self._kind, after=after, limit=min(max(limit, 1), MAX_PAGE)
            )

    def all(self) -> list[R]:
        """Every row, by code."""
        rows = self.page(limit=MAX_PAGE)
        while len(rows) % MAX_PAGE == 0 and rows:
            more = self.page(after=rows[-1].code, limit=MAX_PAGE)
            if not more:
                break
            rows += more
        return rows


def _region_rule(connection: Connection) -> "Rule[Region]":
    del connection  # a region depends on nothing
    return rules.region_row


def _model_rule(connection: Connection) -> "Rule[Model]":
    del connection  # a model depends on nothing
    return rules.model_row


def _dealer_rule(connection: Connection) -> "Rule[Dealer]":
    regions = store.codes(connection, Region)

    def rule(row: int, values: Mapping[str, str]) -> Dealer | Sequence[Refusal]:
        return rules.dealer_row(row, values, regions)

    return rule
