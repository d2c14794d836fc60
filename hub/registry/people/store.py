"""Tables of the people, and all SQL on them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Table,
    delete,
    insert,
    select,
    update,
)

from hub.registry.people.rules import ROLES, Person
from hub.store import INT64, METADATA, TEXT, Statement, WideStatement

LIST_SEPARATOR: Final = "|"
ROLE_LIST: Final = ", ".join(f"'{role}'" for role in ROLES)
_LISTS: Final = ("dealers", "regions")
_SLICE: Final = 500

person = Table(
    "person",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("role", TEXT, nullable=False),
    Column("dealers", TEXT, nullable=False),
    Column("regions", TEXT, nullable=False),
    Column("phone", TEXT, unique=True),
    Column("email", TEXT),
    Column("language", TEXT, nullable=False),
    Column("active_from", TEXT),
    Column("active_until", TEXT),
    Column("deputy", TEXT),
    Column("wa_opt_in_ms", INT64),
    CheckConstraint(f"role IN ({ROLE_LIST})", name="person_role"),
    sqlite_strict=True,
)
# The same as person.dealers, the other way round: who works at a dealer.
person_dealer = Table(
    "person_dealer",
    METADATA,
    Column("dealer", TEXT, ForeignKey("dealer.code"), primary_key=True),
    Column("person", TEXT, ForeignKey("person.id"), primary_key=True),
    Index("person_dealer_person", "person"),
    sqlite_strict=True,
)
person_away = Table(
    "person_away",
    METADATA,
    Column("person", TEXT, ForeignKey("person.id"), primary_key=True),
    Column("from_day", TEXT, primary_key=True),
    Column("until_day", TEXT, nullable=False),
    Column("deputy", TEXT),
    Column("own", INT64, nullable=False),
    CheckConstraint("from_day <= until_day", name="person_away_days"),
    CheckConstraint("own IN (0, 1)", name="person_away_own"),
    Index("person_away_until", "until_day"),
    sqlite_strict=True,
)
person_ready = Table(
    "person_ready",
    METADATA,
    Column("person", TEXT, ForeignKey("person.id"), primary_key=True),
    Column("until_ms", INT64, nullable=False),
    sqlite_strict=True,
)
person_bsuid = Table(
    "person_bsuid",
    METADATA,
    Column("bsuid", TEXT, primary_key=True),
    Column("person", TEXT, ForeignKey("person.id"), nullable=False),
    Index("person_bsuid_person", "person"),
    sqlite_strict=True,
)


@dataclass(frozen=True, slots=True)
class Absence:
    """Days away, both included. `own`: they said so themselves, and may take it back."""

    person: str
    from_day: str
    until_day: str
    deputy: str | None
    own: bool


def _stored(row: Person) -> dict[str, object]:
    return asdict(row) | {name: LIST_SEPARATOR.join(getattr(row, name)) for name in _LISTS}


_NAMES: Final = tuple(person.c.keys())
_READ: Final = "SELECT {} FROM person".format(  # noqa: S608 - our own names
    ", ".join(f"person.{name}" for name in _NAMES)
)
# Asked for every message that comes in and for every one that goes out.
_OF_ID: Final = Statement(_READ + " WHERE id = :id")
_OF_PHONES: Final = WideStatement(
    person,
    ("phone",),
    _READ.replace("FROM person", "FROM said CROSS JOIN person WHERE person.phone = said.phone"),
)
_OF_BSUID: Final = Statement(
    _READ + " JOIN person_bsuid ON person_bsuid.person = person.id WHERE bsuid = :bsuid"
)
_BSUID_OF: Final = Statement(
    "SELECT bsuid FROM person_bsuid WHERE person = :person ORDER BY bsuid DESC LIMIT 1"
)
_WHOSE_BSUIDS: Final = WideStatement(
    person_bsuid,
    ("bsuid",),
    "SELECT known.bsuid, known.person FROM said CROSS JOIN person_bsuid AS known"
    " WHERE known.bsuid = said.bsuid",
)


def _loaded(row: Sequence[Any]) -> Person:
    """A person from the columns in the order of the table."""
    values = dict(zip(_NAMES, row, strict=True))
    for name in _LISTS:
        values[name] = tuple(values[name].split(LIST_SEPARATOR)) if values[name] else ()
    return Person(**values)


def everybody(connection: Connection) -> dict[str, Person]:
    """Every person by id, in the order of the ids."""
    query = select(person).order_by(person.c.id)
    return {row.id: _loaded(row) for row in connection.execute(query)}


def by_id(connection: Connection, id_: str) -> Person | None:
    """One person."""
    return _only(_OF_ID.rows(connection, id=id_))


def by_phones(connection: Connection, phones: Collection[str]) -> Callable[[], dict[str, Person]]:
    """Whose phones they are, of those that are somebody's; asked now, answered later."""
    rows = _OF_PHONES.later(connection, [(phone,) for phone in set(phones)])

    def people() -> dict[str, Person]:
        found = map(_loaded, rows())
        return {person.phone: person for person in found if person.phone is not None}

    return people


