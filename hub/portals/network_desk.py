"""Dealers and people as pages show them, and what managers change of them from day to day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection

from hub.leads.reads import Viewer
from hub.registry.cells import midnight_ms
from hub.registry.opening import local_day
from hub.registry.people.rules import HEAD_OFFICE_ZONE, Person, active_on, may_be_messaged
from hub.registry.people.store import Absence
from hub.registry.rules import Dealer, Refusal
from hub.registry.service import CannotBe, Registry
from hub.store import Database
from shared.clock import Clock

HEAD_OFFICE_CELLS: Final = frozenset({"timezone"})
"""What of a dealer head office alone decides."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A dealer, and how it stands now."""

    dealer: Dealer
    why_closed: str | None
    """None: it is open."""
    opens_ms: int | None
    load: int
    """Leads in hand, held against its capacity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody of the network, and how they stand now."""

    person: Person
    state: str
    """on_duty, off (the store is closed), away, not_agreed, no_phone, left; works: no rep."""
    absences: Sequence[Absence] = ()


class NetworkDesk:
    """The registry of one hub, for people who look after it."""

    def __init__(self, database: Database, registry: Registry, clock: Clock) -> None:
        """Touch nothing yet."""
        self._database = database
        self._registry = registry
        self._clock = clock

    # --- dealers ---

    def stores(self, viewer: Viewer, loads: Mapping[str, int]) -> list[Store]:
        """Every dealer the viewer may see, by name."""
        with self._database.read() as connection:
            dealers = self._registry.dealers_in(connection)
        seen = [dealer for dealer in dealers if _sees(viewer, dealer)]
        seen.sort(key=lambda dealer: (dealer.name.casefold(), dealer.code))
        return [self._store(dealer, loads) for dealer in seen]

    def store(self, viewer: Viewer, code: str, loads: Mapping[str, int]) -> Store | None:
        """One of them."""
        with self._database.read() as connection:
            dealer = self._registry.dealer_in(connection, code)
        if dealer is None or not _sees(viewer, dealer):
            return None
        return self._store(dealer, loads)

    def _store(self, dealer: Dealer, loads: Mapping[str, int]) -> Store:
        now_ms = self._clock.wall_ms()
        why = None if dealer.authorised else "not_authorised"
        why = why or self._registry.why_closed(dealer, now_ms)
        waits = why in {"closed", "holiday", "paused", "not_opened_yet"}
        opens_ms = self._registry.next_open_ms(dealer, now_ms) if waits else None
        return Store(
            dealer=dealer,
            why_closed=why,
            opens_ms=opens_ms,
            load=loads.get(dealer.code, 0),
        )

    def change(
        self, viewer: Viewer, code: str, cells: Mapping[str, str]
    ) -> Sequence[Refusal] | None:
        """Change hours, days, capacity, pause or zone; why not, if anything. None: not theirs."""
        with self._database.read() as connection:
            dealer = self._registry.dealer_in(connection, code)
        if dealer is None or not _acts(viewer, dealer):
            return None
        if not viewer.wide and HEAD_OFFICE_CELLS.intersection(cells):
            return None
        refused = self._registry.edit_dealer(code, cells)
        log.info("dealer_changed", dealer=code, by=viewer.id, done=not refused, what=sorted(cells))
        return refused

    def closed_today(self, viewer: Viewer, code: str) -> bool:
        """Offered nothing until the next day where it is; False: not theirs to say."""
        with self._database.read() as connection:
            dealer = self._registry.dealer_in(connection, code)
        if dealer is None:
            return False
        today = date.fromisoformat(local_day(dealer.timezone, self._clock.wall_ms()))
        tomorrow = (today + timedelta(days=1)).isoformat()
        return self.change(viewer, code, {"paused_until": tomorrow}) == ()

    # --- people ---

    def people(self, viewer: Viewer) -> list[Person]:
        """Everybody the viewer may see, by name."""
        with self._database.read() as connection:
            dealers = {row.code: row for row in self._registry.dealers_in(connection)}
            everybody = self._registry.everybody_in(connection)
        found = [person for person in everybody if _sees_person(viewer, person, dealers)]
        return sorted(found, key=lambda person: (person.name.casefold(), person.id))

    def states(self, people: Sequence[Person]) -> Mapping[str, str]:
        """How each of them stands now, by id."""
        with self._database.read() as connection:
            dealers = {row.code: row for row in self._registry.dealers_in(connection)}
            duty = _Duty(self._registry, connection, dealers, self._clock.wall_ms())
            return {person.id: duty.state(person) for person in people}

    def member(self, viewer: Viewer, person_id: str) -> Member | None:
        """One of them, with when they are away."""
        now_ms = self._clock.wall_ms()
        with self._database.read() as connection:
            dealers = {row.code: row for row in self._registry.dealers_in(connection)}
            person = self._registry.person(connection, person_id)
            if person is None or not _sees_person(viewer, person, dealers):
                return None
            return Member(
                person=person,
                state=_Duty(self._registry, connection, dealers, now_ms).state(person),
                absences=self._registry.absences(connection, person, now_ms),
            )

    def may_act_on(self, viewer: Viewer, person: Person) -> bool:
        """May the viewer say that somebody is away? Of oneself everybody may."""
        with self._database.read() as connection:
            dealers = {row.code: row for row in self._registry.dealers_in(connection)}
        mine = viewer.acts and _sees_person(viewer, person, dealers)
        return person.id == viewer.id or mine

    def away(
        self, viewer: Viewer, person: Person, *, from_day: str, until_day: str, deputy: str | None
    ) -> str | None:
        """Say that somebody is away; None when it is done, else why not."""
        for day in (from_day, until_day):
            try:
                midnight_ms(day, "UTC")
            except ValueError:
                return "day"
        if deputy is not None and self.member(viewer, deputy) is None:
            return "deputy"
        try:
            self._registry.away(person.id, from_day, until_day, deputy=deputy)
        except CannotBe:
            return "deputy" if deputy == person.id else "order"
        log.info("person_away", person=person.id, by=viewer.id)
        return None

    def off_today(self, viewer: Viewer, person: Person) -> None:
        """Offered nothing until the next day where they work; *Siap* takes it back."""

        def work(connection: Connection) -> None:
            today = self._registry.today(connection, person, self._clock.wall_ms())
            self._registry.off_today(connection, person.id, today)

        self._database.write(work)
        log.info("person_off_today", person=person.id, by=viewer.id)


