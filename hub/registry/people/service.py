"""Use cases of the people: import a file, find a person, say who is on duty."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from hub.registry import store as registry_store
from hub.registry.imports import ImportAnswer, Plan, answer, parse_file, plan
from hub.registry.opening import local_day, out_of_business
from hub.registry.people import rules, store
from hub.registry.people.rules import HEAD_OFFICE_ZONE, SELLERS, Person, PersonRow
from hub.registry.people.store import Absence
from hub.registry.rules import Dealer, Refusal, Region
from hub.store import Database
from shared.identifiers import new_id

READY_MS: Final = 2 * 60 * 60 * 1000
"""How long *Siap* outside the opening hours means on duty."""


class People:
    """Everybody of the network, in one database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`; nothing is read yet."""
        self._database: Final = database

    def import_file(
        self, content: bytes, *, partial: bool = False, dry_run: bool = False
    ) -> ImportAnswer:
        """Create and change people from a CSV or XLSX file, in one transaction.

        One refused row imports nothing, unless `partial`. An empty cell empties what is stored, a
        column that the file does not have leaves it. With `dry_run` nothing is written and the
        answer is what would have been done. Durable when it returns; repeatable, also for rows
        without an id (see `rules.settle`).
        """
        with self._database.read() as connection:
            dealers = registry_store.codes(connection, Dealer)
            regions = registry_store.codes(connection, Region)

        def rule(row: int, values: Mapping[str, str]) -> PersonRow | Sequence[Refusal]:
            return rules.person_row(row, values, dealers, regions)

        parsed = parse_file(content, rules.PERSON_COLUMNS, rule)

        def look(connection: Connection, *, write: bool) -> ImportAnswer:
            stored = store.everybody(connection)
            settled = rules.settle(
                parsed.good.values(), stored, lambda: new_id("per"), unsaid=parsed.unsaid
            )
            refused = sorted((*parsed.refused, *settled.refused), key=lambda found: found.row)
            stopped = bool(refused) and not partial
            todo: Plan[Person] = plan(settled.people, stored)
            if write and not stopped:
                store.create(connection, todo.to_create)
                store.change(connection, todo.to_change, stored)
            told = replace(parsed, refused=tuple(refused))
            return answer(told, todo, stopped=stopped, dry_run=dry_run)

        if dry_run:
            with self._database.read() as connection:
                return look(connection, write=False)
        return self._database.write(lambda connection: look(connection, write=True))

    def all(self) -> list[Person]:
        """Everybody, by id."""
        with self._database.read() as connection:
            return list(store.everybody(connection).values())


# --- On the caller's connection ---


def reps_on_duty(
    connection: Connection, dealer: Dealer, now_ms: int, *, open_now: bool
) -> list[Person]:
    """Who may be offered a lead of this dealer now, by id. See `Registry.reps_on_duty`."""
    if out_of_business(dealer, now_ms) is not None:
        return []
    day = local_day(dealer.timezone, now_ms)
    away = {absence.person: absence for absence in store.absences(connection, day)}
    found: dict[str, Person] = {}
    for rep in store.at_dealer(connection, dealer.code, "rep"):
        if not rules.active_on(rep, day):
            continue
        present = _present(connection, rep, away)
        if present is not None and _may_sell(present, day, now_ms):
            found[present.id] = present
    if not open_now:
        ready = store.ready(connection, list(found), now_ms)
        found = {id_: person for id_, person in found.items() if id_ in ready}
    return [found[id_] for id_ in sorted(found)]


def _may_sell(person: Person, day: str, now_ms: int) -> bool:
    return (
        person.role in SELLERS
        and rules.active_on(person, day)
        and rules.may_be_messaged(person, now_ms)
    )


def _present(connection: Connection, person: Person, away: Mapping[str, Absence]) -> Person | None:
    """The person, or who stands in for them; None when everybody asked is away."""
    asked: set[str] = set()
    while person.id in away:
        asked.add(person.id)
        deputy_id = away[person.id].deputy or person.deputy
        deputy = None if deputy_id is None else store.by_id(connection, deputy_id)
        if deputy is None or deputy.id in asked:
            return None
        person = deputy
    return person


def also_at(connection: Connection, dealer: str, other: str) -> int:
    """Everybody who works at the one dealer works at the other too; how many that changed."""
    before = store.everybody(connection)
    changed = [
        replace(person, dealers=(*person.dealers, other))
        for person in before.values()
        if dealer in person.dealers and other not in person.dealers
    ]
    store.change(connection, changed, before)
    return len(changed)


def off_today(connection: Connection, person_id: str, day: str) -> None:
    """They said that they do not work today; their own *Siap* takes it back."""
    store.not_ready(connection, person_id)
    if not any(absence.person == person_id for absence in store.absences(connection, day)):
        store.put_absence(connection, Absence(person_id, day, day, None, own=True))


def ready(connection: Connection, person: Person, until_ms: int) -> None:
    """On duty until then, whatever the hour, and even if they had said they were off today."""
    store.set_ready(connection, person.id, until_ms)
    zone = zone_of(connection, person)
    for ms in (until_ms - READY_MS, until_ms):
        store.end_own_absence(connection, person.id, local_day(zone, ms))


def learn_bsuid(connection: Connection, person_id: str, bsuid: str) -> bool:
    """Remember that a message of this person's phone came with this WhatsApp id.

    When it was somebody else's until now, it is nobody's: False. The next message teaches anew.
    """
    known = store.by_bsuid(connection, bsuid)
    if known is None:
        store.put_bsuid(connection, bsuid, person_id)
        return True
    if known.id != person_id:
        store.forget_bsuid(connection, bsuid)
    return known.id == person_id


def learn_bsuids(connection: Connection, met: Sequence[tuple[str, str]]) -> None:
    """The same for several, each a person and an id, in their order; most are known already."""
    known = store.whose_bsuids(connection, [bsuid for _, bsuid in met])
    for person_id, bsuid in met:
        if known.get(bsuid) != person_id:
            learn_bsuid(connection, person_id, bsuid)
            known.pop(bsuid, None)  # whose it is now, it says itself


def zone_of(connection: Connection, person: Person) -> str:
    """The time zone of the first place a person works at; head office's for the others."""
    for code in person.dealers[:1]:
        dealer = registry_store.one(connection, Dealer, code)
        if dealer is not None:
            return dealer.timezone
    for code in person.regions[:1]:
        region = registry_store.one(connection, Region, code)
        if region is not None:
            return region.timezone
    return HEAD_OFFICE_ZONE


def works_today(connection: Connection, person: Person, now_ms: int) -> bool:
    """Does the person work for the network on the day it is where they work?"""
    if person.active_from is None and person.active_until is None:
        return True
    return rules.active_on(person, local_day(zone_of(connection, person), now_ms))
