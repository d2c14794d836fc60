"""What a row of a people file must be, and which person it is. No I/O."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from hub.registry import cells
from hub.registry.cells import CellRefused, Column
from hub.registry.rules import Refusal, read_row

Role = Literal[
    "admin", "executive", "regional_manager", "technician", "dealer_manager", "rep", "auditor"
]
ROLES: Final[tuple[Role, ...]] = (
    "admin",
    "executive",
    "regional_manager",
    "technician",
    "dealer_manager",
    "rep",
    "auditor",
)
SELLERS: Final = frozenset({"rep", "dealer_manager"})
"""Who may be told about a customer."""
HEAD_OFFICE_ZONE: Final = "Asia/Jakarta"
"""Whose day it is where no dealer is spoken of."""
LANGUAGES: Final = ("id", "en")
_ID = re.compile(r"per_[A-Za-z0-9_-]{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody of the network. Days are ISO texts, the last one included."""

    id: str
    name: str
    role: str
    dealers: tuple[str, ...]
    regions: tuple[str, ...]
    phone: str | None
    email: str | None
    language: str
    active_from: str | None
    active_until: str | None
    deputy: str | None
    wa_opt_in_ms: int | None
    """When they agreed to messages, and to their first name being shown to those they beat."""

    @property
    def code(self) -> str:
        """What lists know a person by."""
        return self.id

    @property
    def first_name(self) -> str:
        """The name they are called by."""
        return self.name.split()[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    """A row that is a person; whose it is shows when it is held against those that are stored."""

    number: int
    id: str | None
    person: Person

    @property
    def code(self) -> str:
        """Every row is its own; two rows of one person are told from each other by `settle`."""
        return f"row {self.number}"


@dataclass(frozen=True, slots=True)
class Settled:
    """The rows that stand, by person, and why the others do not."""

    people: Mapping[str, Person]
    refused: tuple[Refusal, ...]


def active_on(person: Person, day: str) -> bool:
    """Does the person work for the network on this day?"""
    return (person.active_from or "") <= day and (
        person.active_until is None or day <= person.active_until
    )


def may_be_messaged(person: Person, now_ms: int) -> bool:
    """Has the person a phone, and agreed to messages?"""
    agreed_ms = person.wa_opt_in_ms
    return person.phone is not None and agreed_ms is not None and agreed_ms <= now_ms


def person_id(cell: str) -> str:
    """An id of a person."""
    if _ID.fullmatch(cell) is None:
        raise CellRefused(
            "malformed_id",
            f"{cell[:40]!r} is no id of a person: per_ and up to 60 letters, digits, - and _; "
            "leave it empty for somebody new",
        )
    return cell


def _role(cell: str) -> str:
    value = cell.lower()
    if value not in ROLES:
        raise CellRefused("unknown_role", f"{cell[:40]!r} is none of {' '.join(ROLES)}")
    return value


def _language(cell: str) -> str:
    value = cell.lower()
    if value not in LANGUAGES:
        raise CellRefused("unknown_language", f"{cell[:40]!r} is none of {' '.join(LANGUAGES)}")
    return value


def _name(cell: str) -> str:
    return " ".join(cells.text(cell).split())


def _codes(cell: str) -> tuple[str, ...]:
    """Codes separated by bars, in their order, each once."""
    return tuple(dict.fromkeys(cells.code(item) for item in cells.words(cell)))


PERSON_COLUMNS: Final = (
    Column("id", person_id),
    Column("name", _name, required=True),
    Column("role", _role, required=True),
    Column("dealers", _codes, default=()),
    Column("regions", _codes, default=()),
    Column("phone", cells.mobile),
    Column("email", cells.email),
    Column("language", _language, default="id"),
    Column("active_from", cells.day),
    Column("active_until", cells.day),
    Column("deputy", person_id),
    Column("wa_opt_in_at", cells.day_or_moment),
)
FIELDS: Final = {"wa_opt_in_at": "wa_opt_in_ms"}
"""What is kept under another name than its column's."""


def person_row(
    row: int, values: Mapping[str, str], dealers: Collection[str], regions: Collection[str]
) -> PersonRow | Sequence[Refusal]:
    """A person of these dealers and regions (codes), or every reason why this row is none.

    What hangs together with a column that the file does not have is judged by `settle`.
    """
    read = read_row(row, values, PERSON_COLUMNS)
    if not isinstance(read, dict):
        return read
    agreed = read.pop("wa_opt_in_at")
    if isinstance(agreed, str):
        agreed = cells.midnight_ms(agreed, HEAD_OFFICE_ZONE)
    stated_id = read.pop("id")
    person = Person(id=stated_id or "", wa_opt_in_ms=agreed, **read)
    places = (
        ("dealers", _places_refusal("dealer", person.dealers, dealers)),
        ("regions", _places_refusal("region", person.regions, regions)),
    )
    refusals = [_refusal(row, column, refused) for column, refused in places if refused is not None]
    refusals += [found for found in _incoherences(row, person) if found.column in values]
    refusals.sort(key=lambda found: _PLACE_OF[found.column or ""])
    return refusals or PersonRow(number=row, id=stated_id, person=person)


_PLACE_OF: Final = {column.name: place for place, column in enumerate(PERSON_COLUMNS)}


def _refusal(row: int, column: str, refused: CellRefused) -> Refusal:
    return Refusal(row, column, refused.code, f"{column}: {refused}")


def _incoherences(row: int, person: Person) -> list[Refusal]:
    """What of a person does not go together, each with the column where it shows."""
    judged = (
        ("dealers", _missing_place(person, SELLERS, person.dealers)),
        ("regions", _missing_place(person, {"regional_manager"}, person.regions)),
        ("active_until", _days_refusal(person)),
    )
    return [_refusal(row, column, refused) for column, refused in judged if refused is not None]


def _places_refusal(noun: str, named: Sequence[str], known: Collection[str]) -> CellRefused | None:
    for code in named:
        if code not in known:
            return CellRefused(
                f"unknown_{noun}",
                f"there is no {noun} {code}; import it first with `{noun} import`",
            )
    return None


def _missing_place(
    person: Person, roles: Collection[str], places: Sequence[str]
) -> CellRefused | None:
    if person.role not in roles or places:
        return None
    return CellRefused("missing", f"is empty, and a {person.role} belongs to at least one")


def _days_refusal(person: Person) -> CellRefused | None:
    first, last = person.active_from, person.active_until
    if first is None or last is None or first <= last:
        return None
    return CellRefused("ends_before_it_begins", f"active from {first} until {last}")


# --- Which person a row is ---


def settle(
    rows: Iterable[PersonRow],
    stored: Mapping[str, Person],
    new_id: Callable[[], str],
    *,
    unsaid: Collection[str] = (),
) -> Settled:
    """Give every row its person: by id, else by phone, else by e-mail and name, else a new one.

    The columns `unsaid`, which the file does not have, stay as they are stored, and nobody is told
    from somebody else by them. Refused are rows that with those make no person, take another's
    phone, name a deputy there is not, could be about several people, or are about somebody a row
    before them was about. A refused row changes nothing, so it is as if it were not there.
    """
    people: dict[str, Person] = {}
    numbers: dict[str, int] = {}
    refused: list[Refusal] = []
    whose = _Matcher(stored, unsaid)
    for row in rows:
        known = [row.id] if row.id else whose.people(row.person)
        if len(known) > 1:
            refused.append(_ambiguous(row, known))
            continue
        id_ = known[0] if known else new_id()
        if id_ in people:
            refused.append(_repeated(row, numbers[id_], id_))
            continue
        person = _whole(replace(row.person, id=id_), stored.get(id_), unsaid)
        faults = _incoherences(row.number, person)
        refused += faults
        if not faults:
            people[id_] = person
            numbers[id_] = row.number
    while found := _contradictions(people, numbers, stored):
        refused += found.values()
        for id_ in found:
            del people[id_]
    return Settled(people, tuple(sorted(refused, key=lambda refusal: refusal.row)))


def _whole(said: Person, before: Person | None, unsaid: Collection[str]) -> Person:
    """The person as they would be stored."""
    if before is None:
        return said
    fields = {FIELDS.get(column, column) for column in unsaid} - {"id"}
    return replace(said, **{field: getattr(before, field) for field in fields})


def _ambiguous(row: PersonRow, ids: Sequence[str]) -> Refusal:
    return Refusal(
        row.number, "id", "ambiguous", f"id: this may be {' or '.join(sorted(ids)[:3])}; say which"
    )


def _repeated(row: PersonRow, number: int, id_: str) -> Refusal:
    return Refusal(
        row.number,
        "id" if row.id else "phone",
        "repeated",
        f"row {number} is about {id_} already",
    )


class _Matcher:
    """Finds the stored people that a row without an id may speak of."""

    def __init__(self, stored: Mapping[str, Person], unsaid: Collection[str]) -> None:
        self._unsaid = unsaid
        self._by_phone = {p.phone: p.id for p in stored.values() if p.phone is not None}
        self._by_rest: dict[tuple[object, ...], list[str]] = {}
        for person in stored.values():
            self._by_rest.setdefault(self._rest(person), []).append(person.id)

    def _rest(self, person: Person) -> tuple[object, ...]:
        name = person.name.casefold()
        if person.email and "email" not in self._unsaid:
            return name, _address(person)
        # With neither phone nor e-mail there is only where they work.
        reached = ("phone", "role", "dealers", "regions")
        said = [field for field in reached if field not in self._unsaid]
        return name, *(getattr(person, field) for field in said)

    def people(self, person: Person) -> Sequence[str]:
        """Their ids: one, none, or several who cannot be told apart."""
        known = None if person.phone is None else self._by_phone.get(person.phone)
        return [known] if known is not None else self._by_rest.get(self._rest(person), [])


def _address(person: Person) -> str | None:
    """The address as it is compared when somebody signs in with it."""
    return person.email.lower() if person.email else None


def _contradictions(
    people: Mapping[str, Person], numbers: Mapping[str, int], stored: Mapping[str, Person]
) -> dict[str, Refusal]:
    """What does not go together with the others as they would stand afterwards."""
    found: dict[str, Refusal] = {}
    owners: dict[str, str] = {
        p.phone: p.id for i, p in stored.items() if p.phone and i not in people
    }
    for id_, person in people.items():
        refused = None
        owner = owners.setdefault(person.phone, id_) if person.phone else id_
        if owner != id_:
            refused = ("phone", "phone_taken", f"is the phone of {owner}; empty it there first")
        elif person.deputy == id_:
            refused = ("deputy", "own_deputy", "nobody stands in for themselves")
        elif person.deputy is not None and not (person.deputy in people or person.deputy in stored):
            refused = ("deputy", "unknown_person", f"there is no {person.deputy}")
        if refused is not None:
            column, code, message = refused
            found[id_] = Refusal(numbers[id_], column, code, f"{column}: {message}")
    return found