class _Duty:
    """Who is on duty now, each dealer asked once."""

    def __init__(
        self,
        registry: Registry,
        connection: Connection,
        dealers: Mapping[str, Dealer],
        now_ms: int,
    ) -> None:
        self._registry = registry
        self._connection = connection
        self._dealers = dealers
        self._now_ms = now_ms
        self._on_duty: dict[str, frozenset[str]] = {}
        self._away: dict[str, frozenset[str]] = {}

    def state(self, person: Person) -> str:
        zone = next(
            (self._dealers[code].timezone for code in person.dealers if code in self._dealers),
            HEAD_OFFICE_ZONE,
        )
        today = local_day(zone, self._now_ms)
        if not active_on(person, today):
            return "left"
        if person.id in self._away_on(today):
            return "away"
        if person.role != "rep":
            return "works"
        if not may_be_messaged(person, self._now_ms):
            return "no_phone" if person.phone is None else "not_agreed"
        on_duty = any(person.id in self._of(code) for code in person.dealers)
        return "on_duty" if on_duty else "off"

    def _away_on(self, day: str) -> frozenset[str]:
        if day not in self._away:
            self._away[day] = self._registry.away_on(self._connection, day)
        return self._away[day]

    def _of(self, code: str) -> frozenset[str]:
        if code not in self._on_duty:
            dealer = self._dealers.get(code)
            reps = (
                []
                if dealer is None
                else self._registry.reps_on_duty(self._connection, dealer, self._now_ms)
            )
            self._on_duty[code] = frozenset(rep.id for rep in reps)
        return self._on_duty[code]


def _sees(viewer: Viewer, dealer: Dealer) -> bool:
    return viewer.everything or dealer.code in viewer.dealers or dealer.region in viewer.regions


def _acts(viewer: Viewer, dealer: Dealer) -> bool:
    return viewer.acts and _sees(viewer, dealer)


def _sees_person(viewer: Viewer, person: Person, dealers: Mapping[str, Dealer]) -> bool:
    if viewer.everything or person.id == viewer.id:
        return True
    return any(code in dealers and _sees(viewer, dealers[code]) for code in person.dealers)
