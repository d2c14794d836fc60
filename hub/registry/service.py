"""Use cases of the registry: import a file, look a dealer up, close one, find its people."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from hub.registry import opening, rules, store
from hub.registry.cells import Column
from hub.registry.imports import ImportAnswer, Plan, answer, parse_file, plan
from hub.registry.opening import OpenTime, WhyClosed, local_day
from hub.registry.people import service as people
from hub.registry.people import store as people_store
from hub.registry.people.rules import Person
from hub.registry.people.service import People
from hub.registry.people.store import Absence
from hub.registry.rules import Dealer, Model, Refusal, Region
from hub.store import Database

R = TypeVar("R", Region, Model, Dealer)
Rule = Callable[[int, Mapping[str, str]], "R | Sequence[Refusal]"]
MAX_PAGE: Final = 1000


class CannotBe(Exception):
    """What was asked for contradicts the registry; the message says what and what to do."""


class Registry:
    """Regions, models, dealers and people in one database."""

    def __init__(self, database: Database, *, holidays: Collection[str] = ()) -> None:
        """Work on `database`; nothing is read yet. On `holidays` (ISO days) no dealer is open."""
        self._database = database
        self.holidays: Final = frozenset(holidays)
        self.regions: Final = Book(database, Region, rules.REGION_COLUMNS, _region_rule)
        self.models: Final = Book(database, Model, rules.MODEL_COLUMNS, _model_rule)
        self.dealers: Final = Book(database, Dealer, rules.DEALER_COLUMNS, _dealer_rule)
        self.people: Final = People(database)

    def dealer(self, code: str) -> Dealer | None:
        """The dealer with this code, in any case of letters; None if there is none."""
        return self.dealers.get(code)

    def dealer_names(self) -> Mapping[str, str]:
        """Every dealer's name by code, for pages."""
        return {dealer.code: dealer.name for dealer in self.dealers.all()}

    def dealer_timezones(self) -> Mapping[str, str]:
        """Every dealer's IANA time zone by code, for pages and day borders."""
        return {dealer.code: dealer.timezone for dealer in self.dealers.all()}

    def close_dealer(self, code: str, on: str, *, into: str | None = None) -> int:
        """Close a dealer from this day on; its people belong to `into` as well, at once.

        How many people that changed. Repeatable. Raises CannotBe.
        """

        def work(connection: Connection) -> int:
            dealer = _known(connection, code)
            if dealer.opened_on is not None and on < dealer.opened_on:
                raise CannotBe(f"{dealer.code} opens on {dealer.opened_on}, after {on}")
            store.change(connection, [replace(dealer, closed_on=on)])
            if into is None:
                return 0
            heir = _known(connection, into)
            if heir.code == dealer.code or (heir.closed_on is not None and heir.closed_on <= on):
                raise CannotBe(f"{heir.code} is closed by then itself; name another with --into")
            return people.also_at(connection, dealer.code, heir.code)

        return self._database.write(work)

    def edit_dealer(self, code: str, cells: Mapping[str, str]) -> Sequence[Refusal]:
        """Change what of a dealer changes from day to day (`rules.EDITED`); why not, if anything.

        The cells are read as those of a file. Durable when it returns; one refusal changes
        nothing. Raises CannotBe.
        """
        unknown = set(cells) - set(rules.EDITED)
        if unknown:
            raise CannotBe(f"of a dealer only {' '.join(rules.EDITED)} are changed by hand")

        def work(connection: Connection) -> Sequence[Refusal]:
            changed = rules.edited_dealer(_known(connection, code), cells)
            if not isinstance(changed, Dealer):
                return changed
            store.change(connection, [changed])
            return ()

        return self._database.write(work)

    def away(
        self, person_id: str, from_day: str, until_day: str, *, deputy: str | None = None
    ) -> None:
        """Away from the one day to the other, both included; `deputy` stands in for them.

        Without one it is the deputy of the people's file. An absence that began on the same day
        is replaced. Raises CannotBe.
        """

        def work(connection: Connection) -> None:
            for id_ in (person_id, deputy):
                if id_ is not None and people_store.by_id(connection, id_) is None:
                    raise CannotBe(f"there is no {id_}; `person list` shows who there is")
            if deputy == person_id:
                raise CannotBe("nobody stands in for themselves; name another with --deputy")
            if until_day < from_day:
                raise CannotBe(f"away from {from_day} until {until_day} ends before it begins")
            absence = Absence(person_id, from_day, until_day, deputy, own=False)
            people_store.put_absence(connection, absence)

        self._database.write(work)

    # --- Opening hours, with the holidays ---

    def why_closed(self, dealer: Dealer, now_ms: int) -> WhyClosed | None:
        """Why a dealer is not open now; None: it is."""
        return opening.why_closed(dealer, now_ms, holidays=self.holidays)

    def next_open_ms(self, dealer: Dealer, now_ms: int) -> int | None:
        """When it is open next, `now_ms` if it is; None: never."""
        return opening.next_open_ms(dealer, now_ms, holidays=self.holidays)

    def due_ms(self, dealer: Dealer, start_ms: int, open_ms: int) -> int | None:
        """When it was open for `open_ms` since `start_ms`; None: never."""
        return opening.due_ms(dealer, start_ms, open_ms, holidays=self.holidays)

    def hours_of_day(self, dealer: Dealer, now_ms: int) -> OpenTime | None:
        """From opening to closing on the dealer's day; None: it does not open on it."""
        return opening.hours_of_day(dealer, now_ms, holidays=self.holidays)

    # --- On the caller's connection ---

    def dealer_in(self, connection: Connection, code: str) -> Dealer | None:
        """The dealer with exactly this code."""
        return self.dealer_later(connection, code)()

    def dealer_later(self, connection: Connection, code: str) -> Callable[[], Dealer | None]:
        """The same, asked now and answered later."""
        return store.one_later(connection, Dealer, code)

    def dealers_in(self, connection: Connection) -> list[Dealer]:
        """Every dealer, by code."""
        return store.everything(connection, Dealer)

    def region_in(self, connection: Connection, code: str) -> Region | None:
        """The region with exactly this code."""
        return store.one(connection, Region, code)

    def model_in(self, connection: Connection, code: str) -> Model | None:
        """The model with exactly this code."""
        return store.one(connection, Model, code)

    def models_in(self, connection: Connection) -> list[Model]:
        """Every model, by code."""
        return store.everything(connection, Model)

    def person(self, connection: Connection, id_: str) -> Person | None:
        """The person with this id, active or not."""
        return people_store.by_id(connection, id_)

    def person_by_phone(
        self, connection: Connection, phone: str, *, now_ms: int | None = None
    ) -> Person | None:
        """Whose phone (E.164 without ``+``) it is; with `now_ms` only of those who work today."""
        return self.people_by_phone(connection, [(phone, now_ms)])()[0]

    def people_by_phone(
        self, connection: Connection, phones: Sequence[tuple[str, int | None]]
    ) -> Callable[[], list[Person | None]]:
        """The same for several phones, each at a time of its own; asked now, answered later."""
        find = people_store.by_phones(connection, [phone for phone, _ in phones])

        def people() -> list[Person | None]:
            found = find()
            return [self._today(connection, found.get(phone), now_ms) for phone, now_ms in phones]

        return people

    def person_by_bsuid(
        self, connection: Connection, bsuid: str, *, now_ms: int | None = None
    ) -> Person | None:
        """Whose learnt WhatsApp id it is; with `now_ms` only of those who work today."""
        return self._today(connection, people_store.by_bsuid(connection, bsuid), now_ms)

    @staticmethod
    def _today(connection: Connection, person: Person | None, now_ms: int | None) -> Person | None:
        if person is None or now_ms is None or people.works_today(connection, person, now_ms):
            return person
        return None

    def learn_bsuid(self, connection: Connection, person_id: str, bsuid: str) -> bool:
        """A message of this person's phone came with this WhatsApp id; False: it was another's.

        Then it is nobody's until the next message: conflicting keys are never merged.
        """
        return people.learn_bsuid(connection, person_id, bsuid)

    def learn_bsuids(self, connection: Connection, met: Sequence[tuple[str, str]]) -> None:
        """The same for several messages in their order, each a person's id and a WhatsApp id."""
        people.learn_bsuids(connection, met)

    def bsuid_of(self, connection: Connection, person_id: str) -> str | None:
        """The learnt WhatsApp id of a person."""
        return people_store.bsuid_of(connection, person_id)

    def reps_on_duty(self, connection: Connection, dealer: Dealer, now_ms: int) -> list[Person]:
        """Who may be offered a lead of this dealer now, by id, each once.

        Its active reps who agreed to messages, or for one who is away the deputy; while it is
        open, and at any other hour those who said *Siap*. Nobody where it is unauthorised, paused
        or not in business.
        """
        if not dealer.authorised:
            return []
        open_now = opening.open_at(dealer, now_ms, holidays=self.holidays)
        return people.reps_on_duty(connection, dealer, now_ms, open_now=open_now)

    @staticmethod
    def reps_of_day(connection: Connection, dealer: Dealer, now_ms: int) -> list[Person]:
        """Who may be offered leads of this dealer today while it is open, whatever the hour now."""
        if not dealer.authorised:
            return []
        return people.reps_on_duty(connection, dealer, now_ms, open_now=True)

    def off_today(self, connection: Connection, person_id: str, day: str) -> None:
        """*LIBUR*: not on duty on this day (theirs, see `today`); *Siap* takes it back."""
        people.off_today(connection, person_id, day)

    def absences(self, connection: Connection, person: Person, now_ms: int) -> list[Absence]:
        """When a person is away, from today on."""
        return people_store.absences_of(
            connection, person.id, self.today(connection, person, now_ms)
        )

    def away_on(self, connection: Connection, day: str) -> frozenset[str]:
        """Who is away on a day."""
        return frozenset(absence.person for absence in people_store.absences(connection, day))

    def everybody_in(self, connection: Connection) -> list[Person]:
        """Everybody of the people's file, by id."""
        return list(people_store.everybody(connection).values())

    def ready(self, connection: Connection, person_id: str, until_ms: int) -> None:
        """*Siap*: on duty until then, at any hour. Nothing happens for an unknown person."""
        person = people_store.by_id(connection, person_id)
        if person is not None:
            people.ready(connection, person, until_ms)

    def today(self, connection: Connection, person: Person, now_ms: int) -> str:
        """The day it is where the person works."""
        return local_day(people.zone_of(connection, person), now_ms)