def by_bsuid(connection: Connection, bsuid: str) -> Person | None:
    """Whose WhatsApp id it is."""
    return _only(_OF_BSUID.rows(connection, bsuid=bsuid))


def _only(rows: Sequence[Sequence[Any]]) -> Person | None:
    return _loaded(rows[0]) if rows else None


def whose_bsuids(connection: Connection, bsuids: Collection[str]) -> dict[str, str]:
    """The person of each of these WhatsApp ids that is known."""
    return dict(_WHOSE_BSUIDS.rows(connection, [(bsuid,) for bsuid in set(bsuids)]))


def bsuid_of(connection: Connection, id_: str) -> str | None:
    """A WhatsApp id of a person; of several the last by the alphabet, always the same."""
    found = _BSUID_OF.rows(connection, person=id_)
    return str(found[0][0]) if found else None


def put_bsuid(connection: Connection, bsuid: str, id_: str) -> None:
    """Remember a WhatsApp id that nobody has."""
    connection.execute(insert(person_bsuid).values(bsuid=bsuid, person=id_))


def forget_bsuid(connection: Connection, bsuid: str) -> None:
    """Nobody has this WhatsApp id any more."""
    connection.execute(delete(person_bsuid).where(person_bsuid.c.bsuid == bsuid))


def at_dealer(connection: Connection, dealer: str, role: str) -> list[Person]:
    """Who works there in this role, in the order of the ids."""
    query = (
        select(person)
        .join(person_dealer)
        .where(person_dealer.c.dealer == dealer, person.c.role == role)
        .order_by(person.c.id)
    )
    return [_loaded(row) for row in connection.execute(query)]


def create(connection: Connection, rows: Sequence[Person]) -> None:
    """Add people whose ids are new."""
    if not rows:
        return
    connection.execute(insert(person), [_stored(row) for row in rows])
    _place(connection, rows)


def change(connection: Connection, rows: Sequence[Person], before: Mapping[str, Person]) -> None:
    """Replace people whose ids are stored, every column. `before`: as they are stored.

    A WhatsApp id belongs to whoever had the phone: with another phone it has to be learnt again.
    """
    ids = [row.id for row in rows]
    moved = [row.id for row in rows if row.phone != before[row.id].phone]
    for part in _slices(moved):
        # First nobody has them: two people may exchange their phones.
        connection.execute(update(person).where(person.c.id.in_(part)).values(phone=None))
        connection.execute(delete(person_bsuid).where(person_bsuid.c.person.in_(part)))
    for row in rows:
        connection.execute(update(person).where(person.c.id == row.id).values(_stored(row)))
    for part in _slices(ids):
        connection.execute(delete(person_dealer).where(person_dealer.c.person.in_(part)))
    _place(connection, rows)


def _place(connection: Connection, rows: Sequence[Person]) -> None:
    places = [{"dealer": code, "person": row.id} for row in rows for code in row.dealers]
    if places:
        connection.execute(insert(person_dealer), places)


def _slices(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + _SLICE] for start in range(0, len(ids), _SLICE)]


def put_absence(connection: Connection, absence: Absence) -> None:
    """Remember it, in place of one that began on the same day."""
    connection.execute(
        delete(person_away).where(
            person_away.c.person == absence.person, person_away.c.from_day == absence.from_day
        )
    )
    connection.execute(insert(person_away).values(asdict(absence) | {"own": int(absence.own)}))


def end_own_absence(connection: Connection, id_: str, day: str) -> None:
    """They work on this day after all, unless somebody else says that they do not."""
    connection.execute(
        delete(person_away).where(
            person_away.c.person == id_, person_away.c.from_day == day, person_away.c.own == 1
        )
    )


def absences(connection: Connection, day: str) -> list[Absence]:
    """Who is away on this day, in the order in which their absences began."""
    query = (
        select(person_away)
        .where(person_away.c.until_day >= day, person_away.c.from_day <= day)
        .order_by(person_away.c.from_day, person_away.c.person)
    )
    return [
        Absence(row.person, row.from_day, row.until_day, row.deputy, bool(row.own))
        for row in connection.execute(query)
    ]


def absences_of(connection: Connection, id_: str, day: str) -> list[Absence]:
    """When somebody is away from this day on, in order."""
    query = (
        select(person_away)
        .where(person_away.c.person == id_, person_away.c.until_day >= day)
        .order_by(person_away.c.from_day)
    )
    return [
        Absence(row.person, row.from_day, row.until_day, row.deputy, bool(row.own))
        for row in connection.execute(query)
    ]


def set_ready(connection: Connection, id_: str, until_ms: int) -> None:
    """On duty until then, whatever was before."""
    not_ready(connection, id_)
    connection.execute(insert(person_ready).values(person=id_, until_ms=until_ms))


def not_ready(connection: Connection, id_: str) -> None:
    """No longer on duty out of hours."""
    connection.execute(delete(person_ready).where(person_ready.c.person == id_))


def ready(connection: Connection, ids: Collection[str], now_ms: int) -> frozenset[str]:
    """Which of these are on duty at any hour."""
    query = select(person_ready.c.person).where(
        person_ready.c.person.in_(ids), person_ready.c.until_ms > now_ms
    )
    return frozenset(connection.scalars(query))
