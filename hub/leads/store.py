"""All SQL on the tables of leads that decides or changes something."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Table, insert, select

from hub.leads.records import Lead, Offer, OfferState, Standing
from hub.leads.states import CLOSED, OWNED, State
from hub.leads.tables import LEAD, LEAD_ANSWER, LEAD_OFFER
from hub.sales.tables import SALE
from hub.store import Statement, Values, WideStatement, set_columns

_TRUTHS: Final = frozenset({"human", "test", "reminded", "told", "live"})
_LEAD_COLUMNS: Final = tuple(field.name for field in fields(Lead))
_OFFER_COLUMNS: Final = tuple(field.name for field in fields(Offer))
_LEAD_LIST: Final = ", ".join(f'"{name}"' for name in _LEAD_COLUMNS)
_OFFER_LIST: Final = ", ".join(f'"{name}"' for name in _OFFER_COLUMNS)


def as_lead(row: Sequence[Any]) -> Lead:
    """A lead from its columns in the order of its fields."""
    return Lead(**_typed(dict(zip(_LEAD_COLUMNS, row, strict=True))))


def as_offer(row: Sequence[Any]) -> Offer:
    """An offer from its columns in the order of its fields."""
    return Offer(**_typed(dict(zip(_OFFER_COLUMNS, row, strict=True))))


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    for name in _TRUTHS & values.keys():
        values[name] = bool(values[name])
    return values


def _plain(name: str, value: object) -> object:
    return int(bool(value)) if name in _TRUTHS else value


# --- one lead ---


_GET: Final = Statement(f"SELECT {_LEAD_LIST} FROM lead WHERE id = :id")  # noqa: S608 - our own names
_LOCK: Final = Statement(
    f"SELECT {_LEAD_LIST} FROM lead WHERE id = :id",  # noqa: S608 - our own names
    postgres=f"SELECT {_LEAD_LIST} FROM lead WHERE id = :id FOR UPDATE",  # noqa: S608 - our own names
)


def get(connection: Connection, lead: str) -> Lead | None:
    """The lead as it is now."""
    found = _GET.rows(connection, id=lead)
    return as_lead(found[0]) if found else None


def lock(connection: Connection, lead: str) -> Lead | None:
    """The lead, which no other transaction changes until this one ends."""
    found = _LOCK.rows(connection, id=lead)
    return as_lead(found[0]) if found else None


def create(connection: Connection, lead: Lead) -> None:
    """Store a new lead."""
    values = {name: _plain(name, value) for name, value in asdict(lead).items()}
    connection.execute(insert(LEAD).values(**values))


def _set(connection: Connection, table: Table, row_id: str, values: Mapping[str, object]) -> None:
    plain = {name: _plain(name, value) for name, value in values.items()}
    set_columns(connection, table, row_id, plain)


def change(connection: Connection, lead: str, **values: object) -> None:
    """Set some columns of a lead."""
    _set(connection, LEAD, lead, values)


_AWAIT_CONTACT: Final = WideStatement(
    LEAD,
    ("id", "next_step_ms"),
    "UPDATE lead SET next_step = 'contact', next_step_ms = said.next_step_ms, reminded = 0,"
    " contacted_ms = NULL, confirmed_ms = NULL FROM said WHERE lead.id = said.id",
)


def await_contact(connection: Connection, leads: Sequence[tuple[str, int]]) -> None:
    """Their owners are new: nobody has been in touch yet, which is looked at at a time each."""
    _AWAIT_CONTACT.run(connection, leads)


_DUE: Final = Statement(
    "SELECT id FROM lead WHERE next_step_ms <= :now_ms ORDER BY next_step_ms LIMIT :limit"
)


def due(connection: Connection, now_ms: int, limit: int) -> list[str]:
    """Leads whose next step is due, the longest waiting first."""
    return [row[0] for row in _DUE.rows(connection, now_ms=now_ms, limit=limit)]


_NEWEST_OF: Final = Statement(
    f"SELECT {_LEAD_LIST} FROM lead WHERE contact = :contact AND state <> 'DUPLICATE' AND test = 0"  # noqa: S608 - our own names
    " ORDER BY received_ms DESC, id DESC LIMIT 1"
)


def newest_of(connection: Connection, contact: str) -> Lead | None:
    """The newest lead of a customer that is no duplicate: one step in an index."""
    found = _NEWEST_OF.rows(connection, contact=contact)
    return as_lead(found[0]) if found else None


def owned_by(connection: Connection, person: str, limit: int) -> list[Lead]:
    """The leads that a rep has in hand, the newest claim first."""
    rows = connection.execute(
        select(*(LEAD.c[name] for name in _LEAD_COLUMNS))
        .where(LEAD.c.rep == person, LEAD.c.state.in_(sorted(OWNED)))
        .order_by(LEAD.c.claimed_ms.desc(), LEAD.c.id)
        .limit(limit)
    )
    return [as_lead(row) for row in rows]


def waiting(connection: Connection, limit: int) -> list[str]:
    """Leads that wait for somebody to come on duty, the longest waiting first."""
    return list(
        connection.scalars(
            select(LEAD.c.id)
            .where(LEAD.c.next_step == "route", LEAD.c.next_step_ms.is_not(None))
            .order_by(LEAD.c.next_step_ms)
            .limit(limit)
        )
    )


# Spelt out, as QUIET in hub/sales/tables.py is and for the same reason: of a state that is bound
# PostgreSQL expects a third of all leads that ever were.
_LOADS: Final = Statement(
    "SELECT dealer, count(*) FROM lead WHERE dealer IS NOT NULL"
    " AND state IN ('CLAIMED', 'CONTACTED') AND test = 0 GROUP BY dealer"
)


def loads(connection: Connection) -> dict[str, int]:
    """How many leads each dealer has in hand."""
    return dict(_LOADS.rows(connection))


# --- the race ---

Standings: TypeAlias = tuple[Standing, Offer | None]
"""How the race for a lead stands, and the newest offer that one person had of it."""
# In the order of the index that it is found by, or PostgreSQL, while it knows nothing of the table,
# looks through all offers that the person ever had.
_NEWEST_OFFER: Final = (
    "SELECT newest.id FROM lead_offer AS newest WHERE newest.lead = {} AND newest.person = {}"
    " ORDER BY newest.round DESC LIMIT 1"
)
# One statement decides: whoever comes second finds another state, on both engines. PostgreSQL
# waits for the first transaction and asks the condition again.
_CLAIM: Final = WideStatement(
    LEAD,
    ("id", "rep", "claimed_ms"),
    "UPDATE lead SET state = 'CLAIMED', rep = said.rep, claimed_ms = said.claimed_ms,"  # noqa: S608 - our own names
    " dealer = o.dealer, response_ms = CASE WHEN said.claimed_ms > lead.offered_ms"
    " THEN said.claimed_ms - lead.offered_ms ELSE 1 END"
    f" FROM said JOIN lead_offer AS o ON o.id = ({_NEWEST_OFFER.format('said.id', 'said.rep')})"
    # A state that no index knows: PostgreSQL would begin with all that nobody has.
    " WHERE {meets} AND coalesce(lead.state, '') = 'UNCLAIMED' AND o.round = lead.round"
    f" AND o.live = 1 RETURNING {', '.join(f'lead.{name}' for name in _LEAD_COLUMNS)},"
    " (SELECT count(*) FROM lead_event AS tap WHERE tap.lead = lead.id"
    " AND tap.kind = 'tap.received')",
    meets=("lead.id", "id"),
)


def claim(
    connection: Connection, taps: Sequence[tuple[str, str, int]]
) -> Callable[[], dict[str, tuple[Lead, int]]]:
    """Give unclaimed leads to people who hold live offers of them; those that were given, by id,
    with how many taps stand on their timelines.

    Each tap a lead, a person and when; one a lead. Asked now, answered later.
    """
    rows = _CLAIM.later(connection, taps)
    return lambda: {lead.id: (lead, taps) for *given, taps in rows() for lead in (as_lead(given),)}


_LOCK_ALL: Final = WideStatement(
    LEAD,
    ("id",),
    "SELECT id FROM lead WHERE id IN (SELECT id FROM said) ORDER BY id",
    postgres="SELECT id FROM lead WHERE id = ANY (ARRAY(SELECT id FROM said)) ORDER BY id"
    " FOR UPDATE",
)


def lock_all(connection: Connection, leads: Iterable[str]) -> None:
    """No other transaction changes these leads until this one ends.

    In one order, so that two that want the same ones wait for each other once; on SQLite the one
    writer has them.
    """
    if connection.dialect.name != "sqlite":
        _LOCK_ALL.run(connection, [(lead,) for lead in set(leads)])


_STANDINGS: Final = WideStatement(
    LEAD_OFFER,
    ("lead", "person"),
    "SELECT said.lead, said.person, lead.state, lead.rep, lead.dealer, lead.claimed_ms,"  # noqa: S608 - our own names
    " lead.round, {} FROM said CROSS JOIN lead LEFT JOIN lead_offer AS o ON o.id = ({})"
    " WHERE lead.id = said.lead".format(
        ", ".join(f"o.{name}" for name in _OFFER_COLUMNS),
        _NEWEST_OFFER.format("said.lead", "said.person"),
    ),
)


def standings(
    connection: Connection, asked: Iterable[tuple[str, str]]
) -> Callable[[], dict[tuple[str, str], Standings]]:
    """How the races for leads stand and the newest offer a person had, by lead and person.

    Without the leads that there are not. Asked now, answered later.
    """
    rows = _STANDINGS.later(connection, list(dict.fromkeys(asked)))
    return lambda: dict(map(_stands, rows()))


def _stands(row: Values) -> tuple[tuple[str, str], Standings]:
    lead, person, state, rep, dealer, claimed_ms, round_, *offered = row
    stands = Standing(
        id=lead, state=state, rep=rep, dealer=dealer, claimed_ms=claimed_ms, round=round_
    )
    return (lead, person), (stands, None if offered[0] is None else as_offer(offered))


# --- offers ---


_OFFER: Final = Statement(
    f"SELECT {_OFFER_LIST} FROM lead_offer WHERE lead = :lead AND person = :person"  # noqa: S608 - our own names
    " ORDER BY round DESC LIMIT 1"
)
_ONE_OFFER: Final = Statement(f"SELECT {_OFFER_LIST} FROM lead_offer WHERE id = :id")  # noqa: S608 - our own names
_OFFERS: Final = Statement(
    f"SELECT {_OFFER_LIST} FROM lead_offer WHERE lead = :lead"  # noqa: S608 - our own names
    " ORDER BY round, ring, distance_m, person"
)
_TURNS: Final = Statement(
    "SELECT max(offered_ms) FROM lead_offer WHERE person = :person",
)
_WITHDRAW: Final = WideStatement(
    LEAD_OFFER,
    ("lead", "person", "state"),
    "UPDATE lead_offer SET live = 0, state = CASE WHEN lead_offer.person = said.person"
    " THEN 'claimed' WHEN lead_offer.state IN ('failed', 'skipped') THEN lead_offer.state"
    " ELSE said.state END FROM said WHERE {meets} AND lead_offer.live = 1",
    meets=("lead_offer.lead", "lead"),
)


def offer_of(connection: Connection, lead: str, person: str) -> Offer | None:
    """The newest offer of this lead to this person."""
    found = _OFFER.rows(connection, lead=lead, person=person)
    return as_offer(found[0]) if found else None


def offer(connection: Connection, offer_id: str) -> Offer | None:
    """One offer."""
    found = _ONE_OFFER.rows(connection, id=offer_id)
    return as_offer(found[0]) if found else None


def live_offers(connection: Connection, person: str, limit: int) -> list[Offer]:
    """The open offers that a person holds, the newest first."""
    rows = connection.execute(
        select(*(LEAD_OFFER.c[name] for name in _OFFER_COLUMNS))
        .where(LEAD_OFFER.c.person == person, LEAD_OFFER.c.live == 1)
        .order_by(LEAD_OFFER.c.offered_ms.desc(), LEAD_OFFER.c.id)
        .limit(limit)
    )
    return [as_offer(row) for row in rows]


def last_offer(connection: Connection, person: str) -> Offer | None:
    """The newest offer a person was made, over or not."""
    row = connection.execute(
        select(*(LEAD_OFFER.c[name] for name in _OFFER_COLUMNS))
        .where(LEAD_OFFER.c.person == person)
        .order_by(LEAD_OFFER.c.offered_ms.desc(), LEAD_OFFER.c.id)
        .limit(1)
    ).first()
    return None if row is None else as_offer(row)


def offers_of(connection: Connection, lead: str) -> list[Offer]:
    """Every offer of this lead, by round, ring and distance."""
    return [as_offer(row) for row in _OFFERS.rows(connection, lead=lead)]


def create_offers(connection: Connection, offers: Sequence[Offer]) -> None:
    """Store new offers."""
    rows = [{name: _plain(name, value) for name, value in asdict(o).items()} for o in offers]
    if rows:
        connection.execute(insert(LEAD_OFFER), rows)


_MARGINS: Final = WideStatement(
    LEAD_OFFER,
    ("id", "margin_ms"),
    "UPDATE lead_offer SET margin_ms = said.margin_ms FROM said WHERE lead_offer.id = said.id",
)


def keep_margins(connection: Connection, margins: Sequence[tuple[str, int]]) -> None:
    """By how much the first taps on offers came too late."""
    _MARGINS.run(connection, margins)


def change_offer(connection: Connection, offer: str, **values: object) -> None:
    """Set some columns of an offer."""
    _set(connection, LEAD_OFFER, offer, values)


def withdraw(connection: Connection, leads: Sequence[tuple[str, str, OfferState]]) -> None:
    """No tap on these wins any more: each a lead, its winner or "", what other offers become."""
    _WITHDRAW.run(connection, leads)


def holders(connection: Connection, people: Iterable[str]) -> set[str]:
    """Who of them holds an open offer."""
    return {person for person in people if live_offers(connection, person, 1)}


def last_offered(connection: Connection, people: Iterable[str]) -> dict[str, int]:
    """When each of them was last offered a lead; 0: never."""
    return {person: _TURNS.rows(connection, person=person)[0][0] or 0 for person in people}


# --- following the ledger, answering the intake ---


def position(connection: Connection, name: str) -> int:
    """The place on the ledger up to which sales have been looked at."""
    found = _POSITION.rows(connection, name=name)
    return int(found[0][0]) if found else 0


_POSITION: Final = Statement("SELECT next_index FROM lead_cursor WHERE name = :name")
_ADVANCE: Final = Statement(
    "UPDATE lead_cursor SET next_index = :end WHERE name = :name AND next_index = :start"
    " RETURNING name"
)
_BEGIN: Final = Statement(
    "INSERT INTO lead_cursor (name, next_index) VALUES (:name, 0) ON CONFLICT (name) DO NOTHING"
)


def advance(connection: Connection, name: str, start: int, end: int) -> bool:
    """Move the cursor from `start` to `end`; False when another process has moved it."""
    if start == 0:
        _BEGIN.run(connection, [{"name": name}])
    return bool(_ADVANCE.rows(connection, name=name, start=start, end=end))


@cache
def _entries_of(types: tuple[str, ...]) -> Statement:
    listed = ", ".join(f"'{name}'" for name in types)
    return Statement(
        f'SELECT "index", dealer FROM entry WHERE type IN ({listed})'  # noqa: S608 - our own names
        ' AND "index" >= :start AND "index" < :end ORDER BY "index" LIMIT :limit'
    )


def entries(
    connection: Connection, types: Sequence[str], *, start: int, end: int, limit: int
) -> list[tuple[int, str | None]]:
    """Place and dealer of the entries of these types in ``[start, end)``, in order."""
    rows = _entries_of(tuple(types)).rows(connection, start=start, end=end, limit=limit)
    return [(row[0], row[1]) for row in rows]


def undone_by(connection: Connection, index: int) -> int | None:
    """Place of the sale that the void or return at `index` undid."""
    found = connection.execute(
        select(SALE.c.refers_to).where(SALE.c.index == index, SALE.c.state == "applied")
    ).first()
    return None if found is None else found[0]


def answered(connection: Connection, key: str) -> tuple[str, str, str] | None:
    """Hash of the body, the lead and the answer that an idempotency key was given."""
    row = connection.execute(
        select(LEAD_ANSWER.c.body_sha256, LEAD_ANSWER.c.lead, LEAD_ANSWER.c.answer).where(
            LEAD_ANSWER.c.key == key
        )
    ).first()
    return None if row is None else (row[0], row[1], row[2])


def keep_answer(
    connection: Connection, key: str, *, body_sha256: str, lead: str, answer: str, at_ms: int
) -> None:
    """Remember what an idempotency key was answered."""
    connection.execute(
        insert(LEAD_ANSWER).values(
            key=key, body_sha256=body_sha256, lead=lead, answer=answer, at_ms=at_ms
        )
    )


def open_with_serial(connection: Connection, serial: str, limit: int) -> list[str]:
    """Leads on which this serial was reported or sold."""
    return list(
        connection.scalars(
            select(LEAD.c.id)
            .where(LEAD.c.serial == serial, LEAD.c.state.not_in(sorted(CLOSED)))
            .order_by(LEAD.c.received_ms)
            .limit(limit)
        )
    )


def won_with_sale(connection: Connection, index: int, serial: str) -> bool:
    """Whether a lead has won with this unit of this sale."""
    found = connection.execute(
        select(LEAD.c.id).where(LEAD.c.sale_index == index, LEAD.c.serial == serial).limit(1)
    )
    return found.first() is not None


def won_by_sale(connection: Connection, index: int) -> list[str]:
    """Leads that a sale on the ledger has won."""
    state: State = "CLOSED_WON"
    return list(
        connection.scalars(
            select(LEAD.c.id).where(LEAD.c.sale_index == index, LEAD.c.state == state)
        )
    )
