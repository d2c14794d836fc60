"""Leads as they are looked at: SQL that reads and decides nothing.

Promises: lists go by (received, id) with a cursor, the navigation's count stops at `COUNT_MAX`,
and whoever may
see only some dealers' leads is never shown another one's, whatever else is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, tuple_, union

from hub.leads.records import Lead, Offer
from hub.leads.states import STATES, State
from hub.leads.store import as_lead, as_offer
from hub.leads.tables import LEAD, LEAD_OFFER

COUNT_MAX: Final = 10_000
_COLUMNS: Final = tuple(LEAD.c[field.name] for field in fields(Lead))
_OFFER_COLUMNS: Final = tuple(LEAD_OFFER.c[field.name] for field in fields(Offer))
Order = Literal["newest", "oldest"]
Special = Literal["late", "human", "test"]
SPECIALS: Final[tuple[Special, ...]] = ("late", "human", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks, and what they may see. No dealers and no regions named: nothing at all."""

    id: str
    """Stands in the log of readings: per_…, acc_… or tok_…"""
    everything: bool = False
    dealers: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    reveals: bool = False
    """Whether they may be shown who a customer is at all."""
    acts: bool = False
    """Whether they may hand over, release and close what they own."""
    only: str | None = None
    """A rep, who may know the customers of their own leads alone."""

    @property
    def wide(self) -> bool:
        """Do they look after dealers at all places, or of whole regions?"""
        return self.everything or bool(self.regions)

    def owns(self, lead: Lead) -> bool:
        """Is it theirs: claimed by one of their dealers, of their region, or everything is?"""
        return self.everything or lead.dealer in self.dealers or lead.region in self.regions

    def may_know(self, lead: Lead) -> bool:
        """May they be shown who the customer is?"""
        return self.reveals and self.owns(lead) and self.only in {None, lead.rep}

    def may_act(self, lead: Lead) -> bool:
        """May they decide whose it is, and that it is over?"""
        return self.acts and self.owns(lead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which leads. Empty means all that the viewer may see, those of tests apart."""

    states: tuple[State, ...] = ()
    special: Special | None = None
    """late: nobody claimed it or called in time; human: a person has to look after it."""
    tests: bool = False
    """Whether test leads are among the others."""
    source: str | None = None
    dealer: str | None = None
    rep: str | None = None
    lead: str | None = None
    """The beginning of an id."""
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Where a page of the list begins: behind this lead, or up to before that one."""

    after: str | None = None
    before: str | None = None
    limit: int = 50
    order: Order = "newest"


def _seen_by(viewer: Viewer) -> ColumnElement[bool] | None:
    if viewer.everything:
        return None
    dealers = sorted(viewer.dealers)
    # Three ranges of indexes rather than a question about every lead.
    ids = [select(LEAD_OFFER.c.lead).where(LEAD_OFFER.c.dealer.in_(dealers))]
    for column, names in ((LEAD.c.dealer, dealers), (LEAD.c.region, sorted(viewer.regions))):
        if names:
            ids.append(select(LEAD.c.id).where(column.in_(names)))
    return LEAD.c.id.in_(union(*ids))


def _late(now_ms: int) -> ColumnElement[bool]:
    return and_(
        LEAD.c.state.in_(["UNCLAIMED", "CLAIMED"]),
        or_(LEAD.c.told == 1, LEAD.c.reminded == 1, LEAD.c.next_step_ms <= now_ms),
    )


def _wanted(viewer: Viewer, chosen: Chosen, now_ms: int) -> list[ColumnElement[bool]]:
    special = {
        "late": _late(now_ms),
        "human": LEAD.c.human == 1,
        "test": LEAD.c.test == 1,
    }
    wanted = [special[chosen.special]] if chosen.special is not None else []
    if chosen.special != "test" and not chosen.tests:
        wanted.append(LEAD.c.test == 0)
    if chosen.states:
        wanted.append(LEAD.c.state.in_(chosen.states))
    seen = _seen_by(viewer)
    return wanted + _named(chosen) + ([] if seen is None else [seen])


def _named(chosen: Chosen) -> list[ColumnElement[bool]]:
    wanted = [
        LEAD.c[column] == value
        for column in ("source", "dealer", "rep")
        if (value := getattr(chosen, column)) is not None
    ]
    if chosen.lead is not None:
        # A range of the index: ids are of [a-z0-9_] only.
        wanted += [LEAD.c.id >= chosen.lead, LEAD.c.id < chosen.lead + "~"]
    if chosen.since_ms is not None:
        wanted.append(LEAD.c.received_ms >= chosen.since_ms)
    if chosen.until_ms is not None:
        wanted.append(LEAD.c.received_ms < chosen.until_ms)
    return wanted


def page(
    connection: Connection, viewer: Viewer, chosen: Chosen, part: Part, *, now_ms: int
) -> list[Lead]:
    """A page of leads in the order asked for; behind an unknown lead there is nothing."""
    place = tuple_(LEAD.c.received_ms, LEAD.c.id)
    wanted = _wanted(viewer, chosen, now_ms)
    cursor = part.after if part.before is None else part.before
    downwards = (part.order == "newest") == (part.before is None)
    if cursor is not None:
        at_ms = connection.execute(select(LEAD.c.received_ms).where(LEAD.c.id == cursor)).scalar()
        if at_ms is None:
            return []
        wanted.append(place < (at_ms, cursor) if downwards else place > (at_ms, cursor))
    order = [LEAD.c.received_ms, LEAD.c.id]
    query = select(*_COLUMNS).where(*wanted).limit(part.limit)
    query = query.order_by(*(column.desc() if downwards else column for column in order))
    rows = [as_lead(row) for row in connection.execute(query)]
    return rows if part.before is None else rows[::-1]


def one(connection: Connection, viewer: Viewer, lead: str) -> Lead | None:
    """One lead; None when there is none or it is not for this viewer's eyes."""
    seen = _seen_by(viewer)
    query = select(*_COLUMNS).where(LEAD.c.id == lead)
    row = connection.execute(query if seen is None else query.where(seen)).first()
    return None if row is None else as_lead(row)


def open_offers(
    connection: Connection, viewer: Viewer, limit: int, *, lead: str | None = None
) -> list[tuple[Lead, Offer]]:
    """Offers that a tap may still win, to people of the viewer's dealers; the newest first.

    Of a rep their own alone. Head office holds no offers, so it gets none.
    """
    mine = LEAD_OFFER.c.dealer.in_(sorted(viewer.dealers))
    terms = [mine, LEAD_OFFER.c.live == 1, LEAD.c.state == "UNCLAIMED"]
    if viewer.only is not None:
        terms.append(LEAD_OFFER.c.person == viewer.only)
    if lead is not None:
        terms.append(LEAD.c.id == lead)
    query = (
        select(*_COLUMNS, *_OFFER_COLUMNS)
        .join(LEAD, and_(LEAD.c.id == LEAD_OFFER.c.lead, LEAD.c.round == LEAD_OFFER.c.round))
        .where(*terms)
        .order_by(LEAD_OFFER.c.offered_ms.desc(), LEAD_OFFER.c.id)
        .limit(limit)
    )
    width = len(_COLUMNS)
    rows = connection.execute(query)
    return [(as_lead(row[:width]), as_offer(row[width:])) for row in rows]


def counts(connection: Connection, viewer: Viewer, chosen: Chosen, now_ms: int) -> dict[str, int]:
    """How many there are of every state, of each special kind, and in ``all``.

    Each as if nothing else of its kind were chosen. One pass over all of them: whoever asks often
    keeps the answer for a while.
    """
    base = replace(chosen, states=(), special=None, tests=True)
    late = case((_late(now_ms), 1), else_=0).label("late")
    found = select(LEAD.c.state, LEAD.c.human, LEAD.c.test, late)
    found_ = found.where(*_wanted(viewer, base, now_ms)).subquery()
    groups = (found_.c.state, found_.c.human, found_.c.test, found_.c.late)
    counted = dict.fromkeys((*STATES, *SPECIALS, "all"), 0)
    for state, human, test, is_late, n in connection.execute(
        select(*groups, func.count()).group_by(*groups)
    ):
        if test:
            counted["test"] += n
        if test and not chosen.tests:
            continue
        for name, holds in (("all", True), (state, True), ("human", human), ("late", is_late)):
            counted[name] += n if holds else 0
    return counted


def _count(connection: Connection, wanted: Sequence[ColumnElement[bool]]) -> int:
    some = select(LEAD.c.id).where(*wanted).limit(COUNT_MAX + 1).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def open_count(connection: Connection, viewer: Viewer, states: Sequence[str]) -> int:
    """How many are in one of these states, for the navigation."""
    chosen = Chosen(states=tuple(state for state in STATES if state in states))
    return _count(connection, _wanted(viewer, chosen, 0))


def states_of(connection: Connection, leads: Sequence[str]) -> dict[str, State]:
    """The states of some leads, by which their duplicates count: a reported sale not yet."""
    rows: Sequence[Any] = connection.execute(
        select(LEAD.c.id, LEAD.c.state, LEAD.c.back).where(LEAD.c.id.in_(leads))
    ).all()
    return {row.id: row.back if row.state == "WON_REPORTED" else row.state for row in rows}