def _known(connection: Connection, code: str) -> Dealer:
    wanted = code.strip().upper()
    found = store.one(connection, Dealer, wanted)
    if found is None:
        raise CannotBe(f"there is no dealer {code!r}; `dealer list` shows which there are")
    return found


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

        One refused row imports nothing, unless `partial`. An empty cell empties what is stored, a
        column that the file does not have leaves it. With `dry_run` nothing is written and the
        answer is what would have been done. Durable when it returns; repeatable.
        """
        # Read before the write transaction: a big file must not keep other writers waiting, and
        # what a rule depends on is never removed.
        with self._database.read() as connection:
            rule = self._rule_for(connection)
        parsed = parse_file(content, self.columns, rule)
        stopped = bool(parsed.refused) and not partial

        def compare(connection: Connection) -> Plan[R]:
            stored = store.by_code(connection, self._kind, parsed.good)
            keeps = {rules.FIELDS.get(name, name) for name in parsed.unsaid}
            return plan(parsed.good, stored, keeps=keeps)

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
        return answer(parsed, todo, stopped=stopped, dry_run=dry_run)

    def get(self, code: str) -> R | None:
        """The row with this code, in any case of letters; None if there is none."""
        wanted = code.strip().upper()
        with self._database.read() as connection:
            return store.one(connection, self._kind, wanted)

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
